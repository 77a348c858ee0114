"""The notebook of the laboratory in JupyterLab in headless Chromium, moved with the keyboard."""

import re
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_pseudo_anomaly_lab.ipynb"
# Every cell has run, or one has failed and the others will not.
FINISHED = r"""faults => document.querySelector(faults) ||
    [...document.querySelectorAll(".jp-Notebook .jp-CodeCell .jp-InputPrompt")].every(prompt => /\d/.test(prompt.innerText))"""


def test_the_laboratory_follows_the_keyboard(open_page, lab, run_first_cell, faults):
    page, complaints = open_page(1700)
    page.goto(lab(nbformat.read(NOTEBOOK, as_version=4), VADLIB_DATA="", VADLIB_PROFILE="quick"))
    run_first_cell(page)  # after which the kernel is connected
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(FINISHED, arg=faults)
    assert page.locator(faults).all_inner_texts() == []

    box = page.locator(".jp-OutputArea-output .widget-vbox").filter(has=page.locator("video"))
    film, strips = box.locator("video"), box.locator('img[alt*="at strength"]')
    batch = box.locator('img[alt^="p = "]')
    strength, p = box.locator(".noUi-handle").first, box.locator(".noUi-handle").last
    box.scroll_into_view_if_needed()

    def move(slider, key, picture):
        slider.focus()
        page.keyboard.press(key)
        picture.wait_for()

    def shown():
        return tuple(part.get_attribute("src") for part in (film, strips, batch))

    seen, said = [shown()], strips.get_attribute("alt")
    assert re.search(r"^skip at strength 0\.5, seed 0, on clip 0, .*\(stride 3\)$", said)
    assert film.get_attribute("aria-label") == f"normal clip, pseudo-anomaly and mask: {said}"
    for key, strength_now, stride in (("ArrowRight", "0.55", 3), ("End", "1", 5), ("Home", "0", 1)):
        recipe = f'img[alt^="skip at strength {strength_now}, seed 0,"]'
        move(strength, key, box.locator(f'{recipe}[alt$="(stride {stride})"]'))
        box.locator(f'video[aria-label*="skip at strength {strength_now}, seed 0,"]').wait_for()
    box.locator('img[alt^="p = 0.2: 0 of 48"]').wait_for()  # strength 0 turns nothing
    assert ": 0% of its pixels changed" in strips.get_attribute("alt")
    seen.append(shown())
    assert all(before != after for before, after in zip(*seen, strict=True))

    move(strength, "End", box.locator('img[alt^="skip at strength 1, seed 0,"]'))
    box.locator('img[alt^="p = 0.2: "]:not([alt*=": 0 of 48"])').wait_for()
    seen = [shown()]
    for key, now in (("Home", "0"), ("ArrowRight", "0.01"), ("End", "1"), ("ArrowLeft", "0.99")):
        move(p, key, box.locator(f'img[alt^="p = {now}: "]'))
        seen.append(shown())
    assert len({(film, strips) for film, strips, _ in seen}) == 1, "p says how often, not what"
    assert len({batch for *_, batch in seen}) == 5

    player = film.element_handle()
    page.wait_for_function("video => video.readyState >= 2 && !video.paused", arg=player)
    at = player.evaluate("video => video.currentTime")
    page.wait_for_function("([video, at]) => video.currentTime !== at", arg=[player, at])
    assert player.evaluate("video => [video.error, video.videoWidth > 3 * 96]") == [None, True]

    assert page.locator(faults).all_inner_texts() == []
    assert complaints == []
