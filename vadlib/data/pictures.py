"""Whether a picture file is whole: what its own format tells, and Pillow does not ask.

Pillow refuses most files that end too early. It decodes on in silence where a JPEG keeps its size
and the rest of it was never written, where it gets an end marker behind a cut, and where the
checksum of a PNG is wrong.
"""

from __future__ import annotations

import re
from pathlib import Path

import av
from PIL import Image

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # no byte of coded pixels, nor a restart
_BEGIN, _END = 0xD8, 0xD9


def what_is_missing(image: Image.Image, path: Path) -> str:
    """Say what an opened picture file lacks, in words; "" if nothing.

    Raises:
        Exception: the file is a damaged PNG; of the kinds that Pillow raises.
    """
    if image.format == "PNG":
        with Image.open(path) as copy:
            copy.verify()
    if image.format not in ("JPEG", "MPO"):  # the first picture of an MPO is the one that is shown
        return ""
    picture = _first_jpeg(path.read_bytes())
    # What libav cannot decode at all, Pillow has to judge.
    is_cut = not _decodes(picture, {"err_detect": "explode"}) and _decodes(picture, {})
    return "its pixels end before the picture does" if is_cut or not picture else ""


def picture_count(image: Image.Image) -> int:
    """Count the pictures of an opened file; the further views of an MPO do not count."""
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _first_jpeg(content: bytes) -> bytes:
    """The first picture of a file, without what follows it; empty if its end is missing."""
    position = 2
    while marker := _MARKER.search(content, position):
        kind, position = marker[0][1], marker.end()
        if kind in (_BEGIN, _END):
            return content[:position] if kind == _END else b""
        # such as a thumbnail with an end of its own
        position += int.from_bytes(content[position : position + 2], "big")
    return b""


def _decodes(content: bytes, options: dict[str, str]) -> bool:
    """True if libav decodes a JPEG with these options."""
    codec = av.VideoCodecContext.create("mjpeg", "r")
    codec.options = options
    try:
        return bool(codec.decode(av.Packet(content)) + codec.decode(None))
    except (av.FFmpegError, ValueError):
        return False
