"""Small video files of every kind, made by the tests."""

import io
import struct
from fractions import Fraction

import av
import cv2
import numpy as np
from PIL import Image

from vadlib.data.decode import VideoFrames


def scene(length=40, height=48, width=64, seed=0):
    """Coloured ground that glides under noise, and a red square that walks the other way; uint8 (T,
    H, W, 3).
    """
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 200, (height // 8 + 2, (width + 2 * length) // 8 + 2, 3))
    ground = ground.repeat(8, 0).repeat(8, 1)
    frames = np.stack([ground[:height, 2 * t : 2 * t + width] for t in range(length)])
    frames += rng.integers(-6, 7, frames.shape)
    for t, frame in enumerate(frames):
        x = width - 10 - (3 * t) % (width - 10)
        frame[4:12, x : x + 8] = (250, 30, 30)
    return frames.clip(0, 255).astype(np.uint8)


SCENE = scene()


def picture(pixels, pts, tick):
    """A frame of PyAV."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    frame.pts, frame.time_base = pts, tick
    return frame


def encode(
    path,
    codec,
    frames=SCENE,
    rate=25,
    form="yuv420p",
    b_frames=None,
    options=None,
    times=(),
    **muxer,
):
    """Write frames, uint8 (T, H, W, 3), with PyAV, a key frame each 12; `times` are in 1 / rate."""
    with av.open(str(path), "w", container_options=muxer) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.options = form, options or {}
        stream.codec_context.gop_size = 12
        stream.codec_context.time_base = tick = 1 / Fraction(rate)
        if b_frames is not None:
            stream.codec_context.max_b_frames = b_frames
        for pixels, time in zip(frames, times or range(len(frames)), strict=True):
            container.mux(stream.encode(picture(pixels, time, tick)))
        container.mux(stream.encode(None))
    return path


X264 = "keyint=12:min-keyint=6:bframes=3:scenecut=0"
X265 = "log-level=none:keyint=12:bframes=3"
AHEAD = {"options": {"auto-alt-ref": "1", "lag-in-frames": "16"}}
FORMATS = {  # name: codec and how to encode
    "xvid.avi": ("mpeg4", {"b_frames": 0}),
    "b-frames.avi": ("mpeg4", {"b_frames": 2}),
    "mjpeg.avi": ("mjpeg", {"form": "yuvj420p"}),
    "h264.avi": ("libx264", {"options": {"x264-params": X264}}),
    "raw.avi": ("rawvideo", {"form": "bgr24"}),
    "h264.mp4": ("libx264", {"options": {"x264-params": X264}}),
    "faststart.mp4": ("libx264", {"movflags": "faststart"}),
    "fragmented.mp4": ("libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "open-gop.mp4": ("libx264", {"options": {"x264-params": f"{X264}:open-gop=1"}}),
    "refresh.mp4": ("libx264", {"options": {"x264-params": "keyint=12:intra-refresh=1"}}),
    "h264.mkv": ("libx264", {}),
    "hevc.mp4": ("libx265", {"options": {"x265-params": f"{X265}:open-gop=0"}}),
    "hevc.mkv": ("libx265", {"options": {"x265-params": f"{X265}:open-gop=1"}}),
    "lossless.mkv": ("ffv1", {}),
    "png.mov": ("png", {"form": "rgb24"}),
    "mpeg4.m4v": ("mpeg4", {"b_frames": 2}),
    "vp8.webm": ("libvpx", AHEAD),
    "vp9.webm": ("libvpx-vp9", AHEAD),
    "vp9.mp4": ("libvpx-vp9", {"movflags": "faststart"}),
    "live.webm": ("libvpx-vp9", {"live": "1"}),
}


def packets_of(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def copy_packets(source, target, first):
    """Write the packets of a video from the given number on into another file, as recorders copy a
    camera's stream.
    """
    with av.open(str(source)) as film, av.open(str(target), "w") as out:
        stream = film.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for n, packet in enumerate(film.demux(stream)):
            if packet.size and n >= first:
                # Matroska does not store it
                packet.dts = packet.pts if packet.dts is None else packet.dts
                packet.stream = copy
                out.mux(packet)
    return target


def opencv(path):
    """All frames by the second library, uint8 (T, H, W, 3)."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    return np.array(frames)


def decoded(path, channels=3):
    """The frames of a video file, all of which have been decoded once."""
    frames = VideoFrames(path, channels)
    assert len(frames) == len(frames.scan.pts)
    return frames


def difference(a, b):
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b).max())


def jpeg(pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def avi(chunks, declared=None) -> bytes:
    """A literal AVI of JPEGs, 64 x 48 pixels at 25 frames a second, after the format's description:
    the test's own writer.
    """

    def chunk(kind, content):
        return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    count = len(chunks) if declared is None else declared
    main = struct.pack("<14I", 40000, 0, 0, 0x10, count, 0, 1, 0, 64, 48, 0, 0, 0, 0)
    numbers = (0, 0, 0, 0, 1, 25, 0, count, 0, 0xFFFFFFFF, 0, 0, 0, 64, 48)
    stream = b"vidsMJPG" + struct.pack("<IHHIIIIIIIIHHHH", *numbers)
    bitmap = struct.pack("<IiiHH4sIiiII", 40, 64, 48, 1, 24, b"MJPG", 64 * 48 * 3, 0, 0, 0, 0)
    streams = chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", bitmap))
    movie, entries = b"movi", b""
    for content in chunks:
        entries += b"00dc" + struct.pack("<III", 0x10, len(movie), len(content))
        movie += chunk(b"00dc", content)
    head = chunk(b"LIST", b"hdrl" + chunk(b"avih", main) + streams)
    return chunk(b"RIFF", b"AVI " + head + chunk(b"LIST", movie) + chunk(b"idx1", entries))


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

    kind = element("4282", b"matroska") + element("4287", 4) + element("4285", 2)
    track = element("d7", 1) + element("73c5", 1) + element("83", 1) + element("86", b"V_MJPEG")
    track += element("23e383", round(10**9 / rate)) if rate else b""
    track += element("e0", element("b0", 64) + element("ba", 48))
    segment = element("1549a966", element("2ad7b1", tick))
    segment += element("1654ae6b", element("ae", track))
    for stamp, picture in zip(stamps, pictures, strict=True):
        block = element("a3", b"\x81\0\0\x80" + picture)
        segment += element("1f43b675", element("e7", stamp) + block)
    return element("1a45dfa3", kind) + element("18538067", segment)
