"""Widgets in a real browser: JupyterLab in headless Chromium, moved with the keyboard."""

import pytest

pytestmark = pytest.mark.slow

# The kind of control that has the focus, if it is one of an output.
FOCUSED = """(e => e.closest(".jp-OutputArea-output") && (e.getAttribute("role") || e.type))(document.activeElement)"""


def test_the_browser_of_datasets_follows_the_keyboard(
    chromium, lab, run_first_cell, faults, tmp_path
):
    page, complaints = chromium.new_page(viewport={"width": 1300, "height": 1000}), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    page.set_default_timeout(60_000)
    page.goto(
        lab(
            "import vadlib as vad\nfrom vadlib import course\n\n"
            'videos = vad.load_videos("synthetic", "test")\n'
            'course.Browser({"street": videos[:2], "synthetic": videos})'
        )
    )
    run_first_cell(page)
    picture = page.locator(".jp-OutputArea-output img[alt]")
    picture.wait_for()
    assert picture.get_attribute("alt") == "street, video 01, frame 0 of 190, normal"
    shown = {picture.get_attribute("src")}

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
    page.locator('img[alt^="synthetic, video 01, frame 3 of 190"]').wait_for()
    shown.add(picture.get_attribute("src"))

    page.keyboard.press("End")
    page.locator('img[alt^="synthetic, video 01, frame 189 of 190"]').wait_for()
    shown.add(picture.get_attribute("src"))

    page.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    page.locator('img[alt^="synthetic, video 02, frame 189 of 200, abnormal"]').wait_for()
    shown.add(picture.get_attribute("src"))

    page.locator(".noUi-handle").nth(1).focus()
    page.keyboard.press("Home")
    for _ in range(25):
        page.keyboard.press("ArrowRight")
    page.locator('img[alt*="video 02, frame 25 of 200, abnormal; outlined at"]').wait_for()
    shown.add(picture.get_attribute("src"))
    page.get_by_label("outline abnormal pixels").focus()
    page.keyboard.press("Space")
    page.locator('img[alt$="video 02, frame 25 of 200, abnormal"]').wait_for()
    shown.add(picture.get_attribute("src"))
    assert len(shown) == 6  # the picture followed each time

    page.screenshot(path=tmp_path / "widget.png")
    assert page.locator(faults).count() == 0
    assert complaints == []
    page.close()


def test_errors_of_a_cell_and_of_the_console_are_seen(chromium, lab, run_first_cell, faults):
    """What the test above finds nothing of."""
    page, complaints = chromium.new_page(), []
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    page.goto(lab("import sys\n\nprint('complaint', file=sys.stderr)\n1 / 0"))
    run_first_cell(page)
    page.locator(faults).nth(1).wait_for()
    assert ["ZeroDivisionError" in text for text in page.locator(faults).all_inner_texts()] == [
        False,
        True,
    ]
    page.evaluate("console.error('complaint')")
    assert complaints == ["complaint"]
    page.close()
