"""Fixtures of the tests in a real browser: JupyterLab in headless Chromium."""

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
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
FLAGS += "--disable-background-networking --disable-component-update"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
# What JupyterLab makes of a traceback and of text on stderr
FAULTS = ", ".join(
    f'.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.{kind}"]'
    for kind in ("error", "stderr")
)


def lacking(reason):
    if os.environ.get("VADLIB_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium():
    """Headless Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("no browser test: playwright is not installed (pip install playwright)")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        lacking(f"no browser test: none of {CHROMIUM} is installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def serve(tmp_path):
    """(notebook, **environment) -> the address of a running JupyterLab that shows it."""
    servers = []

    def start(notebook, **environment):
        nbformat.write(notebook, tmp_path / "widget.ipynb")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        token = secrets.token_hex()
        names = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
        home = {f"JUPYTER_{name}": str(tmp_path / name) for name in names}
        home["JUPYTERLAB_WORKSPACES_DIR"] = str(tmp_path / "workspaces")
        home["JUPYTERLAB_SETTINGS_DIR"] = str(tmp_path / "settings")
        folder = tmp_path / "settings" / "@jupyterlab" / "notebook-extension"
        folder.mkdir(parents=True)
        # or cells out of sight, and their faults, are not in the page
        (folder / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
        command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"]
        command += [f"--port={port}", "--ip=127.0.0.1", "--ServerApp.port_retries=0"]
        command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={tmp_path}"]
        with (tmp_path / "lab.log").open("wb") as log:
            variables = os.environ | home | environment
            servers.append(subprocess.Popen(command, stdout=log, stderr=log, env=variables))
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

    yield start
    for server in servers:
        server.terminate()
        server.wait(30)


@pytest.fixture
def open_lab(chromium, serve):
    """(code, or a whole notebook; height=1000, **environment) -> a page on which the first cell
    runs, and a list that collects the page's errors and those of its console.
    """
    pages = []

    def open_page(notebook, height=1000, **environment):
        if isinstance(notebook, str):
            cells = [nbformat.v4.new_code_cell(notebook)]
            notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
        page, complaints = chromium.new_page(viewport={"width": 1300, "height": height}), []
        pages.append(page)

        def listen(message):
            if message.type == "error":
                complaints.append(message.text)

        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", listen)
        page.set_default_timeout(240_000)
        page.goto(serve(notebook, **environment))
        run_first_cell(page)
        return page, complaints

    yield open_page
    for page in pages:
        page.close()


def run_first_cell(page):
    """Ask until it runs: a request that comes before the kernel is connected is lost, and nothing
    on the page tells that it is.
    """
    prompt = page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").first
    for _ in range(20):
        dialog = page.locator(".jp-Dialog .jp-mod-accept")
        # on a busy machine JupyterLab complains of a slow server, or asks for the kernel
        if dialog.count():
            dialog.first.click()
        page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Control+Enter")
        for _ in range(10):
            if re.search(r"[*\d]", prompt.inner_text()):
                return
            time.sleep(0.2)
    pytest.fail("the cell did not run")
