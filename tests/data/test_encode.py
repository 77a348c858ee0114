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
        assert (
            container.streams.video[0].codec_context.name,
            container.streams.video[0].codec_context.pix_fmt,
        ) == ("h264", "yuv420p")
    assert (len(VideoFrames(tmp_path / "a.mp4")), VideoFrames(tmp_path / "a.mp4").fps) == (30, 12.5)


def test_the_same_frames_give_the_same_file(tmp_path):
    """x264's default does not, on processors with AVX-512: a film written again would be another
    training set.
    """
    [(frames, _)] = scene(1, 120, size=(160, 240))
    for number in range(6):
        write_video(tmp_path / f"{number}.mp4", frames, 10)
    assert len({(tmp_path / f"{number}.mp4").read_bytes() for number in range(6)}) == 1


@pytest.mark.parametrize(
    "fps",
    [
        4e-9,
        1e-7,
        1 / 86_400,
        1 / 3600,
        0.00164,
        0.01,
        1 / 60,
        0.3,
        1,
        7.5,
        23.976,
        30000 / 1001,
        59.94,
        240,
        1000,
        1234.567,
        1e5,
        1e6,
    ],
)
def test_a_film_runs_at_any_rate(tmp_path, fps):
    write_video(tmp_path / "a.mp4", np.zeros((20, 16, 16, 1), np.uint8), fps)
    frames = VideoFrames(tmp_path / "a.mp4")
    assert len(frames) == 20
    assert frames.fps == pytest.approx(fps, rel=1e-6)
    assert frames.times[-1] == pytest.approx(19 / fps, rel=1e-6)


RNG = np.random.default_rng(0)
TIMES = {
    "an even rate": np.arange(20) / 25,
    "milliseconds": np.arange(20) * 1001 // 30 / 1000,
    "an hour a picture, nearly": np.arange(20) * 3600 + RNG.random(20) * 60,
    "a day a picture": np.arange(20) * 86_400.0,
    "a month a picture": np.arange(20) * 30 * 86_400.0,
    "a pause of an hour": np.append(np.arange(10) / 25, 3600 + np.arange(10) / 25),
    "a pause of a year": np.append(np.arange(10.0), 366 * 86_400 + np.arange(10.0)),
    "a pause at the end": np.append(np.arange(19) / 25, 1e5),
    "480 frames a second": np.arange(20) / 480,
    "10,000 frames a second": np.arange(20) / 1e4,
    "now slow, now fast": np.cumsum(RNG.choice([0.004, 0.04, 0.5, 10], 20)),
}


@pytest.mark.parametrize("name", TIMES)
def test_a_film_shows_each_frame_at_its_time(tmp_path, name):
    times = TIMES[name] - TIMES[name][0]
    frames = (np.full((16, 16, 1), 10 * t, np.uint8) for t in range(20))
    write_video(tmp_path / "a.mp4", frames, 19 / times[-1], times)
    with av.open(str(tmp_path / "a.mp4")) as container:
        decoded = [
            (float(frame.pts * frame.time_base), frame.to_ndarray(format="gray").mean())
            for frame in container.decode(video=0)
        ]
    shown, levels = np.array(decoded).T
    longest = np.diff(times).max()
    np.testing.assert_allclose(shown - shown[0], times, atol=max(1e-5, longest / 2**28))
    assert np.abs(levels - 10 * np.arange(20)).max() < 4
    assert (np.diff(shown) > 0).all()


@pytest.mark.parametrize(
    ("name", "frames", "fps", "code", "field"),
    [
        ("a.avi", np.zeros((2, 8, 8, 3), np.uint8), 10, "wrong-kind-of-file", ""),
        ("a.mp4", [], 10, "too-few", "frames"),
        (
            "a.mp4",
            [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 10, 3), np.uint8)],
            10,
            "mixed-sizes",
            "frames",
        ),
        ("a.mp4", np.zeros((2, 8, 8, 3), np.uint8), 0, "out-of-range", "fps"),
        ("a.mp4", np.zeros((2, 8, 8, 3), np.uint8), -1, "out-of-range", "fps"),
        ("a.mp4", np.zeros((2, 8, 8, 3), np.uint8), float("nan"), "out-of-range", "fps"),
        ("a.mp4", np.zeros((2, 8, 8, 3), np.uint8), 1e-9, "out-of-range", "fps"),
        ("a.mp4", np.zeros((2, 8, 8, 3), np.uint8), 1e7, "out-of-range", "fps"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path, name, frames, fps, code, field):
    with refused(code, file=tmp_path / name, field=field):
        write_video(tmp_path / name, frames, fps)
    assert list(tmp_path.iterdir()) == []
