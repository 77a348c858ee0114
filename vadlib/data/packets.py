"""Count the pictures that a packet of coded video shows, without decoding it.

Some packets hold headers only, some a picture that only serves to predict others, and some say that
a frame was dropped.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

import av

_VOP = re.compile(rb"\x00\x00\x01\xb6")  # a picture of MPEG-4 part 2
_UNIT = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)  # of H.264 and HEVC with start codes
# bytes behind the start code: a VOP that says "not coded" has no more
_EMPTY_VOP = 4
# bytes: DivX puts so small packets in place of frames that it packed into the packet before
_PLACEHOLDER = 8
_ZEROS = bytes(16)  # more in a row than coded data have
_HEADERS: dict[str, Container[int]] = {  # types of units that hold no picture
    "h264": {6, 7, 8, 9, 10, 11, 12, 13, 15},
    "hevc": range(32, 41),
}


def pictures_of(stream: av.VideoStream, packet: av.Packet[av.VideoStream]) -> int:
    """Return the number of pictures that a packet shows: 1 unless its codec says otherwise."""
    codec = stream.codec_context.name
    content = bytes(packet)
    if codec == "mpeg4":
        return _mpeg4_pictures(content)
    if codec == "vp8":
        return (content[0] >> 4) & 1  # show_frame
    if codec == "vp9":
        return _vp9_pictures(content)
    if codec in _HEADERS:
        header = stream.codec_context.extradata or b""
        return int(_holds_picture(content, codec, header))
    return 1


def _mpeg4_pictures(content: bytes) -> int:
    starts = [match.end() for match in _VOP.finditer(content)]
    if not starts:
        return int(len(content) > _PLACEHOLDER)
    ends = [start - 4 for start in starts[1:]] + [len(content)]
    return sum(end - start > _EMPTY_VOP for start, end in zip(starts, ends, strict=True))


def _vp9_pictures(content: bytes) -> int:
    if content[-1] & 0xE0 == 0xC0:
        return 1  # the index of a superframe: hidden frames and the one that is shown
    first = content[0]
    bits = first << 1 if (first >> 4) & 3 == 3 else first  # profile 3 has a reserved bit more
    return int(bits & 0b1010 > 0)  # shows a picture that was decoded before, or this one


def _holds_picture(content: bytes, codec: str, header: bytes) -> bool:
    """Return False if an H.264 or HEVC packet is all headers; zeros may have been a picture."""
    types = [
        first & 31 if codec == "h264" else (first >> 1) & 63
        for first in _unit_starts(content, codec, header)
    ]
    return not types or _ZEROS in content or any(kind not in _HEADERS[codec] for kind in types)


def _unit_starts(content: bytes, codec: str, header: bytes) -> Iterator[int]:
    """The first byte of each unit of an H.264 or HEVC packet."""
    if not header.startswith(b"\x01"):
        for match in _UNIT.finditer(content):
            yield match[1][0]
        return
    place = 4 if codec == "h264" else 21  # of the size of length fields in avcC and hvcC
    size = (header[place] & 3) + 1 if len(header) > place else 4
    position = 0
    while position + size < len(content):
        yield content[position + size]
        position += size + int.from_bytes(content[position : position + size], "big")
