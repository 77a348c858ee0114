"""Widgets in JupyterLab in headless Chromium, moved with the keyboard and the mouse."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from conftest import FAULTS
from PIL import Image
from scenes import moving_videos

import vadlib as vad
from vadlib import course
from vadlib.course.display import image_tag
from vadlib.course.figures import explorer
from vadlib.course.widgets.explorer import PAD
from vadlib.evaluation.calibration import Calibration

pytestmark = pytest.mark.slow
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_pseudo_anomaly_lab.ipynb"
# What has the focus, if it is a part of an output
FOCUSED = """(e => e.closest(".jp-OutputArea-output") && (e.role
    || (e.matches(".widget-readout") ? "readout" : e.innerText || e.type)))(
    document.activeElement)"""
# Every cell has run, or one has failed and the others will not.
FINISHED = r"""faults => document.querySelector(faults) || [...document.querySelectorAll(
    ".jp-Notebook .jp-CodeCell .jp-InputPrompt")].every(prompt => /\d/.test(prompt.innerText))"""


def tab_through(page, count):
    """Press Tab; return what gets the focus."""
    page.keyboard.press("Escape")  # leaves the cell's text, in which Tab indents
    reached = []
    for _ in range(count):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    return list(filter(None, reached))


def assert_no_faults(page, complaints):
    assert page.locator(FAULTS).all_inner_texts() == []
    assert complaints == []


def test_errors_of_a_cell_and_of_the_console_are_seen(open_lab):
    """What the tests below find nothing of."""
    page, complaints = open_lab("import sys\n\nprint('complaint', file=sys.stderr)\n1 / 0")
    page.locator(FAULTS).nth(1).wait_for()
    texts = page.locator(FAULTS).all_inner_texts()
    assert ["ZeroDivisionError" in text for text in texts] == [False, True]
    page.evaluate("console.error('complaint')")
    assert complaints == ["complaint"]


def test_the_browser_of_datasets_follows_the_keyboard(open_lab):
    code = "import vadlib as vad\nfrom vadlib import course\n\n"
    code += 'videos = vad.load_videos("synthetic", "test")\n'
    code += 'course.Browser({"street": videos[:2], "synthetic": videos})'
    page, complaints = open_lab(code)
    picture, handles = page.locator(".jp-OutputArea-output img[alt]"), page.locator(".noUi-handle")
    pictures = set()

    def expect(selector):
        page.locator(f"img[{selector}]").wait_for()
        pictures.add(picture.get_attribute("src"))

    expect('alt="street, video 01, frame 0 of 190, normal"')
    sliders = ["slider", "readout", "slider", "readout"]
    assert tab_through(page, 12) == ["street", "synthetic", *sliders, "checkbox"]
    page.get_by_role("button", name="synthetic").focus()
    page.keyboard.press("Space")
    page.locator('img[alt^="synthetic, video 01, frame 0 of 190"]').wait_for()
    handles.nth(1).focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect('alt^="synthetic, video 01, frame 3 of 190"')
    page.keyboard.press("End")
    expect('alt^="synthetic, video 01, frame 189 of 190"')
    handles.first.focus()
    page.keyboard.press("ArrowRight")
    expect('alt^="synthetic, video 02, frame 189 of 200, abnormal"')
    handles.nth(1).focus()
    page.keyboard.press("Home")
    for _ in range(25):
        page.keyboard.press("ArrowRight")
    expect('alt*="video 02, frame 25 of 200, abnormal; outlined at"')
    page.get_by_label("outline abnormal pixels").focus()
    page.keyboard.press("Space")
    expect('alt$="video 02, frame 25 of 200, abnormal"')
    assert len(pictures) == 6  # the picture followed each time
    assert_no_faults(page, complaints)


def test_the_laboratory_follows_the_keyboard(open_lab):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    page, complaints = open_lab(notebook, 1700, VADLIB_DATA="", VADLIB_PROFILE="quick")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(FINISHED, arg=FAULTS)
    assert page.locator(FAULTS).all_inner_texts() == []
    box = page.locator(".jp-OutputArea-output .widget-vbox").filter(has=page.locator("video"))
    film, strips = box.locator("video"), box.locator('img[alt*="at strength"]')
    batch, handles = box.locator('img[alt^="p = "]'), box.locator(".noUi-handle")
    box.scroll_into_view_if_needed()

    def move(handle, key, text):
        handle.focus()
        page.keyboard.press(key)
        box.locator(f"img{text}").wait_for()

    def sources():
        return [part.get_attribute("src") for part in (film, strips, batch)]

    before, text = sources(), strips.get_attribute("alt")
    assert re.search(r"^skip at strength 0\.5, seed 0, on clip 0, .*\(stride 3\)$", text)
    assert film.get_attribute("aria-label") == f"normal clip, pseudo-anomaly and mask: {text}"
    for key, strength, stride in (("ArrowRight", "0.55", 3), ("End", "1", 5), ("Home", "0", 1)):
        recipe = f"skip at strength {strength}, seed 0,"
        move(handles.first, key, f'[alt^="{recipe}"][alt$="(stride {stride})"]')
        box.locator(f'video[aria-label*="{recipe}"]').wait_for()
    box.locator('img[alt^="p = 0.2: 0 of 48"]').wait_for()  # strength 0 turns nothing
    assert ": 0% of its pixels changed" in strips.get_attribute("alt")
    assert not set(before) & set(sources())
    before = sources()
    for key, p in (("Home", "0"), ("ArrowRight", "0.01"), ("End", "1")):
        move(handles.last, key, f'[alt^="p = {p}: "]')
        assert sources()[:2] == before[:2], "p says how often, not what"
    player = film.element_handle()
    page.wait_for_function("video => video.readyState >= 2 && !video.paused", arg=player)
    at = player.evaluate("video => video.currentTime")
    page.wait_for_function("([video, at]) => video.currentTime !== at", arg=[player, at])
    assert player.evaluate("video => [video.error, video.videoWidth > 3 * 96]") == [None, True]
    assert_no_faults(page, complaints)


# The first is shorter.
VIDEOS = "moving_videos(1, length=30, labelled=True)"
VIDEOS += " + moving_videos(7, length=45, labelled=True, seed=1)[1:]"
EXPLORER = f"""import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import vadlib as vad
from scenes import moving_videos
from vadlib import course

course.Explorer(vad.Run.load("run"), vad.Result.load("run"), {VIDEOS})"""


def pixels(source):
    """int (H, W, 3) of a picture in base64."""
    encoded = re.search(r"base64,([\w+/=]+)", source)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"), int)


@pytest.fixture
def explored(tmp_path):
    """A model trained for a second, in the folder "run" beside the notebook, and its result."""
    torch.manual_seed(0)
    config = vad.ClipConfig(length=8, crop=(16, 16), clip_step=4)
    clips = vad.ClipDataset(moving_videos(3), config, progress=False)
    model = vad.DualPathAutoencoder(vad.ModelConfig(width=8, slots=8))
    training = vad.TrainConfig(epochs=1, precision="fp32", device="cpu")
    run = vad.fit(model, clips, None, training, tmp_path / "run", progress=False)
    # a score that, four pages up, gets some frames of both kinds wrong
    calibration = Calibration.load(run.folder / "calibration.npz")
    config = replace(calibration.score_config, temporal=1)
    replace(calibration, score_config=config).save(run.folder / "calibration.npz")
    result = vad.evaluate(run, eval(VIDEOS), "cpu", progress=False)
    result.save(run.folder)
    return run, result


class ExplorerPage:
    """The explorer on a page, and what it should show."""

    def __init__(self, page, run, result):
        self.page, self.run = page, run
        self.result = result
        self.box = page.locator(".jp-OutputArea-output .widget-vbox").first
        self.picture, self.handles = self.box.locator("img[alt]"), self.box.locator(".noUi-handle")
        self.videos, self.threshold = eval(VIDEOS), result.threshold

    def expect(self, name, t):
        """Wait for the picture of that frame as it is drawn here; compare its video's counts."""
        scores, labels = self.result.scores, self.result.labels
        begin = f'[alt^="video {name}, frame {t} of {len(labels[name])}, "]'
        self.box.locator(f'img{begin}[alt*=" threshold of {self.threshold:.2f}: "]').wait_for()
        view = course.ExplorerView(name, t, self.threshold)
        expected = pixels(
            image_tag(*course.plot_explorer(self.run, self.result, self.videos, view))
        )
        for _ in range(1200):  # a picture that another one follows at once may still be there
            picture = pixels(self.picture.get_attribute("src"))
            is_same = picture.shape == expected.shape
            if is_same and (np.abs(picture - expected) > 8).mean() < 1e-3:
                break
            self.page.wait_for_timeout(100)
        else:
            pytest.fail(f"another picture than that of video {name}, frame {t}")
        counts = explorer.count_frames({name: scores[name]}, labels, self.threshold)
        cells = self.box.locator("tr").nth(1).locator("td").all_inner_texts()
        assert cells[1:5] == [str(count) for count in counts]

    def jump(self, kind, name, t):
        """Press a button; return the place to which it should lead."""
        self.page.get_by_role("button", name=f"next {kind}").focus()
        self.page.keyboard.press("Space")
        scores, labels = self.result.scores, self.result.labels
        name, t = explorer.next_wrong(scores, labels, self.threshold, kind, name, t)
        self.box.get_by_text(f"{kind}: video {name}, frame {t}", exact=True).wait_for()
        self.expect(name, t)
        return name, t

    def drag(self, last):
        """Drag the cursor from the last frame but one to frame 10, along the curve's width."""
        frame, mouse = self.handles.nth(1).bounding_box(), self.page.mouse
        box, width = self.picture.bounding_box(), explorer.WIDTH + 2 * PAD
        begin = box["x"] + box["width"] * (PAD + explorer.LEFT * explorer.WIDTH) / width
        end = box["x"] + box["width"] * (PAD + explorer.RIGHT * explorer.WIDTH) / width
        x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
        # the slider's ends lie below those of the curve
        assert x == pytest.approx(begin + (end - begin) * (last - 1) / last, abs=2)
        mouse.move(x, y)
        mouse.down()
        for t in range(last - 1, 9, -1):
            mouse.move(begin + (end - begin) * t / last, y)


def test_the_explorer_follows_keyboard_and_mouse(open_lab, explored):
    page, complaints = open_lab(EXPLORER)
    tool = ExplorerPage(page, *explored)
    tool.box.scroll_into_view_if_needed()
    name, t = course.sample_views(tool.result)[0][:2]
    tool.expect(name, t)
    jumps = ["next false alarm", "next miss"]
    sliders = ["slider", "readout", "slider", "slider", "readout"]
    assert tab_through(page, 12) == [*sliders, *jumps]
    last = len(tool.result.scores[name]) - 1
    tool.handles.nth(1).focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    tool.expect(name, last - 1)
    tool.drag(last)
    tool.expect(name, 10)  # before the mouse lets go
    page.mouse.up()
    slider = tool.handles.nth(2)
    slider.focus()
    for _ in range(4):
        page.keyboard.press("PageUp")
    readout = tool.box.locator(".widget-readout").last
    scores = np.concatenate(list(tool.result.scores.values()))
    step = 10 ** np.floor(np.log10(np.ptp(scores) / 50))
    tool.threshold += 4 * 5 * step  # a page is five steps
    tool.expect(name, 10)
    assert readout.inner_text() == f"{tool.threshold:.2f}"
    place = (name, 10)
    for kind in ("false alarm", "miss"):
        place = tool.jump(kind, *place)
    slider.focus()
    page.keyboard.press("End")
    tool.box.locator("tr").nth(2).get_by_text("none").wait_for()  # no alarm, no precision
    page.get_by_role("button", name="next false alarm").click()
    tool.box.get_by_text("no false alarm is known at this threshold").wait_for()
    tool.handles.nth(0).focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    tool.box.locator('img[alt^="video 02, frame "]').wait_for()
    assert_no_faults(page, complaints)
