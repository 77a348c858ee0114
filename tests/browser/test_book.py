"""The book: built from the executed notebooks, complete, without other hosts, and accessible."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag

import pytest
from axe_playwright_python.sync_playwright import Axe
from test_notebooks import executed, tools

pytestmark = pytest.mark.slow
HOSTS = ("doi.org", "arxiv.org", "sphinx", "www.sphinx", "pytorch.org", "huggingface.co/docs")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The folder of the book's pages, built from the copies that nbmake executed."""
    for source in tools.sources():
        executed(source.stem)  # else: skip, or fail in CI
    folder = tmp_path_factory.mktemp("book")
    tools.book(tools.COPIES, folder)
    return folder / "html"


class Page(HTMLParser):
    """The links of a page, the files it loads, its anchors, and the alt texts of its images."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded = [], []
        self.anchors, self.alts = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors.add(values.get("id"))
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        elif tag in ("script", "link", "img", "source", "iframe", "video"):
            self.loaded += [values[key] for key in ("src", "href") if values.get(key)]
        if tag == "img":
            self.alts.append(values.get("alt"))


def test_every_link_leads_somewhere_and_nothing_comes_from_another_host(pages):
    book = {path.name: Page(path.read_text(encoding="utf-8")) for path in pages.glob("*.html")}
    names = [source.stem for source in [*tools.sources(), *tools.DOCS.glob("*.md")]]
    names += ["index", "glossary", "field", "search"]
    assert {f"{name}.html" for name in names} <= set(book)
    for name, page in book.items():
        for address in page.loaded:
            file = pages / unquote(re.sub(r"\?.*", "", urldefrag(address)[0]))
            assert address.startswith(("data:", "#")) or file.is_file(), f"{name}: {address}"
        for link in page.links:
            path, anchor = urldefrag(link)
            if path.startswith("http"):
                allowed = tuple(f"https://{host}" for host in HOSTS)
                assert path.startswith(allowed), f"{name}: {link}"
            else:
                assert not anchor or anchor in book[path or name].anchors, f"{name}: {link}"


def test_images_have_alt_texts_widgets_are_gone_and_answers_are_folded(pages):
    for source in tools.sources():
        text = (pages / f"{source.stem}.html").read_text(encoding="utf-8")
        alts = Page(text).alts
        assert alts
        assert all(alt and len(alt.split()) >= 5 for alt in alts), alts
        assert "widget-view" not in text
        assert text.count("<summary>Answer ") == text.count("<strong>Exercise ") >= 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_reports_no_serious_violation(pages, chromium, scheme):
    page, requests = chromium.new_page(color_scheme=scheme), []
    page.on("request", lambda request: requests.append(request.url))
    serious = []
    for path in sorted(pages.glob("*.html")):
        page.goto(path.as_uri())
        # the theme has chosen its colours
        page.wait_for_function("document.documentElement.dataset.theme")
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                element = violation["nodes"][0]["html"][:200]
                serious.append(f"{path.name}: {violation['id']}, {element}")
    page.close()
    assert serious == []
    assert all(url.startswith(("file:", "data:")) for url in requests)
