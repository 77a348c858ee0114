"""Frames become a video that other programs read."""

import av
import cv2
import numpy as np
import pytest
from refusals import refused
from trees import scene

from vadlib.data.decode import VideoFrames
from vadlib.data.encode import write_video


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(48, 64), (49, 65)])
def test_a_video_comes_back_by_another_library(tmp_path, channels, size):
    [(frames, _)] = scene(1, 30, size=size)
    write_video(tmp_path / "a.mp4", frames[..., :channels], 12.5)
    capture, found = cv2.VideoCapture(str(tmp_path / "a.mp4")), []
    while (read := capture.read())[0]:
        found.append(read[1][..., ::-1])
    assert np.shape(found) == (30, 48, 64, 3)  # an odd side is cut by a pixel
    assert np.abs(np.int16(found) - frames[:, :48, :64]).mean() < 4
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert (container.streams.video[0].codec_context.name, container.streams.video[0].codec_context.pix_fmt) == ("h264", "yuv420p")
    assert (len(VideoFrames(tmp_path / "a.mp4")), VideoFrames(tmp_path / "a.mp4").fps) == (30, 12.5)


def test_frames_may_come_one_by_one(tmp_path):
    write_video(tmp_path / "a.mp4", (np.full((16, 16, 1), 10 * t, np.uint8) for t in range(20)), 10)
    levels = VideoFrames(tmp_path / "a.mp4", 1)[:].mean((1, 2, 3))
    assert np.abs(levels - 10 * np.arange(20)).max() < 4


def test_the_same_frames_give_the_same_file(tmp_path):
    """x264's default does not, on processors with AVX-512: a film written again would be another training set."""
    [(frames, _)] = scene(1, 120, size=(160, 240))
    for number in range(6):
        write_video(tmp_path / f"{number}.mp4", frames, 10)
    assert len({(tmp_path / f"{number}.mp4").read_bytes() for number in range(6)}) == 1


@pytest.mark.parametrize(
    ("name", "frames", "fps", "code", "field"),
    [
        ("a.avi", np.zeros((2, 8, 8, 3), np.uint8), 10, "wrong-kind-of-file", ""),
        ("a.mp4", [], 10, "too-few", "frames"),
        ("a.mp4", [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 10, 3), np.uint8)], 10, "mixed-sizes", "frames"),
        ("a.mp4", np.zeros((2, 8, 8, 3), np.uint8), 0, "out-of-range", "fps"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path, name, frames, fps, code, field):
    with refused(code, file=tmp_path / name, field=field):
        write_video(tmp_path / name, frames, fps)
    assert list(tmp_path.iterdir()) == []


def test_an_error_half_way_keeps_the_old_file(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"old")

    def frames():
        yield np.zeros((8, 8, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", frames(), 10)
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
