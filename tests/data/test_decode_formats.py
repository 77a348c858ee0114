"""Every pixel format that can be written here: the same pixels however a frame is reached, and what
8 bits leave of deeper ones.
"""

import random

import av
import numpy as np
import pytest
from films import SCENE, avi, decoded, encode, jpeg
from refusals import refused

from vadlib.data.check import check_dataset

SMALL = np.ascontiguousarray(SCENE[:36, ::2, ::2])  # 24 x 32 pixels; jumps of 16 frames and more
PALETTE = np.array([[255, v, 3 * v % 256, 255 - v] for v in range(256)], np.uint8)  # ARGB
# Encoders whose decoders keep something from frame to frame, or whose containers keep something
# beside the frames, come with all of their formats; of the others, each pixel format is tried once.
STATEFUL = "rawvideo.avi rawvideo.mov msrle.avi zmbv.avi qtrle.mov png.mov gif.mov cinepak.avi"
STATEFUL += " flashsv.avi msvideo1.avi rpza.mov svq1.mov"
OTHERS = "ffv1.mkv jpeg2000.mov tiff.mov dpx.mov sgi.mov targa.mov ffvhuff.avi magicyuv.avi"
OTHERS += " utvideo.avi r10k.mov prores_ks.mov mjpeg.avi libx264.mp4 libx265.mp4 libvpx-vp9.mkv"
OTHERS += " y41p.avi libx264rgb.mkv"
RAW = "pal8 gray bgr24 bgra rgb555le yuyv422 uyvy422 rgb24 monow monob argb rgb565le"
# libavcodec 62 decodes them differently each time
UNRELIABLE = {"grayf16le", "gbrpf16le", "yaf16le"}
REFUSED = {"gbrpf32le"}  # floating point


def formats():
    """(codec, ending, pixel format) of all films to be tried."""
    tried, films = set(), []
    for name in [*STATEFUL.split(), *OTHERS.split()]:
        codec, suffix = name.split(".")
        try:
            known = [form.name for form in av.codec.Codec(codec, "w").video_formats or []]
        except av.codec.codec.UnknownCodecError:
            continue
        for form in known or RAW.split():
            if name in STATEFUL.split() or form not in tried | UNRELIABLE | REFUSED:
                films.append((codec, f".{suffix}", form))
        tried |= set(known)
    return films


def write(path, codec, form):
    """`SMALL` in a pixel format; its red channel where the format has a palette."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 24, 32, form
        stream.codec_context.gop_size = 12
        stream.options = (
            {"strict": "-2", "x265-params": "log-level=none"}
            if codec == "libx265"
            else {"strict": "-2"}
        )
        for t, pixels in enumerate(SMALL):
            if form == "pal8":
                frame = av.VideoFrame.from_ndarray(
                    (np.ascontiguousarray(pixels[..., 0]), PALETTE), format=form
                )
            else:
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=form)
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize(("codec", "suffix", "form"), formats())
def test_pixels_are_the_same_in_any_order(tmp_path, codec, suffix, form):
    path = tmp_path / f"a{suffix}"
    try:
        write(path, codec, form)
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"cannot be written: {error}")
    in_order = np.array(decoded(path))
    with av.open(str(path)) as container:  # by PyAV's own conversion
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert in_order.shape == np.shape(expected) == (36, 24, 32, 3)
    # The conversion to RGB may differ, as PyAV's follows no matrix; frames that are swapped or
    # black differ by more.
    own = np.abs(in_order.astype(int) - expected).mean((1, 2, 3))
    assert own.max() < 40
    assert in_order.std() > 10
    frames = decoded(path)
    for t in [35, 0, 20, *range(35, -1, -1), *random.Random(0).choices(range(36), k=20)]:
        assert np.array_equal(frames[t], in_order[t]), t
    for t in (35, 18, 1):
        assert np.array_equal(decoded(path)[t], in_order[t])  # a jump before anything was read


@pytest.mark.parametrize("form", ["yuv420p", "nv12", "rgb48le"])
def test_raw_samples_whose_layout_is_not_told_are_named(tmp_path, form):
    """QuickTime has no name for these; the file is no damaged one."""
    write(tmp_path / "a.mov", "rawvideo", form)
    with refused("wrong-kind-of-file", file=tmp_path / "a.mov"):
        decoded(tmp_path / "a.mov")


@pytest.mark.parametrize("suffix", [".avi", ".mov"])
def test_a_palette_survives_a_jump(tmp_path, suffix):
    write(tmp_path / f"a{suffix}", "rawvideo", "pal8")
    expected = PALETTE[SMALL[..., 0]][..., 1:]
    assert np.array_equal(decoded(tmp_path / f"a{suffix}")[35], expected[35])
    assert np.array_equal(decoded(tmp_path / f"a{suffix}"), expected)


# --- JPEGs that are cut within a video


@pytest.mark.parametrize("suffix", [".avi", ".mov", ".mkv", ".mp4"])
@pytest.mark.parametrize("cut", ["zeros", "end marker", "all zeros behind the header"])
def test_a_jpeg_that_is_cut_within_a_video_is_refused(tmp_path, suffix, cut):
    """Decoders fill the rest of the picture with grey."""
    path = encode(tmp_path / f"a{suffix}", "mjpeg", SCENE[:6], pix_fmt="yuvj420p")
    with av.open(str(path)) as container:
        packet = [bytes(packet) for packet in container.demux(video=0)][3]
    content = path.read_bytes()
    assert content.count(packet) == 1
    scan, half = packet.index(b"\xff\xda") + 14, len(packet) * 3 // 4
    bad = {
        "zeros": packet[:half] + bytes(len(packet) - half),
        "end marker": packet[:half] + b"\xff\xd9" + bytes(len(packet) - half - 2),
        "all zeros behind the header": packet[:scan] + bytes(len(packet) - scan),
    }[cut]
    path.write_bytes(content.replace(packet, bad))
    with refused("damaged-file", file=path):
        decoded(path)


@pytest.mark.parametrize(
    "padding",
    [b"\0", bytes(500), b"\xff" * 9, b"\xff\xd9", b"\xff\xda and more", b"\r\n--boundary"],
)
def test_bytes_behind_the_jpegs_of_a_video_are_no_damage(tmp_path, padding):
    pictures = [jpeg(frame) for frame in SCENE[:6]]
    (tmp_path / "a.avi").write_bytes(avi(pictures))
    (tmp_path / "b.avi").write_bytes(avi([picture + padding for picture in pictures]))
    assert np.array_equal(decoded(tmp_path / "b.avi"), decoded(tmp_path / "a.avi"))


# --- deep samples


def write_deep(path, codec, form, low, high):
    """A film of noise between two values of the format's own scale."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = 64, 48, form, {"strict": "-2"}
        for t in range(3):
            frame = av.VideoFrame(64, 48, form)
            for plane in frame.planes:
                if "f32" in form:
                    values = rng.uniform(low, high, plane.buffer_size // 4).astype("<f4")
                else:
                    order = "<" if form.endswith("le") else ">"
                    values = rng.integers(low, high, plane.buffer_size // 2, endpoint=True).astype(
                        f"{order}u2"
                    )
                plane.update(values.tobytes())
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


DEEP = [
    ("ffv1", ".mkv", "gray16le", 1 << 16),
    ("ffv1", ".avi", "gray16le", 1 << 16),
    ("png", ".mov", "gray16be", 1 << 16),
    ("png", ".mov", "rgb48be", 1 << 16),
    ("png", ".mov", "ya16be", 1 << 16),
    ("tiff", ".mov", "gray16le", 1 << 16),
    ("jpegls", ".avi", "gray16le", 1 << 16),
    ("jpeg2000", ".mov", "gray16le", 1 << 16),
    ("ffv1", ".mkv", "yuv420p16le", 1 << 16),
    ("ffv1", ".mkv", "gray14le", 1 << 14),
    ("ffv1", ".mkv", "gbrp14le", 1 << 14),
    ("ffv1", ".mkv", "gray12le", 1 << 12),
    ("ffv1", ".mkv", "yuv422p12le", 1 << 12),
    ("ffv1", ".mkv", "gray10le", 1 << 10),
]


@pytest.mark.parametrize(("codec", "suffix", "form", "top"), DEEP)
def test_deep_video_that_8_bits_would_empty_is_refused(tmp_path, codec, suffix, form, top):
    """Values between 30% and 32%: five or six levels would be left."""
    path = write_deep(tmp_path / f"a{suffix}", codec, form, int(0.3 * top), int(0.32 * top))
    with refused("wrong-kind-of-file", file=path):
        decoded(path)


@pytest.mark.parametrize(("codec", "suffix", "form", "top"), DEEP)
def test_deep_video_that_uses_its_range_is_rounded(tmp_path, codec, suffix, form, top):
    path = write_deep(tmp_path / f"a{suffix}", codec, form, 0, top // 2)
    frames = decoded(path)
    assert frames.scan.bits == top.bit_length() - 1
    assert 127 <= frames.scan.levels <= 130
    assert len(np.unique(frames)) >= 100


@pytest.mark.parametrize("form", ["gray16le", "yuv420p10le", "gray12le", "rgb48le"])
def test_a_deep_video_of_one_colour_loses_nothing(tmp_path, form):
    flat = np.full((5, 48, 64, 3), 90, np.uint8)
    frames = decoded(encode(tmp_path / "a.mkv", "ffv1", flat, pix_fmt=form))
    assert np.abs(np.array(frames).astype(int) - 90).max() <= 2
    assert frames.scan.levels <= 2


def test_the_check_notes_rounded_pixels(tmp_path):
    write_deep(tmp_path / "a.mkv", "ffv1", "gray16le", 0, 1 << 14)
    report = check_dataset("folder", tmp_path, progress=False)
    assert [
        entry["where"].split(": ")[0] for entry in report["notes"] if entry["code"] == "deep-pixels"
    ] == [str(tmp_path / "a.mkv")]
