"""What a packet of coded video says about its pictures: how many it shows, and whether decoding can
start with it.

Nothing is decoded. A container counts packets, but not every packet shows a picture: some hold
headers only, some hold a picture that only serves to predict others, and some say that a frame was
dropped.
"""

from __future__ import annotations

import re

import av

# MPEG-1 and MPEG-2: start code, temporal reference, type
_PICTURE = re.compile(rb"\x00\x00\x01\x00..", re.DOTALL)
_VOP = re.compile(rb"\x00\x00\x01\xb6.", re.DOTALL)  # MPEG-4 part 2: start code, type
_UNIT = re.compile(rb"\x00\x00\x01.", re.DOTALL)  # H.264 and HEVC with start codes
# bytes behind the start code: a VOP that says "not coded" has no more, a coded one has
_EMPTY_VOP = 4
_ZEROS = 16  # bytes: more in a row than coded data have
# bytes: DivX writes packets of 1 or 7 bytes for frames that it packed into the packet before
_PLACEHOLDER = 8
_SLICES = {"h264": range(1, 6), "hevc": range(32)}  # unit types
_IDR = {"h264": {5}, "hevc": {19, 20}}
_HEADERS = {"h264": {6, 7, 8, 9, 10, 11, 12, 13, 15}, "hevc": range(32, 41)}


def pictures_of(stream: av.VideoStream, packet: av.Packet) -> int:
    """Return the number of pictures that decoding a packet should show: 1 unless the packet says
    otherwise.
    """
    codec = stream.codec_context.name
    if codec == "mpeg4":
        return _mpeg4_pictures(bytes(packet))
    if codec == "vp8":
        return (bytes(packet)[0] >> 4) & 1  # show_frame
    if codec == "vp9":
        return _vp9_pictures(bytes(packet))
    if codec in _SLICES:
        header = stream.codec_context.extradata or b""
        return int(_holds_slice(bytes(packet), codec, header))
    return 1


def picture_type(stream: av.VideoStream, packet: av.Packet) -> str | None:
    """Return "I" for a packet that begins with a key frame, "P" or "B" for one that needs other
    pictures.

    "" is a packet that cannot be read, and None a packet of a codec that is not looked into.
    """
    codec = stream.codec_context.name
    if codec in ("mpeg1video", "mpeg2video", "mpeg4"):
        return _mpeg_type(bytes(packet), codec)
    if codec == "vp8":
        return _vp8_type(bytes(packet))
    if codec == "vp9":
        first = bytes(packet)[0]
        return "" if first >> 6 != 2 else "P" if _vp9_bits(first) & 0b1100 else "I"
    return None


def refers_back(stream: av.VideoStream, packet: av.Packet) -> bool:
    """True for an H.264 or HEVC packet after which pictures may still refer to what was before it:
    it has slices, but no IDR slice.
    """
    codec = stream.codec_context.name
    if codec not in _SLICES:
        return False
    types = _unit_types(bytes(packet), codec, stream.codec_context.extradata or b"")
    slices = {kind for kind in types if kind in _SLICES[codec]}
    return bool(slices) and not slices & _IDR[codec]


def _mpeg_type(content: bytes, codec: str) -> str:
    if b"\x00\x00\x01" not in content[:4]:
        return ""
    if codec == "mpeg4":
        start = _VOP.search(content)
        return "IPBP"[start[0][4] >> 6] if start else ""  # the fourth type is predicted, too
    start = _PICTURE.search(content)
    return {1: "I", 2: "P", 3: "B"}.get((start[0][5] >> 3) & 7, "") if start else ""


def _vp8_type(content: bytes) -> str:
    header = int.from_bytes(content[:3], "little")
    first_partition = header >> 5  # bytes
    return "IP"[header & 1] if first_partition < len(content) else ""


def _mpeg4_pictures(content: bytes) -> int:
    starts = [match.start() + 4 for match in _VOP.finditer(content)]
    if not starts:
        return int(len(content) > _PLACEHOLDER)
    ends = [start - 4 for start in starts[1:]] + [len(content)]
    return sum(end - start > _EMPTY_VOP for start, end in zip(starts, ends, strict=True))


def _vp9_pictures(content: bytes) -> int:
    # the index of a superframe: hidden frames and the one that is shown
    if content[-1] & 0xE0 == 0xC0:
        return 1
    return int(_vp9_bits(content[0]) & 0b1010 > 0)


def _vp9_bits(first: int) -> int:
    """The first byte of a VP9 frame: bit 3 shows a picture that was decoded before, bit 2 is 0 for
    a key frame, bit 1 shows the frame.
    """
    return first << 1 if (first >> 4) & 3 == 3 else first  # profile 3 has a reserved bit more


def _holds_slice(content: bytes, codec: str, header: bytes) -> bool:
    """False if all units of an H.264 or HEVC packet are headers and messages; a picture may have
    been where there are only zeros.
    """
    types = _unit_types(content, codec, header)
    return (
        not types or bytes(_ZEROS) in content or any(kind not in _HEADERS[codec] for kind in types)
    )


def _unit_types(content: bytes, codec: str, header: bytes) -> list[int]:
    """The type of each unit of an H.264 or HEVC packet; empty if the packet is not a row of whole
    units.
    """
    firsts = _unit_bytes(content, codec, header)
    return [first & 31 if codec == "h264" else (first >> 1) & 63 for first in firsts]


def _unit_bytes(content: bytes, codec: str, header: bytes) -> list[int]:
    if not header.startswith(b"\x01"):
        return [match[0][3] for match in _UNIT.finditer(content)]
    place = 4 if codec == "h264" else 21  # of the size of length fields in avcC and hvcC
    size = (header[place] & 3) + 1 if len(header) > place else 4
    firsts, at = [], 0
    while at + size < len(content):
        length = int.from_bytes(content[at : at + size], "big")
        firsts.append(content[at + size])
        at += size + length
    return firsts if at == len(content) else []
