"""What the container of a video file tells that libav does not: its kind, end and empty chunks."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_RIFF, _EBML = b"RIFF", b"\x1a\x45\xdf\xa3"  # AVI; Matroska and WebM
_MP4 = {b"ftyp", b"moov", b"mdat", b"free", b"wide"}  # kinds of the first box
_SEGMENT = b"\x18\x53\x80\x67"
_ZEROS = bytes(16)  # no segment ends with so many


def is_container(head: bytes) -> bool:
    """Return True if a file that begins so is an AVI, Matroska, WebM, MP4 or QuickTime file."""
    return head.startswith((_RIFF, _EBML)) or head[4:8] in _MP4


def lacks_end(path: Path) -> bool:
    """Return True for a Matroska file or an MP4 that ends too early.

    Libav reads them as far as they go. The other containers count their frames.
    """
    with path.open("rb") as file:
        head = file.read(4096)
        if head.startswith(_EBML):
            return _lacks_segment_end(file, head)
        return head[4:8] in _MP4 and _lacks_box_end(file, path.stat().st_size)


def _lacks_segment_end(file: BinaryIO, head: bytes) -> bool:
    """True if a Matroska file is shorter than its segment, or the segment's end was not written."""
    place = head.find(_SEGMENT) + len(_SEGMENT)
    if not len(_SEGMENT) <= place < len(head):
        return False
    # The first byte of a length tells how many bytes it has; ones only mean that it is unknown.
    width = 9 - head[place].bit_length()
    unknown = (1 << 7 * width) - 1
    length = int.from_bytes(head[place : place + width], "big") & unknown
    if length == unknown:
        return False
    file.seek(place + width + length - len(_ZEROS))
    last = file.read(len(_ZEROS))
    return len(last) < len(_ZEROS) or last == _ZEROS


def _lacks_box_end(file: BinaryIO, size: int) -> bool:
    """True if an MP4 ends within the box of its frames, or a fragmented one within any box or with
    a header whose frames would follow.
    """
    kind, position = b"", 0
    is_fragmented = False
    while position + 8 <= size:
        file.seek(position)
        length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if length < 8:
            return False  # the last box may be open, and cameras append what is no box
        position += length
        is_fragmented |= kind == b"moof"
    return kind == b"moof" or (position > size and (is_fragmented or kind == b"mdat"))


def empty_chunks(path: Path, number: int) -> int:
    """Count the empty chunks of stream `number` of an AVI: frames that its recorder dropped.

    The header counts them, and libav passes over them.
    """
    size = path.stat().st_size
    kinds = (b"%02ddc" % number, b"%02ddb" % number)
    count = position = 0
    with path.open("rb") as file:
        while position + 8 <= size:
            file.seek(position)
            head = file.read(8)
            length = int.from_bytes(head[4:], "little")
            if not any(head):
                break  # never written
            count += length == 0 and head[:4] in kinds
            # The chunks in a list come right behind its head.
            is_list = head[:4] in (_RIFF, b"LIST")
            position += 12 if is_list else 8 + length + length % 2
    return count
