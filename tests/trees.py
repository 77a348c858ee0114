"""Tiny copies of the datasets in the layouts in which they circulate, written by the tests; every
picture is made here.
"""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import scipy.io
import torch
from PIL import Image
from scenes import moving_videos

from vadlib.config import ClipConfig, ModelConfig, TrainConfig
from vadlib.data.clips import ClipDataset
from vadlib.data.video import Video
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run
from vadlib.training.fit import fit

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def write_video(
    path: Path, frames: np.ndarray, fps: int = 25, codec: str = "mpeg4", **options: str
) -> Path:
    """Encode uint8 (T, H, W, 3) RGB with PyAV; the ending of the path chooses the container."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps), options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in np.ascontiguousarray(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_images(
    folder: Path, frames: np.ndarray, name: str = "{:03d}.png", first: int = 0
) -> Path:
    """Write uint8 (T, H, W) or (T, H, W, C), or bool, as one image each, numbered from `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(frames):
        pixels = frame * np.uint8(255) if frame.dtype == bool else frame
        Image.fromarray(pixels.squeeze()).save(folder / name.format(t + first))
    return folder


def scene(
    count: int, length: int, labelled: bool = False, seed: int = 0, size: tuple[int, int] = (48, 64)
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(RGB frames, labels) of `count` little videos in which something moves."""
    videos = []
    for video in moving_videos(count, size, length, labelled, seed):
        labels = np.zeros(length, np.uint8) if video.labels is None else video.labels
        videos.append((np.repeat(video.frames[:], 3, axis=-1), labels))
    return videos


def spot(labels: np.ndarray, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Masks bool (T, H, W): a little rectangle in each abnormal frame."""
    masks = np.zeros((len(labels), *size), bool)
    masks[labels == 1, 10:20, 12:30] = True
    return masks


def matlab_script(labels: list[np.ndarray]) -> str:
    """Intervals as UCSD writes them."""
    script = "TestVideoFile = {};\n"
    for clip in labels:
        ranges = ", ".join(f"{a}:{b}" for a, b in one_based(clip))
        script += f"TestVideoFile{{end+1}}.gt_frame = [{ranges}];\n"
    return script


def one_based(labels: np.ndarray) -> list[tuple[int, int]]:
    """Runs of ones as 1-based, inclusive intervals."""
    changes = np.flatnonzero(np.diff(np.r_[0, labels, 0].astype(int))).tolist()
    return [(start + 1, end) for start, end in zip(changes[::2], changes[1::2], strict=True)]


def save_cells(path: Path, name: str, cells: list) -> None:
    """A MATLAB cell array (1, n)."""
    array = np.empty((1, len(cells)), object)
    for i, cell in enumerate(cells):
        array[0, i] = cell
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    scipy.io.savemat(path, {name: array})


def official_avenue(root: Path, lengths: dict[int, int], train: int = 2) -> dict[int, np.ndarray]:
    """Avenue's official tree with test clips of these lengths; returns their labels by "vol"."""
    base, truth = root / "avenue", {}
    clips, masks = base / "Avenue Dataset", base / "ground_truth_demo" / "testing_label_mask"
    for number, (frames, _) in enumerate(scene(train, 40, size=(60, 80)), start=1):
        write_video(clips / "training_videos" / f"{number:02d}.avi", frames)
    for number, length in lengths.items():
        [(frames, labels)] = scene(1, length, labelled=True, seed=number, size=(60, 80))
        write_video(clips / "testing_videos" / f"{number:02d}.avi", frames)
        volumes = list(spot(labels, (60, 80)).astype(np.uint8))
        save_cells(masks / f"{number}_label.mat", "volLabel", volumes)
        truth[number] = labels
    return truth


def official_shanghaitech(
    root: Path, lengths: dict[str, int], train: tuple[str, ...] = ("01_001", "01_002", "02_001")
) -> dict[str, np.ndarray]:
    """ShanghaiTech's official tree: training videos, test frames, labels and masks; returns the
    labels.
    """
    base, truth = root / "shanghaitech", {}
    for i, name in enumerate(train):
        [(frames, _)] = scene(1, 80, seed=i)
        write_video(base / "training" / "videos" / f"{name}.avi", frames, fps=24)
    for i, (name, length) in enumerate(lengths.items()):
        [(frames, truth[name])] = scene(1, length, labelled=True, seed=10 + i)
        write_images(base / "testing" / "frames" / name, frames, "{:03d}.jpg")
        masks = spot(truth[name]).astype(np.uint8)
        for kind, array in (("test_frame_mask", truth[name]), ("test_pixel_mask", masks)):
            (base / "testing" / kind).mkdir(parents=True, exist_ok=True)
            np.save(base / "testing" / kind / f"{name}.npy", array)
    return truth


def own_videos(root: Path, labels: str | None = "csv") -> dict[str, np.ndarray]:
    """Your own tree: two cameras, video files and a folder of images; returns the labels of the
    test videos.
    """
    first, second = scene(2, 60), scene(2, 60, seed=5, size=(56, 72))
    write_video(root / "training/cam1/monday.mp4", first[0][0], codec="libx264")
    write_video(root / "training/cam1/tuesday.avi", first[1][0])
    write_images(root / "training/cam2/walk", second[0][0], "frame{}.jpg", first=1)
    write_video(root / "training/cam2/more.mkv", second[1][0], codec="libx264")
    truth, entries = {}, []
    for i, (name, size) in enumerate((("cam1/friday", (48, 64)), ("cam2/sunday", (56, 72)))):
        [(frames, clip)] = scene(1, 60, labelled=True, seed=20 + i, size=size)
        write_video(root / "testing" / f"{name}.mp4", frames, codec="libx264")
        truth[name] = clip
        for start, end in one_based(clip):
            entries.append({"video": f"{name}.mp4", "start": start - 1, "end": end})
        if labels == "npy":
            (root / "labels" / name).parent.mkdir(parents=True, exist_ok=True)
            np.save(root / "labels" / f"{name}.npy", clip)
        elif labels == "masks":
            write_images(root / "masks" / name, spot(clip, size))
    if labels == "csv":
        lines = ["{video},{start},{end}\n".format(**entry) for entry in entries]
        (root / "labels.csv").write_text("video,start,end\n" + "".join(lines).replace(".mp4", ""))
    elif labels == "json":
        (root / "labels.json").write_text(json.dumps(entries))
    return truth


def short_run(videos: list[Video], out: Path | str, **options) -> Run:
    """Train a small model on these videos for an epoch."""
    torch.manual_seed(0)
    clips = ClipDataset(videos, ClipConfig(length=8, crop=(16, 16), clip_step=4), progress=False)
    config = TrainConfig(epochs=1, batch_size=2, precision="fp32", device="cpu", workers=0)
    channels = clips.frames[0].shape[3]
    model = DualPathAutoencoder(ModelConfig(channels=channels, width=8, slots=16))
    return fit(model, clips, None, config, out, progress=False, **options)
