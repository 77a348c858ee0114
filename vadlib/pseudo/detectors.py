"""Find the people of a dataset once, and keep their boxes in the cache."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import pooch
import torch
from tqdm.auto import tqdm

from vadlib.config import WORKING_SIDE
from vadlib.data.catalog import default_root
from vadlib.data.download import fetch_file
from vadlib.data.motion import foreground_components, grey, scene_background
from vadlib.data.store import Videos, cache_dir, digest, keep_arrays, store_frames
from vadlib.data.video import Video, header_shape
from vadlib.device import pick_device
from vadlib.errors import require
from vadlib.files import expand_home
from vadlib.pseudo.darknet import find_objects, load_darknet

# Of the paper: boxes below are dropped; of boxes that overlap by more, the surer one stays.
CONFIDENCE, IOU = 0.3, 0.5
PERSON = 0  # the class in COCO
NANO = "MobileNetV2-YOLOv3-Nano"
_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"
_NANO = f"https://raw.githubusercontent.com/dog-qiuqiu/MobileNet-Yolo/master/{NANO}/COCO/"
# SHA-256. We know none of ultralytics' files, which are read without unpickling.
CHECKSUMS = {
    f"{NANO}-coco.weights": "60a6c2a86735fd39ff54d61f9a16f3ac3fe24a8b2e0d7740585bf2b54a5db81a",
    f"{NANO}-coco.cfg": "f9c93b9167275c94975984c8b1d8adbff990f2e3a983adc79d02e748d6ed763b",
}
# The files that can be downloaded, and their folders.
KNOWN = dict.fromkeys(("yolov3-tinyu.pt", "yolov3u.pt", "yolov3-sppu.pt"), _ULTRALYTICS)
KNOWN |= dict.fromkeys(CHECKSUMS, _NANO)


def find_weights(name: str) -> Path:
    """Return the file of a name: a path, or a known file in `weights/` of the cache folder or of
    `VADLIB_DATA` (else ./data); if it is in none of them, it is downloaded.

    Raises:
        InputError: no such file, and none that can be downloaded.
    """
    folder = cache_dir() / "weights"
    shared = default_root() / "weights"
    for path in (expand_home(name), folder / name, shared / name):
        if path.is_file():
            return path
    message = f"weights {name!r}: not here, in {folder} or {shared}; known are {', '.join(KNOWN)}"
    require(name in KNOWN, message, "missing-file", file=name, field="weights")
    return fetch_file(KNOWN[name] + name, CHECKSUMS.get(name), folder, "try the detector 'motion'")


class MotionDetector:
    """Background subtraction for fixed cameras: pixels that differ from the scene's median frame.
    Needs nothing, works offline.
    """

    per_scene = True  # it must see all videos of a scene together

    def identity(self) -> list[object]:
        """Return a description for JSON; detectors with the same identity find the same boxes."""
        return ["motion", 1, WORKING_SIDE]

    def detect(self, videos: Sequence[Video], bar: tqdm[NoReturn]) -> list[list[np.ndarray]]:
        """Return for each video T arrays (N, 4) float32: x0, y0, x1, y1 in native pixels. Update
        the bar by 1 a frame.
        """
        stored = store_frames(videos, progress=not bar.disable, shorter_side=WORKING_SIDE)
        background = scene_background(stored)
        boxes = []
        for video, frames in zip(videos, stored, strict=True):
            to_native = _scale(frames.shape[1:3], video.frames.shape[1:3])
            components = [foreground_components(grey(f[None])[0], background)[0] for f in frames]
            boxes.append([component * to_native for component in components])
            bar.update(len(frames))
        return boxes


class PersonDetector(ABC):
    """A network that finds people in single frames, which are resized for it. Frames are decoded as
    they come; none are stored.
    """

    per_scene = False  # it takes them one by one
    # Frames are resized until their shorter side has this many pixels: people of Ped2, 12 x 30
    # pixels, are too small for a network that was trained on larger ones. benchmarks/README.md has
    # the share of people found and the time at each size.
    shorter_side = 480

    def __init__(self, weights: str, device: str = "auto"):
        self.weights = find_weights(weights)
        head = np.fromfile(self.weights, np.uint8, 64).tobytes().lower()
        is_text = b"git-lfs" in head or b"<html" in head or b"<!doctype" in head
        message = f"{self.weights}: a Git LFS pointer or a web page ({head[:24]!r}), no weights"
        require(not is_text, message, "wrong-kind-of-file", file=self.weights)
        self.device = pick_device(device)
        # On CPUs larger batches leave the cache, and were measured to be slower.
        self.batch = 1 if self.device.type == "cpu" else 16

    def identity(self) -> list[object]:
        checksum = pooch.file_hash(str(self.weights))
        return [type(self).__name__, 2, checksum, self.shorter_side, CONFIDENCE, IOU]

    def detect(self, videos: Sequence[Video], bar: tqdm[NoReturn]) -> list[list[np.ndarray]]:
        return [self._detect_in_one(video, bar) for video in videos]

    def _detect_in_one(self, video: Video, bar: tqdm[NoReturn]) -> list[np.ndarray]:
        sides = video.frames.shape[1:3]
        size = [max(1, round(side * self.shorter_side / min(sides) / 32)) * 32 for side in sides]
        boxes: list[np.ndarray] = []
        for start in range(0, len(video), self.batch):
            positions = range(start, min(start + self.batch, len(video)))
            frames = [np.broadcast_to(video.frames[t], (*sides, 3)) for t in positions]
            images = np.stack([cv2.resize(frame, size[::-1]) for frame in frames])
            boxes += [people * _scale(size, sides) for people in self.find(images)]
            bar.update(len(frames))
        return boxes

    @abstractmethod
    def find(self, images: np.ndarray) -> list[np.ndarray]:
        """Return for each of the images, uint8 RGB (B, H, W, 3) with sides that are multiples of
        32, the boxes of people in its pixels, float32 (N, 4).
        """


class DarknetDetector(PersonDetector):
    """A legacy Darknet network: `.weights` with its `.cfg` beside it, or the state dict
    `yolov3-spp-ultralytics.pt`.
    """

    default = f"{NANO}-coco.weights"

    def __init__(self, weights: str = default, device: str = "auto"):
        super().__init__(weights, device)
        cfg = find_weights(f"{NANO}-coco.cfg") if weights == self.default else None
        model = load_darknet(self.weights, cfg)
        self.model = model.to(memory_format=torch.channels_last).to(self.device)

    def identity(self) -> list[object]:
        # The .cfg holds anchors and the like.
        return [*super().identity(), pooch.file_hash(str(self.model.cfg))]

    @torch.inference_mode()
    def find(self, images: np.ndarray) -> list[np.ndarray]:
        batch = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float() / 255
        results = find_objects(self.model, batch, CONFIDENCE, IOU)
        return [objects[objects[:, 5] == PERSON, :4].cpu().numpy() for objects in results]


Detector = MotionDetector | PersonDetector
Boxes = dict[str, list[np.ndarray]]  # video name -> the boxes of each frame


def load_detector(name: str, device: str = "auto") -> Detector:
    """Return a detector by name: "motion", "yolov3", "darknet", or the last two with weights:
    "yolov3:yolov3u.pt", "darknet:PATH".

    Args:
        name: without weights, "yolov3" takes `yolov3-tinyu.pt` and "darknet"
            `MobileNetV2-YOLOv3-Nano-coco.weights`; see `find_weights`.
        device: of the networks: "auto", "cpu", "cuda" or "mps".

    Raises:
        InputError: an unknown name, or weights that are missing or damaged.
    """
    if name == "motion":
        return MotionDetector()
    kind, weights = name.partition(":")[::2]
    message = f"detector {name!r}: expected motion, boxes, darknet[:WEIGHTS] or yolov3[:WEIGHTS]"
    require(kind in ("yolov3", "darknet"), message, "unknown-name", field="detector")
    if kind == "darknet":
        return DarknetDetector(weights or DarknetDetector.default, device)
    from vadlib.pseudo.yolov3 import YOLOv3Detector  # ultralytics loads only when it is asked for

    return YOLOv3Detector(weights or YOLOv3Detector.default, device)


def find_boxes(
    videos: Videos, detector: str | Detector = "motion", progress: bool = True, device: str = "auto"
) -> Boxes:
    """Find the object boxes of every frame, once; afterwards they are read from the cache.

    Args:
        videos: all videos of the set; those of one scene share a background.
        detector: "boxes" (the dataset's own), a name for `load_detector`, or an object such as it
            returns.
        progress: show a bar.
        device: see `load_detector`.

    Returns:
        video name -> T arrays (N, 4) float32: x0, y0, x1, y1 in native pixels, ends exclusive. Give
        it to `ClipDataset`, else `PasteObjects` has nobody to paste onto.

    Raises:
        InputError: an unknown detector, missing weights, or "boxes" for a dataset without boxes.
    """
    is_clear = len({video.name for video in videos}) == len(videos)
    require(is_clear, "two videos have one name; rename one", "duplicate-name", field="videos")
    if detector == "boxes":
        bare = [video.name for video in videos if video.boxes is None]
        require(not bare, f"no boxes: {bare}; use detector 'motion'", "conflict", field="detector")
        return {video.name: list(video.boxes or []) for video in videos}
    finder = load_detector(detector, device) if isinstance(detector, str) else detector
    groups: dict[str, list[Video]] = {}
    for video in videos:
        groups.setdefault(video.scene if finder.per_scene else video.name, []).append(video)
    boxes: Boxes = {}
    total = sum(header_shape(video.frames)[0] for video in videos)
    with tqdm(None, "finding people", total, False, unit="frame", disable=not progress) as bar:
        for group in groups.values():
            boxes |= _detect_once(group, finder, bar)
    return boxes


def _detect_once(videos: Videos, detector: Detector, bar: tqdm[NoReturn]) -> Boxes:
    """Detect, or read what was detected before from the cache."""

    def detect() -> dict[str, np.ndarray]:
        arrays = {}
        for i, boxes in enumerate(detector.detect(videos, bar)):
            arrays[f"box_{i}"] = np.concatenate(boxes).astype(np.float32)
            arrays[f"count_{i}"] = np.array([len(of_frame) for of_frame in boxes])
        return arrays

    frames = [[video.name, video.frames.identity()] for video in videos]
    arrays = keep_arrays("boxes", digest([detector.identity(), frames]), detect)
    boxes = {}
    for i, video in enumerate(videos):
        boxes[video.name] = np.split(arrays[f"box_{i}"], arrays[f"count_{i}"].cumsum()[:-1])
    return boxes


def _scale(size: Sequence[int], native: Sequence[int]) -> np.ndarray:
    """Return the factors of x0, y0, x1, y1 from a (height, width) to the native one."""
    return np.array([native[1] / size[1], native[0] / size[0]] * 2, np.float32)
