"""`vadlib score`: one video in, a table, a curve and a film out; or one line that says why not, and
nothing left behind.
"""

import dataclasses
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from films import jpeg, matroska
from PIL import Image
from scenes import moving_videos
from trees import short_run

from vadlib.data.catalog import load_videos
from vadlib.data.decode import VideoFrames
from vadlib.data.encode import write_video
from vadlib.evaluation.evaluate import evaluate

FILES = ["annotated.mp4", "curve.png", "scores.csv"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return short_run(moving_videos(3), tmp_path_factory.mktemp("runs") / "a").folder


def write(path, fps=10, **options):
    """Write a video file of moving blocks."""
    write_video(path, moving_videos(1, **options)[0].frames.frames, fps)
    return path


@pytest.fixture
def film(tmp_path):
    """A video file of 45 frames in which something abnormal happens."""
    return write(tmp_path / "films" / "monday.mp4", 12.5, length=45, labelled=True, seed=1)


@pytest.fixture
def score(vadlib_command, tmp_path):
    """(run, video, *options) -> standard output of scoring into `tmp_path / "out"`."""

    def call(run, video, *options):
        words = ["score", run, video, "--out", tmp_path / "out", *options]
        status, *output = vadlib_command(*words)
        assert status == 0, output
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
        return output[0]

    return call


@pytest.fixture
def failing(vadlib_command, tmp_path):
    """(run, video, *options) -> the last line of standard error."""

    def call(run, video, *options):
        words = ["score", run, video, "--out", tmp_path / "out", *options]
        *result, err = vadlib_command(*words)
        assert (result, "Traceback" in err) == ([1, ""], False)
        return re.split(r"[\r\n]+", err.strip())[-1]

    return call


def table(folder):
    rows = np.genfromtxt(folder / "scores.csv", delimiter=",", names=True)
    assert rows.dtype.names == ("frame", "time", "score", "abnormal")
    return rows


def test_a_file_gets_the_scores_of_evaluate_and_a_film_that_browsers_play(
    run, film, tmp_path, score
):
    output = score(run, film)
    [video] = load_videos("folder", "train", film.parent)
    video = dataclasses.replace(video, frames=VideoFrames(film, 1), scene="one")
    whole = evaluate(run, [video], "cpu", progress=False)
    rows = table(tmp_path / "out")
    np.testing.assert_array_equal(rows["frame"], range(45))
    np.testing.assert_allclose(rows["time"], np.arange(45) / 12.5, atol=5e-4)
    np.testing.assert_allclose(rows["score"], whole.scores["monday"], atol=1e-6)
    above = whole.scores["monday"] > whole.threshold
    np.testing.assert_array_equal(rows["abnormal"], above)
    assert 0 < above.sum() < 45
    assert {str(above.sum()), "45"} <= set(re.findall(r"\d+", output))
    assert "'one'" in output, "the scene"
    with av.open(str(tmp_path / "out" / "annotated.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 12.5
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert np.shape(frames) == (45, 264, 320, 3)  # enlarged, and the bar below
    corners = np.array([frame[2, 2].min() for frame in frames])  # white in an alarm
    np.testing.assert_array_equal(corners > 180, above)
    with Image.open(tmp_path / "out" / "curve.png") as curve:
        assert curve.width > 600


def test_a_folder_of_images_and_a_named_scene(run, tmp_path, score):
    (tmp_path / "walk").mkdir()
    for t, frame in enumerate(moving_videos(1, length=20)[0].frames.frames):
        Image.fromarray(frame[..., 0]).save(tmp_path / "walk" / f"{t}.png")
    score("ped2", tmp_path / "walk")
    score(run, tmp_path / "walk", "--scene", "one", "--device", "cpu")
    np.testing.assert_allclose(table(tmp_path / "out")["time"], np.arange(20) / 25, atol=5e-4)


EVEN = [40 * t for t in range(20)]
CLOCKS = {  # milliseconds of each frame in the file -> the true ones
    "a picture an hour": ([3_600_000 * t for t in range(20)],) * 2,
    "240 frames a second": ([1000 * t // 240 for t in range(20)],) * 2,
    "one stamp twice": ([*EVEN[:10], 360, *EVEN[11:]], EVEN),
    "clock set from 1970 to now": (EVEN[:10] + [2**41 + time for time in EVEN[10:]], EVEN),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_table_curve_and_film_follow_real_time(run, tmp_path, score, name):
    stamps, times = CLOCKS[name]
    pictures = [jpeg(frame[..., 0]) for frame in moving_videos(1, length=20)[0].frames.frames]
    (tmp_path / "lapse.mkv").write_bytes(matroska(stamps, pictures))
    score(run, tmp_path / "lapse.mkv")
    seconds = np.array(times) / 1000
    np.testing.assert_allclose(table(tmp_path / "out")["time"], seconds, atol=2e-6)
    with av.open(str(tmp_path / "out" / "annotated.mp4")) as container:
        film_times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    np.testing.assert_allclose(film_times, seconds, atol=1e-5)


def no_video(folder):
    (folder / "text.mp4").write_text("not a video")
    return "text.mp4", "text.mp4"


def short(folder):
    write(folder / "short.mp4", length=7)
    return "short.mp4", "short: 7 frames"


def odd_frame(folder):
    (folder / "odd").mkdir()
    for t in range(30):
        Image.new("L", (64 if t != 25 else 62, 48), 100).save(folder / "odd" / f"{t:02}.png")
    return "odd", str(Path("odd") / "25.png")


def folder_of_videos(folder):
    write(folder / "films" / "monday.mp4")
    write(folder / "films" / "tuesday.mp4", seed=1)
    return "films", "films"


@pytest.mark.parametrize("make", [no_video, short, odd_frame, folder_of_videos])
def test_a_video_that_cannot_be_scored_leaves_and_takes_nothing(run, tmp_path, failing, make):
    video, name = make(tmp_path)
    assert name in failing(run, tmp_path / video)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    for file in FILES:
        (tmp_path / "out" / file).write_text("old")
    failing(run, tmp_path / video)
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["old"] * 3


def test_a_run_that_cannot_score_is_refused(run, film, tmp_path, failing):
    other = tmp_path / "run"
    shutil.copytree(run, other, ignore=shutil.ignore_patterns("calibration.npz"))
    assert failing(other, film).startswith(f"vadlib: {other / 'calibration.npz'}")
    assert failing(tmp_path / "nothing", film).startswith(f"vadlib: {tmp_path / 'nothing'}")
    assert failing(run, film, "--scene", "two").startswith("vadlib: scene 'two'")
    assert failing(run, film, "--out", film).startswith(f"vadlib: {film}")
    assert not (tmp_path / "out").exists()


def test_an_unknown_scene_is_told_with_the_limit_of_the_model(run, tmp_path, score):
    output = score(run, write(tmp_path / "other.mp4", size=(64, 64)))
    assert "camera it was trained on" in output
