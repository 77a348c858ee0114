"""Some messages that users meet most, word for word. Only here is wording tested: to improve it,
change this list.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from scenes import ArrayFrames, moving_videos

from vadlib import load_pretrained
from vadlib.config import ClipConfig, ModelConfig, PseudoConfig, TrainConfig
from vadlib.data.catalog import load_videos
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
from vadlib.pseudo.mixer import make_mixer
from vadlib.training.fit import fit, require_free
from vadlib.training.trainer import Loss

VIDEO = Video("01", ArrayFrames(np.zeros((7, 48, 64, 1), np.uint8)), 25.0)
CLIPS = ClipConfig(length=8, crop=(16, 16), clip_step=8)


def a_link_leads_nowhere(folder: Path) -> None:
    (folder / "film.mp4").symlink_to(folder / "gone.mp4")
    open_video(folder / "film.mp4")


def a_config_has_an_unknown_key(folder: Path) -> None:
    write_json(folder / "small.json", {"training": {"epoch": 3}})
    make_config(file=folder / "small.json")


def train(folder: Path, **changes: object) -> None:
    config = TrainConfig(epochs=1, device="cpu", **changes)
    clips = ClipDataset(moving_videos(3), CLIPS, progress=False)
    model = DualPathAutoencoder(ModelConfig(width=8, slots=8))
    fit(model, clips, None, config, folder / "run", resume=True, progress=False)


def a_batch_does_not_fit_into_memory(folder: Path) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
    with mock.patch.object(Loss, "forward", side_effect=error):
        train(folder)


def pretrained_run(folder: Path, *without: str) -> Path:
    ignore = shutil.ignore_patterns(*without)
    return Path(shutil.copytree(PRETRAINED / "synthetic", folder / "run", ignore=ignore))


MESSAGES: list[tuple[Callable[[Path], object], str]] = [
    (
        lambda folder: load_videos("ped2", root=folder / "data"),
        "{tmp}/data: no such folder; --root (or VADLIB_DATA) must name the folder that holds ped2/",
    ),
    (
        lambda folder: load_videos("ped3", root=folder),
        "dataset 'ped3' is unknown; expected one of: synthetic, ped1, ped2, avenue, shanghaitech, "
        "folder",
    ),
    (
        a_link_leads_nowhere,
        "{tmp}/film.mp4: a link to {tmp}/gone.mp4, which is missing; get that file (such as `git "
        "annex get` or `dvc pull`), mount its disk, or remove the link",
    ),
    (
        lambda folder: ClipDataset([VIDEO], CLIPS, progress=False),
        "video 01: 7 frames, shorter than a clip of 8; leave it out, or make clips shorter (clips.length "
        "or clips.frame_step in the config)",
    ),
    (
        lambda folder: ModelConfig.preset("huge"),
        "preset 'huge' is unknown; expected one of: fast, short, compact, paper",
    ),
    (
        a_config_has_an_unknown_key,
        "{tmp}/small.json: unknown key 'epoch' in TrainConfig; known keys: epochs, seed, "
        "batch_size, learning_rate, objective, margin, sparsity_weight, separation_weight, "
        "max_gradient, device, precision, workers, compile",
    ),
    (lambda folder: TrainConfig(epochs=0), "TrainConfig.epochs = 0; expected at least 1"),
    (
        lambda folder: make_mixer(PseudoConfig(("skip", "blur"))),
        "kind 'blur' is unknown; expected one of: skip, shuffle, noise, object",
    ),
    (lambda folder: pick_device("gpu"), "device 'gpu' is unknown; expected auto, cpu, cuda or mps"),
    (
        a_batch_does_not_fit_into_memory,
        "cpu ran out of memory with batch_size = 8; lower it, or make the clips smaller (size or "
        "crop)",
    ),
    (
        lambda folder: train(folder, batch_size=500),
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
        "all 3 frames are normal; the AUC needs test videos with normal and abnormal frames",
    ),
]


@pytest.mark.parametrize(("trigger", "text"), MESSAGES, ids=[text[:60] for _, text in MESSAGES])
def test_the_text_of_a_message(tmp_path, trigger, text):
    with pytest.raises(InputError) as caught:
        trigger(tmp_path)
    assert str(caught.value).replace(str(tmp_path), "{tmp}") == text
