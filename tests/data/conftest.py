"""Fixtures of the tests of video files."""

import av
import pytest
from films import FORMATS, Watched, encode


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
def watched(monkeypatch):
    """`Watched`, with its counts at 0, in place of every container that is opened to be read."""
    for count in ("opened", "closed", "seeks", "decoded"):
        setattr(Watched, count, 0)
    really_open = av.open
    monkeypatch.setattr(av, "open", lambda *args, **kwargs: Watched(really_open(*args, **kwargs)))
    return Watched
