"""Video files become frames: the right ones, in any order, upright, with their times."""

import random
import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from films import FORMATS, SCENE, decoded, difference, encode, opencv, scene
from refusals import refused

from vadlib.data.decode import is_grey

# --- the frames


@pytest.mark.parametrize("name", FORMATS)
def test_all_frames_come_as_opencv_reads_them(video, name):
    frames = decoded(video(name))
    assert frames.shape == (40, 48, 64, 3)
    assert frames.fps == 25
    assert frames.times.dtype == np.float64
    assert np.abs(frames.times - np.arange(40) / 25).max() < 1e-9
    everything = np.array(frames)
    assert everything.dtype == np.uint8
    assert difference(everything, opencv(video(name))) <= 2
    # Against the pictures that went in, so that no two libraries agree on the wrong frames: each is
    # nearest to its own.
    errors = np.abs(everything[:, None].astype(np.float32) - SCENE[None]).mean((2, 3, 4))
    assert np.array_equal(errors.argmin(1), np.arange(40))


@pytest.mark.parametrize("name", ["raw.avi", "png.mov"])
def test_lossless_rgb_comes_back_exactly(video, name):
    assert np.array_equal(decoded(video(name)), SCENE)


@pytest.mark.parametrize("name", FORMATS)
def test_a_frame_is_the_same_however_it_is_reached(video, name):
    in_order = np.array(decoded(video(name)))
    frames = decoded(video(name))
    anywhere = random.Random(0).choices(range(40), k=80)
    for t in [*range(39, -1, -1), *range(0, 40, 3), 20, 20, 21, 19, -1, *anywhere]:
        assert np.array_equal(frames[t], in_order[t]), t
    for t in random.Random(1).sample(range(40), 10):
        assert np.array_equal(decoded(video(name))[t], in_order[t]), t
    for part in (slice(5, 25), slice(30, 4, -5), slice(None, None, 7), slice(3, 3)):
        assert np.array_equal(frames[part], in_order[part])
    for beyond in (40, -41):
        with pytest.raises(IndexError):
            frames[beyond]


@pytest.mark.parametrize(
    "name", ["xvid.avi", "mjpeg.avi", "h264.avi", "h264.mp4", "h264.mkv", "vp9.webm"]
)
def test_reading_in_order_or_a_little_ahead_decodes_each_frame_once(video, name, watched):
    frames = decoded(video(name))
    for step in (1, 2, 5):
        frames.close()
        watched.opened = watched.decoded = 0
        for t in range(0, 40, step):
            frames[t]
        assert (watched.opened, watched.seeks, watched.decoded) == (
            1,
            0,
            range(0, 40, step)[-1] + 1,
        )


LONG = np.concatenate([SCENE] * 5)


@pytest.mark.parametrize(
    "name", ["xvid.avi", "mjpeg.avi", "h264.mp4", "open-gop.mp4", "h264.mkv", "vp9.webm"]
)
def test_any_frame_costs_no_more_than_the_way_from_its_key_frame(tmp_path, name, watched):
    codec, how = FORMATS[name]
    frames = decoded(encode(tmp_path / name, codec, LONG, **how))
    watched.opened = watched.decoded = 0
    for t in random.Random(0).sample(range(200), 100):
        frames[t]
    assert watched.opened == 1
    assert watched.decoded <= 100 * 20


@pytest.mark.parametrize(("height", "width"), [(67, 101), (2, 2), (48, 17), (17, 48)])
@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
def test_odd_sizes(tmp_path, name, height, width):
    pixels = scene(5, height, width)
    path = encode(
        tmp_path / name,
        "mjpeg" if name == "a.avi" else "ffv1",
        pixels,
        pix_fmt="yuvj444p" if name == "a.avi" else "yuv444p",
    )
    frames = decoded(path)
    assert frames.shape == (5, height, width, 3)
    assert difference(np.array(frames), opencv(path)) <= 2
    assert np.abs(np.array(frames).astype(int) - pixels).mean() < 8


@pytest.mark.parametrize("name", ["h264.mp4", "xvid.avi", "lossless.mkv", "vp9.webm"])
def test_one_frame_is_a_video(tmp_path, name):
    codec, how = FORMATS[name]
    frames = decoded(encode(tmp_path / name, codec, SCENE[:1], **how))
    assert frames.shape == (1, 48, 64, 3)
    assert frames.times.tolist() == [0]
    assert frames.fps == 25
    assert np.array_equal(frames[0], frames[-1])


# --- colours


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("matrix", "red", "blue"),
    [(2, 0.299, 0.114), (6, 0.299, 0.114), (1, 0.2126, 0.0722), (9, 0.2627, 0.0593)],
)
def test_colours_follow_the_stream_s_matrix_and_range(tmp_path, matrix, red, blue, full):
    """The formulas of BT.601, BT.709 and BT.2020, literally; matrix 2 is none, and read as BT.601."""
    rgb = np.array([[200, 60, 30], [20, 180, 90], [40, 50, 220], [240, 240, 240], [10, 10, 10]])
    y = rgb @ [red, 1 - red - blue, blue]
    chroma = [(rgb[:, 2] - y) / (2 - 2 * blue), (rgb[:, 0] - y) / (2 - 2 * red)]
    planes = (
        [y, *(c + 128 for c in chroma)]
        if full
        else [16 + y * 219 / 255, *(128 + c * 224 / 255 for c in chroma)]
    )
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
    assert np.abs(decoded(tmp_path / "a.mkv")[0][24, 8::16].astype(int) - rgb).max() <= 3


def test_grey_is_the_luma_of_the_colours(video):
    colour, grey = (
        np.array(decoded(video("h264.mp4"))),
        decoded(video("h264.mp4"), channels=1),
    )
    assert grey.shape == (40, 48, 64, 1)
    assert grey[3].shape == (48, 64, 1)
    assert np.abs(np.array(grey)[..., 0] - colour @ np.array([0.299, 0.587, 0.114])).max() <= 1
    assert not is_grey(video("h264.mp4"))


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_a_grey_video_keeps_its_levels(tmp_path, suffix):
    levels = SCENE[:, :, :, :1]
    path = encode(tmp_path / f"a{suffix}", "ffv1", levels.repeat(3, -1), pix_fmt="gray")
    assert is_grey(path)
    assert np.array_equal(decoded(path, channels=1), levels)
    assert np.array_equal(decoded(path), levels.repeat(3, -1))


# --- upright

# Rotations as QuickTime defines them: x' = a x + c y + tx, y' = b x + d y + ty, with x to the right
# and y down.
MATRICES = {
    "upright": (1, 0, 0, 1),
    "clockwise": (0, 1, -1, 0),
    "upside down": (-1, 0, 0, -1),
    "counterclockwise": (0, -1, 1, 0),
}


def turned(path, matrix) -> Path:
    """A copy of a video with such a matrix in its track header: nine numbers, row by row; a, b and
    c, d begin the first two rows.
    """
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    assert struct.unpack(">9i", content[at : at + 36]) == (
        1 << 16,
        0,
        0,
        0,
        1 << 16,
        0,
        0,
        0,
        1 << 30,
    )
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
    stored, path = np.array(decoded(plain)), turned(plain, MATRICES[turn])
    y, x = np.mgrid[:48, :64]
    to_x, to_y = a * x + c * y, b * x + d * y
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    expected = np.zeros((3, to_y.max() + 1, to_x.max() + 1, 3), np.uint8)
    expected[:, to_y, to_x] = stored[:, y, x]
    frames = decoded(path)
    assert frames.shape == expected.shape
    assert np.array_equal(frames, expected)
    assert frames[0].flags["C_CONTIGUOUS"]
    assert np.array_equal(np.array(frames), opencv(path))
    assert decoded(path, channels=1)[2].shape == (*expected.shape[1:3], 1)


@pytest.mark.parametrize(
    "matrix",
    [(0.5**0.5, 0.5**0.5, -(0.5**0.5), 0.5**0.5), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0)],
    ids=["by 45 degrees", "mirrored", "upside down and mirrored", "turned and mirrored"],
)
def test_what_is_not_turned_by_quarters_is_refused(tmp_path, matrix):
    path = turned(encode(tmp_path / "a.mp4", "libx264", SCENE[:3]), matrix)
    with refused("wrong-kind-of-file", file=path):
        decoded(path)


# --- times


@pytest.mark.parametrize(
    "name", ["h264.mp4", "fragmented.mp4", "h264.mkv", "vp9.webm", "mpeg4.m4v"]
)
def test_irregular_times_come_back_exactly(tmp_path, name):
    codec, how = FORMATS[name]
    times = np.cumsum([0, *random.Random(0).choices([7, 20, 33, 40, 500], k=39)])
    frames = decoded(encode(tmp_path / name, codec, times=[int(t) for t in times], **how))
    assert len(frames) == 40
    assert np.array_equal(frames.times, times / 1000)
    assert frames.fps == 39 / (times[-1] / 1000)
    in_order = np.array(frames)
    for t in random.Random(0).sample(range(40), 40):
        assert np.array_equal(frames[t], in_order[t])


@pytest.mark.parametrize(
    "rate",
    [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(15), Fraction(25, 2), Fraction(100)],
)
@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "xvid.avi"])
def test_a_constant_rate_is_told_as_such(tmp_path, name, rate):
    codec, how = FORMATS[name]
    frames = decoded(encode(tmp_path / name, codec, rate=rate, **how))
    assert abs(frames.fps - rate) < 1e-9
    assert (np.diff(frames.times) > 0).all()
    assert np.abs(frames.times - np.arange(40) / float(rate)).max() <= 0.001


def test_frames_without_times_have_those_of_their_rate(tmp_path, video):
    """H.264 with B-frames in AVI: the container can only tell the order of decoding."""
    frames = decoded(video("h264.avi"))
    assert frames.times.tolist() == (np.arange(40) / 25).tolist()


def test_an_edit_list_decides_what_is_shown(tmp_path, video):
    """A trimmed phone video: its first frames are in the file, declared, needed for decoding, and
    not shown.
    """
    content = bytearray(video("h264.mp4").read_bytes())
    at = content.index(b"elst") + 12
    _, start = struct.unpack(">II", content[at : at + 8])
    content[at : at + 8] = struct.pack(">II", 800, start + 15 * 512)  # 0.8 s from frame 15 on
    path = tmp_path / "trimmed.mp4"
    path.write_bytes(content)
    frames = decoded(path)
    assert np.array_equal(frames, np.array(decoded(video("h264.mp4")))[15:35])
    assert np.array_equal(frames[7], decoded(path)[7])
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
            cover.width, cover.height, cover.pix_fmt, cover.disposition = (
                32,
                24,
                "yuvj420p",
                av.stream.Disposition.attached_pic.value,
            )
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(SCENE[0, ::2, ::2]))
            frame.pts = 0
            container.mux(cover.encode(frame) + cover.encode(None))
        for t in range(60):  # longer than the picture
            for stream, frames in streams if t < 40 else ():
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[t]))
                frame.pts, frame.time_base = t, Fraction(1, 25)
                container.mux(stream.encode(frame))
            samples = av.AudioFrame.from_ndarray(
                np.sin(np.arange(640, dtype=np.float32))[None], format="fltp", layout="mono"
            )
            samples.sample_rate, samples.pts, samples.time_base = 16000, 640 * t, Fraction(1, 16000)
            container.mux(sound.encode(samples))
        for stream, _ in streams:
            container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi"])
def test_sound_and_a_second_video_are_left_aside(tmp_path, name):
    frames = decoded(with_sound(tmp_path / name))
    assert frames.shape == (40, 48, 64, 3)
    in_order = np.array(frames)
    errors = np.abs(in_order[:, None].astype(np.float32) - SCENE[None]).mean((2, 3, 4))
    assert np.array_equal(errors.argmin(1), np.arange(40))
    for t in random.Random(0).sample(range(40), 20):
        assert np.array_equal(frames[t], in_order[t])


def test_a_cover_picture_is_no_video(tmp_path):
    assert decoded(with_sound(tmp_path / "a.mp4", picture=True)).shape == (40, 48, 64, 3)
    path = with_sound(tmp_path / "b.mp4", picture=True, video=False)
    with refused("wrong-kind-of-file", file=path):
        decoded(path)


# --- the real thing

AVENUE = {
    "training_videos/12.avi": 145,
    "training_videos/16.avi": 244,
    "testing_videos/20.avi": 273,
    "testing_videos/21.avi": 76,
}


@pytest.fixture(params=AVENUE)
def avenue(request, real_data):
    path = real_data / "avenue" / "Avenue Dataset" / request.param
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path, AVENUE[request.param]


def test_avenue_is_read_as_opencv_reads_it(avenue):
    path, length = avenue
    frames = decoded(path)
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
