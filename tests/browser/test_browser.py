"""Widgets in a real browser: JupyterLab in headless Chromium, moved with the keyboard."""

import pytest

pytestmark = pytest.mark.slow

# The kind of control that has the focus, if it is one of an output.
FOCUSED = """(e => e.closest(".jp-OutputArea-output") && (e.getAttribute("role") || e.type))(document.activeElement)"""


CELL = """import vadlib as vad
from vadlib import course

videos = vad.load_videos("synthetic", "test")
course.Browser({"street": videos[:2], "synthetic": videos})"""


def test_the_browser_of_datasets_follows_the_keyboard(open_page, lab, run_first_cell, faults):
    page, complaints = open_page()
    page.goto(lab(CELL))
    run_first_cell(page)
    picture = page.locator(".jp-OutputArea-output img[alt]")
    pictures = set()

    def expect(selector):
        page.locator(f"img[{selector}]").wait_for()
        pictures.add(picture.get_attribute("src"))

    expect('alt="street, video 01, frame 0 of 190, normal"')

    page.keyboard.press("Escape")  # leaves the cell's text, in which Tab indents
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    assert list(filter(None, reached)) == ["button", "button", "slider", "slider", "checkbox"]

    page.get_by_role("button", name="synthetic").focus()
    page.keyboard.press("Space")
    page.locator('img[alt^="synthetic, video 01, frame 0 of 190"]').wait_for()

    page.locator(".noUi-handle").nth(1).focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect('alt^="synthetic, video 01, frame 3 of 190"')
    page.keyboard.press("End")
    expect('alt^="synthetic, video 01, frame 189 of 190"')
    page.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    expect('alt^="synthetic, video 02, frame 189 of 200, abnormal"')
    page.locator(".noUi-handle").nth(1).focus()
    page.keyboard.press("Home")
    for _ in range(25):
        page.keyboard.press("ArrowRight")
    expect('alt*="video 02, frame 25 of 200, abnormal; outlined at"')
    page.get_by_label("outline abnormal pixels").focus()
    page.keyboard.press("Space")
    expect('alt$="video 02, frame 25 of 200, abnormal"')
    assert len(pictures) == 6  # the picture followed each time
    assert page.locator(faults).count() == 0
    assert complaints == []


def test_errors_of_a_cell_and_of_the_console_are_seen(open_page, lab, run_first_cell, faults):
    """What the test above finds nothing of."""
    page, complaints = open_page()
    page.goto(lab("import sys\n\nprint('complaint', file=sys.stderr)\n1 / 0"))
    run_first_cell(page)
    page.locator(faults).nth(1).wait_for()
    texts = page.locator(faults).all_inner_texts()
    assert ["ZeroDivisionError" in text for text in texts] == [False, True]
    page.evaluate("console.error('complaint')")
    assert complaints == ["complaint"]
