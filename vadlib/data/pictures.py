"""Whether a picture file is whole: what its own format tells, and Pillow does not ask.

Pillow refuses most files that end too early. It decodes on in silence where a file keeps its size
and the rest of it was never written, where a JPEG gets an end marker behind a cut, and in files
with several pictures.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
from PIL import Image

_ZEROS = 16  # bytes: more zeros in a row than compressed pixels end with
# in coded pixels, FF is followed by 00 or by a restart marker
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_EOI, _SOS, _DRI = 0xD9, 0xDA, 0xDD
_ALONE = 0x01  # a marker without content
_FRAMES = {0xC0, 0xC1, 0xC2}  # sizes of sequential and progressive pictures
# Markers that may follow coded pixels: tables, the next scan, the number of lines, comments and the
# end.
_AFTER_PIXELS = {0xC4, 0xCC, _EOI, _SOS, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE}
# fail where data ends within the picture; libjpeg fills the rest with grey
_STRICT = {"err_detect": "explode"}
_SMALL = {"lowres": "3"}  # an eighth of the size, which takes less time
_EARLY_END = "its pixels end before the picture does"
_UNCOMPRESSED = {"raw", "packbits"}  # zeros are black pixels there
_OTHER_PAGES = 1 | 4  # bits of TIFF's NewSubfileType: a smaller copy of another page, a mask of it


def what_is_missing(image: Image.Image, path: Path) -> str:
    """Say what an opened picture file lacks, in words; "" if nothing."""
    if image.format in ("JPEG", "MPO"):  # the first picture of an MPO is the one that is shown
        return _missing_of_jpeg(path.read_bytes())
    if image.format == "PNG":
        return _missing_of_png(path.read_bytes())
    if image.format == "WEBP":
        return _missing_of_webp(path.read_bytes())
    if image.format == "TIFF" and image.info.get("compression") not in _UNCOMPRESSED:
        return _missing_of_tiff(image, path.read_bytes())
    return ""


def picture_count(image: Image.Image) -> int:
    """Count the pictures of an opened file that stand for themselves, without thumbnails, masks and
    the further views of an MPO.
    """
    frames = getattr(image, "n_frames", 1)
    if image.format == "MPO":
        return 1
    if image.format != "TIFF" or frames == 1:
        return frames
    count = 0
    for page in range(frames):
        image.seek(page)
        count += page == 0 or not image.tag_v2.get(254, 0) & _OTHER_PAGES
    image.seek(0)
    return count


def _missing_of_jpeg(content: bytes) -> str:
    markers = list(_jpeg_markers(content))
    if not markers or markers[-1][0] != _EOI:
        return "no end marker: the file is cut off"
    picture = content[: markers[-1][1]]
    if lacks_restarts(picture):
        return _EARLY_END
    if _decodes(picture, _STRICT | _SMALL):
        return ""
    # What libav cannot decode at all, Pillow has to judge.
    return _EARLY_END if not _decodes(picture, _STRICT) and _decodes(picture, {}) else ""


def _jpeg_markers(content: bytes) -> Iterator[tuple[int, int]]:
    """Kind and end of each marker of the first picture in a JPEG, up to its end marker or to what
    cannot be one of its markers.

    What segments hold, such as a thumbnail with an end marker of its own, is jumped over, and so is
    what follows the end.
    """
    at, in_pixels = 2, False
    while marker := _MARKER.search(content, at):
        kind, at = marker[0][-1], marker.end()
        if in_pixels and kind not in _AFTER_PIXELS:
            return
        yield kind, at
        if kind == _EOI:
            return
        if kind != _ALONE:
            at += int.from_bytes(content[at : at + 2], "big")
        in_pixels |= kind == _SOS


def lacks_restarts(content: bytes) -> bool:
    """True if a scan of a JPEG has fewer restart markers than its size asks for: its pixels end too
    early, whatever follows them.
    """
    interval, frame = 0, b""
    markers = list(_jpeg_markers(content))
    for (kind, at), (_, following) in pairwise(markers):
        segment = content[at + 2 : at + int.from_bytes(content[at : at + 2], "big")]
        if kind == _DRI:
            interval = int.from_bytes(segment[:2], "big")
        elif kind in _FRAMES:
            frame = segment
        elif kind == _SOS and interval and len(frame) > 8 and len(segment) > 1:
            restarts = len(_RESTART.findall(content, at, following))
            if restarts < -(-_units(frame, segment) // interval) - 1:
                return True
    return False


def _units(frame: bytes, scan: bytes) -> int:
    """Count the coded units of a scan: blocks of 8x8 samples of its component, or groups of blocks
    where it has several.
    """
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    samplings = {
        frame[at]: (frame[at + 1] >> 4, frame[at + 1] & 15) for at in range(6, len(frame) - 2, 3)
    }
    across, down = (max(1, *(sampling[side] for sampling in samplings.values())) for side in (0, 1))
    if scan[0] > 1:
        return -(-width // (8 * across)) * -(-height // (8 * down))
    own_across, own_down = samplings.get(scan[1], (across, down))
    columns, rows = -(-width * own_across // across), -(-height * own_down // down)
    return -(-columns // 8) * -(-rows // 8)


def _decodes(content: bytes, options: dict[str, str]) -> bool:
    """True if libav decodes a JPEG with these options."""
    codec = av.CodecContext.create("mjpeg", "r")
    codec.thread_count = 1
    codec.options = options
    try:
        return bool(codec.decode(av.Packet(content)) + codec.decode(None))
    except (av.FFmpegError, ValueError):
        return False


def _missing_of_png(content: bytes) -> str:
    at = 8
    while at + 12 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        end = at + 8 + length
        stored = int.from_bytes(content[end : end + 4], "big")
        if kind == b"IDAT" and zlib.crc32(content[at + 4 : end]) != stored:
            return "a wrong checksum of its pixels"
        if kind == b"IEND":
            break
        at = end + 4
    return ""


def _missing_of_webp(content: bytes) -> str:
    at = 12
    while at + 8 <= len(content):
        kind, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        if kind in (b"VP8 ", b"VP8L") and _ends_in_zeros(content[at + 8 : at + 8 + length]):
            return "the end of its pixels was never written"
        at += 8 + length + length % 2
    return ""


def _missing_of_tiff(image: Image.Image, content: bytes) -> str:
    tags = image.tag_v2
    places, sizes = (273, 279) if 273 in tags else (324, 325)  # of strips, or of tiles
    # compression 7: each strip is a JPEG, which shares these tables
    tables = tags.get(347, b"") if tags.get(259) == 7 else None
    for place, size in zip(_numbers(tags.get(places)), _numbers(tags.get(sizes)), strict=False):
        strip = content[place : place + size]
        if size > _ZEROS and _ends_in_zeros(strip):
            return "the end of its pixels was never written"
        if tables is not None and (
            missing := _missing_of_jpeg(tables[:-2] + strip[2:] if tables else strip)
        ):
            return missing
    return ""


def _numbers(value: int | tuple[int, ...] | None) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _ends_in_zeros(content: bytes) -> bool:
    return not any(content[-_ZEROS:])
