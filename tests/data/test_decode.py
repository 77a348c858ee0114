"""Video files become frames: every one, the same however it is reached, and never a shorter video in silence."""

import io
import multiprocessing
import operator
import os
import pickle
import random
import shutil
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from vadlib.data.decode import VIDEO_SUFFIXES, VideoFrames, is_grey, list_videos
from vadlib.data.store import store_frames
from vadlib.data.video import Video
from vadlib.errors import InputError

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


def scene(length=40, height=48, width=64, seed=0):
    """Coloured ground that glides under noise, and a red square that walks the other way; uint8 (T, H, W, 3)."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 200, (height // 8 + 2, (width + 2 * length) // 8 + 2, 3)).repeat(8, 0).repeat(8, 1)
    frames = np.stack([ground[:height, 2 * t : 2 * t + width] for t in range(length)]) + rng.integers(-6, 7, (length, height, width, 3))
    for t, frame in enumerate(frames):
        left = width - 10 - (3 * t) % (width - 10)
        frame[4:12, left : left + 8] = (250, 30, 30)
    return frames.clip(0, 255).astype(np.uint8)


SCENE = scene()


def encode(path, codec, frames=SCENE, rate=25, pix_fmt="yuv420p", gop=12, b_frames=None, options=None, muxer=None, times=None):
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
    "hevc.mkv": ("libx265", {"options": {"x265-params": "log-level=none:keyint=12:open-gop=1:bframes=3"}}),
    "lossless.mkv": ("ffv1", {}),
    "png.mov": ("png", {"pix_fmt": "rgb24"}),
    "mpeg4.m4v": ("mpeg4", {"b_frames": 2}),
    "vp8.webm": ("libvpx", {"options": {"auto-alt-ref": "1", "lag-in-frames": "16"}}),
    "vp9.webm": ("libvpx-vp9", {"options": {"auto-alt-ref": "1", "lag-in-frames": "16"}}),
    "vp9.mp4": ("libvpx-vp9", {"muxer": {"movflags": "faststart"}}),
    "live.webm": ("libvpx-vp9", {"muxer": {"live": "1"}}),
}


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    """name -> the file of `FORMATS`, written when first asked for; not to be changed."""
    folder = tmp_path_factory.mktemp("videos")

    def get(name):
        codec, how = FORMATS[name]
        if not (folder / name).exists():
            try:
                av.codec.Codec(codec, "w")
            except av.codec.codec.UnknownCodecError:
                pytest.skip(f"this PyAV has no encoder {codec}")
            encode(folder / name, codec, **how)
        return folder / name

    return get


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
    """A literal AVI of JPEGs at 25 frames a second, after the format's description: the test's own writer."""

    def chunk(kind, content):
        return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    count = len(chunks) if declared is None else declared
    main = struct.pack("<14I", 40000, 0, 0, 0x10, count, 0, 1, 0, width, height, 0, 0, 0, 0)
    stream = b"vidsMJPG" + struct.pack("<IHHIIIIIIIIHHHH", 0, 0, 0, 0, 1, 25, 0, count, 0, 0xFFFFFFFF, 0, 0, 0, width, height)
    bitmap = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
    streams = chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", bitmap))
    movie, entries = b"movi", b""
    for content in chunks:
        entries += b"00dc" + struct.pack("<III", 0x10, len(movie), len(content))
        movie += chunk(b"00dc", content)
    body = chunk(b"LIST", b"hdrl" + chunk(b"avih", main) + streams) + chunk(b"LIST", movie) + chunk(b"idx1", entries)
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

    def decode(self, *args):
        for frame in self.container.decode(*args):
            Watched.decoded += 1
            yield frame


@pytest.fixture
def watched(monkeypatch):
    """`Watched`, with its counts at 0, in place of every container that is opened to be read."""
    for count in ("opened", "closed", "seeks", "decoded"):
        setattr(Watched, count, 0)
    really_open = av.open
    monkeypatch.setattr(av, "open", lambda *args, **kwargs: Watched(really_open(*args, **kwargs)))
    return Watched


# --- the frames


@pytest.mark.parametrize("name", FORMATS)
def test_all_frames_come_as_opencv_reads_them(video, name):
    frames = VideoFrames(video(name))
    assert frames.shape == (40, 48, 64, 3)
    assert frames.fps == 25
    assert frames.times.dtype == np.float64
    assert np.abs(frames.times - np.arange(40) / 25).max() < 1e-9
    everything = np.array(frames)
    assert everything.dtype == np.uint8
    assert difference(everything, opencv(video(name))) <= 2
    # Against the pictures that went in, so that no two libraries agree on the wrong frames: each is nearest to its own.
    errors = np.abs(everything[:, None].astype(np.float32) - SCENE[None]).mean((2, 3, 4))
    assert np.array_equal(errors.argmin(1), np.arange(40))


@pytest.mark.parametrize("name", ["raw.avi", "png.mov"])
def test_lossless_rgb_comes_back_exactly(video, name):
    assert np.array_equal(VideoFrames(video(name)), SCENE)


@pytest.mark.parametrize("name", FORMATS)
def test_a_frame_is_the_same_however_it_is_reached(video, name):
    in_order = np.array(VideoFrames(video(name)))
    frames = VideoFrames(video(name))
    anywhere = random.Random(0).choices(range(40), k=80)
    for t in [*range(39, -1, -1), *range(0, 40, 3), 20, 20, 21, 19, -1, *anywhere]:
        assert np.array_equal(frames[t], in_order[t]), t
    for t in random.Random(1).sample(range(40), 10):
        assert np.array_equal(VideoFrames(video(name))[t], in_order[t]), t
    for part in (slice(5, 25), slice(30, 4, -5), slice(None, None, 7), slice(3, 3)):
        assert np.array_equal(frames[part], in_order[part])
    for beyond in (40, -41):
        with pytest.raises(IndexError):
            frames[beyond]


@pytest.mark.parametrize("name", ["xvid.avi", "mjpeg.avi", "h264.avi", "h264.mp4", "h264.mkv", "vp9.webm"])
def test_reading_in_order_or_a_little_ahead_decodes_each_frame_once(video, name, watched):
    frames = VideoFrames(video(name))
    for step in (1, 2, 5):
        frames.close()
        watched.opened = watched.decoded = 0
        for t in range(0, 40, step):
            frames[t]
        assert (watched.opened, watched.seeks, watched.decoded) == (1, 0, range(0, 40, step)[-1] + 1)


LONG = np.concatenate([SCENE] * 5)


@pytest.mark.parametrize("name", ["xvid.avi", "mjpeg.avi", "h264.mp4", "open-gop.mp4", "h264.mkv", "vp9.webm"])
def test_any_frame_costs_no_more_than_the_way_from_its_key_frame(tmp_path, name, watched):
    codec, how = FORMATS[name]
    frames = VideoFrames(encode(tmp_path / name, codec, LONG, **how))
    watched.opened = watched.decoded = 0
    for t in random.Random(0).sample(range(200), 100):
        frames[t]
    assert watched.opened == 1
    assert watched.decoded <= 100 * 20


@pytest.mark.parametrize("name", ["h264.avi"])
def test_frames_of_a_longer_video_in_a_poor_container(tmp_path, name):
    """Program streams give frames wrong times after a jump, AVI gives those of H.264 none, ASF lands anywhere."""
    codec, how = FORMATS[name]
    frames = VideoFrames(encode(tmp_path / name, codec, LONG, **how))
    in_order = np.array(frames)
    assert len(in_order) == 200
    for t in random.Random(0).sample(range(200), 60):
        assert np.array_equal(frames[t], in_order[t]), t


def test_interlaced_frames_stay_whole(tmp_path):
    frames = VideoFrames(encode(tmp_path / "a.mp4", "libx264", options={"x264-params": "interlaced=1"}))
    errors = np.abs(np.array(frames)[:, None].astype(np.float32) - SCENE[None]).mean((2, 3, 4))
    assert np.array_equal(errors.argmin(1), np.arange(40))


def test_a_slice_of_the_frame_store_is_the_video(cache, video):
    [stored] = store_frames([Video("a", VideoFrames(video("h264.mp4")), 25.0)], progress=False)
    assert np.array_equal(stored, VideoFrames(video("h264.mp4")))


@pytest.mark.parametrize(("height", "width"), [(67, 101), (2, 2), (48, 17), (17, 48)])
@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
def test_odd_sizes(tmp_path, name, height, width):
    pixels = scene(5, height, width)
    path = encode(tmp_path / name, "mjpeg" if name == "a.avi" else "ffv1", pixels, pix_fmt="yuvj444p" if name == "a.avi" else "yuv444p")
    frames = VideoFrames(path)
    assert frames.shape == (5, height, width, 3)
    assert difference(np.array(frames), opencv(path)) <= 2
    assert np.abs(np.array(frames).astype(int) - pixels).mean() < 8


@pytest.mark.parametrize("name", ["h264.mp4", "xvid.avi", "lossless.mkv", "vp9.webm"])
def test_one_frame_is_a_video(tmp_path, name):
    codec, how = FORMATS[name]
    frames = VideoFrames(encode(tmp_path / name, codec, SCENE[:1], **how))
    assert frames.shape == (1, 48, 64, 3)
    assert frames.times.tolist() == [0]
    assert frames.fps == 25
    assert np.array_equal(frames[0], frames[-1])


# --- colours


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("matrix", "red", "blue"), [(2, 0.299, 0.114), (6, 0.299, 0.114), (1, 0.2126, 0.0722), (9, 0.2627, 0.0593)])
def test_colours_follow_the_stream_s_matrix_and_range(tmp_path, matrix, red, blue, full):
    """The formulas of BT.601, BT.709 and BT.2020, literally; matrix 2 is none, and read as BT.601."""
    rgb = np.array([[200, 60, 30], [20, 180, 90], [40, 50, 220], [240, 240, 240], [10, 10, 10]])
    y = rgb @ [red, 1 - red - blue, blue]
    chroma = [(rgb[:, 2] - y) / (2 - 2 * blue), (rgb[:, 0] - y) / (2 - 2 * red)]
    planes = [y, *(c + 128 for c in chroma)] if full else [16 + y * 219 / 255, *(128 + c * 224 / 255 for c in chroma)]
    frame = av.VideoFrame(80, 48, "yuv444p")
    for plane, values in zip(frame.planes, planes, strict=True):
        row = np.zeros(plane.line_size, np.uint8)
        row[:80] = np.rint(values).astype(np.uint8).repeat(16)
        plane.update(np.tile(row, 48).tobytes())
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = 80, 48, "yuv444p", {"qp": "0"}
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1
        frame.colorspace, frame.color_range, frame.pts = matrix, 2 if full else 1, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert np.abs(VideoFrames(tmp_path / "a.mkv")[0][24, 8::16].astype(int) - rgb).max() <= 3


def test_ten_bits_are_rounded_to_eight(tmp_path):
    colours = np.array([[200, 60, 30], [20, 180, 90], [40, 50, 220], [128, 128, 128]], np.uint8)
    flat = np.tile(colours.repeat(16, 0)[None, None], (3, 48, 1, 1))
    frames = VideoFrames(encode(tmp_path / "a.mp4", "libx264", flat, pix_fmt="yuv420p10le", options={"qp": "1"}))
    assert frames[1].dtype == np.uint8
    assert np.abs(frames[1][24, 8::16].astype(int) - colours).max() <= 4


def test_grey_is_the_luma_of_the_colours(video):
    colour, grey = np.array(VideoFrames(video("h264.mp4"))), VideoFrames(video("h264.mp4"), channels=1)
    assert grey.shape == (40, 48, 64, 1)
    assert grey[3].shape == (48, 64, 1)
    assert np.abs(np.array(grey)[..., 0] - colour @ np.array([0.299, 0.587, 0.114])).max() <= 1
    assert not is_grey(video("h264.mp4"))


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_a_grey_video_keeps_its_levels(tmp_path, suffix):
    levels = SCENE[:, :, :, :1]
    path = encode(tmp_path / f"a{suffix}", "ffv1", levels.repeat(3, -1), pix_fmt="gray")
    assert is_grey(path)
    assert np.array_equal(VideoFrames(path, channels=1), levels)
    assert np.array_equal(VideoFrames(path), levels.repeat(3, -1))


def test_other_channels_are_refused(video):
    with pytest.raises(InputError, match="channels = 4; expected 1 for grey or 3 for RGB"):
        VideoFrames(video("h264.mp4"), channels=4)


# --- upright

# Rotations as QuickTime defines them: x' = a x + c y + tx, y' = b x + d y + ty, with x to the right and y down.
MATRICES = {"upright": (1, 0, 0, 1), "clockwise": (0, 1, -1, 0), "upside down": (-1, 0, 0, -1), "counterclockwise": (0, -1, 1, 0)}


def turned(path, matrix) -> Path:
    """A copy of a video with such a matrix in its track header: nine numbers, row by row; a, b and c, d begin the first two rows."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    assert struct.unpack(">9i", content[at : at + 36]) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    a, b, c, d = (round(value * (1 << 16)) for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = path.with_stem("turned")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("turn", MATRICES)
def test_the_picture_is_turned_as_the_matrix_says(tmp_path, turn, suffix):
    a, b, c, d = MATRICES[turn]
    plain = encode(tmp_path / f"a{suffix}", "libx264", SCENE[:3])
    stored, path = np.array(VideoFrames(plain)), turned(plain, MATRICES[turn])
    y, x = np.mgrid[:48, :64]
    to_x, to_y = a * x + c * y, b * x + d * y
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    expected = np.zeros((3, to_y.max() + 1, to_x.max() + 1, 3), np.uint8)
    expected[:, to_y, to_x] = stored[:, y, x]
    frames = VideoFrames(path)
    assert frames.shape == expected.shape
    assert np.array_equal(frames, expected)
    assert frames[0].flags["C_CONTIGUOUS"]
    assert np.array_equal(np.array(frames), opencv(path))
    assert VideoFrames(path, channels=1)[2].shape == (*expected.shape[1:3], 1)


@pytest.mark.skipif(not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV cannot write rotations")
def test_a_rotation_in_matroska(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        stream.set_display_rotation(90)  # counterclockwise
        frame = av.VideoFrame.from_ndarray(SCENE[0])
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frame = VideoFrames(tmp_path / "a.mkv")[0]
    assert np.array_equal(frame[::-1].swapaxes(0, 1), SCENE[0])


@pytest.mark.parametrize(
    ("matrix", "found"),
    [
        ((0.5**0.5, 0.5**0.5, -(0.5**0.5), 0.5**0.5), "turned by -4[45] degrees"),
        ((-1, 0, 0, 1), "mirrored"),
        ((1, 0, 0, -1), "mirrored"),
        ((0, 1, 1, 0), "mirrored"),
    ],
)
def test_what_is_not_turned_by_quarters_is_refused(tmp_path, matrix, found):
    path = turned(encode(tmp_path / "a.mp4", "libx264", SCENE[:3]), matrix)
    with pytest.raises(InputError, match=rf"turned\.mp4: to be shown {found}; expected quarter turns"):
        VideoFrames(path)


# --- times


@pytest.mark.parametrize("name", ["h264.mp4", "fragmented.mp4", "h264.mkv", "vp9.webm", "mpeg4.m4v"])
def test_irregular_times_come_back_exactly(tmp_path, name):
    codec, how = FORMATS[name]
    times = np.cumsum([0, *random.Random(0).choices([7, 20, 33, 40, 500], k=39)])
    frames = VideoFrames(encode(tmp_path / name, codec, times=[int(t) for t in times], **how))
    assert len(frames) == 40
    assert np.array_equal(frames.times, times / 1000)
    assert frames.fps == round(39 / (times[-1] / 1000), 3)
    in_order = np.array(frames)
    for t in random.Random(0).sample(range(40), 40):
        assert np.array_equal(frames[t], in_order[t])


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(15), Fraction(25, 2), Fraction(100)])
@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "xvid.avi"])
def test_a_constant_rate_is_told_as_such(tmp_path, name, rate):
    codec, how = FORMATS[name]
    frames = VideoFrames(encode(tmp_path / name, codec, rate=rate, **how))
    assert abs(frames.fps - rate) < 1e-9
    assert (np.diff(frames.times) > 0).all()
    assert np.abs(frames.times - np.arange(40) / float(rate)).max() <= 0.001


def test_frames_without_times_have_those_of_their_rate(tmp_path, video):
    """H.264 with B-frames in AVI: the container can only tell the order of decoding."""
    frames = VideoFrames(video("h264.avi"))
    assert frames.times.tolist() == (np.arange(40) / 25).tolist()


def test_hidden_frames_of_vp8_are_no_frames(video, tmp_path):
    """Bit 4 of a VP8 frame's first byte is show_frame; encoders clear it in frames that only serve to predict others."""
    content = bytearray(video("vp8.webm").read_bytes())
    with av.open(str(video("vp8.webm"))) as container:
        packet = [bytes(packet) for packet in container.demux(video=0)][20]
    assert packet[0] & 0x10
    assert content.count(packet) == 1
    content[content.index(packet)] &= 0xEF
    (tmp_path / "a.webm").write_bytes(content)
    shown = [t for t in range(40) if t != 20]
    frames = VideoFrames(tmp_path / "a.webm")
    assert np.array_equal(frames, np.array(VideoFrames(video("vp8.webm")))[shown])
    assert frames.times.tolist() == [t / 25 for t in shown]


def test_an_edit_list_decides_what_is_shown(tmp_path, video):
    """A trimmed phone video: its first frames are in the file, declared, needed for decoding, and not shown."""
    content = bytearray(video("h264.mp4").read_bytes())
    at = content.index(b"elst") + 12
    _, start = struct.unpack(">II", content[at : at + 8])
    content[at : at + 8] = struct.pack(">II", 800, start + 15 * 512)  # 0.8 s from frame 15 on
    path = tmp_path / "trimmed.mp4"
    path.write_bytes(content)
    frames = VideoFrames(path)
    assert np.array_equal(frames, np.array(VideoFrames(video("h264.mp4")))[15:35])
    assert np.array_equal(frames[7], VideoFrames(path)[7])
    assert frames.times[0] == 0


# --- other streams


def with_sound(path, picture=False, video=True):
    with av.open(str(path), "w") as container:
        streams = []
        if video:
            first = container.add_stream("libx264", rate=25)
            first.width, first.height, first.pix_fmt = 64, 48, "yuv420p"
            second = container.add_stream("libx264", rate=25)
            second.width, second.height, second.pix_fmt = 32, 24, "yuv420p"
            streams += [(first, SCENE), (second, SCENE[:, ::2, ::2])]
        sound = container.add_stream("aac", rate=16000)
        sound.layout = "mono"
        if picture:
            cover = container.add_stream("mjpeg")
            cover.width, cover.height, cover.pix_fmt, cover.disposition = 32, 24, "yuvj420p", av.stream.Disposition.attached_pic.value
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(SCENE[0, ::2, ::2]))
            frame.pts = 0
            container.mux(cover.encode(frame) + cover.encode(None))
        for t in range(60):  # longer than the picture
            for stream, frames in streams if t < 40 else ():
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[t]))
                frame.pts, frame.time_base = t, Fraction(1, 25)
                container.mux(stream.encode(frame))
            samples = av.AudioFrame.from_ndarray(np.sin(np.arange(640, dtype=np.float32))[None], format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = 16000, 640 * t, Fraction(1, 16000)
            container.mux(sound.encode(samples))
        for stream, _ in streams:
            container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi"])
def test_sound_and_a_second_video_are_left_aside(tmp_path, name):
    frames = VideoFrames(with_sound(tmp_path / name))
    assert frames.shape == (40, 48, 64, 3)
    in_order = np.array(frames)
    errors = np.abs(in_order[:, None].astype(np.float32) - SCENE[None]).mean((2, 3, 4))
    assert np.array_equal(errors.argmin(1), np.arange(40))
    for t in random.Random(0).sample(range(40), 20):
        assert np.array_equal(frames[t], in_order[t])


def test_a_cover_picture_is_no_video(tmp_path):
    assert VideoFrames(with_sound(tmp_path / "a.mp4", picture=True)).shape == (40, 48, 64, 3)
    with pytest.raises(InputError, match=r"b\.mp4: only audio, picture in it; expected a video"):
        VideoFrames(with_sound(tmp_path / "b.mp4", picture=True, video=False))


def test_sound_alone_is_no_video(tmp_path):
    with pytest.raises(InputError, match=r"a\.mp4: only audio in it; expected a video"):
        VideoFrames(with_sound(tmp_path / "a.mp4", video=False))


# --- the real thing

AVENUE = {"training_videos/12.avi": 145, "training_videos/16.avi": 244, "testing_videos/20.avi": 273, "testing_videos/21.avi": 76}


@pytest.fixture(params=AVENUE)
def avenue(request, real_data):
    path = real_data / "avenue" / "Avenue Dataset" / request.param
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path, AVENUE[request.param]


def test_avenue_is_read_as_opencv_reads_it(avenue):
    path, length = avenue
    frames = VideoFrames(path)
    assert frames.shape == (length, 360, 640, 3)
    assert frames.fps == 25
    assert frames.times[-1] == (length - 1) / 25
    assert not is_grey(path)
    capture = cv2.VideoCapture(str(path))
    kept = {}
    for t in range(length):
        ok, expected = capture.read()
        assert ok
        assert difference(frames[t], expected[..., ::-1]) <= 2, t
        if t % 9 == 4:
            kept[t] = expected[..., ::-1]
    assert not capture.read()[0]
    for t in random.Random(0).sample(sorted(kept), len(kept)):
        assert difference(frames[t], kept[t]) <= 2, t


def test_avenue_cut_anywhere_is_refused_by_name(avenue, tmp_path, cache):
    path, length = avenue
    whole = path.read_bytes()
    cut = tmp_path / path.name
    for keep in [*np.linspace(0.002, 0.998, 12), 1 - 1000 / len(whole)]:
        cut.write_bytes(whole[: int(keep * len(whole))])
        with pytest.raises(InputError, match=rf"{path.name}: \d+( of {length})? frames could be decoded .*cut off or damaged"):
            VideoFrames(cut)


# --- cut off and damaged

CUT = ["xvid.avi", "b-frames.avi", "mjpeg.avi", "h264.mp4", "faststart.mp4", "h264.mkv", "vp9.webm", "vp9.mp4"]


def outcome(path, whole):
    """ "refused", or "same" if exactly the frames of the whole video came; anything else fails."""
    start = time.monotonic()
    try:
        frames = VideoFrames(path)
        assert len(frames) == len(whole)
        assert np.array_equal(frames, whole)
        return "same"
    except InputError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
        return "refused"
    finally:
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("name", CUT)
def test_a_video_cut_anywhere_is_refused_or_whole(video, name, tmp_path, cache, capfd):
    whole, content, path = np.array(VideoFrames(video(name))), video(name).read_bytes(), tmp_path / name
    tried = sorted({*np.linspace(0, len(content) - 1, 40).astype(int), *range(len(content) - 20, len(content))})
    outcomes = []
    for length in tried:
        path.write_bytes(content[:length])
        outcomes.append(outcome(path, whole))
    # Only an AVI's RIFF size is doubted, by 8 bytes: they belong to its index.
    assert outcomes.count("same") <= (8 if name.endswith("avi") else 0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", CUT)
def test_a_video_whose_end_is_zeros_is_refused_or_whole(video, name, tmp_path, cache):
    """Half of a download into a file that was given its full size before."""
    whole, content, path = np.array(VideoFrames(video(name))), video(name).read_bytes(), tmp_path / name
    outcomes = []
    for length in np.linspace(0, len(content) - 300, 40).astype(int):
        path.write_bytes(content[:length] + bytes(len(content) - length))
        outcomes.append(outcome(path, whole))
    assert outcomes.count("refused") >= 32  # an index behind the frames may be lost without harm


@pytest.mark.parametrize("name", ["faststart.mp4", "vp9.mp4"])
def test_a_last_frame_that_ends_in_zeros_is_refused(video, name, tmp_path, cache):
    """Its table of contents is in front and whole, and a VP9 decoder reads on through zeros."""
    content, path = video(name).read_bytes(), tmp_path / name
    for zeros in range(20, 200, 10):
        path.write_bytes(content[:-zeros] + bytes(zeros))
        with pytest.raises(InputError, match=rf"{name}: \d+ of 40 frames could be decoded"):
            VideoFrames(path)


@pytest.mark.parametrize("name", ["xvid.avi", "h264.mp4", "h264.mkv", "vp9.webm"])
def test_damage_of_any_byte_raises_nothing_but_input_error(video, name, tmp_path, cache):
    content, path = video(name).read_bytes(), tmp_path / name
    for position in np.linspace(0, len(content) - 1, 60).astype(int):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :])
        start = time.monotonic()
        try:
            np.array(VideoFrames(path))
        except InputError as error:
            assert str(path) in str(error)
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("name", ["xvid.avi", "h264.mp4", "h264.mkv"])
def test_a_hole_in_a_frame_is_refused(video, name, tmp_path, cache):
    """Zeros in place of the second half of a packet, which is what a torrent or a bad disk leaves; few decode without complaint."""
    content, path = video(name).read_bytes(), tmp_path / name
    with av.open(str(video(name))) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size > 60]
    assert len(packets) >= 4
    refused = 0
    for packet in packets:
        assert content.count(packet) == 1
        half = len(packet) // 2
        path.write_bytes(content.replace(packet, packet[:half] + bytes(len(packet) - half)))
        try:
            assert len(VideoFrames(path)) == 40
        except InputError as error:
            assert f"{path}: " in str(error)
            assert "frames could be decoded" in str(error)
            refused += 1
    assert refused >= 0.75 * len(packets)


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_a_packet_that_gives_no_frame_is_missed(tmp_path, cache, codec):
    """Matroska counts no frames, MPEG-2 decoders pass over what they do not know, and PyAV passes over errors at the end."""
    path = encode(tmp_path / "a.mkv", codec)
    content = path.read_bytes()
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    for packet in (packets[0], packets[1], packets[20], packets[-1]):
        assert content.count(packet) == 1
        path.write_bytes(content.replace(packet, b"\xff" * len(packet)))
        with pytest.raises(InputError, match=r"a\.mkv: \d+( of 40)? frames could be decoded"):
            VideoFrames(path)


READ_ALL = """
import sys
from vadlib.data.decode import VideoFrames
from vadlib.errors import InputError

for path in sys.argv[1:]:
    try:
        VideoFrames(path)
        print("accepted")
    except InputError:
        print("refused")
"""


def test_a_decoder_whose_threads_would_wait_for_each_other_answers(video, tmp_path):
    """libavcodec 62 stops for ever, if it may use threads, where an HEVC picture parameter set (NAL type 34) has a wrong byte."""
    content = video("hevc.mp4").read_bytes()
    at = content.index(b"\0\x06\x44\x01") + 7
    paths = [tmp_path / f"{value}.mp4" for value in (0xBD, 0x0D, 0x3D, 0x8D, 0xCD)]
    for path in paths:
        path.write_bytes(content[:at] + bytes([int(path.stem)]) + content[at + 1 :])
    run = subprocess.run([sys.executable, "-c", READ_ALL, *map(str, paths)], capture_output=True, text=True, timeout=30, check=True)
    assert len(run.stdout.split()) == len(paths)


def boxes(content):
    """Where the top boxes of an MP4 begin: [(kind, position)]."""
    found, position = [], 0
    while position < len(content):
        found.append((content[position + 4 : position + 8], position))
        position += int.from_bytes(content[position : position + 4], "big")
    return found


def test_a_fragmented_mp4_cut_or_zeroed_within_its_fragments_is_refused(video, tmp_path, cache):
    whole, content, path = np.array(VideoFrames(video("fragmented.mp4"))), video("fragmented.mp4").read_bytes(), tmp_path / "a.mp4"
    between = [position for kind, position in boxes(content) if kind in (b"moof", b"mfra")]
    assert len(between) > 3
    for length in {*np.linspace(0, len(content) - 1, 40).astype(int), *(p for kind, p in boxes(content) if kind == b"mdat")}:
        if length not in between:  # there, nothing tells that more was to come
            path.write_bytes(content[:length])
            assert outcome(path, whole) == "refused"
    for length in between:
        path.write_bytes(content[:length] + bytes(len(content) - length))
        assert outcome(path, whole) == ("refused" if length < between[-1] else "same") or length == between[-1]


def test_a_header_that_declares_more_frames_than_come_is_believed(tmp_path):
    pictures = [jpeg(frame) for frame in SCENE[:10]]
    path = tmp_path / "a.avi"
    path.write_bytes(avi(pictures))
    assert np.array_equal(VideoFrames(path), opencv(path))
    path.write_bytes(avi(pictures, declared=12))
    with pytest.raises(InputError, match=r"a\.avi: 10 of 12 frames could be decoded.*copy or download it again"):
        VideoFrames(path)
    path.write_bytes(avi([*pictures[:4], b"", b"", *pictures[4:]]))  # frames that the recorder dropped
    with pytest.raises(InputError, match=r"a\.avi: 10 of 12 frames could be decoded.*re-encode it if it is as long as it should be"):
        VideoFrames(path)
    path.write_bytes(avi(pictures, declared=0))
    assert len(VideoFrames(path)) == 10


@pytest.mark.parametrize("change", [8, -8, -(10**6)])
def test_riff_sizes_that_some_programs_write_are_accepted(tmp_path, change):
    """With the first 8 bytes counted in, or left at 0 in a recording that was never finished."""
    content = bytearray(avi([jpeg(frame) for frame in SCENE[:10]]))
    size = max(0, int.from_bytes(content[4:8], "little") + change)
    content[4:8] = size.to_bytes(4, "little")
    (tmp_path / "a.avi").write_bytes(content)
    assert len(VideoFrames(tmp_path / "a.avi")) == 10


@pytest.mark.parametrize("name", ["h264.mp4", "xvid.avi", "h264.mkv"])
@pytest.mark.parametrize("trailer", [bytes(5000), b"camera model X" * 20])
def test_what_cameras_append_is_no_damage(video, tmp_path, name, trailer):
    (tmp_path / name).write_bytes(video(name).read_bytes() + trailer)
    assert np.array_equal(VideoFrames(tmp_path / name), VideoFrames(video(name)))


def test_frames_that_change_their_size_are_refused_with_both_sizes(tmp_path):
    pictures = [jpeg(frame) for frame in SCENE[:6]] + [jpeg(frame[:24, :32]) for frame in SCENE[6:8]]
    (tmp_path / "a.avi").write_bytes(avi(pictures))
    with pytest.raises(InputError, match=r"a\.avi: frame 6 has 32x24 pixels.*the first 64x48 pixels"):
        VideoFrames(tmp_path / "a.avi")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file; expected a video"),
        (LFS_POINTER, "a Git LFS pointer, not the data itself; run `git lfs pull`"),
        (b"<html>404 not found</html>", r"not a video \(it starts with b'<html>40'\); expected one of \.3gp"),
        (b"#EXTM3U\n#EXTINF:10,\nother.mp4\n", "not a video"),
        (b"1\n00:00:00,000 --> 00:00:01,000\nHello\n", "not a video"),
        (pickle.dumps([1, 2]), "not a video"),
        (bytes(5000), "not a video"),
        (jpeg(SCENE[0]), "not a video"),
        (avi([])[:12], "0 frames could be decoded"),
        (avi([]), "0 frames could be decoded"),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_what_is_no_video_is_named_for_what_it_is(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    for function in (VideoFrames, is_grey)[: 1 if "0 frames" in message else 2]:
        with pytest.raises(InputError, match=rf"{name}: {message}") as caught:
            function(tmp_path / name)
        assert caught.value.trap == {LFS_POINTER: "git-lfs-pointer"}.get(content, "damaged-file" if "0 frames" in message else "")


@pytest.mark.parametrize("function", [VideoFrames, is_grey])
def test_a_file_that_is_not_there_is_named(tmp_path, function):
    for path in (tmp_path / "gone.mp4", tmp_path):
        with pytest.raises(InputError, match=rf"{path}: no such file; expected a video"):
            function(path)


def test_a_file_that_cannot_be_read_is_named(video, monkeypatch):
    """As root runs these tests, a file without permission would not stop them."""

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    def refuse_as_libav(*args, **kwargs):
        raise av.error.PermissionError(13, "Permission denied")

    path = video("h264.mp4")
    monkeypatch.setattr(av, "open", refuse_as_libav)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"h264\.mp4: cannot be read \(Permission denied\)"):
        is_grey(path)


def test_an_unknown_coding_is_named(video, tmp_path):
    content = video("xvid.avi").read_bytes()
    assert content.count(b"FMP4") == 2
    (tmp_path / "a.avi").write_bytes(content.replace(b"FMP4", b"QQQQ"))
    with pytest.raises(InputError, match=r"a\.avi: a video in a coding that has no decoder here; convert it"):
        VideoFrames(tmp_path / "a.avi")


def test_names_and_titles_in_any_script(video, tmp_path):
    path = tmp_path / "Überwachung 東 %03d #1.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "PLACEHOLDER"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(SCENE[0])
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert b"PLACEHOLDER" in content
    path.write_bytes(content.replace(b"PLACEHOLDER", b"\xdcberwachung"))  # Latin-1
    assert len(VideoFrames(path)) == 1


# --- the scan is kept


def test_a_video_is_scanned_once(video, cache, tmp_path, watched, monkeypatch):
    path = shutil.copy(video("h264.mp4"), tmp_path)
    first = VideoFrames(path)
    assert watched.opened == 1
    monkeypatch.setattr(av, "open", lambda *args, **kwargs: pytest.fail("opened again"))
    again = VideoFrames(path, channels=1)
    assert (again.shape[:3], again.fps) == (first.shape[:3], first.fps)
    assert np.array_equal(again.times, first.times)
    assert len(list((cache / "videos").iterdir())) == 1


def test_a_changed_file_is_scanned_anew(video, cache, tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(avi([jpeg(frame) for frame in SCENE[:10]]))
    assert len(VideoFrames(path)) == 10
    path.write_bytes(avi([jpeg(frame) for frame in SCENE[:7]]))
    assert len(VideoFrames(path)) == 7
    path.write_bytes(content := avi([jpeg(frame) for frame in SCENE[7:14]]))
    os.utime(path, ns=(1, 2))
    before = VideoFrames(path).identity()
    path.write_bytes(content[::-1])
    os.utime(path, ns=(3, 4))
    with pytest.raises(InputError, match="not a video"):
        VideoFrames(path)
    assert before[-2] == 2


def test_a_damaged_entry_of_the_cache_is_written_anew(video, cache, watched):
    first = VideoFrames(video("h264.mp4"))
    [entry] = (cache / "videos").iterdir()
    whole = entry.read_bytes()
    for damaged in (
        b"",
        whole[:-9],
        whole[:40],
        b"\xff" * 99,
        bytes(len(whole)),
        whole.replace(b"40", b"41"),
        whole.replace(b"512", b"513"),
    ):
        entry.write_bytes(damaged)
        watched.opened = 0
        again = VideoFrames(video("h264.mp4"))
        assert watched.opened == 1
        assert np.array_equal(again.times, first.times)
        assert entry.read_bytes() == whole


def test_a_damaged_video_leaves_nothing_in_the_cache(video, cache, tmp_path):
    (tmp_path / "a.mkv").write_bytes(video("h264.mkv").read_bytes()[:-500])
    with pytest.raises(InputError):
        VideoFrames(tmp_path / "a.mkv")
    assert not (cache / "videos").exists()


def test_the_identity_follows_the_file_and_the_channels(video, tmp_path):
    path = shutil.copy(video("h264.mp4"), tmp_path / "a.mp4")
    os.utime(path, ns=(1, 10**9))
    one = VideoFrames(path)
    assert one.identity() == ["video", 1, str(path.resolve()), path.stat().st_size, 10**9, 3]
    assert VideoFrames(path).identity() == one.identity() != VideoFrames(path, channels=1).identity()
    os.utime(path, ns=(1, 2 * 10**9))
    assert VideoFrames(path).identity() != one.identity()


@pytest.mark.parametrize("how", ["removed", "touched", "shorter", "other frames, same size and time"])
def test_a_file_that_changes_while_it_is_read_is_named(video, tmp_path, how):
    path = Path(shutil.copy(video("h264.mkv"), tmp_path / "a.mkv"))
    frames = VideoFrames(path)
    stat, content = path.stat(), path.read_bytes()
    path.unlink()
    if how == "touched":
        path.write_bytes(content)
        os.utime(path, ns=(1, 2))
    elif how == "shorter":
        path.write_bytes(content[:-100])
    elif how.startswith("other"):
        # The second half is gone, yet nothing shows it from outside.
        path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert frames[0].shape == (48, 64, 3)
        with pytest.raises(InputError, match=r"a\.mkv: frame 39 of 40 cannot be decoded, though it could be"):
            frames[39]
        assert frames[1].shape == (48, 64, 3)
        return
    with pytest.raises(InputError, match=r"a\.mkv: the file was changed, moved or removed since it was loaded; load the video again"):
        frames[3]


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.mp4", "libx264"), ("a.mkv", "libx264")])
def test_damage_under_a_video_s_feet_gives_its_true_frames_or_none(name, codec, tmp_path):
    """Size and time of the file stay, as on a failing disk; whatever was tried before, no frame comes back as another.

    Without B-frames: those that are predicted from a damaged frame are shown before it.
    """
    path = encode(tmp_path / name, codec, b_frames=0)
    frames = VideoFrames(path)
    whole, stat, content = np.array(frames), path.stat(), path.read_bytes()
    frames.close()
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    packet = max((packet for packet in packets[1:] if packet and packet in content), key=len)
    half = len(packet) // 2
    path.write_bytes(content.replace(packet, packet[:half] + bytes(len(packet) - half)))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    lost = 0
    for t in [*range(40), *range(39, -1, -1), *random.Random(0).choices(range(40), k=40)]:
        try:
            assert np.array_equal(frames[t], whole[t])
        except InputError as error:
            assert str(path) in str(error)
            lost += 1
    assert 0 < lost < 120


# --- open files, processes and threads


def test_one_file_is_open_however_many_videos_there_are(video, tmp_path, watched):
    videos = [VideoFrames(shutil.copy(video("h264.mp4"), tmp_path / f"{n}.mp4")) for n in range(12)]
    expected = videos[0][:]
    for t in (3, 4, 20):
        for frames in videos:
            assert np.array_equal(frames[t], expected[t])
            assert watched.opened - watched.closed == 1
    del videos[5], frames
    assert watched.opened - watched.closed == 1
    videos.clear()
    assert watched.opened == watched.closed


def is_open(path):
    return any(os.path.realpath(f"/proc/self/fd/{name}") == str(path) for name in os.listdir("/proc/self/fd"))


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc to count open files in")


@needs_proc
def test_a_video_that_is_gone_leaves_no_file_open(video, tmp_path):
    path = shutil.copy(video("h264.mp4"), tmp_path / "a.mp4")
    frames = VideoFrames(path)
    assert not is_open(path)
    frames[3]
    assert is_open(path)
    frames.close()
    assert not is_open(path)
    frames[3]
    assert is_open(path)
    del frames
    assert not is_open(path)


def test_a_copy_starts_closed(video, watched):
    frames = VideoFrames(video("h264.mp4"))
    expected = frames[:]
    copy = pickle.loads(pickle.dumps(frames))
    assert (copy.shape, copy.fps, copy.path, copy.channels) == (frames.shape, frames.fps, frames.path, frames.channels)
    assert copy.identity() == frames.identity()
    for t in (0, 30, 7):
        assert np.array_equal(copy[t], expected[t])
        assert np.array_equal(frames[t], expected[t])


def test_a_spawned_worker_reads_the_same_frames(video):
    frames = VideoFrames(video("h264.mp4"))
    expected = frames[17]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert np.array_equal(pool.apply_async(operator.getitem, (frames, 17)).get(timeout=60), expected)


@needs_proc
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_worker_and_its_parent_do_not_disturb_each_other(video):
    path = video("raw.avi")
    frames, expected = VideoFrames(path), np.array(VideoFrames(path))
    frames[10]
    assert is_open(path)  # a worker that inherited this would move the parent's position in the file
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def work():
        theirs.send(is_open(path))
        for t in iter(theirs.recv, None):
            theirs.send(frames[t])

    worker = context.Process(target=work, daemon=True)
    worker.start()
    assert ours.poll(30)
    assert ours.recv() is False
    for t in (11, 12, 30, 13, 2, 39):
        ours.send(t)
        assert np.array_equal(frames[t], expected[t])
        assert ours.poll(30)
        assert np.array_equal(ours.recv(), expected[t])
    ours.send(None)
    worker.join(30)
    assert worker.exitcode == 0


def test_threads_may_read_at_once(video):
    videos = [VideoFrames(video(name)) for name in ("h264.mp4", "xvid.avi")]
    expected = [frames[:] for frames in videos]
    tasks = [(random.Random(n).randrange(2), random.Random(n + 99).randrange(40)) for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        for (which, t), frame in zip(tasks, pool.map(lambda task: videos[task[0]][task[1]], tasks), strict=True):
            assert np.array_equal(frame, expected[which][t])


LISTENING = """
import sys
import av
from vadlib.data.decode import VideoFrames
from vadlib.errors import InputError

av.logging.set_level(av.logging.VERBOSE)
for _ in range(20):
    try:
        VideoFrames(sys.argv[1])
    except InputError as error:
        print(error)
assert av.logging.get_level() == av.logging.VERBOSE
"""


def test_whoever_listens_to_libav_neither_hangs_nor_is_cut_off(video, tmp_path):
    """PyAV's log handler needs Python's lock, which whoever frees a decoder holds while it waits for the decoder's threads."""
    (tmp_path / "a.avi").write_bytes(video("xvid.avi").read_bytes()[:7000])
    run = subprocess.run([sys.executable, "-c", LISTENING, str(tmp_path / "a.avi")], capture_output=True, text=True, timeout=30, check=True)
    assert run.stdout.count("of 40 frames could be decoded") == 20


# --- folders


def test_videos_of_a_folder_in_natural_order_without_junk(tmp_path):
    for name in ("10.avi", "2.AVI", "1.mp4", "._1.mp4", "b.mkv", "notes.txt", "1.mp4~", ".DS_Store", "x.mpg", "01.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "folder.avi").mkdir()
    assert [path.name for path in list_videos(tmp_path)] == ["1.mp4", "2.AVI", "10.avi", "b.mkv"]
    assert list_videos(tmp_path / "folder.avi") == []
    assert {".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm"} <= VIDEO_SUFFIXES
