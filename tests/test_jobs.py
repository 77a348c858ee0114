"""Whole jobs by name: presets, options and a run's own config.json reach every part of a run (case
10), and results are stored once.
"""

import json
import shutil
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused
from scenes import moving_videos
from trees import own_videos

from vadlib.config import ClipConfig, ModelConfig, PseudoConfig, TrainConfig
from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset
from vadlib.data.folder import OwnVideos, TableLabels
from vadlib.errors import InputError
from vadlib.evaluation.baselines import baseline_scores, measure_baselines
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.evaluate import evaluate
from vadlib.evaluation.result import Result
from vadlib.files import write_json
from vadlib.jobs import evaluate_once, evaluate_run, make_config, train_run
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import PRETRAINED, Run, pretrained_names, read_config
from vadlib.output.report import describe_metrics
from vadlib.pseudo.kinds import AddNoise, PasteObjects
from vadlib.pseudo.mixer import PseudoAnomalyMixer
from vadlib.training.fit import fit

SMALL = {
    "fast": {"clips": {"clip_step": 16, "crop": [24, 24]}},
    "compact": {"clips": {"size": [32, 32], "clip_step": 8}},
}
TINY = {"model": {"width": 8, "slots": 8}, "training": {"epochs": 1, "batch_size": 4}}
PSEUDO = {"kinds": ["object", "noise"], "weights": [1, 3], "grain": 2, "p": 0.75}
PSEUDO |= {"strengths": [[0.75, 1.0], [0.5, 0.5]]}
LENGTHS = {"cam1/friday": 60, "cam2/sunday": 60}  # of the test videos


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Labelled videos of your own."""
    folder = tmp_path_factory.mktemp("own") / "mine"
    own_videos(folder, "csv")
    return folder


@pytest.fixture
def file(tmp_path):
    """(values) -> a JSON file with them."""

    def write(values):
        write_json(tmp_path / "parts.json", values)
        return tmp_path / "parts.json"

    return write


# --- settings


@pytest.mark.parametrize("preset", SMALL)
def test_a_run_is_repeated_from_its_config_and_scores_whole_videos(
    vadlib_command, root, tmp_path, file, preset
):
    """Nothing but the folders is named a second time; every part of the first run differs from its
    default.
    """
    (tmp_path / "pictures" / "white").mkdir(parents=True)
    Image.new("RGB", (40, 40), (255, 255, 255)).save(tmp_path / "pictures" / "white" / "0.png")
    options = ["--data", "folder", "--preset", preset, "--seed", 3, "--objective", "maximize"]
    options += ["--device", "cpu", "--patches", tmp_path / "pictures"]
    options += ["--config", file(SMALL[preset] | TINY | {"pseudo": PSEUDO})]
    assert vadlib_command("train", "--root", root, *options, "--out", tmp_path / "a")[0] == 0
    repeat = ["train", "--root", root, "--config", tmp_path / "a" / "config.json", "--out"]
    assert vadlib_command(*repeat, tmp_path / "b")[0] == 0
    # so that the first equality says something
    assert vadlib_command(*repeat, tmp_path / "c", "--seed", 4)[0] == 0
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]
    config = json.loads((tmp_path / "a" / "config.json").read_text(encoding="utf-8"))
    assert json.loads((tmp_path / "b" / "config.json").read_text(encoding="utf-8")) == config
    patches = {"patches": str(tmp_path / "pictures"), "detector": "motion"}
    assert (config["dataset"], config["pseudo"]) == ("folder", PSEUDO | patches)
    scores = evaluate_run(tmp_path / "a", None, root).scores
    assert {name: len(curve) for name, curve in scores.items()} == LENGTHS


@pytest.mark.parametrize("name", pretrained_names())
def test_the_config_of_a_pretrained_run_is_read_whole(name):
    path = PRETRAINED / name / "config.json"
    config = read_config(path.parent)
    assert make_config(file=path) == make_config(name, "paper", file=path) == config
    assert (config.dataset, config.pseudo.strengths[0]) == (name, (0.25, 1))


def test_options_win_over_the_file_and_the_file_over_the_preset(file):
    path = file({"dataset": "ped1", "training": {"seed": 2, "epochs": 9}, "clips": {"length": 8}})
    config = make_config("folder", "compact", {"training": {"seed": 5, "objective": None}}, path)
    assert (config.dataset, config.model.network) == ("folder", "published")
    assert config.training == TrainConfig.preset("compact", seed=5, epochs=9)
    assert config.score.frames == config.clips.length == 8
    assert make_config(file=path).dataset == "ped1"


@pytest.mark.parametrize(
    ("pseudo", "kinds", "expected"),
    [
        (PSEUDO, None, (1, 3)),
        (PSEUDO, ["noise", "object"], None),  # those in the file are of other kinds
        ({"weights": [1, 4]}, ["skip", "noise"], (1, 4)),
    ],
)
def test_weights_in_a_file_belong_to_its_kinds(file, pseudo, kinds, expected):
    config = make_config("ped2", None, {"pseudo": {"kinds": kinds}}, file({"pseudo": pseudo}))
    assert config.pseudo.weights == expected
    assert config.pseudo.grain == pseudo.get("grain", 1)


def test_the_default_preset_is_that_of_the_dataset():
    """ "short" is a smaller `fast`: its people are half as tall, and so is the score's window."""
    assert make_config() == make_config("synthetic", "short")
    assert make_config("ped2") == make_config("ped2", "fast")
    fast = make_config(preset="fast")
    assert make_config().score.window == fast.score.window / 2
    # its people are too tall for windows of 48 pixels at 240 rows
    assert (fast.clips.shorter_side, make_config("ped2").clips.shorter_side) == (160, 240)


def test_a_run_of_an_earlier_version_is_refused(tmp_path):
    write_json(tmp_path / "config.json", {"dataset": {"name": "ped2"}, "mixer": {}})
    with refused("not-a-run", file=tmp_path / "config.json"):
        Run.load(tmp_path)


def train(mixer, out, **options):
    boxes = {f"{number:02}": [np.float32([[4, 4, 12, 14]])] * 40 for number in (1, 2, 3)}
    config = ClipConfig(length=8, crop=(16, 16), clip_step=8)
    clips = ClipDataset(moving_videos(3), config, boxes, progress=False)
    model = DualPathAutoencoder(ModelConfig(width=8, slots=8))
    config = TrainConfig(epochs=1, batch_size=4, precision="fp32", device="cpu")
    return fit(model, clips, mixer, config, out, progress=False, **options)


PARTS = {"weights": (2, 1), "strengths": ((0.5, 0.5), (0.1, 0.9)), "grain": 4}
MIXERS = {
    PseudoConfig(("object", "noise"), 0.25, "boxes", **PARTS): PseudoAnomalyMixer(
        [PasteObjects(strength=0.5), AddNoise((0.1, 0.9), grain=4)], 0.25, [2, 1], detector="boxes"
    ),
    PseudoConfig(kinds=(), p=0, weights=(), strengths=()): None,
}


@pytest.mark.parametrize("expected", MIXERS, ids=["two kinds", "none"])
def test_a_mixer_made_in_python_is_stored_as_its_config(tmp_path, expected):
    run = train(MIXERS[expected], tmp_path / "run")
    assert run.config.pseudo == expected
    assert Run.load(run.folder).config == run.config


def test_a_run_made_in_python_is_repeated_by_the_command(vadlib_command, root, tmp_path):
    videos = load_videos("folder", "train", root)
    clips = ClipDataset(videos, ClipConfig(crop=(24, 24), clip_step=16), progress=False)
    config = TrainConfig(epochs=1, batch_size=4, seed=3, device="cpu")
    torch.manual_seed(config.seed)
    model = DualPathAutoencoder(ModelConfig(channels=3, width=8, slots=8))
    mixer = PseudoAnomalyMixer([AddNoise((0.1, 0.9), grain=4)], 0.5)
    first = fit(model, clips, mixer, config, tmp_path / "a", progress=False)
    assert first.config.dataset is None
    train = ["train", "--config", tmp_path / "a" / "config.json", "--root", root]
    assert vadlib_command(*train, "--out", tmp_path / "b")[0] == 1  # names no dataset
    assert vadlib_command(*train, "--data", "folder", "--out", tmp_path / "b")[0] == 0
    files = [tmp_path / name / "model.safetensors" for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


# --- results


@pytest.fixture(scope="module")
def run(root):
    parts = SMALL["fast"] | TINY | {"pseudo": {"p": 0.0}}
    return train_run(make_config("folder", "fast", parts), root.with_name("run"), root)


@pytest.fixture
def videos(root):
    return load_videos("folder", "test", root)


def test_the_published_protocol_and_the_baselines_are_beside_the_flat_metrics(root, run, videos):
    metrics = evaluate_run(run, None, root, with_baselines=True, protocol="center").metrics
    flat = evaluate(run, videos, progress=False).metrics
    centre = evaluate(run, videos, progress=False, protocol="center").metrics
    assert metrics.items() >= flat.items()
    assert list(metrics["protocols"]) == ["center, csv"]
    nested = metrics["protocols"]["center, csv"]
    assert {name: centre[name] for name in nested} == nested
    assert nested["frames"] == flat["frames"] - 15 * flat["videos"]
    assert json.loads((run.folder / "metrics.json").read_text()) == metrics
    scores = baseline_scores(load_videos("folder", "train", root), videos)
    labels = {video.name: video.labels for video in videos}
    assert metrics["baselines"] == measure_baselines(scores, labels)
    with refused("unknown-name", field="protocol"):
        evaluate_run(run, None, root, protocol="middle")


class Opposite(TableLabels):
    def read(self, video, clip):
        return 1 - super().read(video, clip)


class TwoTruths(OwnVideos):
    """Own videos with a second ground truth, which calls normal what the first calls abnormal."""

    openings: ClassVar[list[str]] = []

    def open_clip(self, name, path):
        self.openings.append(name)
        return super().open_clip(name, path)

    def ground_truths(self):
        return [*super().ground_truths(), Opposite("other", self.label_paths["csv"])]


def test_ground_truths_and_protocols_are_measured_on_videos_opened_once(root, run, monkeypatch):
    monkeypatch.setattr("vadlib.jobs.find_copy", lambda name, root, truth: TwoTruths(root))
    monkeypatch.setattr(TwoTruths, "openings", [])
    metrics = evaluate_run(run, "avenue", root, protocol="center").metrics
    assert len(TwoTruths.openings) == len(set(TwoTruths.openings)) == metrics["videos"]
    assert list(metrics["protocols"]) == ["center, csv", "all, other", "center, other"]
    areas = {name: part["micro_auc_raw"] for name, part in metrics["protocols"].items()}
    assert areas["all, other"] == pytest.approx(1 - metrics["micro_auc_raw"])
    assert areas["center, other"] == pytest.approx(1 - areas["center, csv"])

    def fail(self, video, clip):
        raise InputError("1_label.mat: missing", "missing-labels")

    monkeypatch.setattr(Opposite, "read", fail)
    metrics = evaluate_run(run, "avenue", root).metrics
    assert metrics["not_measured"] == {"other": "1_label.mat: missing"}
    assert "1_label.mat: missing" in describe_metrics(metrics)


def test_scores_are_computed_once_for_the_same_run_and_videos(run, videos, tmp_path):
    expected = evaluate_once(run, videos, tmp_path)
    # without a model, so that computing errors would fail
    again = evaluate_once(replace(run, model=None), videos, tmp_path)
    assert again.metrics == expected.metrics
    for name, curve in expected.scores.items():
        np.testing.assert_array_equal(again.scores[name], curve)


@pytest.mark.parametrize("change", ["videos", "labels", "calibration", "no metrics", "damaged"])
def test_scores_of_others_or_incomplete_ones_are_computed_again(run, videos, tmp_path, change):
    folder = tmp_path / "stored"
    evaluate_once(run.folder, videos, folder)
    if change == "videos":
        videos = videos[:1]
    elif change == "labels":
        videos = [replace(video, labels=1 - video.labels) for video in videos]
    elif change == "calibration":
        run = replace(run, folder=shutil.copytree(run.folder, tmp_path / "other"))
        path = run.folder / "calibration.npz"
        calibration = Calibration.load(path)
        replace(calibration, threshold=calibration.threshold + 1).save(path)
    elif change == "no metrics":
        (folder / "metrics.json").unlink()
    else:
        (folder / "scores.npz").write_bytes((folder / "scores.npz").read_bytes()[:1000])
    result = evaluate_once(run, videos, folder)
    expected = evaluate(run, videos, progress=False)
    assert result.scores.keys() == expected.scores.keys()
    assert (result.threshold, result.metrics) == (expected.threshold, expected.metrics)
    assert Result.load(folder).metrics == expected.metrics != {}
