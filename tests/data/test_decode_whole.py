"""Whole video files that show fewer frames than they count: dropped frames, starts between key
frames, packets without a picture.
"""

import random

import av
import numpy as np
import pytest
from films import SCENE, avi, decoded, encode, jpeg, opencv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vadlib.data.check import check_dataset
from vadlib.errors import InputError

PICTURES = [jpeg(frame) for frame in SCENE]


def copy_packets(source, target, keep):
    """Write the packets n of a video for which `keep(n)` is true into another file, as recorders
    copy a camera's stream.
    """
    with av.open(str(source)) as film, av.open(str(target), "w") as out:
        stream = film.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for n, packet in enumerate(film.demux(stream)):
            if packet.size and keep(n):
                # Matroska does not store it
                packet.dts = packet.pts if packet.dts is None else packet.dts
                packet.stream = copy
                out.mux(packet)
    return target


def packets_of(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def assert_any_order(path, expected):
    """The video has these frames, however they are reached."""
    assert np.array_equal(decoded(path), expected)
    frames = decoded(path)
    order = random.Random(0).sample(range(len(expected)), len(expected))
    for t in [*range(len(expected) - 1, -1, -1), *order]:
        assert np.array_equal(frames[t], expected[t]), t


# --- frames that the recorder dropped


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.booleans(), min_size=1, max_size=40).filter(any))
def test_empty_chunks_are_dropped_frames_and_the_others_keep_their_times(tmp_path, there):
    path = tmp_path / "a.avi"
    path.write_bytes(
        avi([picture if kept else b"" for picture, kept in zip(PICTURES, there, strict=False)])
    )
    frames = decoded(path)
    places = np.flatnonzero(there)
    assert len(frames) == len(places)
    assert np.allclose(frames.times, (places - places[0]) / 25)
    assert frames.scan.skipped == ({"dropped-frames": there.count(False)} if not all(there) else {})
    assert np.array_equal(frames, opencv(path))


@pytest.mark.parametrize(
    "codec", ["mjpeg", "mpeg4", "ffv1", "libx264", "huffyuv", "msmpeg4v2", "libvpx"]
)
def test_a_rate_that_varies_in_avi_is_whole(tmp_path, codec):
    """The muxer writes empty chunks for the gaps. The last of 60 chunks, number 59, is one of them
    and is not written.
    """
    kept = [n for n in range(60) if n % 20 < 17]
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=25)
        stream.width, stream.height, stream.codec_context.max_b_frames = 64, 48, 0
        stream.pix_fmt = {"mjpeg": "yuvj420p", "huffyuv": "yuv422p"}.get(codec, "yuv420p")
        for n in kept:
            frame = av.VideoFrame.from_ndarray(
                np.full((48, 64, 3), 4 * n, np.uint8), format="rgb24"
            )
            frame.pts = n
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    frames = decoded(path)
    assert len(frames) == len(opencv(path)) == 51
    assert np.allclose(frames.times, np.array(kept) / 25)
    assert frames.scan.skipped == {"dropped-frames": 6}
    means = np.array(frames).mean((1, 2, 3))
    assert np.abs(means - 4 * np.array(kept)).max() < 6
    assert abs(frames[50].mean() - means[50]) == 0


def with_dropped_vops(packets, every):
    """After each `every` packets, one that says that a frame was dropped: a predicted VOP, whose
    bit `vop_coded` is 0.
    """
    dropped = b"\0\0\1\xb6" + bytes([0b01010000, 0b01011111])
    chunks = []
    for n, packet in enumerate(packets):
        chunks += [packet] + ([dropped] if n % every == every - 1 else [])
    return chunks


@pytest.mark.parametrize("every", [3, 7, 11])
def test_vops_that_are_not_coded_are_dropped_frames(tmp_path, every):
    packets = packets_of(encode(tmp_path / "plain.avi", "mpeg4", b_frames=0))
    chunks = with_dropped_vops(packets, every)
    path = tmp_path / "a.avi"
    path.write_bytes(avi(chunks).replace(b"MJPG", b"XVID"))
    frames = decoded(path)
    assert np.array_equal(frames, decoded(tmp_path / "plain.avi"))
    assert frames.scan.skipped == {"dropped-frames": len(chunks) - 40}
    places = [n for n, chunk in enumerate(chunks) if len(chunk) > 6]
    assert np.allclose(frames.times, np.array(places) / 25)


def packed(packets):
    """MPEG-4 as DivX packs it: the first B-frame comes with the frame that it needs, and a small
    packet takes its place.
    """
    kinds = [packet[packet.index(b"\0\0\1\xb6") + 4] >> 6 for packet in packets]  # 2 is a B-frame
    placeholder = b"\0\0\1\xb6" + bytes([0b01010000, 0b01011111])
    chunks = []
    for n, packet in enumerate(packets):
        if kinds[n] == 2 and kinds[n - 1] != 2:
            chunks[-1] += packet[packet.index(b"\0\0\1\xb6") :]
        else:
            chunks.append(packet)
        if kinds[n] == 2 and (n + 1 == len(packets) or kinds[n + 1] != 2):
            chunks.append(placeholder)
    first = chunks[0]
    start = first.index(b"\0\0\1\xb3")
    chunks[0] = first[:start] + b"\0\0\1\xb2DivX503b1393p" + first[start:]
    return chunks


@pytest.mark.parametrize("fourcc", [b"DX50", b"XVID", b"DIVX", b"FMP4"])
@pytest.mark.parametrize("b_frames", [1, 2])
def test_packed_b_frames_are_whole(tmp_path, b_frames, fourcc):
    plain = encode(tmp_path / "plain.avi", "mpeg4", b_frames=b_frames)
    path = tmp_path / "a.avi"
    path.write_bytes(avi(packed(packets_of(plain))).replace(b"MJPG", fourcc))
    whole = np.array(decoded(plain))
    frames = decoded(path)
    assert frames.scan.skipped == {}
    assert np.allclose(frames.times, np.arange(40) / 25)
    assert_any_order(path, whole)


# --- recordings that begin between two key frames

X264 = "keyint=12:min-keyint=6:bframes=3:scenecut=0"
X265 = "log-level=none:keyint=12:bframes=3"
STREAMS = {  # name: codec and how to encode
    "mpeg4": ("mpeg4", {"b_frames": 0}),
    "mpeg4 with B-frames": ("mpeg4", {"b_frames": 2}),
    "mpeg2": ("mpeg2video", {"b_frames": 2}),
    "mpeg1": ("mpeg1video", {"b_frames": 0}),
    "h264": ("libx264", {"options": {"x264-params": X264}}),
    "h264 with open groups": ("libx264", {"options": {"x264-params": f"{X264}:open-gop=1"}}),
    "h264 refreshed": ("libx264", {"options": {"x264-params": "keyint=12:intra-refresh=1"}}),
    "hevc": ("libx265", {"options": {"x265-params": f"{X265}:open-gop=0"}}),
    "hevc with open groups": ("libx265", {"options": {"x265-params": f"{X265}:open-gop=1"}}),
    "vp8": ("libvpx", {}),
    "vp9": ("libvpx-vp9", {}),
    "ffv1": ("ffv1", {}),
    "msmpeg4": ("msmpeg4", {}),
    "wmv2": ("wmv2", {}),
    "flv": ("flv", {}),
    "svq1": ("svq1", {"pix_fmt": "yuv410p"}),
    "qtrle": ("qtrle", {"pix_fmt": "rgb24"}),
}
CONTAINERS = {
    "mkv": [name for name in STREAMS if name not in ("wmv2", "flv", "svq1", "qtrle")],
    "mp4": [
        "mpeg4",
        "mpeg4 with B-frames",
        "mpeg2",
        "h264",
        "h264 with open groups",
        "hevc",
        "hevc with open groups",
        "vp9",
    ],
    "mov": ["mpeg4", "h264", "hevc", "svq1", "qtrle"],
    "avi": [
        "mpeg4",
        "mpeg4 with B-frames",
        "mpeg2",
        "h264",
        "h264 with open groups",
        "vp8",
        "wmv2",
        "flv",
        "svq1",
    ],
    "webm": ["vp8", "vp9"],
}


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    """(name, container) -> a whole film of 40 frames with a key frame each 12."""
    folder = tmp_path_factory.mktemp("streams")

    def get(name, container):
        path = folder / f"{name.replace(' ', '-')}.{container}"
        if not path.exists():
            codec, how = STREAMS[name]
            encode(path, codec, **how)
        return path

    return get


@pytest.mark.parametrize(
    ("container", "name"), [(c, name) for c, names in CONTAINERS.items() for name in names]
)
def test_a_start_between_key_frames_leaves_out_what_cannot_be_decoded(
    streams, tmp_path, container, name
):
    # Matroska stores one time a packet, which is too few to copy reordered frames from.
    source = streams(
        name, "mp4" if container == "mkv" and name.startswith(("h264", "hevc")) else container
    )
    whole = np.array(decoded(source))
    for first in (1, 5, 11, 14):
        path = copy_packets(
            source, tmp_path / f"{first}.{container}", lambda n, first=first: n >= first
        )
        frames = decoded(path)
        # All frames from a key frame on come, exactly: nothing grey before them, nothing missing
        # behind them.
        least = 5 if name == "h264 refreshed" else 12  # refreshing takes a whole group of pictures
        assert least <= len(frames) <= 40 - first
        assert_any_order(path, whole[40 - len(frames) :])
        assert frames.times[0] == 0
        assert frames.scan.skipped["no-key-frame"] > 0
        assert set(frames.scan.skipped) <= {"no-key-frame", "dropped-frames"}


FIRST_FRAMES = [
    *(("mkv", name) for name in CONTAINERS["mkv"]),
    ("avi", "mpeg4"),
    ("avi", "h264"),
    ("mp4", "h264"),
]


@pytest.mark.parametrize(("container", "name"), FIRST_FRAMES)
@pytest.mark.parametrize("damage", ["ones", "zeros", "half"])
def test_a_damaged_first_key_frame_is_no_start_between_key_frames(
    streams, tmp_path, container, name, damage
):
    source = streams(name, container)
    content, first = source.read_bytes(), packets_of(source)[0]
    assert content.count(first) == 1
    half = len(first) // 2
    bad = {
        "ones": b"\xff" * len(first),
        "zeros": bytes(len(first)),
        "half": first[:half] + bytes(len(first) - half),
    }[damage]
    path = tmp_path / f"a.{container}"
    path.write_bytes(content.replace(first, bad))
    try:
        frames = decoded(path)
    except InputError as error:
        assert error.file == path
        assert error.code in ("damaged-file", "frame-count")
    else:
        # what decodes without complaint cannot be told from another picture
        assert len(frames) == 40
        assert frames.scan.skipped == {}


@pytest.mark.parametrize(
    "name", ["h264", "h264 with open groups", "h264 refreshed", "hevc", "vp9", "mpeg2", "mpeg4"]
)
def test_a_frame_that_is_missing_later_is_missed_all_the_same(streams, tmp_path, name):
    """The start is between key frames, and a packet in the second group of pictures is destroyed,
    too.
    """
    source = streams(name, "mkv" if name == "mpeg2" else "mp4")
    path = copy_packets(source, tmp_path / "a.mkv", lambda n: n >= 3)
    content, packet = path.read_bytes(), packets_of(path)[28]
    assert content.count(packet) == 1
    path.write_bytes(content.replace(packet, b"\xff" * len(packet)))
    with pytest.raises(InputError) as caught:
        decoded(path)
    assert caught.value.file == path
    assert caught.value.code in ("damaged-file", "frame-count")


# --- packets without a picture


@pytest.mark.parametrize(
    ("name", "kinds", "unit"),
    [("h264.mp4", 31, bytes([9, 0xF0])), ("hevc.mp4", 63 << 1, bytes([35 << 1, 1, 0x50]))],
)
def test_packets_of_headers_only_are_no_frames(video, tmp_path, name, kinds, unit):
    """Recorders of network cameras store delimiters and parameter sets as samples of their own."""
    path = tmp_path / "a.mkv"
    with av.open(str(video(name))) as film, av.open(str(path), "w") as out:
        stream = film.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for n, packet in enumerate(packet for packet in film.demux(stream) if packet.size):
            if n in (0, 13, 25):
                extra = av.Packet(len(unit).to_bytes(4, "big") + unit)
                extra.pts, extra.dts, extra.time_base, extra.stream = (
                    packet.pts,
                    packet.dts,
                    packet.time_base,
                    copy,
                )
                out.mux(extra)
            packet.stream = copy
            out.mux(packet)
    assert len(packets_of(path)) == 43
    frames = decoded(path)
    assert frames.scan.skipped == {}
    assert np.array_equal(frames, decoded(video(name)))


# --- they are noted


def test_the_check_notes_what_is_skipped(tmp_path, streams):
    root = tmp_path / "root"
    root.mkdir()
    (root / "dropped.avi").write_bytes(avi([*PICTURES[:20], b"", b"", *PICTURES[20:]]))
    copy_packets(streams("mpeg4", "mp4"), root / "late.mp4", lambda n: n >= 5)
    report = check_dataset("folder", root, progress=False)
    assert report["problems"] == []
    notes = {(entry["code"], entry["where"].split(": ")[0]) for entry in report["notes"]}
    assert notes == {
        ("dropped-frames", str(root / "dropped.avi")),
        ("no-key-frame", str(root / "late.mp4")),
    }
