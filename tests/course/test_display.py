"""Pictures in notebooks carry a text for people who cannot see them."""

import base64
import re

import matplotlib.pyplot as plt
import pytest
from refusals import refused

from vadlib.course import display


def test_show_emits_an_image_with_its_text(monkeypatch):
    outputs = []
    monkeypatch.setattr("IPython.display.display", outputs.append)
    drawing = plt.figure(figsize=(1, 1))
    display.show(drawing, 'A line that rises <fast> & "far".')
    markup = outputs[0].data
    text = "A line that rises &lt;fast&gt; &amp; &quot;far&quot;."
    assert f'alt="{text}"' in markup
    # for those who see it, once for those who hear it
    assert re.search(r'<figcaption aria-hidden="true".*?>(.*?)</figcaption>', markup)[1] == text
    encoded = re.search(r"base64,([^\"]+)", markup)[1]
    assert base64.b64decode(encoded).startswith(b"\x89PNG")
    assert not plt.fignum_exists(drawing.number)


@pytest.mark.parametrize("text", ["", "a score curve"])
def test_show_refuses_a_text_that_says_nothing(text):
    with refused("too-few", field="alt"):
        display.show(plt.figure(), text)
