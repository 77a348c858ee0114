"""Results of vadlib below the data (case 20): every command's own output is known, and never a
video to learn from.
"""

import shutil

import numpy as np
import pytest
from refusals import refused
from trees import scene, short_run, write_images, write_video

from vadlib.ablation import BASE
from vadlib.config import ClipConfig
from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.check import check_dataset
from vadlib.data.clips import ClipDataset
from vadlib.evaluation.evaluate import evaluate
from vadlib.jobs import plot_run, score_video


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
    run = short_run(videos, folder / "train")
    shutil.copytree(folder / "train", folder / "run")
    for kind in ("run", "evaluate"):
        result = evaluate(run, videos, "cpu", progress=False)
        result.save(folder / kind)
        plot_run(result, folder / kind)
    score_video(run, films / "monday.mp4", folder / "score", "cpu", progress=False)
    unfinished = shutil.ignore_patterns("*.npz", "*.safetensors")
    shutil.copytree(folder / "train", folder / "begun", ignore=unfinished)
    return folder


@pytest.fixture
def root(films, tmp_path):
    """A copy of the films, which a test may add to."""
    return shutil.copytree(films, tmp_path, dirs_exist_ok=True)


def require_known(root, names=("monday", "tuesday"), split="train"):
    """The videos are your own, all else is known as results, and nothing is wrong."""
    assert [video.name for video in load_videos("folder", split, root)] == list(names)
    assert check_dataset("folder", root, progress=False)["problems"] == []
    results = find_copy("folder", root).result_files()
    assert results
    return set(results)


@pytest.mark.parametrize("kind", ["score", "train", "begun", "run", "evaluate"])
def test_the_output_of_each_command_is_left_out(root, outputs, kind):
    """In a folder of its own, deep below, or among the videos themselves (`--out .`)."""
    written = set()
    for place in (".", "a b/c", "monday"):
        shutil.copytree(outputs / kind, root / place, dirs_exist_ok=True)
        written |= {root / place / path.name for path in (outputs / kind).iterdir()}
        assert require_known(root) == written


def test_among_training_and_test_videos_and_frames(films, outputs, tmp_path):
    for split in ("training", "testing"):
        shutil.copytree(films, tmp_path / split)
        shutil.copytree(outputs / "run", tmp_path / split / "out")
        frames = write_images(tmp_path / split / "walk", np.zeros((20, 48, 64), np.uint8))
        shutil.copytree(outputs / "score", frames, dirs_exist_ok=True)
    for split in ("train", "test"):
        require_known(tmp_path, ("monday", "tuesday", "walk"), split)
    # nor is a clip of a known dataset made of results
    frames = tmp_path / "shanghai/training/frames"
    shutil.copytree(outputs / "evaluate", frames)
    write_images(frames / "01_001", np.zeros((20, 48, 64), np.uint8))
    assert [video.name for video in load_videos("shanghaitech", "train", tmp_path)] == ["01_001"]


@pytest.mark.parametrize("name", ["monday_annotated.mp4", "cam1/friday.MP4"])
def test_a_painted_film_under_another_name_is_named(root, outputs, name):
    """Nothing but its header tells that it is none of the camera's."""
    (root / name).parent.mkdir(exist_ok=True)
    shutil.copy(outputs / "score/annotated.mp4", root / name)
    with refused("unexpected-clip", file=root / name):
        load_videos("folder", "train", root)
    report = check_dataset("folder", root, progress=False)
    assert [entry["where"].split(": ")[0] for entry in report["problems"]] == [str(root / name)]
    assert report["splits"]["train"]["clips"] == 2


def test_an_ablation_and_a_cache_below_the_data_are_left_out(root, monkeypatch):
    """The rows of an ablation are runs; the training itself is not needed for that."""
    (root / "ablation" / BASE).mkdir(parents=True)
    for name in ("ablation.csv", f"{BASE}/config.json", f"{BASE}/scores.npz"):
        (root / "ablation" / name).write_bytes(b"x")
    assert len(require_known(root)) == 3
    monkeypatch.setenv("VADLIB_CACHE", str(root / "cache"))
    (root / "cache/downloads").mkdir(parents=True)
    (root / "cache/downloads/film.dav").write_bytes(b"x")
    videos = load_videos("folder", "train", root)
    ClipDataset(videos, ClipConfig(length=8, crop=(16, 16)), progress=False)
    assert len(require_known(root)) == 3
