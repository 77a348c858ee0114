"""Where a video file should end by its container's own sizes: a file that was cut off ends before
that.

libav reads as far as it comes and says nothing. The functions return the place in bytes, or None
where something that is no part of the container is in between.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_RIFF, _EBML = b"RIFF", b"\x1a\x45\xdf\xa3"  # AVI; Matroska and WebM; anything else is read as MP4


def is_container(head: bytes) -> bool:
    """True if a file that begins so is an AVI, Matroska, WebM, MP4 or QuickTime file, perhaps a
    damaged one.
    """
    return head.startswith((_RIFF, _EBML)) or head[4:8] in (
        b"ftyp",
        b"moov",
        b"mdat",
        b"free",
        b"wide",
    )


def what_is_missing(path: Path) -> str:
    """What a video file lacks by its container's own sizes, in words; "" if nothing."""
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:  # small reads, far apart
        head = file.read(4)
        end = {_RIFF: _avi_end, _EBML: _matroska_end}.get(head[:4], _mp4_end)(file, size)
    return (
        "a part of it was never written"
        if end is None
        else f"{end - size} bytes are missing"
        if end > size
        else ""
    )


def empty_chunks(path: Path, number: int) -> int:
    """Count the chunks without content of an AVI's stream: frames that the recorder dropped, or
    that did not change. 0 for other files.

    libav passes over them in silence, though the file's header counts them.
    """
    size = path.stat().st_size
    chunks = (b"%02ddc" % number, b"%02ddb" % number)
    count, position = 0, 0
    with path.open("rb") as file:
        if file.read(4) != _RIFF:
            return 0
        while position + 8 <= size:
            head = _at(file, position, 12)
            kind, length = head[:4], int.from_bytes(head[4:8], "little")
            if kind == bytes(4):
                break  # never written
            count += length == 0 and kind in chunks
            is_list = kind == _RIFF or (kind == b"LIST" and head[8:] in (b"movi", b"rec "))
            position += 12 if is_list else 8 + length + length % 2  # what is in a list comes next
    return count


def _at(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _avi_end(file: BinaryIO, size: int) -> int:
    """A RIFF chunk holds everything; long files have more than one. In a file that was never
    finished it has no size.
    """
    end = 0
    while (head := _at(file, end, 8))[:4] == _RIFF and head[4:] not in (bytes(4), b"\xff" * 4):
        end += 8 + int.from_bytes(head[4:], "little")
    return end - 8  # some programs count the first 8 bytes in


def _mp4_end(file: BinaryIO, size: int) -> int | None:
    """Boxes, one behind the other: length, kind, content."""
    end, kind, fragmented = 0, b"", False
    while end < size:
        head = _at(file, end, 16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        length = int.from_bytes(head[8:], "big") if length == 1 else length
        fragmented |= kind == b"moof"
        # the last box may be open (length 0), and cameras append what is no box
        if length < 8 or not kind.isalnum():
            # but another fragment may have been here
            return None if fragmented and kind != b"mdat" else size
        end += length
    return None if kind == b"moof" else end  # the frames of a fragment are in the box behind it


def _matroska_end(file: BinaryIO, size: int) -> int | None:
    """Elements, one behind the other: ID, length, content. The content of segments and clusters is
    such elements again.
    """
    segment, cluster = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
    position, end = 0, size
    while position < end <= size:
        head = _at(file, position, 12)
        # ID and length tell in their first byte of how many bytes they are
        at = 9 - head[0].bit_length()
        start = at + 9 - int.from_bytes(head[at : at + 1], "big").bit_length()
        if at > 4 or start > at + 8:
            return None
        length, unknown = (
            int.from_bytes(head[at:start], "big") % (1 << 7 * (start - at)),
            (1 << 7 * (start - at)) - 1,
        )
        if head[:4] == segment and length != unknown:
            end = position + start + length
        position += start if head[:4] in (segment, cluster) else start + length
    return max(position, end)
