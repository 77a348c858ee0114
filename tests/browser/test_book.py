"""The book: built from the executed notebooks, whole, without other hosts, and open to everyone."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag

import pytest
from axe_playwright_python.sync_playwright import Axe
from test_notebooks import executed, tools

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The folder of the book's pages, made of the copies that nbmake executed."""
    for source in tools.sources():
        executed(source.stem)  # else: skip, or fail in CI
    folder = tmp_path_factory.mktemp("book")
    tools.book(tools.COPIES, folder)
    return folder / "html"


class Page(HTMLParser):
    """What a page links to, what it loads, its anchors, and its pictures' alt texts."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.anchors, self.alts = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given.get("id")}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag in ("script", "link", "img", "source", "iframe", "video"):
            self.loaded += [given[key] for key in ("src", "href") if given.get(key)]
        if tag == "img":
            self.alts.append(given.get("alt"))


def test_every_link_leads_somewhere_and_nothing_comes_from_another_host(pages):
    found = {path.name: Page(path.read_text(encoding="utf-8")) for path in pages.glob("*.html")}
    assert {f"{source.stem}.html" for source in tools.sources()} | {
        "index.html",
        "glossary.html",
        "search.html",
    } <= set(found)
    for name, page in found.items():
        for address in page.loaded:
            if not address.startswith(("data:", "#")):
                assert (pages / unquote(re.sub(r"\?.*", "", urldefrag(address)[0]))).is_file(), (
                    f"{name} loads {address}"
                )
        for link in page.links:
            path, anchor = urldefrag(link)
            if path.startswith("http"):
                assert path.startswith(
                    (
                        "https://doi.org/",
                        "https://arxiv.org/",
                        "https://sphinx",
                        "https://www.sphinx",
                        "https://pytorch.org/",
                        "https://huggingface.co/docs/",
                    )
                ), f"{name}: {link}"
            else:
                target = found[path or name]
                assert not anchor or anchor in target.anchors, f"{name}: {link}"


def test_pictures_have_alt_texts_widgets_are_gone_and_answers_are_folded_up(pages):
    for source in tools.sources():
        text = (pages / f"{source.stem}.html").read_text(encoding="utf-8")
        alts = Page(text).alts
        assert alts
        assert all(alt and len(alt.split()) >= 5 for alt in alts), alts
        assert "widget-view" not in text
        exercises = text.count("<strong>Exercise ")
        assert text.count("<summary>Answer ") == exercises >= 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_serious_finding(pages, chromium, scheme):
    page, asked = chromium.new_page(color_scheme=scheme), []
    page.on("request", lambda request: asked.append(request.url))
    serious = []
    for path in sorted(pages.glob("*.html")):
        page.goto(path.as_uri())
        # the theme has chosen its colours
        page.wait_for_function("document.documentElement.dataset.theme")
        found = Axe().run(page).response["violations"]
        serious += [
            f"{path.name}: {v['id']}, {v['nodes'][0]['html'][:200]}"
            for v in found
            if v["impact"] in ("serious", "critical")
        ]
    page.close()
    assert serious == []
    assert all(url.startswith(("file:", "data:")) for url in asked)
