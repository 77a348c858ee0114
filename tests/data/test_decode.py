"""Video files become frames: the right ones, in any order, upright, with their times."""

import os
import pickle
import random
import shutil
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from films import FORMATS, SCENE, avi, decoded, difference, encode, jpeg, opencv, picture, scene
from refusals import refused

from vadlib.data.decode import is_grey


def random_order(count, seed=0):
    return random.Random(seed).sample(range(count), count)


def assert_order_of_scene(frames):
    """Each frame is nearest to the picture that went in at its place."""
    errors = np.abs(np.float32(frames)[:, None] - SCENE[None]).mean((2, 3, 4))
    assert np.array_equal(errors.argmin(1), np.arange(40))


@pytest.mark.parametrize("name", FORMATS)
def test_all_frames_come_as_opencv_reads_them_in_any_order(video, name):
    frames = decoded(video(name))
    assert frames.shape == (40, 48, 64, 3)
    assert frames.fps == 25
    assert frames.times.dtype == np.float64
    assert np.abs(frames.times - np.arange(40) / 25).max() < 1e-9
    everything = np.array(frames)
    assert everything.dtype == np.uint8
    assert difference(everything, opencv(video(name))) <= 2
    assert_order_of_scene(everything)
    if name in ("raw.avi", "png.mov"):
        assert np.array_equal(everything, SCENE)
    in_order, frames = everything, decoded(video(name))
    for t in [*range(39, -1, -1), *range(0, 40, 3), 20, 20, 21, 19, -1, *random_order(40)]:
        assert np.array_equal(frames[t], in_order[t]), t
    for t in random_order(40, 1)[:10]:
        assert np.array_equal(decoded(video(name))[t], in_order[t]), t
    for part in (slice(5, 25), slice(30, 4, -5), slice(3, 3)):
        assert np.array_equal(frames[part], in_order[part])
    for beyond in (40, -41):
        with pytest.raises(IndexError):
            frames[beyond]


@pytest.mark.parametrize("name", ["xvid.avi", "mjpeg.avi", "open-gop.mp4", "h264.mkv", "vp9.webm"])
def test_any_frame_is_reached_without_opening_the_file_again(tmp_path, name, opened):
    codec, options = FORMATS[name]
    frames = decoded(encode(tmp_path / name, codec, np.concatenate([SCENE] * 5), **options))
    opened.clear()
    for t in [*range(0, 200, 5), *random_order(200)]:
        frames[t]
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("height", "width", "length"), [(67, 101, 5), (2, 2, 5), (17, 48, 5), (48, 64, 1)]
)
@pytest.mark.parametrize(
    ("name", "codec", "form"), [("a.avi", "mjpeg", "yuvj444p"), ("a.mkv", "ffv1", "yuv444p")]
)
def test_odd_sizes_and_a_single_frame(tmp_path, name, codec, form, height, width, length):
    pixels = scene(length, height, width)
    path = encode(tmp_path / name, codec, pixels, form=form)
    frames = decoded(path)
    assert frames.shape == (length, height, width, 3)
    assert frames.times.tolist() == [t / 25 for t in range(length)]
    assert frames.fps == 25
    assert difference(np.array(frames), opencv(path)) <= 2
    assert np.abs(np.array(frames).astype(int) - pixels).mean() < 8
    assert np.array_equal(frames[-1], np.array(frames)[length - 1])


# --- pixel formats

SMALL = np.ascontiguousarray(SCENE[:36, ::2, ::2])  # 24 x 32 pixels; jumps of 16 frames and more
PALETTE = np.array([[255, v, 3 * v % 256, 255 - v] for v in range(256)], np.uint8)  # ARGB
# Decoders that keep something from frame to frame, or containers that keep something beside the
# frames, and one of each other way to store pixels.
FORMS = """rawvideo.avi:pal8 rawvideo.avi:gray rawvideo.avi:bgra rawvideo.avi:rgb555le
rawvideo.avi:yuyv422 rawvideo.mov:pal8 rawvideo.mov:rgb24 rawvideo.mov:uyvy422 msvideo1.avi:rgb555le
flashsv.avi:bgr24 msrle.avi:pal8 cinepak.avi:rgb24 magicyuv.avi:gbrp qtrle.mov:rgb24 png.mov:pal8
png.mov:rgba gif.mov:pal8 rpza.mov:rgb555le svq1.mov:yuv410p prores_ks.mov:yuv422p10le
ffv1.mkv:gray10le ffv1.mkv:gbrp10le libx264rgb.mkv:rgb24 libx265.mp4:yuv420p10le"""
# QuickTime has no name for the last one.
REFUSED = "ffv1.mkv:gray16le ffv1.mkv:yuv422p12le ffv1.mkv:gbrp14le png.mov:rgb48be"
REFUSED += " rawvideo.mov:yuv420p"


def write(folder, name):
    """`SMALL` as codec.container:format; of the red channel where the format has a palette."""
    path, form = name.split(":")
    codec, suffix = path.split(".")
    path = folder / f"a.{suffix}"
    try:
        if form == "pal8":
            indices = np.ascontiguousarray(SMALL[..., 0])
            frames = [av.VideoFrame.from_ndarray((row, PALETTE), format=form) for row in indices]
        else:
            frames = [picture(pixels, 0, Fraction(1, 25)).reformat(format=form) for pixels in SMALL]
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width = SMALL.shape[1:3]
            stream.pix_fmt, stream.codec_context.gop_size = form, 12
            stream.options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
            for t, frame in enumerate(frames):
                frame.pts = t
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"cannot be written: {error}")
    return path


@pytest.mark.parametrize("name", FORMS.split())
def test_pixels_are_the_same_in_any_order(tmp_path, name):
    path = write(tmp_path, name)
    in_order = np.array(decoded(path))
    with av.open(str(path)) as container:  # by PyAV's own conversion, which follows no matrix
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert in_order.shape == np.shape(expected) == (36, 24, 32, 3)
    assert np.abs(in_order.astype(int) - expected).mean((1, 2, 3)).max() < 40
    assert in_order.std() > 10
    if name.startswith("rawvideo") and "pal8" in name:
        assert np.array_equal(in_order, PALETTE[SMALL[..., 0]][..., 1:])
    frames = decoded(path)
    for t in [35, 0, 20, *range(35, -1, -1), *random_order(36)]:
        assert np.array_equal(frames[t], in_order[t]), t
    assert np.array_equal(decoded(path)[35], in_order[35])  # a jump before anything was read


@pytest.mark.parametrize("name", REFUSED.split())
def test_deep_and_unnamed_samples_are_refused(tmp_path, name):
    path = write(tmp_path, name)
    with refused("wrong-kind-of-file", file=path):
        decoded(path)


def test_ten_bits_are_rounded(tmp_path):
    flat = np.full((5, 48, 64, 3), 90, np.uint8)
    frames = decoded(encode(tmp_path / "a.mkv", "ffv1", flat, form="yuv420p10le"))
    assert np.abs(np.array(frames).astype(int) - 90).max() <= 2


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("matrix", "red", "blue"),
    [(2, 0.299, 0.114), (6, 0.299, 0.114), (1, 0.2126, 0.0722), (9, 0.2627, 0.0593)],
)
def test_colours_follow_the_stream_s_matrix_and_range(tmp_path, matrix, red, blue, full):
    """The formulas of BT.601, BT.709 and BT.2020, literally; matrix 2 is none: read as BT.601."""
    rgb = np.array([[200, 60, 30], [20, 180, 90], [40, 50, 220], [240, 240, 240], [10, 10, 10]])
    y = rgb @ [red, 1 - red - blue, blue]
    chroma = np.array([(rgb[:, 2] - y) / (2 - 2 * blue), (rgb[:, 0] - y) / (2 - 2 * red)])
    planes = [y, *(chroma + 128)] if full else [16 + y * 219 / 255, *(128 + chroma * 224 / 255)]
    frame = av.VideoFrame(80, 48, "yuv444p")
    for plane, values in zip(frame.planes, planes, strict=True):
        row = np.zeros(plane.line_size, np.uint8)
        row[:80] = np.rint(values).astype(np.uint8).repeat(16)
        plane.update(np.tile(row, 48).tobytes())
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 80, 48
        stream.pix_fmt, stream.options = "yuv444p", {"qp": "0"}
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1
        frame.colorspace, frame.color_range = matrix, 2 if full else 1
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert np.abs(decoded(tmp_path / "a.mkv")[0][24, 8::16].astype(int) - rgb).max() <= 3


def test_grey_is_the_luma_of_the_colours(video):
    colour, grey = decoded(video("h264.mp4")), decoded(video("h264.mp4"), channels=1)
    assert grey.shape == (40, 48, 64, 1)
    luma = np.array(colour) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(np.array(grey)[..., 0] - luma).max() <= 1
    assert not is_grey(video("h264.mp4"))


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_a_grey_video_keeps_its_levels(tmp_path, suffix):
    levels = SCENE[:, :, :, :1]
    path = encode(tmp_path / f"a{suffix}", "ffv1", levels.repeat(3, -1), form="gray")
    assert is_grey(path)
    assert np.array_equal(decoded(path, channels=1), levels)
    assert np.array_equal(decoded(path), levels.repeat(3, -1))


# --- upright

# Rotations as QuickTime defines them: x' = a x + c y + tx, y' = b x + d y + ty, with x to the right
# and y down.
TURNS = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)]
HALF = 0.5**0.5
OTHER_TURNS = [(HALF, HALF, -HALF, HALF), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0)]  # mirrored


def turned(path, matrix) -> Path:
    """A copy of a video with such a matrix in its track header: nine numbers, row by row; a, b and
    c, d begin the first two rows.
    """
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    one = 1 << 16
    assert struct.unpack_from(">9i", content, place) == (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    row, other = np.rint(np.reshape(matrix, (2, 2)) * one).astype(int).tolist()
    struct.pack_into(">9i", content, place, *row, 0, *other, 0, 0, 0, 1 << 30)
    path = path.with_stem("turned")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("turn", TURNS)
def test_the_picture_is_turned_as_the_matrix_says(tmp_path, turn, suffix):
    plain = encode(tmp_path / f"a{suffix}", "libx264", SCENE[:3])
    stored, path = np.array(decoded(plain)), turned(plain, turn)
    y, x = np.mgrid[:48, :64]
    to_x, to_y = turn[0] * x + turn[2] * y, turn[1] * x + turn[3] * y
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    expected = np.zeros((3, to_y.max() + 1, to_x.max() + 1, 3), np.uint8)
    expected[:, to_y, to_x] = stored[:, y, x]
    frames = decoded(path)
    assert np.array_equal(frames, expected)
    assert np.array_equal(expected, opencv(path))
    assert frames[0].flags["C_CONTIGUOUS"]
    assert decoded(path, channels=1)[2].shape == (*expected.shape[1:3], 1)


@pytest.mark.parametrize("turn", OTHER_TURNS)
def test_what_is_not_turned_by_quarters_is_refused(tmp_path, turn):
    path = turned(encode(tmp_path / "a.mp4", "libx264", SCENE[:3]), turn)
    with refused("wrong-kind-of-file", file=path):
        decoded(path)


@pytest.mark.parametrize("name", ["h264.mp4", "fragmented.mp4", "h264.mkv", "mpeg4.m4v"])
def test_irregular_times_come_back_exactly(tmp_path, name):
    codec, options = FORMATS[name]
    times = np.cumsum([0, *random.Random(0).choices([7, 20, 33, 40, 500], k=39)])
    path = encode(tmp_path / name, codec, rate=1000, times=times.tolist(), **options)
    frames = decoded(path)
    assert np.array_equal(frames.times, times / 1000)
    assert frames.fps == 39 / (times[-1] / 1000)
    in_order = np.array(frames)
    for t in random_order(40):
        assert np.array_equal(frames[t], in_order[t])


def test_an_edit_list_decides_what_is_shown(tmp_path, video):
    """A trimmed phone video: its first frames are in the file, declared, needed for decoding, and
    not shown.
    """
    content = bytearray(video("h264.mp4").read_bytes())
    place = content.index(b"elst") + 12
    start = struct.unpack_from(">I", content, place + 4)[0]
    struct.pack_into(">II", content, place, 800, start + 15 * 512)  # 0.8 s from frame 15 on
    path = tmp_path / "trimmed.mp4"
    path.write_bytes(content)
    frames = decoded(path)
    assert np.array_equal(frames, np.array(decoded(video("h264.mp4")))[15:35])
    assert np.array_equal(frames[7], decoded(path)[7])
    assert frames.times[0] == 0


def with_sound(path, is_film=True, has_cover=False):
    """A film or none, perhaps a cover picture, and sound that is longer."""
    tick = Fraction(1, 25)
    with av.open(str(path), "w") as container:
        if is_film:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height = 64, 48
        sound = container.add_stream("aac", rate=16000)
        sound.layout = "mono"
        if has_cover:
            cover = container.add_stream("mjpeg")
            cover.width, cover.height = 32, 24
            cover.pix_fmt = "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic.value
            container.mux(cover.encode(picture(SCENE[0, ::2, ::2], 0, tick)) + cover.encode(None))
        for t in range(60):
            if is_film and t < 40:
                container.mux(stream.encode(picture(SCENE[t], t, tick)))
            silence = np.zeros((1, 640), np.float32)
            samples = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 16000, 640 * t
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None) + (stream.encode(None) if is_film else []))
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi"])
def test_sound_is_left_aside(tmp_path, name):
    frames = decoded(with_sound(tmp_path / name))
    in_order = np.array(frames)
    assert_order_of_scene(in_order)
    for t in random_order(40):
        assert np.array_equal(frames[t], in_order[t])


def test_a_cover_picture_is_no_video(tmp_path):
    assert decoded(with_sound(tmp_path / "a.mp4", has_cover=True)).shape == (40, 48, 64, 3)
    path = with_sound(tmp_path / "b.mp4", is_film=False, has_cover=True)
    with refused("wrong-kind-of-file", file=path):
        decoded(path)


# --- the cache, changed files, copies, folders


def test_a_video_is_scanned_once(video, cache, tmp_path, opened):
    path = shutil.copy(video("h264.mp4"), tmp_path)
    opened.clear()  # the video may have been written just now
    first, again = decoded(path), decoded(path, channels=1)
    assert len(opened) == 2  # once for its header
    assert (again.shape[:3], again.fps) == (first.shape[:3], first.fps)
    assert np.array_equal(again.times, first.times)
    assert len(list((cache / "videos").iterdir())) == 1


def test_a_changed_file_is_another_one(cache, tmp_path):
    path = tmp_path / "a.avi"
    identities = []
    for count in (10, 7):
        path.write_bytes(avi([jpeg(frame) for frame in SCENE[:count]]))
        assert len(decoded(path)) == count
    for seconds in (1, 2):
        os.utime(path, ns=(1, seconds * 10**9))
        identities.append(decoded(path).identity())
    size = path.stat().st_size
    assert identities[0] == ["video", 1, str(path.resolve()), size, 10**9, 3]
    assert identities[1] == decoded(path).identity() != identities[0]
    assert decoded(path, channels=1).identity() != identities[1]


@pytest.mark.parametrize("change", ["removed", "touched", "shorter"])
def test_a_file_that_changes_while_it_is_read_is_named(video, tmp_path, change):
    path = Path(shutil.copy(video("h264.mkv"), tmp_path / "a.mkv"))
    frames, content = decoded(path), path.read_bytes()
    path.unlink()
    if change != "removed":
        path.write_bytes(content if change == "touched" else content[:-100])
        os.utime(path, ns=(1, 2))
    with refused("changed-file", file=path):
        frames[3]


def test_a_second_half_that_is_lost_without_a_trace_is_named(video, tmp_path):
    path = Path(shutil.copy(video("h264.mkv"), tmp_path / "a.mkv"))
    frames, stat = decoded(path), path.stat()
    path.write_bytes(path.read_bytes()[: stat.st_size // 2].ljust(stat.st_size, b"\0"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert frames[0].shape == (48, 64, 3)
    with refused("damaged-file", file=path):
        frames[39]
    assert frames[1].shape == (48, 64, 3)


def test_a_copy_starts_closed(video):
    frames = decoded(video("h264.mp4"))
    expected = frames[:]
    copy = pickle.loads(pickle.dumps(frames))
    assert copy.identity() == frames.identity()
    for t in (0, 30, 7):
        assert np.array_equal(copy[t], expected[t])
        assert np.array_equal(frames[t], expected[t])


def test_avenue_is_read_as_opencv_reads_it(real_data):
    path, length = real_data / "avenue" / "Avenue Dataset" / "testing_videos" / "21.avi", 76
    if not path.is_file():
        pytest.skip(f"no {path}")
    frames, expected = decoded(path), opencv(path)
    assert frames.shape == expected.shape == (length, 360, 640, 3)
    assert frames.fps == 25
    assert frames.times[-1] == (length - 1) / 25
    assert not is_grey(path)
    for t in [*range(length), *random_order(length)[:20]]:
        assert difference(frames[t], expected[t]) <= 2, t
