"""Whether a picture file is whole: what its own format tells, and Pillow does not ask.

Pillow refuses most files that end too early. It decodes on in silence where a JPEG keeps its size
and the rest of it was never written, where it gets an end marker behind a cut, and where the
checksum of a PNG is wrong.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import av
from PIL import Image

# In coded pixels, FF is followed by 00 or by a restart marker.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_END = 0xD9
_SCAN = 0xDA
_ALONE = 0x01  # a marker without content
# Markers that may follow coded pixels: tables, the next scan, the number of lines, comments and the
# end.
_AFTER_PIXELS = {0xC4, 0xCC, _END, _SCAN, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE}
# Fail where data ends within the picture; libjpeg fills the rest with grey.
_STRICT = {"err_detect": "explode"}
_SMALL = {"lowres": "3"}  # an eighth of the size, which takes less time


def what_is_missing(image: Image.Image, path: Path) -> str:
    """Say what an opened picture file lacks, in words; "" if nothing."""
    if image.format in ("JPEG", "MPO"):  # the first picture of an MPO is the one that is shown
        return _missing_of_jpeg(path.read_bytes())
    return _missing_of_png(path.read_bytes()) if image.format == "PNG" else ""


def picture_count(image: Image.Image) -> int:
    """Count the pictures of an opened file; the further views of an MPO do not count."""
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _missing_of_jpeg(content: bytes) -> str:
    end = _end_of_jpeg(content)
    if end is None:
        return "no end marker: the file is cut off"
    picture = content[:end]
    if _decodes(picture, _STRICT | _SMALL):
        return ""
    # What libav cannot decode at all, Pillow has to judge.
    is_cut = not _decodes(picture, _STRICT) and _decodes(picture, {})
    return "its pixels end before the picture does" if is_cut else ""


def _end_of_jpeg(content: bytes) -> int | None:
    """Where the first picture of a JPEG ends; None if its end marker is missing.

    What segments hold, such as a thumbnail with an end marker of its own, is jumped over, and what
    follows the end is no part of the picture.
    """
    position, in_pixels = 2, False
    while marker := _MARKER.search(content, position):
        kind, position = marker[0][-1], marker.end()
        if in_pixels and kind not in _AFTER_PIXELS:
            return None
        if kind == _END:
            return position
        if kind != _ALONE:
            position += int.from_bytes(content[position : position + 2], "big")
        in_pixels |= kind == _SCAN
    return None


def _decodes(content: bytes, options: dict[str, str]) -> bool:
    """True if libav decodes a JPEG with these options."""
    codec = av.VideoCodecContext.create("mjpeg", "r")
    codec.thread_count = 1
    codec.options = options
    try:
        return bool(codec.decode(av.Packet(content)) + codec.decode(None))
    except (av.FFmpegError, ValueError):
        return False


def _missing_of_png(content: bytes) -> str:
    position = 8
    while position + 12 <= len(content):
        kind = content[position + 4 : position + 8]
        end = position + 8 + int.from_bytes(content[position : position + 4], "big")
        checksum = int.from_bytes(content[end : end + 4], "big")
        if kind == b"IDAT" and zlib.crc32(content[position + 4 : end]) != checksum:
            return "a wrong checksum of its pixels"
        if kind == b"IEND":
            break
        position = end + 4
    return ""
