"""Video files that are cut off or damaged are refused, or come whole; never as a shorter video in
silence. Whole files that show fewer frames than they count are read, and say so.
"""

import random
import time

import av
import films
import numpy as np
import pytest
from films import SCENE, avi, decoded, encode, jpeg, opencv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import refused

from vadlib.data.check import check_dataset
from vadlib.data.decode import VideoFrames, is_grey
from vadlib.errors import InputError

PICTURES = [jpeg(frame) for frame in SCENE]


def is_refused(path, whole):
    """True if the file is refused as damaged, False if exactly the whole video comes."""
    start = time.monotonic()
    try:
        frames = decoded(path)
        assert len(frames) == len(whole)
        assert np.array_equal(frames, whole)
    except InputError as error:
        assert error.file == path
        assert error.code in ("damaged-file", "frame-count", "empty-file", "wrong-kind-of-file")
        assert "\n" not in str(error)
        return True
    finally:
        assert time.monotonic() - start < 5
    return False


def replaced(path, source, number, bad):
    """A copy of a film whose packet of this number is replaced by other bytes."""
    content, packet = source.read_bytes(), films.packets_of(source)[number]
    assert content.count(packet) == 1
    path.write_bytes(content.replace(packet, bad(packet)))
    return path


DAMAGE = {
    "ones": lambda packet: b"\xff" * len(packet),
    "zeros": lambda packet: bytes(len(packet)),
    "half": lambda packet: packet[: len(packet) // 2] + bytes(len(packet) - len(packet) // 2),
}


CUT = "xvid.avi b-frames.avi mjpeg.avi h264.mp4 faststart.mp4 fragmented.mp4 h264.mkv hevc.mkv"
CUT += " vp8.webm vp9.webm vp9.mp4"


@pytest.mark.parametrize("name", CUT.split())
def test_a_video_cut_anywhere_is_refused_or_whole(video, name, tmp_path, cache, capfd):
    whole, content = np.array(decoded(video(name))), video(name).read_bytes()
    path = tmp_path / name
    end = len(content)
    lengths = {*np.linspace(0, end - 1, 40).astype(int), *range(end - 20, end)}
    if name == "fragmented.mp4":  # between two fragments, nothing tells that more was to come
        lengths -= {content.find(b"moof", place) - 4 for place in range(end)}
        lengths = {length for length in lengths if length < content.rindex(b"mfra") - 4}
    refusals = 0
    for length in sorted(lengths):
        path.write_bytes(content[:length])
        refusals += is_refused(path, whole)
    # An index or a title behind all frames may be lost without harm.
    assert refusals >= 36
    for place in np.linspace(0, end - 1, 60).astype(int):  # damage of a byte may go unnoticed
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            np.array(decoded(path))
        except InputError as error:
            assert error.file == path
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["faststart.mp4", "vp9.mp4"])
def test_a_cut_between_two_frames_or_zeros_at_the_end_are_refused(video, name, tmp_path, cache):
    """The table of contents in front is whole, and a VP9 decoder reads on through zeros."""
    content, path = video(name).read_bytes(), tmp_path / name
    with av.open(str(video(name))) as container:
        borders = sorted(packet.pos for packet in container.demux(video=0) if packet.size)
    damaged = [content[:border] for border in borders[1::6]]
    damaged += [content[:-zeros] + bytes(zeros) for zeros in range(20, 200, 10)]
    for bad in damaged:
        path.write_bytes(bad)
        with refused("damaged-file", file=path):
            decoded(path)


@pytest.mark.parametrize("name", ["xvid.avi", "h264.mp4", "h264.mkv", "hevc.mp4", "vp8.webm"])
def test_a_hole_in_a_frame_is_refused(video, name, tmp_path, cache):
    """Zeros in place of the second half of a packet, which is what a torrent or a bad disk leaves;
    few decode without complaint.
    """
    numbers = [n for n, packet in enumerate(films.packets_of(video(name))) if len(packet) > 130]
    assert len(numbers) >= 4
    refusals = 0
    for n in numbers:
        path = replaced(tmp_path / name, video(name), n, DAMAGE["half"])
        try:
            assert len(decoded(path)) == 40
        except InputError as error:
            assert error.code in ("damaged-file", "frame-count")
            refusals += 1
    assert refusals >= 0.75 * len(numbers)


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264", "libx265"])
@pytest.mark.parametrize("number", [0, 1, 20, 39])
def test_a_packet_that_gives_no_frame_is_missed(tmp_path, cache, codec, number):
    """Matroska counts no frames, MPEG-2 decoders pass over what they do not know, and PyAV passes
    over errors at the end.
    """
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    source = encode(tmp_path / "a.mkv", codec, options=options)
    path = replaced(tmp_path / "b.mkv", source, number, DAMAGE["ones"])
    assert is_refused(path, ())


@pytest.mark.parametrize("suffix", [".avi", ".mov", ".mkv", ".mp4"])
@pytest.mark.parametrize("cut", ["zeros", "end marker"])
def test_a_jpeg_that_is_cut_within_a_video_is_refused(tmp_path, suffix, cut):
    """Decoders fill the rest of the picture with grey."""

    def bad(packet):
        part = len(packet) * 3 // 4
        end = b"\xff\xd9" if cut == "end marker" else b""
        return (packet[:part] + end).ljust(len(packet), b"\0")

    source = encode(tmp_path / f"a{suffix}", "mjpeg", SCENE[:6], form="yuvj420p")
    path = replaced(tmp_path / f"b{suffix}", source, 3, bad)
    with refused("damaged-file", file=path):
        decoded(path)


def test_bytes_behind_the_jpegs_of_a_video_are_no_damage(tmp_path):
    (tmp_path / "a.avi").write_bytes(avi(PICTURES[:4]))
    paddings = [bytes(500), b"\xff" * 9, b"\xff\xd9", b"\xff\xda and more"]
    padded = [picture + padding for picture, padding in zip(PICTURES, paddings, strict=False)]
    (tmp_path / "b.avi").write_bytes(avi(padded))
    assert np.array_equal(decoded(tmp_path / "b.avi"), decoded(tmp_path / "a.avi"))


@pytest.mark.parametrize(
    ("chunks", "declared"),
    # Of three missing frames, two were dropped by the recorder, as their empty chunks say.
    [(PICTURES[:10], 12), ([*PICTURES[:4], b"", b"", *PICTURES[4:10]], 13)],
)
def test_a_header_that_declares_more_frames_than_come_is_believed(tmp_path, chunks, declared):
    path = tmp_path / "a.avi"
    path.write_bytes(avi(chunks, declared=declared))
    with refused("frame-count", file=path):
        decoded(path)
    path.write_bytes(avi(PICTURES[:10], declared=0))
    assert np.array_equal(decoded(path), opencv(path))


@pytest.mark.parametrize("name", ["h264.mp4", "fragmented.mp4", "xvid.avi", "h264.mkv"])
@pytest.mark.parametrize("trailer", [bytes(5000), b"camera model X" * 20])
def test_what_cameras_append_is_no_damage(video, tmp_path, name, trailer):
    (tmp_path / name).write_bytes(video(name).read_bytes() + trailer)
    assert np.array_equal(decoded(tmp_path / name), decoded(video(name)))


def test_frames_that_change_their_size_are_refused(tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(avi([*PICTURES[:6], *[jpeg(frame[:24, :32]) for frame in SCENE[6:8]]]))
    with refused("mixed-sizes", file=path):
        decoded(path)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty-file"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 12345\n", "git-lfs-pointer"),
        (b"#EXTM3U\n#EXTINF:10,\nother.mp4\n", "wrong-kind-of-file"),
        (PICTURES[0], "wrong-kind-of-file"),
        (avi([])[:12], "damaged-file"),
        (avi([]), "damaged-file"),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_what_is_no_video_is_named_for_what_it_is(tmp_path, name, content, code):
    (tmp_path / name).write_bytes(content)
    for function in (VideoFrames, is_grey)[: 1 if code == "damaged-file" else 2]:
        with refused(code, file=tmp_path / name):
            function(tmp_path / name)
        for path in (tmp_path / "gone.mp4", tmp_path):
            with refused("missing-file", file=path):
                function(path)


def test_an_unknown_coding_is_named(video, tmp_path):
    content = video("xvid.avi").read_bytes()
    assert content.count(b"FMP4") == 2
    (tmp_path / "a.avi").write_bytes(content.replace(b"FMP4", b"QQQQ"))
    with refused("wrong-kind-of-file", file=tmp_path / "a.avi"):
        decoded(tmp_path / "a.avi")


# --- frames that the recorder dropped


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.booleans(), max_size=39))
def test_empty_chunks_are_dropped_frames_and_the_others_keep_their_times(tmp_path, there):
    path = tmp_path / "a.avi"
    there = [*there, True]
    chunks = [PICTURES[n] if is_there else b"" for n, is_there in enumerate(there)]
    path.write_bytes(avi(chunks))
    frames = decoded(path)
    places = np.flatnonzero(there)
    assert np.allclose(frames.times, (places - places[0]) / 25)
    assert frames.scan.skipped == ({} if all(there) else {"dropped-frames": there.count(False)})
    assert np.array_equal(frames, opencv(path))


# a predicted VOP of MPEG-4 that says that its frame was not coded: its bit `vop_coded` is 0
EMPTY_VOP = b"\0\0\1\xb6" + bytes([0b01010000, 0b01011111])


def test_vops_that_are_not_coded_are_dropped_frames(tmp_path):
    plain, path = encode(tmp_path / "plain.avi", "mpeg4", b_frames=0), tmp_path / "a.avi"
    chunks = []
    for n, packet in enumerate(films.packets_of(plain)):
        chunks += [packet, EMPTY_VOP] if n % 7 == 6 else [packet]
    path.write_bytes(avi(chunks).replace(b"MJPG", b"XVID"))
    frames = decoded(path)
    assert np.array_equal(frames, decoded(plain))
    assert frames.scan.skipped == {"dropped-frames": len(chunks) - 40}
    places = [n for n, chunk in enumerate(chunks) if len(chunk) > 6]
    assert np.allclose(frames.times, np.array(places) / 25)


def packed(packets):
    """MPEG-4 as DivX packs it: the first B-frame comes with the frame that it needs, and a small
    packet takes its place.
    """
    is_b = [packet[packet.index(b"\0\0\1\xb6") + 4] >> 6 == 2 for packet in packets]
    chunks = []
    for n, packet in enumerate(packets):
        if is_b[n] and not is_b[n - 1]:
            chunks[-1] += packet[packet.index(b"\0\0\1\xb6") :]
        else:
            chunks.append(packet)
        if is_b[n] and not any(is_b[n + 1 : n + 2]):
            chunks.append(EMPTY_VOP)
    return [chunks[0].replace(b"\0\0\1\xb3", b"\0\0\1\xb2DivX503b1393p\0\0\1\xb3"), *chunks[1:]]


@pytest.mark.parametrize("fourcc", [b"DX50", b"XVID"])
@pytest.mark.parametrize("b_frames", [1, 2])
def test_packed_b_frames_are_whole(tmp_path, b_frames, fourcc):
    plain = encode(tmp_path / "plain.avi", "mpeg4", b_frames=b_frames)
    path = tmp_path / "a.avi"
    path.write_bytes(avi(packed(films.packets_of(plain))).replace(b"MJPG", fourcc))
    frames = decoded(path)
    assert frames.scan.skipped == {}
    assert np.allclose(frames.times, np.arange(40) / 25)
    assert_any_order(path, np.array(decoded(plain)))


# --- recordings that begin between two key frames (cases/02)

STREAMS = {  # name: codec and how to encode
    "mpeg4": ("mpeg4", {"b_frames": 0}),
    "mpeg4-b": ("mpeg4", {"b_frames": 2}),
    "mpeg2": ("mpeg2video", {"b_frames": 2}),
    "h264": ("libx264", {"options": {"x264-params": films.X264}}),
    "h264-open": ("libx264", {"options": {"x264-params": f"{films.X264}:open-gop=1"}}),
    "h264-refreshed": ("libx264", {"options": {"x264-params": "keyint=12:intra-refresh=1"}}),
    "hevc": ("libx265", {"options": {"x265-params": f"{films.X265}:open-gop=0"}}),
    "hevc-open": ("libx265", {"options": {"x265-params": f"{films.X265}:open-gop=1"}}),
    "vp8": ("libvpx", {}),
    "vp9": ("libvpx-vp9", {}),
    "ffv1": ("ffv1", {}),
    "wmv2": ("wmv2", {}),
}
LATE = {
    "mkv": [name for name in STREAMS if name != "wmv2"],
    "mp4": ["mpeg4", "mpeg4-b", "mpeg2", "h264", "h264-open", "hevc", "hevc-open", "vp9"],
    "avi": ["mpeg4", "mpeg4-b", "h264", "h264-open", "vp8", "wmv2"],
}
ALL_LATE = [(container, name) for container, names in LATE.items() for name in names]


def film_of(folder, name, container):
    """A whole film of 40 frames with a key frame each 12."""
    codec, options = STREAMS[name]
    return encode(folder / f"{name}.{container}", codec, **options)


def assert_any_order(path, expected):
    """The video has these frames, however they are reached."""
    assert np.array_equal(decoded(path), expected)
    frames = decoded(path)
    order = random.Random(0).sample(range(len(expected)), len(expected))
    for t in [*range(len(expected) - 1, -1, -1), *order]:
        assert np.array_equal(frames[t], expected[t]), t


@pytest.mark.parametrize(("container", "name"), ALL_LATE)
def test_a_start_between_key_frames_leaves_out_what_cannot_be_decoded(tmp_path, container, name):
    # Matroska stores one time a packet, which is too few to copy reordered frames from.
    is_reordered = container == "mkv" and name.startswith(("h264", "hevc"))
    source = film_of(tmp_path, name, "mp4" if is_reordered else container)
    whole = np.array(decoded(source))
    for first in (1, 5, 11, 14):
        path = films.copy_packets(source, tmp_path / f"{first}.{container}", first)
        frames = decoded(path)
        # All frames from a key frame on come, exactly: nothing grey before them, nothing missing
        # behind them.
        least = 5 if name == "h264-refreshed" else 12  # refreshing takes a whole group of pictures
        assert least <= len(frames) <= 40 - first
        assert_any_order(path, whole[40 - len(frames) :])
        assert frames.times[0] == 0
        assert frames.scan.skipped["no-key-frame"] > 0


@pytest.mark.parametrize(("container", "name"), [late for late in ALL_LATE if "ffv1" not in late])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_first_key_frame_is_no_start_between_key_frames(
    tmp_path, container, name, damage
):
    path = replaced(
        tmp_path / f"a.{container}", film_of(tmp_path, name, container), 0, DAMAGE[damage]
    )
    try:
        frames = decoded(path)
    except InputError as error:
        assert error.file == path
        assert error.code in ("damaged-file", "frame-count")
    else:
        # what decodes without complaint cannot be told from another picture
        assert len(frames) == 40
        assert frames.scan.skipped == {}


@pytest.mark.parametrize("name", ["h264", "h264-open", "h264-refreshed", "hevc", "vp9", "mpeg4"])
def test_a_frame_that_is_missing_later_is_missed_all_the_same(tmp_path, name):
    """The start is between key frames, and a packet in the second group of pictures is destroyed,
    too.
    """
    late = films.copy_packets(film_of(tmp_path, name, "mp4"), tmp_path / "late.mkv", 3)
    assert is_refused(replaced(tmp_path / "a.mkv", late, 28, DAMAGE["ones"]), ())


def test_the_check_notes_what_is_skipped(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "dropped.avi").write_bytes(avi([*PICTURES[:20], b"", b"", *PICTURES[20:]]))
    films.copy_packets(film_of(tmp_path, "mpeg4", "mp4"), root / "late.mp4", 5)
    report = check_dataset("folder", root, progress=False)
    assert report["problems"] == []
    notes = {(entry["code"], entry["where"].split(": ")[0]) for entry in report["notes"]}
    assert notes == {
        ("dropped-frames", str(root / "dropped.avi")),
        ("no-key-frame", str(root / "late.mp4")),
    }
