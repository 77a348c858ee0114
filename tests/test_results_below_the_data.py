"""Results of vadlib below the data: every command's own output is known, and never a video to learn
from.
"""

import shutil

import numpy as np
import pytest
import torch
from refusals import refused
from trees import scene, write_images, write_video

from vadlib.ablation import BASE
from vadlib.config import ClipConfig, ModelConfig, TrainConfig
from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.check import check_dataset
from vadlib.data.clips import ClipDataset
from vadlib.evaluation.evaluate import evaluate
from vadlib.jobs import plot_run, score_video
from vadlib.model.network import DualPathAutoencoder
from vadlib.training.fit import fit


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two of your own videos."""
    root = tmp_path_factory.mktemp("films")
    for name, (frames, _) in zip(("monday", "tuesday"), scene(2, 20), strict=True):
        write_video(root / f"{name}.mp4", frames)
    return root


@pytest.fixture(scope="module")
def outputs(films, tmp_path_factory):
    """What the commands write: kind -> folder."""
    folder = tmp_path_factory.mktemp("outputs")
    videos = load_videos("folder", "train", films)
    torch.manual_seed(0)
    clips = ClipDataset(videos, ClipConfig(length=8, crop=(16, 16), clip_step=4), progress=False)
    config = TrainConfig(epochs=1, batch_size=2, precision="fp32", device="cpu", workers=0)
    model = DualPathAutoencoder(ModelConfig(channels=3, width=8, slots=16))
    run = fit(model, clips, None, config, folder / "train", progress=False)
    shutil.copytree(folder / "train", folder / "run")
    for kind in ("run", "evaluate"):
        result = evaluate(run, videos, "cpu", progress=False)
        result.save(folder / kind)
        plot_run(result, folder / kind)
    score_video(run, films / "monday.mp4", folder / "score", "cpu", progress=False)
    shutil.copytree(
        folder / "train", folder / "begun", ignore=shutil.ignore_patterns("*.npz", "*.safetensors")
    )
    return folder


def require_known(root, split="train", names=("monday", "tuesday")):
    """The videos are your own, all else is known as results, and nothing is wrong."""
    assert [video.name for video in load_videos("folder", split, root)] == list(names)
    copy = find_copy("folder", root)
    assert copy.unread_files() == []
    report = check_dataset("folder", root, progress=False)
    assert report["problems"] == []
    assert "own-results" in [entry["code"] for entry in report["notes"]]
    return {path.relative_to(root).as_posix() for path in copy.result_files()}


@pytest.mark.parametrize("kind", ["score", "train", "begun", "run", "evaluate"])
@pytest.mark.parametrize("place", [".", "a b/c", "monday"])
def test_the_output_of_each_command_is_left_out(films, outputs, tmp_path, kind, place):
    """In a folder of its own, deep below, or among the videos themselves (`--out .`)."""
    shutil.copytree(films, tmp_path, dirs_exist_ok=True)
    shutil.copytree(outputs / kind, tmp_path / place, dirs_exist_ok=True)
    written = {tmp_path / place / path.name for path in (outputs / kind).iterdir()}
    assert require_known(tmp_path) == {p.relative_to(tmp_path).as_posix() for p in written}


@pytest.mark.parametrize("kind", ["score", "run"])
def test_among_training_and_test_videos_and_frames(films, outputs, tmp_path, kind):
    for split in ("training", "testing"):
        shutil.copytree(films, tmp_path / split)
        shutil.copytree(outputs / kind, tmp_path / split / "out")
    require_known(tmp_path)
    require_known(tmp_path, "test")
    # `training/frames/monday` is called monday, with results beside it as without them.
    frames = tmp_path / "frames" / "training" / "frames" / "monday"
    write_images(frames, np.zeros((20, 48, 64), np.uint8))
    shutil.copytree(outputs / kind, frames, dirs_exist_ok=True)
    require_known(tmp_path / "frames", names=["monday"])


@pytest.mark.parametrize(
    ("kind", "lost"),
    [
        *(("score", name) for name in ("scores.csv", "curve.png", "annotated.mp4")),
        *(("run", name) for name in ("scores.npz", "metrics.json", "roc.png", "config.json")),
        ("run", "scores.npz config.json"),
    ],
)
def test_an_incomplete_result_is_known(films, outputs, tmp_path, kind, lost):
    shutil.copytree(films, tmp_path, dirs_exist_ok=True)
    shutil.copytree(outputs / kind, tmp_path / "out", ignore=shutil.ignore_patterns(*lost.split()))
    require_known(tmp_path)


@pytest.mark.parametrize("name", ["monday_annotated.mp4", "cam1/friday.MP4", "annotated (1).mp4"])
def test_a_painted_film_under_another_name_is_named(films, outputs, tmp_path, name):
    """Nothing but its header tells that it is none of the camera's."""
    shutil.copytree(films, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    shutil.copy(outputs / "score" / "annotated.mp4", tmp_path / name)
    with refused("unexpected-clip", file=tmp_path / name):
        load_videos("folder", "train", tmp_path)
    report = check_dataset("folder", tmp_path, progress=False)
    assert [entry["where"].split(": ")[0] for entry in report["problems"]] == [str(tmp_path / name)]
    assert report["splits"]["train"]["clips"] == 2


def test_an_ablation_is_left_out(films, tmp_path):
    """Its rows are runs; the training itself is not needed for that."""
    shutil.copytree(films, tmp_path, dirs_exist_ok=True)
    (tmp_path / "ablation" / BASE).mkdir(parents=True)
    (tmp_path / "ablation" / "ablation.csv").write_text("row\n")
    for name in ("config.json", "scores.npz"):
        (tmp_path / "ablation" / BASE / name).write_bytes(b"x")
    assert len(require_known(tmp_path)) == 3


def test_a_cache_below_the_data_is_none_of_it(films, tmp_path, monkeypatch):
    shutil.copytree(films, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("VADLIB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "downloads").mkdir(parents=True)
    (tmp_path / "cache" / "downloads" / "film.dav").write_bytes(b"x")
    videos = load_videos("folder", "train", tmp_path)
    ClipDataset(videos, ClipConfig(length=8, crop=(16, 16)), progress=False)
    assert any((tmp_path / "cache" / "frames").iterdir())
    assert check_dataset("folder", tmp_path, progress=False)["problems"] == []


def test_a_clip_of_a_known_dataset_is_not_made_of_results(outputs, tmp_path):
    write_images(
        tmp_path / "shanghai" / "training" / "frames" / "01_001", np.zeros((20, 48, 64), np.uint8)
    )
    for kind in ("evaluate", "score"):
        shutil.copytree(
            outputs / kind, tmp_path / "shanghai" / "training" / "frames", dirs_exist_ok=True
        )
    assert [video.name for video in load_videos("shanghaitech", "train", tmp_path)] == ["01_001"]
