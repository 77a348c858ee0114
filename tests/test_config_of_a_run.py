"""A run's config.json is given to `--config`, and the run is repeated."""

import json
from dataclasses import replace

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
from vadlib.files import write_json
from vadlib.jobs import make_config, train_run
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import PRETRAINED, Run, pretrained_names, read_config
from vadlib.pseudo.detectors import find_boxes
from vadlib.pseudo.kinds import AddNoise, PasteObjects, PseudoAnomaly, SkipFrames
from vadlib.pseudo.mixer import PseudoAnomalyMixer
from vadlib.training.fit import fit

SMALL = {
    "fast": {"clips": {"clip_step": 16, "crop": [24, 24]}},
    "compact": {"clips": {"size": [32, 32], "clip_step": 8}},
}
REST = {"model": {"width": 8, "slots": 8}, "training": {"epochs": 1, "batch_size": 4}}
PSEUDO = {"kinds": ["object", "noise"], "weights": [1, 3], "grain": 2, "p": 0.75}
PSEUDO |= {"strengths": [[0.75, 1.0], [0.5, 0.5]]}
TINY = ModelConfig(width=8, slots=8)
SHORT = TrainConfig(epochs=1, batch_size=4, precision="fp32", device="cpu")


@pytest.fixture
def mine(tmp_path):
    own_videos(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.fixture
def file(tmp_path):
    """(values) -> a JSON file with them."""

    def write(values):
        write_json(tmp_path / "chosen.json", values)
        return tmp_path / "chosen.json"

    return write


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def stored(folder):
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("preset", SMALL)
def test_a_run_is_repeated_from_its_config(vadlib_command, mine, tmp_path, file, preset):
    """Nothing but the folders is named a second time; every part of the first run differs from its
    default.
    """
    (tmp_path / "pictures" / "white").mkdir(parents=True)
    Image.new("RGB", (40, 40), (255, 255, 255)).save(tmp_path / "pictures" / "white" / "0.png")
    options = ["--data", "folder", "--preset", preset, "--seed", 3, "--objective", "maximize"]
    options += ["--device", "cpu", "--patches", tmp_path / "pictures"]
    options += ["--config", file(SMALL[preset] | REST | {"pseudo": PSEUDO})]
    first = tmp_path / "a"
    assert vadlib_command("train", "--root", mine, *options, "--out", first)[0] == 0
    repeat = ["train", "--root", mine, "--config", first / "config.json", "--out"]
    assert vadlib_command(*repeat, tmp_path / "b")[0] == 0
    assert weights(tmp_path / "b") == weights(first)
    config = stored(first)
    assert stored(tmp_path / "b") == config
    assert config["dataset"] == "folder"
    patches = {"patches": str(tmp_path / "pictures")}
    assert config["pseudo"] == PSEUDO | patches | {"detector": "motion"}
    assert (config["training"]["seed"], config["training"]["objective"]) == (3, "maximize")
    # so that the first equality says something
    assert vadlib_command(*repeat, tmp_path / "c", "--seed", 4)[0] == 0
    assert weights(tmp_path / "c") != weights(first)


def test_a_run_that_python_made_is_repeated_by_the_command(vadlib_command, mine, tmp_path):
    """With mixer objects and with a model from the run's seed; so does notebook 06."""
    videos = load_videos("folder", "train", mine)
    config = ClipConfig(crop=(24, 24), clip_step=8)
    clips = ClipDataset(videos, config, find_boxes(videos), progress=False)
    mixer = PseudoAnomalyMixer([SkipFrames(0.25), AddNoise(grain=2), PasteObjects()], p=0.5)
    trained(clips, mixer, tmp_path / "a", dataset="folder")
    path = tmp_path / "a" / "config.json"
    arguments = ["--root", mine, "--config", path, "--out", tmp_path / "b"]
    assert vadlib_command("train", *arguments)[0] == 0
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


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
    expected = TrainConfig.preset("compact", seed=5, epochs=9)
    assert config.training == expected
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
    short, fast = make_config(), make_config(preset="fast")
    assert short.clips.shorter_side < fast.clips.shorter_side
    assert short.score.window == fast.score.window / 2
    # its people are too tall for windows of 48 pixels at 240 rows
    assert (fast.clips.shorter_side, make_config("ped2").clips.shorter_side) == (160, 240)


@pytest.mark.parametrize(
    ("dataset", "code", "field"),
    [
        (3, "wrong-type", "RunConfig.dataset"),
        ({"name": "folder"}, "wrong-type", "RunConfig.dataset"),
        (None, "conflict", "dataset"),
    ],
)
def test_a_file_with_a_wrong_dataset_is_refused(file, dataset, code, field):
    path = file({"dataset": dataset})
    with refused(code, file=path, field=field):
        make_config(file=path)


def test_a_run_of_an_earlier_version_is_refused_with_the_step_that_remakes_it(tmp_path, file):
    earlier = {"dataset": {"name": "ped2"}, "data": {}, "model": {}, "mixer": {}, "training": {}}
    write_json(tmp_path / "config.json", earlier)
    with refused("not-a-run", file=tmp_path / "config.json") as caught:
        Run.load(tmp_path)
    assert "train the run again" in str(caught.error)
    path = file({"mixer": {"p": 0.2}})
    with refused("unknown-key", file=path, field="RunConfig.mixer"):
        make_config(file=path)


# --- mixers that are made in Python


class Dark(PseudoAnomaly):
    """A kind that no table knows."""

    name = "dark"

    def __init__(self, strength=1.0, depth=2):
        super().__init__(strength)
        self.depth = depth

    def settings(self):
        return super().settings() | {"depth": self.depth}

    def _change(self, clip, strength, generator):
        factor = 1 - strength / self.depth
        return clip.tensor * factor, {"factor": factor}


@pytest.fixture(scope="module")
def clips():
    videos = moving_videos(3)
    box = np.array([[4, 4, 12, 14]], np.float32)
    boxes = {video.name: list(np.tile(box, (40, 1, 1))) for video in videos}
    config = ClipConfig(length=8, crop=(16, 16), clip_step=4)
    return ClipDataset(videos, config, boxes, progress=False)


def trained(clips, mixer, out, **options):
    torch.manual_seed(0)
    model = DualPathAutoencoder(replace(TINY, channels=clips.frames[0].shape[3]))
    return fit(model, clips, mixer, SHORT, out, progress=False, **options)


def test_a_mixer_of_objects_is_stored_as_its_config(clips, tmp_path):
    kinds = [PasteObjects(strength=0.5), AddNoise((0.1, 0.9), grain=4)]
    mixer = PseudoAnomalyMixer(kinds, 0.25, [2, 1], detector="boxes")
    run = trained(clips, mixer, tmp_path / "run")
    parts = {"weights": (2, 1), "strengths": ((0.5, 0.5), (0.1, 0.9)), "grain": 4}
    assert run.config.pseudo == PseudoConfig(("object", "noise"), 0.25, "boxes", **parts)
    assert Run.load(run.folder).config == run.config


def test_no_mixer_is_stored_as_one_that_makes_nothing(clips, tmp_path):
    run = trained(clips, None, tmp_path / "run")
    assert run.config.pseudo == PseudoConfig(kinds=(), p=0, weights=(), strengths=())
    trained(clips, None, tmp_path / "run", resume=True)


def test_a_kind_that_no_table_knows_is_compared(mine, clips, tmp_path):
    mixer = PseudoAnomalyMixer([Dark(), SkipFrames()], 0.5)
    run = trained(clips, mixer, tmp_path / "run", dataset="folder")
    other = PseudoAnomalyMixer([Dark(depth=3), SkipFrames()], 0.5)
    with refused("other-run", field="fingerprint"):
        trained(clips, other, tmp_path / "run", resume=True, dataset="folder")
    with refused("unknown-name", field="kinds"):
        train_run(make_config(file=run.folder / "config.json"), tmp_path / "b", mine)
