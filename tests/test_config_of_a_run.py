"""A run's config.json is given to `--config`, and the run is repeated."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused
from scenes import moving_videos
from trees import own_videos

from vadlib import cli
from vadlib.config import ClipConfig, ModelConfig, PseudoConfig, TrainConfig, from_dict
from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset
from vadlib.jobs import train_run
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import PRETRAINED, Run, pretrained_names, read_config
from vadlib.pseudo.detectors import find_boxes
from vadlib.pseudo.kinds import AddNoise, PasteObjects, PseudoAnomaly, SkipFrames
from vadlib.pseudo.mixer import PseudoAnomalyMixer
from vadlib.training.fit import fit

SMALL = {
    "fast": {
        "data": {"clip_step": 16, "crop": [24, 24]},
        "model": {"width": 8, "slots": 8},
        "training": {"epochs": 1, "batch_size": 4},
    },
    "compact": {
        "data": {"size": [32, 32], "clip_step": 8},
        "model": {"width": 8, "slots": 16},
        "training": {"epochs": 1, "batch_size": 4},
    },
}
MIXER = {
    "kinds": ["object", "noise"],
    "weights": [1, 3],
    "strengths": [[0.75, 1.0], [0.5, 0.5]],
    "grain": 2,
    "p": 0.75,
}
TINY = ModelConfig(width=8, slots=8)
SHORT = TrainConfig(epochs=1, batch_size=4, precision="fp32", device="cpu")


@pytest.fixture
def vadlib(monkeypatch, capsys):
    """(*arguments) -> exit status and standard error of a command."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["vadlib", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code or 0, capsys.readouterr().err

    return call


@pytest.fixture
def mine(tmp_path):
    own_videos(tmp_path / "mine")
    return tmp_path / "mine"


def small_file(folder, preset="fast", **more):
    path = folder / "small.json"
    path.write_text(json.dumps(SMALL[preset] | more), encoding="utf-8")
    return path


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def stored(folder):
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("preset", ["fast", "compact"])
def test_a_run_is_repeated_from_its_config(vadlib, mine, tmp_path, preset):
    """Nothing but the folders is named a second time; every part of the first run differs from its
    default.
    """
    (tmp_path / "pictures" / "white").mkdir(parents=True)
    Image.new("RGB", (40, 40), (255, 255, 255)).save(tmp_path / "pictures" / "white" / "0.png")
    chosen = [
        "--data",
        "folder",
        "--root",
        mine,
        "--preset",
        preset,
        "--seed",
        3,
        "--device",
        "cpu",
        "--objective",
        "maximize",
    ]
    chosen += [
        "--patches",
        tmp_path / "pictures",
        "--config",
        small_file(tmp_path, preset, mixer=MIXER),
    ]
    assert vadlib("train", *chosen, "--out", tmp_path / "a")[0] == 0
    status, err = vadlib(
        "train", "--root", mine, "--config", tmp_path / "a" / "config.json", "--out", tmp_path / "b"
    )
    assert status == 0, err
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    config = stored(tmp_path / "b")
    assert config == stored(tmp_path / "a")
    assert (config["dataset"]["name"], config["dataset"]["preset"]) == ("folder", preset)
    assert config["mixer"] == MIXER | {"patches": str(tmp_path / "pictures"), "detector": "motion"}
    assert (config["training"]["seed"], config["training"]["objective"]) == (3, "maximize")
    status, err = vadlib(
        "train",
        "--root",
        mine,
        "--config",
        tmp_path / "a" / "config.json",
        "--out",
        tmp_path / "c",
        "--seed",
        4,
    )
    assert status == 0, err
    # so that the first equality says something
    assert weights(tmp_path / "c") != weights(tmp_path / "a")


@pytest.fixture
def config_of_a_run(mine, tmp_path):
    """A file that `vadlib train` left, with a mixer other than the default."""
    chosen = SMALL["fast"] | {"mixer": MIXER, "training": SMALL["fast"]["training"] | {"seed": 3}}
    return train_run("folder", mine, "fast", chosen, tmp_path / "first").folder / "config.json"


def test_options_win_over_the_config_of_a_run(vadlib, mine, tmp_path, config_of_a_run):
    options = ["--kinds", "skip,object", "--p", 0.25, "--seed", 5, "--epochs", 2]
    status, err = vadlib(
        "train", "--root", mine, "--config", config_of_a_run, "--out", tmp_path / "other", *options
    )
    assert status == 0, err
    before, after = stored(config_of_a_run.parent), stored(tmp_path / "other")
    assert after["training"] == before["training"] | {"seed": 5, "epochs": 2}
    # the config's weights and strengths are those of other kinds
    default = [[0.25, 1.0], [0.5, 1.0]]
    assert (
        after["mixer"].items()
        >= {"kinds": ["skip", "object"], "p": 0.25, "weights": [1, 1], "strengths": default}.items()
    )
    assert (after["data"], after["model"], after["dataset"]) == (
        before["data"],
        before["model"],
        before["dataset"],
    )


def test_the_same_kinds_as_an_option_keep_their_weights_and_strengths(
    mine, tmp_path, config_of_a_run
):
    run = train_run(
        None,
        mine,
        None,
        {"mixer": {"kinds": ["object", "noise"], "p": 0.5}},
        tmp_path / "b",
        config=config_of_a_run,
    )
    assert run.config["mixer"].items() >= (MIXER | {"p": 0.5}).items()


def test_weights_in_a_file_without_kinds_are_those_of_the_chosen_kinds(mine, tmp_path):
    path = small_file(tmp_path, mixer={"weights": [1, 4]})
    run = train_run(
        "folder", mine, None, {"mixer": {"kinds": ["skip", "noise"]}}, tmp_path / "run", config=path
    )
    assert run.config["mixer"]["weights"] == [1, 4]


def test_a_chosen_dataset_and_preset_win_over_those_of_the_config(
    vadlib, mine, tmp_path, config_of_a_run
):
    config = stored(config_of_a_run.parent)
    path = tmp_path / "elsewhere.json"
    path.write_text(
        json.dumps(config | {"dataset": config["dataset"] | {"name": "ped1"}}), encoding="utf-8"
    )
    status, err = vadlib("train", "--root", tmp_path, "--config", path, "--out", tmp_path / "b")
    assert (status, "Ped1" in err) == (1, True)
    status, err = vadlib(
        "train",
        "--root",
        mine,
        "--config",
        path,
        "--out",
        tmp_path / "b",
        "--data",
        "folder",
        "--preset",
        "paper",
    )
    assert status == 0, err
    # all that the preset could say is in the config
    assert weights(tmp_path / "b") == weights(config_of_a_run.parent)
    assert stored(tmp_path / "b")["dataset"] == config["dataset"] | {"preset": "paper"}


def test_a_preset_in_a_config_fills_in_what_the_config_leaves_out(mine, tmp_path):
    path = small_file(tmp_path, "compact", dataset={"name": "folder", "preset": "compact"})
    run = train_run(None, mine, None, {}, tmp_path / "run", config=path)
    assert (run.config["model"]["network"], run.config["mixer"]["p"]) == (
        "published",
        PseudoConfig.preset("compact").p,
    )


@pytest.mark.parametrize(
    ("dataset", "culprit"),
    [
        ({"nmae": "folder"}, "nmae"),
        ({"name": 3}, "name"),
        ({"preset": "huge"}, "huge"),
        ({"clips": 12}, "--data"),
    ],
)
def test_a_wrong_part_dataset_is_refused(vadlib, mine, tmp_path, dataset, culprit):
    path = small_file(tmp_path, dataset=dataset)
    chosen = [] if culprit == "--data" else ["--data", "folder"]
    status, err = vadlib(
        "train", "--root", mine, "--config", path, "--out", tmp_path / "run", *chosen
    )
    assert (status, culprit in err) == (1, True)
    assert not (tmp_path / "run").exists()


# --- runs of earlier versions


def earlier(config):
    """The shape in which earlier versions stored the same run."""
    mixer = dict(config["mixer"])
    further = {"noise": [mixer.pop("grain", 1)], "object": [mixer.pop("patches", "builtin")]}
    ranges = zip(mixer["kinds"], mixer.pop("strengths"), strict=True)
    mixer["kinds"] = [[name, *strength, *further.get(name, [])] for name, strength in ranges]
    dataset = config["dataset"] | {
        "detector": mixer.pop("detector"),
        "patches": further["object"][0],
    }
    return config | {"dataset": dataset, "mixer": mixer}


def test_a_config_of_an_earlier_version_repeats_its_run(vadlib, mine, tmp_path, config_of_a_run):
    path, config = tmp_path / "earlier.json", stored(config_of_a_run.parent)
    path.write_text(json.dumps(earlier(config)), encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8"))["mixer"]["kinds"] == [
        ["object", 0.75, 1.0, "builtin"],
        ["noise", 0.5, 0.5, 2],
    ]
    status, err = vadlib("train", "--root", mine, "--config", path, "--out", tmp_path / "b")
    assert status == 0, err
    assert weights(tmp_path / "b") == weights(config_of_a_run.parent)
    assert stored(tmp_path / "b") == config


def test_a_run_of_an_earlier_version_is_loaded_and_resumed(mine, tmp_path, config_of_a_run):
    config, whole = stored(config_of_a_run.parent), weights(config_of_a_run.parent)
    chosen = SMALL["fast"] | {"mixer": MIXER, "training": SMALL["fast"]["training"] | {"seed": 3}}
    config_of_a_run.write_text(json.dumps(earlier(config)), encoding="utf-8")
    assert Run.load(config_of_a_run.parent).config == config
    # what the last moments of a training leave
    for name in ("calibration.npz", "model.safetensors"):
        (config_of_a_run.parent / name).unlink()
    other = chosen | {"mixer": MIXER | {"grain": 3}}
    with refused("other-run", field="mixer.grain"):
        train_run("folder", mine, "fast", other, config_of_a_run.parent, resume=True)
    train_run("folder", mine, "fast", chosen, config_of_a_run.parent, resume=True)
    assert weights(config_of_a_run.parent) == whole


PARTS = ["data", "model", "mixer", "training"]


@pytest.mark.parametrize("given", [None, "mixer"], ids=str)
@pytest.mark.parametrize("name", pretrained_names())
def test_what_ships_repeats_its_settings(mine, tmp_path, name, given):
    """Its config.json itself, or one part of it. Other data and a smaller network make it a matter
    of a second.
    """
    path = PRETRAINED / name / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if given is not None:
        path = tmp_path / "part.json"
        path.write_text(json.dumps({given: config[given]}), encoding="utf-8")
    chosen = {
        "data": {"clip_step": 16, "crop": [24, 24], "channels": 1},
        "model": {"width": 8, "slots": 8, "channels": 1},
        "training": {"epochs": 1, "batch_size": 4, "device": "cpu"},
    }
    run = train_run("folder", mine, None, chosen, tmp_path / "run", config=path)
    for part in PARTS if given is None else [given]:
        assert run.config[part] == config[part] | chosen.get(part, {}), part
    preset = config["dataset"]["preset"] if given is None else "fast"
    assert run.config["dataset"].items() >= {"name": "folder", "preset": preset}.items()


@pytest.mark.parametrize(
    ("preset", "parts"),
    [("short", "all"), ("paper", "all"), ("fast", "mixer"), ("compact", "mixer")],
)
def test_a_run_of_each_preset_repeats_its_settings(vadlib, mine, tmp_path, preset, parts):
    published = preset in ("compact", "paper")
    small = SMALL["compact" if published else "fast"]
    first = train_run("folder", mine, preset, small, tmp_path / "a")
    path = first.folder / "config.json"
    if parts == "mixer":
        path = tmp_path / "mixer.json"
        path.write_text(json.dumps({"mixer": first.config["mixer"]} | small), encoding="utf-8")
    options = ["--data", "folder", "--preset", preset] if parts == "mixer" else []
    status, err = vadlib(
        "train", "--root", mine, "--config", path, "--out", tmp_path / "b", *options
    )
    assert status == 0, err
    assert stored(tmp_path / "b") == stored(first.folder)
    assert weights(tmp_path / "b") == weights(first.folder)


@pytest.mark.parametrize("name", pretrained_names())
def test_what_ships_can_be_given_to_config(name):
    config = json.loads((PRETRAINED / name / "config.json").read_text(encoding="utf-8"))
    assert config == read_config(PRETRAINED / name), "in the shape of today"
    mixer = from_dict(PseudoConfig, config["mixer"], name)
    assert mixer == PseudoConfig(
        weights=(1, 1, 1, 1), strengths=((0.25, 1), (0.25, 1), (0.25, 1), (0.5, 1))
    )


# --- mixers that are called from Python


class Dark(PseudoAnomaly):
    """A kind that no table knows."""

    name = "dark"

    def __init__(self, strength=1.0, depth=2):
        super().__init__(strength)
        self.depth = depth

    def settings(self):
        return super().settings() | {"depth": self.depth}

    def _draw(self, clip, strength, generator):
        return {"factor": 1 - strength / self.depth}

    def _apply(self, clip, params, generator):
        return clip.tensor * params["factor"]


@pytest.fixture(scope="module")
def clips():
    videos = moving_videos(3)
    boxes = {video.name: [np.array([[4, 4, 12, 14]], np.float32)] * len(video) for video in videos}
    return ClipDataset(
        videos, ClipConfig(length=8, crop=(16, 16), clip_step=4), boxes, progress=False
    )


def trained(clips, mixer, out, **options):
    torch.manual_seed(0)
    return fit(DualPathAutoencoder(TINY), clips, mixer, SHORT, out, progress=False, **options)


def test_a_mixer_of_objects_is_stored_as_its_config(clips, tmp_path):
    mixer = PseudoAnomalyMixer(
        [PasteObjects(strength=0.5), AddNoise((0.1, 0.9), grain=4)], 0.25, [2, 1]
    )
    source = {"name": "ped2", "preset": "fast", "detector": "boxes"}
    config = stored(trained(clips, mixer, tmp_path / "run", dataset=source).folder)
    expected = PseudoConfig(
        kinds=("object", "noise"),
        p=0.25,
        detector="boxes",
        weights=(2, 1),
        strengths=((0.5, 0.5), (0.1, 0.9)),
        grain=4,
    )
    assert from_dict(PseudoConfig, config["mixer"], "here") == expected
    assert config["dataset"].keys() == {"name", "preset", "clips", "fingerprint"}


def test_no_mixer_is_stored_as_one_that_makes_nothing(clips, tmp_path):
    run = trained(clips, None, tmp_path / "run")
    assert from_dict(PseudoConfig, stored(run.folder)["mixer"], "here") == PseudoConfig(
        kinds=(), p=0, weights=(), strengths=()
    )
    trained(clips, None, tmp_path / "run", resume=True)


def test_a_kind_that_no_table_knows_is_stored_and_compared(vadlib, mine, clips, tmp_path):
    run = trained(
        clips,
        PseudoAnomalyMixer([Dark(), SkipFrames()], 0.5),
        tmp_path / "run",
        dataset={"name": "folder"},
    )
    mixer = stored(run.folder)["mixer"]
    assert (mixer["kinds"], mixer["depth"]) == (["dark", "skip"], 2)
    with refused("other-run", field="mixer.depth"):
        trained(
            clips,
            PseudoAnomalyMixer([Dark(depth=3), SkipFrames()], 0.5),
            tmp_path / "run",
            resume=True,
            dataset={"name": "folder"},
        )
    status, err = vadlib(
        "train", "--root", mine, "--config", run.folder / "config.json", "--out", tmp_path / "b"
    )
    assert (status, "depth" in err) == (1, True)  # refused, rather than repeated without it


def test_two_kinds_of_one_name_are_stored_apart_and_not_repeated_as_one(clips, tmp_path):
    run = trained(clips, PseudoAnomalyMixer([AddNoise(), AddNoise(grain=8)], 0.5), tmp_path / "run")
    mixer = stored(run.folder)["mixer"]
    assert (mixer["kinds"], mixer["grain"]) == (["noise", "noise"], [1, 8])
    with refused("wrong-type", field="PseudoConfig.grain"):
        from_dict(PseudoConfig, mixer, "here")


def test_a_run_that_python_made_is_repeated_by_the_command(vadlib, mine, tmp_path):
    """With mixer objects and with a model from the run's seed; so does notebook 06."""
    videos = load_videos("folder", "train", mine)
    clips = ClipDataset(
        videos, ClipConfig(crop=(24, 24), clip_step=8), find_boxes(videos), progress=False
    )
    torch.manual_seed(0)
    model = DualPathAutoencoder(ModelConfig(channels=clips.frames[0].shape[3], width=8, slots=8))
    mixer = PseudoAnomalyMixer([SkipFrames(0.25), AddNoise(grain=2), PasteObjects()], p=0.5)
    fit(model, clips, mixer, SHORT, tmp_path / "a", dataset={"name": "folder"}, progress=False)
    status, err = vadlib(
        "train", "--root", mine, "--config", tmp_path / "a" / "config.json", "--out", tmp_path / "b"
    )
    assert status == 0, err
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
