"""Frames become a video that other programs read."""

import av
import numpy as np
import pytest
import trees
from films import SCENE, decoded, opencv
from refusals import refused

from vadlib.data.encode import write_video


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(48, 64), (49, 65)])
def test_a_video_comes_back_by_another_library(tmp_path, channels, size):
    """An odd side is cut by a pixel."""
    frames, path = trees.scene(1, 30, size=size)[0][0], tmp_path / "a.mp4"
    write_video(path, frames[..., :channels], 12.5)
    assert opencv(path).shape == (30, 48, 64, 3)
    assert np.abs(np.int16(opencv(path)) - frames[:, :48, :64]).mean() < 4
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 12.5
    assert decoded(path).fps == 12.5


def test_the_same_frames_give_the_same_file(tmp_path):
    """x264's default does not, on processors with AVX-512: a film written again would be another
    training set.
    """
    frames = np.tile(SCENE, (3, 4, 4, 1))
    for number in range(6):
        write_video(tmp_path / f"{number}.mp4", frames, 10)
    assert len({(tmp_path / f"{number}.mp4").read_bytes() for number in range(6)}) == 1


@pytest.mark.parametrize(
    "fps", [4e-9, 1 / 86_400, 1 / 3600, 0.00164, 0.3, 7.5, 30000 / 1001, 59.94, 1234.567, 1e5, 1e6]
)
def test_a_film_runs_at_any_rate(tmp_path, fps):
    write_video(tmp_path / "a.mp4", np.zeros((20, 16, 16, 1), np.uint8), fps)
    frames = decoded(tmp_path / "a.mp4")
    assert len(frames) == 20
    assert frames.fps == pytest.approx(fps, rel=1e-6)
    assert frames.times[-1] == pytest.approx(19 / fps, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "frames", "fps", "code", "field"),
    [
        ("a.avi", SCENE[:2], 10, "wrong-kind-of-file", ""),
        ("a.mp4", [], 10, "too-few", "frames"),
        ("a.mp4", [SCENE[0], SCENE[0, :, :10]], 10, "mixed-sizes", "frames"),
        *[("a.mp4", SCENE[:2], fps, "out-of-range", "fps") for fps in (0, -1, np.nan, 1e-9, 1e7)],
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path, name, frames, fps, code, field):
    with refused(code, file=tmp_path / name, field=field):
        write_video(tmp_path / name, frames, fps)
    assert list(tmp_path.iterdir()) == []
