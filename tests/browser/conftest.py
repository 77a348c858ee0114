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
def lab(tmp_path):
    """(code, or a whole notebook; **environment) -> the address of a running JupyterLab that shows
    it.
    """
    servers = []

    def serve(code, **environment):
        if isinstance(code, str):
            cells = [nbformat.v4.new_code_cell(code)]
            code = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
        nbformat.write(code, tmp_path / "widget.ipynb")
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
            variables = os.environ | home | environment
            server = subprocess.Popen(command, stdout=log, stderr=log, env=variables)
            servers.append(server)
        address = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"{address}/api", timeout=5):
                    return f"{address}/lab/tree/widget.ipynb?reset&token={token}"
            except OSError:
                assert server.poll() is None, (tmp_path / "lab.log").read_text()
                assert time.monotonic() < end, "JupyterLab did not start"
                time.sleep(0.3)

    yield serve
    for server in servers:
        server.terminate()
        server.wait(30)


@pytest.fixture
def open_page(chromium):
    """(height=1000) -> a page, and a list that collects its errors and those of its console."""
    pages = []

    def open_one(height=1000):
        page, complaints = chromium.new_page(viewport={"width": 1300, "height": height}), []
        pages.append(page)

        def listen(message):
            if message.type == "error":
                complaints.append(message.text)

        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", listen)
        page.set_default_timeout(240_000)
        return page, complaints

    yield open_one
    for page in pages:
        page.close()


@pytest.fixture(scope="session")
def faults():
    """Selects what JupyterLab makes of a traceback and of text on stderr."""
    return ", ".join(
        f'.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.{kind}"]'
        for kind in ("error", "stderr")
    )


@pytest.fixture(scope="session")
def run_first_cell():
    """(page) -> None: a request to run that comes before the kernel is connected is lost, and
    nothing on the page tells that it is.
    """

    def run(page):
        prompt = page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").first
        for _ in range(20):
            asked = page.locator(".jp-Dialog .jp-mod-accept")
            # on a busy machine JupyterLab complains of a slow server, or asks for the kernel
            if asked.count():
                print("JupyterLab asked:", page.locator(".jp-Dialog").first.inner_text())
                asked.first.click()
            page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
            page.keyboard.press("Control+Enter")
            for _ in range(10):
                if re.search(r"[*\d]", prompt.inner_text()):
                    return
                time.sleep(0.2)
        pytest.fail("the cell did not run")

    return run
