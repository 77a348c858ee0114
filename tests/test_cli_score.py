"""`vadlib score`: one video in, a table, a curve and a film out; or one line that says why not, and
nothing left behind.
"""

import csv
import dataclasses
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from films import jpeg, matroska
from PIL import Image
from scenes import moving_videos

from vadlib.config import ClipConfig, ModelConfig, TrainConfig
from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset
from vadlib.data.decode import VideoFrames
from vadlib.data.encode import write_video
from vadlib.evaluation.evaluate import evaluate
from vadlib.model.network import DualPathAutoencoder
from vadlib.training.fit import fit

FILES = ["annotated.mp4", "curve.png", "scores.csv"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    clips = ClipDataset(
        moving_videos(3), ClipConfig(length=8, crop=(16, 16), clip_step=4), progress=False
    )
    config, folder = (
        TrainConfig(epochs=1, precision="fp32", device="cpu"),
        tmp_path_factory.mktemp("runs") / "a",
    )
    return fit(
        DualPathAutoencoder(ModelConfig(width=8, slots=16)),
        clips,
        None,
        config,
        folder,
        progress=False,
    ).folder


@pytest.fixture
def film(tmp_path):
    """A video file of 45 frames in which something abnormal happens."""
    write_video(
        tmp_path / "films" / "monday.mp4",
        moving_videos(1, length=45, labelled=True, seed=1)[0].frames.frames,
        12.5,
    )
    return tmp_path / "films" / "monday.mp4"


@pytest.fixture
def score(vadlib_command):
    """(*arguments) -> exit status, standard output, the last line of standard error."""

    def call(*arguments):
        status, out, err = vadlib_command("score", *arguments)
        assert "Traceback" not in err
        return status, out, re.split(r"[\r\n]+", err.strip())[-1]

    return call


def table(folder):
    with (folder / "scores.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["frame", "time", "score", "abnormal"]
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def test_a_file_gets_the_scores_of_evaluate_and_a_film_that_browsers_play(
    run, film, tmp_path, score
):
    out = tmp_path / "new" / "out"
    status, said, _ = score(run, film, "--out", out)
    assert status == 0
    assert sorted(p.name for p in out.iterdir()) == FILES
    [video] = load_videos("folder", "train", film.parent)
    whole = evaluate(
        run,
        [dataclasses.replace(video, frames=VideoFrames(film, 1), scene="one")],
        "cpu",
        progress=False,
    )
    rows = table(out)
    np.testing.assert_array_equal(rows["frame"], range(45))
    np.testing.assert_allclose(rows["time"], np.arange(45) / 12.5, atol=5e-4)
    np.testing.assert_allclose(rows["score"], whole.scores["monday"], atol=1e-6)
    above = whole.scores["monday"] > whole.threshold
    np.testing.assert_array_equal(rows["abnormal"], above)
    assert 0 < above.sum() < 45
    assert {str(above.sum()), "45"} <= set(re.findall(r"\d+", said))
    assert "'one'" in said, "the scene"
    with av.open(str(out / "annotated.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.average_rate) == (
            "h264",
            "yuv420p",
            12.5,
        )
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert np.shape(frames) == (45, 264, 320, 3)  # enlarged, and the bar below
    corners = np.array([frame[2, 2].min() for frame in frames])  # white in an alarm
    np.testing.assert_array_equal(corners > 180, above)
    with Image.open(out / "curve.png") as curve:
        assert curve.width > 600


def test_a_folder_of_images_and_a_named_scene(run, tmp_path, score):
    (tmp_path / "walk").mkdir()
    frames = moving_videos(1, length=20)[0].frames.frames
    for t, frame in enumerate(frames):
        Image.fromarray(frame[..., 0]).save(tmp_path / "walk" / f"{t}.png")
    status, _, _ = score(
        run, tmp_path / "walk", "--out", tmp_path / "out", "--scene", "one", "--device", "cpu"
    )
    assert status == 0
    rows = table(tmp_path / "out")
    assert len(rows["frame"]) == 20
    assert rows["time"][-1] == pytest.approx(19 / 25, abs=5e-4)


EVEN = [40 * t for t in range(20)]
CLOCKS = {  # milliseconds of each frame in the file -> the true ones
    "a picture an hour": ([3_600_000 * t for t in range(20)],) * 2,
    "a picture in ten minutes, nearly": ([600_000 * t + 7919 * t * t % 30_000 for t in range(20)],)
    * 2,
    "a picture a day": ([86_400_000 * t for t in range(20)],) * 2,
    "240 frames a second": ([1000 * t // 240 for t in range(20)],) * 2,
    "a pause of an hour": ([40 * t + 3_600_000 * (t > 9) for t in range(20)],) * 2,
    "one stamp twice": ([*EVEN[:10], 360, *EVEN[11:]], EVEN),
    "one stamp huge": ([*EVEN[:10], 2**50, *EVEN[11:]], EVEN),
    "clock set from 1970 to now": (EVEN[:10] + [2**41 + time for time in EVEN[10:]], EVEN),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_table_curve_and_film_follow_real_time(run, tmp_path, score, name):
    stamps, times = CLOCKS[name]
    pictures = [jpeg(frame[..., 0]) for frame in moving_videos(1, length=20)[0].frames.frames]
    (tmp_path / "lapse.mkv").write_bytes(matroska(stamps, pictures))
    status, _, last = score(run, tmp_path / "lapse.mkv", "--out", tmp_path / "out")
    assert status == 0, last
    seconds = np.array(times) / 1000
    np.testing.assert_allclose(table(tmp_path / "out")["time"], seconds, atol=2e-6)
    with av.open(str(tmp_path / "out" / "annotated.mp4")) as container:
        shown = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    np.testing.assert_allclose(shown, seconds, atol=1e-5)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES


def test_another_size_is_no_known_scene(run, tmp_path, score):
    write_video(tmp_path / "a.mp4", moving_videos(1, size=(64, 80), length=12)[0].frames.frames, 10)
    status, said, _ = score(run, tmp_path / "a.mp4", "--out", tmp_path / "out")
    assert status == 0
    assert "no single scene" in said


def no_video(folder):
    (folder / "text.mp4").write_text("not a video")
    return "text.mp4", "text.mp4"


def videos_inside(folder):
    write_video(folder / "cam" / "monday.mp4", np.zeros((20, 48, 64, 1), np.uint8), 10)
    return "cam", str(Path("cam") / "monday.mp4")  # which to name instead


def short(folder):
    write_video(folder / "short.mp4", np.zeros((7, 48, 64, 1), np.uint8), 10)
    return "short.mp4", "short: 7 frames"


def odd_frame(folder):
    (folder / "odd").mkdir()
    for t in range(30):
        Image.new("L", (64 if t != 25 else 62, 48), 100).save(folder / "odd" / f"{t:02}.png")
    return "odd", str(Path("odd") / "25.png")


@pytest.mark.parametrize(
    ("make", "there"),
    [
        (no_video, False),
        (videos_inside, False),
        (short, False),
        (odd_frame, False),
        (odd_frame, True),  # it fails when half of the frames are scored
    ],
)
def test_a_video_that_cannot_be_scored_leaves_nothing_and_takes_nothing(
    run, tmp_path, score, make, there
):
    video, named = make(tmp_path)
    out = tmp_path / "out"
    if there:
        out.mkdir()
        for name in FILES:
            (out / name).write_text("old")
    status, said, error = score(run, tmp_path / video, "--out", out)
    assert (status, said) == (1, "")
    assert error.startswith("vadlib: ")
    assert named in error
    assert (
        [p.read_text() for p in sorted(out.iterdir())] == ["old"] * 3 if there else not out.exists()
    )


def test_a_run_that_cannot_score_is_refused(run, film, tmp_path, score):
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("calibration.npz"))
    cases = [
        ((tmp_path / "run", film, "--out", tmp_path / "out"), tmp_path / "run" / "calibration.npz"),
        ((tmp_path / "nothing", film, "--out", tmp_path / "out"), tmp_path / "nothing"),
        ((run, film, "--out", tmp_path / "out", "--scene", "two"), "scene 'two'"),
        ((run, film, "--out", film), film),
    ]
    for arguments, named in cases:
        status, _, error = score(*arguments)
        assert status == 1
        assert error.startswith(f"vadlib: {named}")
    assert not (tmp_path / "out").exists()


def test_a_pretrained_run_can_be_named(score, film, tmp_path):
    status, _, _ = score("ped2", film, "--out", tmp_path / "out")
    assert status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
