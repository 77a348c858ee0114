"""Widgets in a real browser: JupyterLab in headless Chromium, moved with the keyboard."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
# What JupyterLab makes of a traceback and of text on stderr.
FAULTS = ", ".join(f'.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.{kind}"]' for kind in ("error", "stderr"))
# The kind of control that has the focus, if it is one of an output.
FOCUSED = """(e => e.closest(".jp-OutputArea-output") && (e.getAttribute("role") || e.type))(document.activeElement)"""


def lacking(reason):
    if os.environ.get("VADLIB_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def chromium():
    """Headless Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("no browser test: playwright is not installed (pip install playwright)")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        lacking(f"no browser test: none of {', '.join(CHROMIUM)} is installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def lab(tmp_path):
    """(code) -> the address of a running JupyterLab that shows a notebook with that code."""
    servers = []

    def serve(code):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata={"kernelspec": KERNEL})
        nbformat.write(notebook, tmp_path / "widget.ipynb")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        token = secrets.token_hex()
        home = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
        home |= {"JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"), "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings")}
        options = [
            "--no-browser",
            f"--port={port}",
            "--ip=127.0.0.1",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={token}",
            f"--ServerApp.root_dir={tmp_path}",
            "--allow-root",
        ]
        with (tmp_path / "lab.log").open("wb") as log:
            command = [sys.executable, "-m", "jupyter", "lab", *options]
            servers.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | home))
        address = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"{address}/api", timeout=5):
                    return f"{address}/lab/tree/widget.ipynb?reset&token={token}"
            except OSError:
                assert servers[-1].poll() is None, (tmp_path / "lab.log").read_text()
                assert time.monotonic() < end, "JupyterLab did not start"
                time.sleep(0.3)

    yield serve
    for server in servers:
        server.terminate()
        server.wait(30)


def run_first_cell(page):
    """A request to run that comes before the kernel is connected is lost, and nothing on the page tells that it is connected."""
    prompt = page.locator(".jp-Notebook .jp-InputPrompt").first
    for _ in range(20):
        page.locator(".jp-Notebook .jp-Cell .cm-content").first.click()
        page.keyboard.press("Control+Enter")
        for _ in range(10):
            if re.search(r"[*\d]", prompt.inner_text()):
                return
            time.sleep(0.2)
    pytest.fail("the cell did not run")


def test_the_browser_of_datasets_follows_the_keyboard(chromium, lab, tmp_path):
    page, complaints = chromium.new_page(viewport={"width": 1300, "height": 1000}), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(60_000)
    page.goto(
        lab(
            'import vadlib as vad\n\nvideos = vad.load_videos("synthetic", "test")\nvad.browse({"street": videos[:2], "synthetic": videos})'
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
    page.locator('img[alt^="synthetic, video 02, frame 189 of 200, normal"]').wait_for()
    shown.add(picture.get_attribute("src"))

    page.locator(".noUi-handle").nth(1).focus()
    page.keyboard.press("Home")
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.locator('img[alt*="video 02, frame 20 of 200, abnormal; outlined at"]').wait_for()
    shown.add(picture.get_attribute("src"))
    page.get_by_label("outline abnormal pixels").focus()
    page.keyboard.press("Space")
    page.locator('img[alt$="video 02, frame 20 of 200, abnormal"]').wait_for()
    shown.add(picture.get_attribute("src"))
    assert len(shown) == 6  # the picture followed each time

    page.screenshot(path=tmp_path / "widget.png")
    assert page.locator(FAULTS).count() == 0
    assert complaints == []
    page.close()


def test_errors_of_a_cell_and_of_the_console_are_seen(chromium, lab):
    """What the test above finds nothing of."""
    page, complaints = chromium.new_page(), []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(lab("import sys\n\nprint('complaint', file=sys.stderr)\n1 / 0"))
    run_first_cell(page)
    page.locator(FAULTS).nth(1).wait_for()
    assert ["ZeroDivisionError" in text for text in page.locator(FAULTS).all_inner_texts()] == [False, True]
    page.evaluate("console.error('complaint')")
    assert complaints == ["complaint"]
    page.close()
