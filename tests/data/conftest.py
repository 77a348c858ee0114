"""Fixtures of the tests of video files."""

import av
import pytest
from films import FORMATS, encode


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    """name -> the file of `FORMATS`, written when first asked for; not to be changed."""
    folder = tmp_path_factory.mktemp("videos")

    def get(name):
        codec, options = FORMATS[name]
        if not (folder / name).exists():
            try:
                av.codec.Codec(codec, "w")
            except av.codec.codec.UnknownCodecError:
                pytest.skip(f"this PyAV has no encoder {codec}")
            encode(folder / name, codec, **options)
        return folder / name

    return get


@pytest.fixture
def opened(monkeypatch):
    """A list that gets the path of every container that is opened."""
    paths, really_open = [], av.open
    monkeypatch.setattr(av, "open", lambda *a, **kw: paths.append(a[0]) or really_open(*a, **kw))
    return paths
