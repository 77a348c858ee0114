"""Video files that are cut off or damaged are refused, or come whole; never as a shorter video in
silence.
"""

import pickle
import re
import time

import av
import numpy as np
import pytest
from films import LFS_POINTER, SCENE, avi, decoded, encode, jpeg, opencv
from refusals import refused

from vadlib.data.decode import VideoFrames, is_grey
from vadlib.errors import InputError

# --- cut off and damaged

CUT = [
    "xvid.avi",
    "b-frames.avi",
    "mjpeg.avi",
    "h264.mp4",
    "faststart.mp4",
    "h264.mkv",
    "vp9.webm",
    "vp9.mp4",
]


def outcome(path, whole):
    """ "refused", or "same" if exactly the frames of the whole video came; anything else fails."""
    start = time.monotonic()
    try:
        frames = decoded(path)
        assert len(frames) == len(whole)
        assert np.array_equal(frames, whole)
        return "same"
    except InputError as error:
        assert error.file == path
        assert "\n" not in str(error)
        return "refused"
    finally:
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("name", CUT)
def test_a_video_cut_anywhere_is_refused_or_whole(video, name, tmp_path, cache, capfd):
    whole, content, path = (
        np.array(decoded(video(name))),
        video(name).read_bytes(),
        tmp_path / name,
    )
    tried = sorted(
        {*np.linspace(0, len(content) - 1, 40).astype(int), *range(len(content) - 20, len(content))}
    )
    outcomes = []
    for length in tried:
        path.write_bytes(content[:length])
        outcomes.append(outcome(path, whole))
    # An index or a title behind all frames may be lost without harm.
    assert outcomes.count("refused") >= 36
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["faststart.mp4", "vp9.mp4"])
def test_a_cut_between_two_frames_is_refused(video, name, tmp_path, cache):
    """Every frame that is left is whole, and the table of contents in front is, too."""
    content, path = video(name).read_bytes(), tmp_path / name
    with av.open(str(video(name))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert len(packets) == 40
    borders = sorted(packet.pos for packet in packets)
    for border in borders[1::6]:
        path.write_bytes(content[:border])
        with refused("damaged-file", file=path):
            decoded(path)


@pytest.mark.parametrize("name", ["faststart.mp4", "vp9.mp4"])
def test_a_last_frame_that_ends_in_zeros_is_refused(video, name, tmp_path, cache):
    """Its table of contents is in front and whole, and a VP9 decoder reads on through zeros."""
    content, path = video(name).read_bytes(), tmp_path / name
    for zeros in range(20, 200, 10):
        path.write_bytes(content[:-zeros] + bytes(zeros))
        with refused("damaged-file", file=path) as caught:
            decoded(path)
        assert "of 40" in str(caught.error)


@pytest.mark.parametrize("name", ["xvid.avi", "h264.mp4", "h264.mkv", "vp9.webm"])
def test_damage_of_any_byte_raises_nothing_but_input_error(video, name, tmp_path, cache):
    content, path = video(name).read_bytes(), tmp_path / name
    for position in np.linspace(0, len(content) - 1, 60).astype(int):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]
        )
        start = time.monotonic()
        try:
            np.array(decoded(path))
        except InputError as error:
            assert error.file == path
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("name", ["xvid.avi", "h264.mp4", "h264.mkv"])
def test_a_hole_in_a_frame_is_refused(video, name, tmp_path, cache):
    """Zeros in place of the second half of a packet, which is what a torrent or a bad disk leaves;
    few decode without complaint.
    """
    content, path = video(name).read_bytes(), tmp_path / name
    with av.open(str(video(name))) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size > 60]
    assert len(packets) >= 4
    count = 0
    for packet in packets:
        assert content.count(packet) == 1
        half = len(packet) // 2
        path.write_bytes(content.replace(packet, packet[:half] + bytes(len(packet) - half)))
        try:
            assert len(decoded(path)) == 40
        except InputError as error:
            assert (error.code, error.file) == ("damaged-file", path)
            count += 1
    assert count >= 0.75 * len(packets)


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_a_packet_that_gives_no_frame_is_missed(tmp_path, cache, codec):
    """Matroska counts no frames, MPEG-2 decoders pass over what they do not know, and PyAV passes
    over errors at the end.
    """
    path = encode(tmp_path / "a.mkv", codec)
    content = path.read_bytes()
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    for packet in (packets[0], packets[1], packets[20], packets[-1]):
        assert content.count(packet) == 1
        path.write_bytes(content.replace(packet, b"\xff" * len(packet)))
        with pytest.raises(InputError) as caught:
            decoded(path)
        assert caught.value.file == path
        # by whether the decoder complains
        assert caught.value.code in {"damaged-file", "frame-count"}


def boxes(content):
    """Where the top boxes of an MP4 begin: [(kind, position)]."""
    found, position = [], 0
    while position < len(content):
        found.append((content[position + 4 : position + 8], position))
        position += int.from_bytes(content[position : position + 4], "big")
    return found


def test_a_fragmented_mp4_cut_or_zeroed_within_its_fragments_is_refused(video, tmp_path, cache):
    whole, content, path = (
        np.array(decoded(video("fragmented.mp4"))),
        video("fragmented.mp4").read_bytes(),
        tmp_path / "a.mp4",
    )
    between = [position for kind, position in boxes(content) if kind in (b"moof", b"mfra")]
    assert len(between) > 3
    unseen = [position for kind, position in boxes(content) if kind in (b"moof", b"mfra")]
    for length in np.linspace(0, unseen[-1] - 1, 40).astype(int):
        if length not in unseen:  # there, nothing tells that more was to come
            path.write_bytes(content[:length])
            assert outcome(path, whole) == "refused"


def test_a_header_that_declares_more_frames_than_come_is_believed(tmp_path):
    pictures = [jpeg(frame) for frame in SCENE[:10]]
    path = tmp_path / "a.avi"
    path.write_bytes(avi(pictures))
    assert np.array_equal(decoded(path), opencv(path))
    path.write_bytes(avi(pictures, declared=12))
    with refused("frame-count", file=path) as caught:
        decoded(path)
    assert "10 of 12" in str(caught.error)
    # Two of three missing frames were dropped by the recorder, as their empty chunks say.
    path.write_bytes(avi([*pictures[:4], b"", b"", *pictures[4:]], declared=13))
    with refused("frame-count", file=path) as caught:
        decoded(path)
    assert "10 of 13" in str(caught.error)
    path.write_bytes(avi(pictures, declared=0))
    assert len(decoded(path)) == 10


@pytest.mark.parametrize("name", ["h264.mp4", "xvid.avi", "h264.mkv"])
@pytest.mark.parametrize("trailer", [bytes(5000), b"camera model X" * 20])
def test_what_cameras_append_is_no_damage(video, tmp_path, name, trailer):
    (tmp_path / name).write_bytes(video(name).read_bytes() + trailer)
    assert np.array_equal(decoded(tmp_path / name), decoded(video(name)))


def test_frames_that_change_their_size_are_refused_with_both_sizes(tmp_path):
    pictures = [jpeg(frame) for frame in SCENE[:6]] + [
        jpeg(frame[:24, :32]) for frame in SCENE[6:8]
    ]
    (tmp_path / "a.avi").write_bytes(avi(pictures))
    with refused("mixed-sizes", file=tmp_path / "a.avi") as caught:
        decoded(tmp_path / "a.avi")
    assert re.findall(r"\d+x\d+", str(caught.error)) == ["32x24", "64x48"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty-file"),
        (LFS_POINTER, "git-lfs-pointer"),
        (b"<html>404 not found</html>", "wrong-kind-of-file"),
        (b"#EXTM3U\n#EXTINF:10,\nother.mp4\n", "wrong-kind-of-file"),
        (b"1\n00:00:00,000 --> 00:00:01,000\nHello\n", "wrong-kind-of-file"),
        (pickle.dumps([1, 2]), "wrong-kind-of-file"),
        (bytes(5000), "wrong-kind-of-file"),
        (jpeg(SCENE[0]), "wrong-kind-of-file"),
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


@pytest.mark.parametrize("function", [VideoFrames, is_grey])
def test_a_file_that_is_not_there_is_named(tmp_path, function):
    for path in (tmp_path / "gone.mp4", tmp_path):
        with refused("missing-file", file=path):
            function(path)


def test_an_unknown_coding_is_named(video, tmp_path):
    content = video("xvid.avi").read_bytes()
    assert content.count(b"FMP4") == 2
    (tmp_path / "a.avi").write_bytes(content.replace(b"FMP4", b"QQQQ"))
    with refused("wrong-kind-of-file", file=tmp_path / "a.avi"):
        decoded(tmp_path / "a.avi")
