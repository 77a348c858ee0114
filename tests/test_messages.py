"""The messages that users meet most, word for word. This is the only place where wording is tested:
to improve it, change this list.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from scenes import ArrayFrames, moving_videos
from trees import write_video

from vadlib import load_pretrained
from vadlib.config import ClipConfig, ModelConfig, PseudoConfig, ScoreConfig, TrainConfig
from vadlib.course import profile, read_ablation, show
from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset
from vadlib.data.folder import open_video
from vadlib.data.label_tables import read_intervals
from vadlib.data.labels import from_npy
from vadlib.data.video import Video
from vadlib.device import pick_device, pick_precision
from vadlib.errors import InputError
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.evaluate import evaluate
from vadlib.evaluation.metrics import micro_auc
from vadlib.evaluation.result import Result
from vadlib.evaluation.stream import find_scene
from vadlib.files import write_json
from vadlib.jobs import make_config
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import PRETRAINED, open_run
from vadlib.pseudo.detectors import find_boxes
from vadlib.pseudo.kinds import ShuffleMotion, SkipFrames
from vadlib.pseudo.mixer import PseudoAnomalyMixer, make_mixer
from vadlib.pseudo.patches import load_patches
from vadlib.pseudo.weights import find_weights
from vadlib.training.fit import fit, require_free
from vadlib.training.trainer import Loss

LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def image_folder(folder: Path) -> Path:
    """Write three frames of 8 x 6 pixels."""
    folder.mkdir(parents=True)
    for number in range(3):
        Image.new("L", (8, 6)).save(folder / f"{number}.png")
    return folder


def read_frames(path: Path) -> None:
    """Read every frame of a video."""
    for frame in open_video(path).frames:
        np.asarray(frame)


def grey_video(length: int, name: str = "01") -> Video:
    """A video of black frames in memory."""
    return Video(name, ArrayFrames(np.zeros((length, 48, 64, 1), np.uint8)), 25.0)


def clips() -> ClipDataset:
    """Clips of three small videos."""
    return ClipDataset(
        moving_videos(3), ClipConfig(length=8, crop=(16, 16), clip_step=8), progress=False
    )


def train(out: Path, **changes) -> None:
    """Train the smallest model for an epoch."""
    config = TrainConfig(
        **{"epochs": 1, "batch_size": 4, "workers": 0, "device": "cpu", "objective": "none"}
        | changes
    )
    fit(
        DualPathAutoencoder(ModelConfig(width=8, slots=8)),
        clips(),
        None,
        config,
        out,
        resume=True,
        progress=False,
    )


def shipped_run(folder: Path, *without: str) -> Path:
    """Copy the pretrained run, without some of its files."""
    return Path(
        shutil.copytree(PRETRAINED / "synthetic", folder, ignore=shutil.ignore_patterns(*without))
    )


# Triggers of more than one line


def a_frame_is_a_git_lfs_pointer(folder: Path) -> None:
    (image_folder(folder / "walk") / "1.png").write_text(LFS_POINTER)
    read_frames(folder / "walk")


def a_frame_is_empty(folder: Path) -> None:
    (image_folder(folder / "walk") / "1.png").write_bytes(b"")
    read_frames(folder / "walk")


def a_frame_has_another_size(folder: Path) -> None:
    Image.new("L", (8, 7)).save(image_folder(folder / "walk") / "1.png")
    read_frames(folder / "walk")


def a_text_is_called_a_video(folder: Path) -> None:
    (folder / "film.mp4").write_text("no video")
    open_video(folder / "film.mp4")


def a_video_is_cut_off(folder: Path) -> None:
    path = write_video(folder / "film.avi", np.zeros((20, 48, 64, 3), np.uint8), codec="rawvideo")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    open_video(path)


def a_folder_holds_no_frames(folder: Path) -> None:
    (folder / "walk").mkdir()
    open_video(folder / "walk")


def a_link_leads_nowhere(folder: Path) -> None:
    (folder / "film.mp4").symlink_to(folder / "gone.mp4")
    open_video(folder / "film.mp4")


def labels_have_another_column(folder: Path) -> None:
    (folder / "labels.csv").write_text("video,start,end,kind\na,1,2,run\n")
    read_intervals(folder / "labels.csv")


def labels_are_neither_0_nor_1(folder: Path) -> None:
    np.save(folder / "labels.npy", np.array([0, 2, 1]))
    from_npy(folder / "labels.npy")


def a_config_has_an_unknown_key(folder: Path) -> None:
    write_json(folder / "small.json", {"training": {"epoch": 3}})
    make_config(file=folder / "small.json")


def a_config_has_a_value_of_another_type(folder: Path) -> None:
    write_json(folder / "small.json", {"training": {"epochs": "3"}})
    make_config(file=folder / "small.json")


def a_config_is_not_json(folder: Path) -> None:
    (folder / "small.json").write_text("epochs = 3")
    make_config(file=folder / "small.json")


def a_batch_does_not_fit_into_memory(folder: Path) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
    with mock.patch.object(Loss, "forward", side_effect=error):
        train(folder / "run", batch_size=8)


def resume_with_another_config(folder: Path) -> None:
    train(folder / "run")
    train(folder / "run", epochs=2)


def weights_of_another_model(folder: Path) -> None:
    run = shipped_run(folder / "run")
    config = (run / "config.json").read_text(encoding="utf-8")
    (run / "config.json").write_text(config.replace('"width": 16', '"width": 32'), encoding="utf-8")
    open_run(run)


def an_unknown_scene(folder: Path) -> None:
    calibration = Calibration.load(PRETRAINED / "synthetic" / "calibration.npz")
    find_scene(calibration, ClipConfig(), grey_video(20), "alley")


def a_file_where_a_folder_is_needed(folder: Path) -> None:
    (folder / "run").write_text("in the way")
    require_free(folder / "run", resume=False)


def an_unknown_profile(folder: Path) -> None:
    with mock.patch.dict(os.environ, VADLIB_PROFILE="fast"):
        profile()


MESSAGES: list[tuple[Callable[[Path], object], str]] = [
    # data
    (
        lambda folder: load_videos("ped2", root=folder / "data"),
        "{tmp}/data: no such folder; --root (or VADLIB_DATA) must name the folder that holds ped2/",
    ),
    (
        lambda folder: load_videos("ped2"),
        "{tmp}/data: no such folder, but VADLIB_DATA names it; set VADLIB_DATA to the folder that "
        "holds the datasets' own folders, such as ped2/, or unset it",
    ),
    (
        a_link_leads_nowhere,
        "{tmp}/film.mp4: a link to {tmp}/gone.mp4, which is missing; get that file (such as `git annex "
        "get` or `dvc pull`), mount its disk, or remove the link",
    ),
    (
        labels_have_another_column,
        "{tmp}/labels.csv: line 1 is 'video,start,end,kind'; expected video, start and end (frames), "
        "or video, start_s and end_s (seconds), each once; remove or rename other columns",
    ),
    (
        lambda folder: load_videos("ped2", root=folder),
        "{tmp}: no Ped2 here; expected ped2/training/frames/01/*.jpg and "
        "ped2/testing/frames/01/*.jpg, or UCSD_Anomaly_Dataset.v1p2/UCSDped2/Train and Test, "
        "below it",
    ),
    (
        lambda folder: load_videos("ped3", root=folder),
        "dataset 'ped3' is unknown; expected one of: synthetic, ped1, ped2, avenue, shanghaitech, folder",
    ),
    (
        lambda folder: open_video(folder / "gone.mp4"),
        "{tmp}/gone.mp4: no such file or folder; expected one video file, or one folder of frame images",
    ),
    (
        a_folder_holds_no_frames,
        "{tmp}/walk: no images in this folder; expected a folder of frame images, or a video file",
    ),
    (
        a_text_is_called_a_video,
        "{tmp}/film.mp4: not a video (it starts with b'no video'); expected one of .3gp, .avi, .m4v, .mkv, .mov, .mp4, .webm",
    ),
    (
        a_video_is_cut_off,
        "{tmp}/film.avi: 9 of 20 frames could be decoded (the next one is not whole): the "
        "file is cut off or damaged; copy or download it again, or re-encode it if it is as "
        "long as it should be",
    ),
    (
        a_frame_is_a_git_lfs_pointer,
        "{tmp}/walk/1.png: a Git LFS pointer, not the data itself; run `git lfs pull` in the "
        "copy it came from, or download the dataset itself",
    ),
    (
        a_frame_is_empty,
        "{tmp}/walk/1.png: an empty file; expected an image: copy or download it again",
    ),
    (
        a_frame_has_another_size,
        "{tmp}/walk/1.png: 8x7 pixels, but 0.png has 8x6; all frames of a video must have one "
        "size: extract them again, or move the odd file away",
    ),
    (
        labels_are_neither_0_nor_1,
        "{tmp}/labels.npy: values other than 0 (normal) and 1 (abnormal), such as 2",
    ),
    (
        lambda folder: Video("01", ArrayFrames(np.zeros((5, 6, 8, 1))), 25.0, labels=np.zeros(4)),
        "video 01: 5 frames but 4 labels; expected one for each frame: the copy is incomplete, or the labels belong to another video",
    ),
    (
        lambda folder: ClipDataset([grey_video(7)], ClipConfig(length=8), progress=False),
        "video 01: 7 frames, shorter than a clip of 8; leave it out, or make clips shorter (length or frame_step in the data config)",
    ),
    (
        lambda folder: ClipDataset(
            [grey_video(9), grey_video(9)], ClipConfig(length=8), progress=False
        ),
        "two videos are called '01'; expected a name of its own for each",
    ),
    # settings
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
    (
        a_config_has_a_value_of_another_type,
        "{tmp}/small.json: TrainConfig.epochs = '3'; expected int",
    ),
    (
        a_config_is_not_json,
        "{tmp}/small.json: not JSON (Expecting value: line 1 column 1 (char 0)); expected a JSON object with "
        "some of dataset, clips, pseudo, model, training, score, clip_count, fingerprint",
    ),
    (lambda folder: TrainConfig(epochs=0), "TrainConfig.epochs = 0; expected at least 1"),
    (
        lambda folder: ModelConfig(width=12),
        "ModelConfig.width = 12; expected a multiple of 8, at most 512",
    ),
    (lambda folder: ScoreConfig(mean=1.5), "ScoreConfig.mean = 1.5; expected a share in [0, 1]"),
    (
        lambda folder: PseudoAnomalyMixer([SkipFrames()], p=1.5),
        "p = 1.5; expected a probability in [0, 1]",
    ),
    (
        lambda folder: make_mixer(PseudoConfig(("skip", "blur"))),
        "kind 'blur' is unknown; expected one of: skip, shuffle, noise, object",
    ),
    (
        lambda folder: ShuffleMotion(strength=2),
        "ShuffleMotion: strength = 2; expected a number in [0, 1], or (low, high) in it",
    ),
    (
        lambda folder: find_boxes([grey_video(9)], "people", progress=False),
        "detector 'people' is unknown; expected motion, boxes (the dataset's own), yolov3, darknet, yolov3:WEIGHTS or darknet:WEIGHTS",
    ),
    (
        lambda folder: find_boxes([grey_video(9)], "boxes", progress=False),
        "video 01: the dataset has no boxes; use the detector 'motion'",
    ),
    (
        lambda folder: (folder / "data").mkdir() or find_weights("yolov9.pt"),
        "weights 'yolov9.pt': no such file here or in {tmp}/cache/weights or "
        "{tmp}/data/weights; expected a path, or one of: yolov3-tinyu.pt, yolov3u.pt, "
        "yolov3-sppu.pt, MobileNetV2-YOLOv3-Nano-coco.weights",
    ),
    (
        lambda folder: load_patches(str(folder / "pictures")),
        "patches '{tmp}/pictures': no such folder; expected 'builtin', 'sprites', 'cifar100', or a folder of class folders",
    ),
    # the machine
    (lambda folder: pick_device("gpu"), "device 'gpu' is unknown; expected auto, cpu, cuda or mps"),
    (
        lambda folder: pick_precision("fp16", pick_device("cpu")),
        "precision 'fp16' is unknown; expected one of: auto, fp32, bf16",
    ),
    (
        a_batch_does_not_fit_into_memory,
        "cpu ran out of memory with batch_size = 8; lower it, or make the clips smaller (size or crop)",
    ),
    (an_unknown_profile, "VADLIB_PROFILE = 'fast'; expected quick or full"),
    # training
    (
        lambda folder: train(folder / "run", batch_size=500),
        "104 training clips, fewer than a batch of 500; lower batch_size or clip_step",
    ),
    (
        lambda folder: require_free(shipped_run(folder / "run"), resume=False),
        "{tmp}/run: already holds a run; continue it (--resume, or resume=True), or choose another folder",
    ),
    (a_file_where_a_folder_is_needed, "{tmp}/run: a file; expected a folder for the run"),
    (
        resume_with_another_config,
        "{tmp}/run/config.json: training.epochs was 1, now 2; resume with the same settings, or choose another folder",
    ),
    # runs and results
    (
        lambda folder: open_run(folder / "run"),
        "{tmp}/run: no such run; expected a folder written by `vadlib train --out {tmp}/run`, "
        "or the name of a pretrained run (ped2, synthetic)",
    ),
    (
        lambda folder: open_run(folder),
        "{tmp}: not a run (no config.json in it); expected a folder written by `vadlib train --out {tmp}`",
    ),
    (
        lambda folder: load_pretrained("ped3"),
        "pretrained run 'ped3' is unknown; expected one of: ped2, synthetic",
    ),
    (
        lambda folder: open_run(shipped_run(folder / "run", "model.safetensors")),
        "{tmp}/run/model.safetensors: no such file; the training is not complete, so continue "
        "it with `vadlib train --resume --out {tmp}/run` (and the --root of the training, if it had one)",
    ),
    (
        lambda folder: Calibration.load(shipped_run(folder / "run", "*.npz") / "calibration.npz"),
        "{tmp}/run/calibration.npz: no such file; the training is not complete, so continue it with "
        "`vadlib train --resume --out {tmp}/run` (and the --root of the training, if it had one)",
    ),
    (
        weights_of_another_model,
        "{tmp}/run/model.safetensors: weights of another model (encoder.bottom.0.bias is "
        "(64,), expected (128,)); use the config.json that was saved with them",
    ),
    (
        lambda folder: evaluate(
            "synthetic", [grey_video(20)], "cpu", progress=False, protocol="middle"
        ),
        "protocol 'middle' is unknown; expected one of: all, center",
    ),
    (
        lambda folder: evaluate("synthetic", [], "cpu", progress=False),
        "no videos to score; expected at least one",
    ),
    (
        lambda folder: Result.load(folder),
        "{tmp}/scores.npz: no such file; write it with `vadlib evaluate RUN --out {tmp}`",
    ),
    (an_unknown_scene, "scene 'alley' is unknown to the run; expected one of: 'street'"),
    (
        lambda folder: micro_auc({"01": np.zeros(3)}, {"01": np.arange(3.0)}),
        "all 3 frames are normal; the AUC needs test videos with normal and abnormal frames",
    ),
    (
        lambda folder: read_ablation(folder / "ablation.csv"),
        "{tmp}/ablation.csv: no such file; expected a table written by `vadlib ablate`",
    ),
    # notebooks
    (
        lambda folder: show(plt.figure(), "a curve"),
        "alt text 'a curve'; expected at least five words that say what the figure shows",
    ),
]


@pytest.mark.parametrize(("trigger", "text"), MESSAGES, ids=[text[:60] for _, text in MESSAGES])
def test_the_text_of_a_message(tmp_path, monkeypatch, trigger, text):
    monkeypatch.setenv("VADLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VADLIB_DATA", str(tmp_path / "data"))
    with pytest.raises(InputError) as caught:
        trigger(tmp_path)
    plt.close("all")
    assert str(caught.value).replace(str(tmp_path), "{tmp}") == text
