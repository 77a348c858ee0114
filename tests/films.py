"""Small video files of every kind, made by the tests, and a look over the decoder's shoulder."""

import io
import struct
from fractions import Fraction

import av
import cv2
import numpy as np
from PIL import Image

from vadlib.data.decode import VideoFrames

LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
)


def scene(length=40, height=48, width=64, seed=0):
    """Coloured ground that glides under noise, and a red square that walks the other way; uint8 (T,
    H, W, 3).
    """
    rng = np.random.default_rng(seed)
    ground = (
        rng.integers(60, 200, (height // 8 + 2, (width + 2 * length) // 8 + 2, 3))
        .repeat(8, 0)
        .repeat(8, 1)
    )
    frames = np.stack(
        [ground[:height, 2 * t : 2 * t + width] for t in range(length)]
    ) + rng.integers(-6, 7, (length, height, width, 3))
    for t, frame in enumerate(frames):
        left = width - 10 - (3 * t) % (width - 10)
        frame[4:12, left : left + 8] = (250, 30, 30)
    return frames.clip(0, 255).astype(np.uint8)


SCENE = scene()


def encode(
    path,
    codec,
    frames=SCENE,
    rate=25,
    pix_fmt="yuv420p",
    gop=12,
    b_frames=None,
    options=None,
    muxer=None,
    times=None,
):
    """Write frames, uint8 (T, H, W, 3), with PyAV; `times` are milliseconds."""
    with av.open(str(path), "w", container_options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.options, stream.codec_context.gop_size = pix_fmt, options or {}, gop
        tick = Fraction(1, 1000) if times is not None else 1 / Fraction(rate)
        stream.codec_context.time_base = tick
        if b_frames is not None:
            stream.codec_context.max_b_frames = b_frames
        for t, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = t if times is None else times[t], tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


X264 = "keyint=12:min-keyint=6:bframes=3:scenecut=0:"
FORMATS = {  # name: codec and how to encode
    "xvid.avi": ("mpeg4", {"b_frames": 0}),
    "b-frames.avi": ("mpeg4", {"b_frames": 2}),
    "mjpeg.avi": ("mjpeg", {"pix_fmt": "yuvj420p"}),
    "h264.avi": ("libx264", {"options": {"x264-params": X264}}),
    "raw.avi": ("rawvideo", {"pix_fmt": "bgr24"}),
    "h264.mp4": ("libx264", {"options": {"x264-params": X264}}),
    "faststart.mp4": ("libx264", {"muxer": {"movflags": "faststart"}}),
    "fragmented.mp4": ("libx264", {"muxer": {"movflags": "frag_keyframe+empty_moov"}}),
    "open-gop.mp4": ("libx264", {"options": {"x264-params": X264 + "open-gop=1"}}),
    "refresh.mp4": ("libx264", {"options": {"x264-params": "keyint=12:intra-refresh=1"}}),
    "two-frame-gop.mp4": ("libx264", {"options": {"x264-params": "keyint=2:bframes=1:scenecut=0"}}),
    "h264.mkv": ("libx264", {}),
    "hevc.mp4": ("libx265", {"options": {"x265-params": "log-level=none"}}),
    "hevc.mkv": (
        "libx265",
        {"options": {"x265-params": "log-level=none:keyint=12:open-gop=1:bframes=3"}},
    ),
    "lossless.mkv": ("ffv1", {}),
    "png.mov": ("png", {"pix_fmt": "rgb24"}),
    "mpeg4.m4v": ("mpeg4", {"b_frames": 2}),
    "vp8.webm": ("libvpx", {"options": {"auto-alt-ref": "1", "lag-in-frames": "16"}}),
    "vp9.webm": ("libvpx-vp9", {"options": {"auto-alt-ref": "1", "lag-in-frames": "16"}}),
    "vp9.mp4": ("libvpx-vp9", {"muxer": {"movflags": "faststart"}}),
    "live.webm": ("libvpx-vp9", {"muxer": {"live": "1"}}),
}


def opencv(path):
    """All frames by the second library, uint8 (T, H, W, 3)."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (got := capture.read())[0]:
        frames.append(got[1][..., ::-1])
    return np.array(frames)


def difference(a, b):
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b).max())


def jpeg(pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def avi(chunks, width=64, height=48, declared=None) -> bytes:
    """A literal AVI of JPEGs at 25 frames a second, after the format's description: the test's own
    writer.
    """

    def chunk(kind, content):
        return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    count = len(chunks) if declared is None else declared
    main = struct.pack("<14I", 40000, 0, 0, 0x10, count, 0, 1, 0, width, height, 0, 0, 0, 0)
    stream = b"vidsMJPG" + struct.pack(
        "<IHHIIIIIIIIHHHH", 0, 0, 0, 0, 1, 25, 0, count, 0, 0xFFFFFFFF, 0, 0, 0, width, height
    )
    bitmap = struct.pack(
        "<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0
    )
    streams = chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", bitmap))
    movie, entries = b"movi", b""
    for content in chunks:
        entries += b"00dc" + struct.pack("<III", 0x10, len(movie), len(content))
        movie += chunk(b"00dc", content)
    body = (
        chunk(b"LIST", b"hdrl" + chunk(b"avih", main) + streams)
        + chunk(b"LIST", movie)
        + chunk(b"idx1", entries)
    )
    return chunk(b"RIFF", b"AVI " + body)


class Watched:
    """A container that counts what is done with it."""

    opened, closed, seeks, decoded = 0, 0, 0, 0

    def __init__(self, container):
        self.container = container
        Watched.opened += 1

    def __getattr__(self, name):
        return getattr(self.container, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        Watched.closed += 1
        self.container.close()

    def seek(self, *args, **kwargs):
        Watched.seeks += 1
        self.container.seek(*args, **kwargs)

    def demux(self, *args):
        for packet in self.container.demux(*args):
            yield WatchedPacket(packet)


class WatchedPacket:
    """A packet that counts the frames which are decoded from it."""

    def __init__(self, packet):
        self.packet = packet

    def __getattr__(self, name):
        return getattr(self.packet, name)

    def __bytes__(self):
        return bytes(self.packet)

    def decode(self):
        return self._counted(self.packet.decode())

    @staticmethod
    def _counted(frames):
        for frame in frames:
            Watched.decoded += 1
            yield frame


def matroska(stamps, pictures, tick=10**6, rate=None) -> bytes:
    """A literal Matroska file of JPEGs with these time stamps, after the format's description: the
    test's own writer.

    Args:
        stamps: of each picture, in ticks, at least 0, in any order.
        pictures: JPEGs of 64 x 48 pixels.
        tick: nanoseconds.
        rate: frames a second, which the file tells if it is given.
    """

    def element(name, content):
        content = content if isinstance(content, bytes) else content.to_bytes(8, "big")
        return bytes.fromhex(name) + (1 << 56 | len(content)).to_bytes(8, "big") + content

    head = element(
        "1a45dfa3", element("4282", b"matroska") + element("4287", 4) + element("4285", 2)
    )
    video = element("e0", element("b0", 64) + element("ba", 48))
    each = element("23e383", round(10**9 / rate)) if rate else b""
    track = (
        element("d7", 1)
        + element("73c5", 1)
        + element("83", 1)
        + element("86", b"V_MJPEG")
        + each
        + video
    )
    clusters = [
        element("1f43b675", element("e7", stamp) + element("a3", b"\x81\0\0\x80" + picture))
        for stamp, picture in zip(stamps, pictures, strict=True)
    ]
    parts = [
        element("1549a966", element("2ad7b1", tick)),
        element("1654ae6b", element("ae", track)),
        *clusters,
    ]
    return head + element("18538067", b"".join(parts))


def decoded(path, channels=3):
    """The frames of a video file, all of which have been decoded once."""
    frames = VideoFrames(path, channels)
    assert len(frames) == len(frames.scan.pts)
    return frames
