"""Sphinx's settings for the book; `tools/notebooks.py book` runs it on executed notebooks."""

project = "Video anomaly detection, taught"
author = "the authors of vadlib"
copyright = "the authors of vadlib; MIT"
language = "en"
extensions = ["myst_nb"]
html_theme = "sphinx_book_theme"
html_title = project
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "navbar_persistent": [],
}
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["style"]
html_css_files = ["book.css"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # they were executed before
nb_output_stderr = "remove"  # progress bars
# Nothing is fetched from other hosts: the notebooks have no formulas and, here, no widgets.
nb_ipywidgets_js = {}
myst_update_mathjax = False


def setup(app):
    app.connect(
        "html-page-context",
        lambda app, page, template, context, tree: _without_mathjax(context),
        priority=900,
    )


def _without_mathjax(context):
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "mathjax" not in str(getattr(script, "filename", script)).lower()
    ]
