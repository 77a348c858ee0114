"""The explorer in JupyterLab in headless Chromium, moved with the keyboard and the mouse, against
arrays computed here.
"""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scenes import moving_videos
from sklearn.metrics import confusion_matrix

import vadlib as vad
from vadlib import course
from vadlib.course.display import image_tag
from vadlib.course.figures import explorer
from vadlib.course.widgets.explorer import PAD
from vadlib.evaluation.calibration import Calibration

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
# So many that a slider chooses among them, and the first is shorter.
VIDEOS = "moving_videos(1, length=30, labelled=True) + moving_videos(7, length=45, labelled=True, seed=1)[1:]"
CELL = f"""import sys
sys.path.insert(0, {str(TESTS)!r})
import vadlib as vad
from scenes import moving_videos
from vadlib import course

course.Explorer(vad.Run.load("run"), vad.Result.load("run"), {VIDEOS})"""

# What has the focus, if it is a part of an output.
FOCUSED = """(e => e.closest(".jp-OutputArea-output") && (e.role || (e.matches(".widget-readout") ? "readout" : e.innerText)))(
    document.activeElement)"""


def pixels(source):
    """int (H, W, 3) of a picture in base64."""
    encoded = re.search(r"base64,([\w+/=]+)", source)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"), int)


@pytest.fixture
def result(tmp_path):
    """Of a model trained for a second, in the folder "run" beside the notebook."""
    torch.manual_seed(0)
    clip_config = vad.ClipConfig(length=8, crop=(16, 16), clip_step=4)
    clips = vad.ClipDataset(moving_videos(3), clip_config, progress=False)
    model = vad.DualPathAutoencoder(vad.ModelConfig(width=8, slots=8))
    config = vad.TrainConfig(epochs=1, precision="fp32", device="cpu")
    run = vad.fit(model, clips, None, config, tmp_path / "run", progress=False)
    # a score that, four pages up, gets some frames of both kinds wrong
    known = Calibration.load(run.folder / "calibration.npz")
    config = replace(known.score_config, temporal=1)
    replace(known, score_config=config).save(run.folder / "calibration.npz")
    result = vad.evaluate(run, eval(VIDEOS), "cpu", progress=False)
    result.save(run.folder)
    return result


def test_the_explorer_follows_keyboard_and_mouse(
    open_page, lab, run_first_cell, faults, result, tmp_path
):
    page, complaints = open_page()
    page.goto(lab(CELL))
    run_first_cell(page)
    box = page.locator(".jp-OutputArea-output .widget-vbox").first
    picture, handles = box.locator("img[alt]"), box.locator(".noUi-handle")
    video, frame = handles.nth(0), handles.nth(1)
    threshold = handles.nth(2)
    picture.wait_for()
    box.scroll_into_view_if_needed()
    pictures, run, videos = set(), vad.Run.load(tmp_path / "run"), eval(VIDEOS)

    def expect(name, t, score, above, scale="calibrated"):
        """The picture of that frame, another one than all before, as it is drawn here; and the
        counts of its video and of all.
        """
        labels = result.labels[name]
        outcomes = [["normal and quiet", "a miss"], ["a false alarm", "a hit"]]
        outcome = outcomes[int(score[name][t] > above)][labels[t]]
        begin = f'[alt^="video {name}, frame {t} of {len(labels)}, "]'
        box.locator(f'img{begin}[alt*=" threshold of {above:.2f}: {outcome};"]').wait_for()
        shown = picture.get_attribute("src")
        assert shown not in pictures
        pictures.add(shown)
        view = course.ExplorerView(name, t, above, scale)
        drawn = image_tag(*course.plot_explorer(run, result, videos, view))
        differ = 1.0
        for _ in range(300):  # a picture that another one follows at once may still be there
            one, other = (pixels(source) for source in (picture.get_attribute("src"), drawn))
            differ = (np.abs(one - other) > 8).mean() if one.shape == other.shape else 1.0
            if differ < 1e-3:
                break
            page.wait_for_timeout(100)
        assert differ < 1e-3
        pooled = [np.concatenate(list(part.values())) for part in (result.labels, score)]
        for row, (truth, values) in enumerate(((labels, score[name]), pooled), start=1):
            (quiet, false), (missed, hits) = confusion_matrix(truth, values > above, labels=[0, 1])
            cells = box.locator("tr").nth(row).locator("td").all_inner_texts()
            assert cells[1:5] == [str(n) for n in (hits, false, missed, quiet)]
            assert cells[7] == f"{false / (false + quiet):.1%}"

    scores, above = result.scores, result.threshold
    name, t = next(view[:2] for view in course.sample_views(result))
    expect(name, t, scores, above)
    last = len(scores[name]) - 1

    page.keyboard.press("Escape")  # leaves the cell's text, in which Tab indents
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    sliders, buttons = ["slider", "readout"], ["raw", "calibrated", "per video"]
    jumps = ["next false alarm", "next miss"]
    assert list(filter(None, reached)) == [*sliders, *buttons, "slider", *sliders, *jumps]

    frame.focus()
    page.keyboard.press("End")
    expect(name, last, scores, above)
    page.keyboard.press("ArrowLeft")
    expect(name, last - 1, scores, above)

    def centre(handle):
        box = handle.bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    # The slider's ends lie below those of the curve.
    drawn, width = picture.bounding_box(), explorer.WIDTH + 2 * PAD
    inches = (PAD + share * explorer.WIDTH for share in (explorer.LEFT, explorer.RIGHT))
    left, right = (drawn["x"] + drawn["width"] * inch / width for inch in inches)
    assert centre(frame)[0] == pytest.approx(left + (right - left) * (last - 1) / last, abs=2)
    page.mouse.move(*centre(frame))
    page.mouse.down()
    for t in range(last - 1, 9, -1):
        page.mouse.move(left + (right - left) * t / last, centre(frame)[1])
    expect(name, 10, scores, above)  # before the mouse lets go
    page.mouse.up()

    def jump(kind):
        nonlocal name, t
        page.get_by_role("button", name=f"next {kind}").focus()
        page.keyboard.press("Space")
        name, t = explorer.next_wrong(scores, result.labels, above, kind, name, t)
        box.get_by_text(f"{kind}: video {name}, frame {t}", exact=True).wait_for()
        expect(name, t, scores, above)
        assert scores[name][t] > above if kind == "false alarm" else scores[name][t] <= above

    t = 10
    threshold.focus()
    for _ in range(4):
        page.keyboard.press("PageUp")
    value = box.locator(".widget-readout").last
    step = (max(map(np.max, scores.values())) - min(map(np.min, scores.values()))) / 50
    above += 4 * 5 * 10 ** np.floor(np.log10(step))  # a page is five steps
    expect(name, t, scores, above)
    assert value.inner_text() == f"{above:.2f}"
    jump("false alarm")
    jump("miss")
    jump("miss")
    threshold.focus()
    page.keyboard.press("End")
    box.locator("tr").nth(2).get_by_text("none").wait_for()  # no alarm, no precision
    page.get_by_role("button", name="next false alarm").click()
    box.get_by_text("no false alarm at this threshold").wait_for()

    video.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="per video").click()
    scores, above = result.rescore("per_video"), explorer.start_threshold(result, "per_video")
    expect("02", min(t, 29), scores, above, "per_video")
    assert page.locator(faults).all_inner_texts() == []
    assert complaints == []
