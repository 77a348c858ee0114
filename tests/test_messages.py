"""Some messages that users meet most, word for word. Only here is wording tested: to improve it,
change this list. And the commands in messages are quoted for the shell.
"""

import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from scenes import ArrayFrames, moving_videos

import vadlib
from vadlib import load_pretrained
from vadlib.config import ClipConfig, ModelConfig, PseudoConfig, TrainConfig
from vadlib.data.catalog import DATASETS, load_videos
from vadlib.data.clips import ClipDataset
from vadlib.data.folder import open_video
from vadlib.data.video import Video
from vadlib.device import pick_device
from vadlib.errors import InputError
from vadlib.evaluation.evaluate import evaluate
from vadlib.evaluation.metrics import micro_auc
from vadlib.files import write_json
from vadlib.jobs import make_config
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import PRETRAINED, open_run
from vadlib.pseudo.mixer import KINDS, make_mixer
from vadlib.training.fit import fit, require_free

VIDEO = Video("01", ArrayFrames(np.zeros((7, 48, 64, 1), np.uint8)), 25.0)
CLIPS = ClipConfig(length=8, crop=(16, 16), clip_step=8)


def open_link(folder):
    (folder / "film.mp4").symlink_to(folder / "gone.mp4")
    open_video(folder / "film.mp4")


def read_wrong_config(folder):
    write_json(folder / "small.json", {"training": {"epoch": 3}})
    make_config(file=folder / "small.json")


def train_large_batch(folder):
    clips = ClipDataset(moving_videos(3), CLIPS, progress=False)
    model = DualPathAutoencoder(ModelConfig(width=8, slots=8))
    config = TrainConfig(epochs=1, batch_size=500, device="cpu")
    fit(model, clips, None, config, folder / "run", progress=False)


def pretrained_run(folder, *without):
    ignore = shutil.ignore_patterns(*without)
    return Path(shutil.copytree(PRETRAINED / "synthetic", folder / "run", ignore=ignore))


MESSAGES = [
    (
        lambda folder: load_videos("ped2", root=folder / "data"),
        "{tmp}/data: no such folder; --root (or VADLIB_DATA) must name the folder that holds ped2/",
    ),
    (
        lambda folder: load_videos("ped3", root=folder),
        f"dataset 'ped3' is unknown; expected one of: {', '.join(DATASETS)}",
    ),
    (
        open_link,
        "{tmp}/film.mp4: a link to {tmp}/gone.mp4, which is missing; get that file (such as `git "
        "annex get` or `dvc pull`), mount its disk, or remove the link",
    ),
    (
        lambda folder: ClipDataset([VIDEO], CLIPS, progress=False),
        "video 01: 7 frames, shorter than a clip of 8; leave it out",
    ),
    (
        read_wrong_config,
        "{tmp}/small.json: unknown key 'epoch' in TrainConfig; known keys: epochs, seed, "
        "batch_size, learning_rate, objective, margin, sparsity_weight, separation_weight, "
        "max_gradient, device, precision, workers, compile",
    ),
    (lambda folder: TrainConfig(epochs=0), "TrainConfig.epochs = 0; expected at least 1"),
    (
        lambda folder: make_mixer(PseudoConfig(("skip", "blur"))),
        f"kind 'blur' is unknown; expected one of: {', '.join(KINDS)}",
    ),
    (lambda folder: pick_device("gpu"), "device 'gpu' is unknown; expected auto, cpu, cuda or mps"),
    (
        train_large_batch,
        "104 training clips, fewer than a batch of 500; lower batch_size or clip_step",
    ),
    (
        lambda folder: require_free(pretrained_run(folder), resume=False),
        "{tmp}/run: already holds a run; continue it (--resume), or choose another folder",
    ),
    (
        lambda folder: open_run(folder / "run"),
        "{tmp}/run: no such run; expected a folder written by `vadlib train --out {tmp}/run`, "
        "or the name of a pretrained run (ped2, synthetic)",
    ),
    (
        lambda folder: load_pretrained("ped3"),
        "pretrained run 'ped3' is unknown; expected one of: ped2, synthetic",
    ),
    (
        lambda folder: open_run(pretrained_run(folder, "model.safetensors")),
        "{tmp}/run/model.safetensors: no such file; the training is not complete, so continue "
        "it with `vadlib train --resume --out {tmp}/run` (and the --root of the training, if it "
        "had one)",
    ),
    (
        lambda folder: evaluate("synthetic", [VIDEO], "cpu", progress=False, protocol="middle"),
        "protocol 'middle' is unknown; expected one of: all, center",
    ),
    (
        lambda folder: micro_auc({"01": np.zeros(3)}, {"01": np.arange(3.0)}),
        "all 3 frames are normal; the AUC needs normal and abnormal frames",
    ),
]


@pytest.mark.parametrize(("trigger", "text"), MESSAGES, ids=[text[:60] for _, text in MESSAGES])
def test_the_text_of_a_message(tmp_path, trigger, text):
    with pytest.raises(InputError) as caught:
        trigger(tmp_path)
    assert str(caught.value).replace(str(tmp_path), "{tmp}") == text


@pytest.mark.skipif(os.name == "nt", reason="shlex reads the quotes of a POSIX shell")
@pytest.mark.parametrize("name", ["my run", "it's (mine) & yours"])
def test_a_command_in_a_message_is_quoted_for_the_shell(tmp_path, name):
    with pytest.raises(InputError) as caught:
        open_run(tmp_path / name)
    [command] = re.findall("`(vadlib .+)`", str(caught.value))
    assert shlex.split(command) == ["vadlib", "train", "--out", str(tmp_path / name)]


def test_every_command_with_a_path_in_it_goes_through_the_quoting():
    for path in Path(vadlib.__file__).parent.rglob("*.py"):
        assert not re.search(r"`vadlib [^`\n]*\{", path.read_text(encoding="utf-8")), path
