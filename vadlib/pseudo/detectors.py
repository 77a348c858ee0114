"""Find the people of a dataset once, and keep their boxes in the cache."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
import pooch
import torch
from tqdm.auto import tqdm

from vadlib.config import WORKING_SIDE
from vadlib.data.motion import foreground_components, grey, scene_background
from vadlib.data.store import keep_arrays, store_frames
from vadlib.data.video import Video
from vadlib.device import pick_device
from vadlib.errors import require
from vadlib.pseudo.darknet import find_people, load_darknet
from vadlib.pseudo.weights import find_weights

# of the paper: boxes below are dropped; of boxes that overlap by more, the surer one is kept
CONFIDENCE, IOU = 0.3, 0.5
# Frames are resized until their shorter side has so many pixels: people of Ped2, 12 x 30 pixels,
# are too small for a network that was trained on larger ones. Which share of them is found at which
# size, and in which time, is in benchmarks/README.md.
NETWORK_SIDE = 480
STRIDE = 32  # of the networks: sides must be multiples


class Detector(Protocol):
    """Finds objects in videos of a fixed camera.

    Attributes:
        per_scene: it must see all videos of a scene together; else it takes them one by one.
    """

    per_scene: bool

    def identity(self) -> list:
        """JSON-able description; detectors with the same identity find the same boxes."""

    def detect(self, videos: Sequence[Video], bar: tqdm) -> list[list[np.ndarray]]:
        """For each video T arrays (N, 4) float32: x0, y0, x1, y1 in native pixels. Updates the bar
        by 1 a frame.
        """


class MotionDetector:
    """Background subtraction for fixed cameras: what differs from the scene's median frame. Needs
    nothing, works offline.
    """

    per_scene = True

    def identity(self) -> list:
        return ["motion", 1, WORKING_SIDE]

    def detect(self, videos: Sequence[Video], bar: tqdm) -> list[list[np.ndarray]]:
        stored = store_frames(videos, progress=not bar.disable, shorter_side=WORKING_SIDE)
        empty, found = scene_background(stored), []
        for video, frames in zip(videos, stored, strict=True):
            to_native = np.array(
                [video.frames.shape[2] / frames.shape[2], video.frames.shape[1] / frames.shape[1]]
                * 2,
                np.float32,
            )
            found.append(
                [
                    foreground_components(grey(frame[None])[0], empty)[0] * to_native
                    for frame in frames
                ]
            )
            bar.update(len(frames))
        return found


class PersonDetector(ABC):
    """A network that finds people in single frames, which are resized for it. Frames are decoded as
    they come; none are stored.
    """

    per_scene = False

    def __init__(self, weights: str, device: str = "auto", shorter_side: int = NETWORK_SIDE):
        self.weights, self.device, self.shorter_side = (
            find_weights(weights),
            pick_device(device),
            shorter_side,
        )
        # on CPUs larger batches leave the cache, and were measured to be slower
        self.batch = 1 if self.device.type == "cpu" else 16

    def identity(self) -> list:
        return [
            type(self).__name__,
            1,
            pooch.file_hash(str(self.weights)),
            self.shorter_side,
            CONFIDENCE,
            IOU,
        ]

    def detect(self, videos: Sequence[Video], bar: tqdm) -> list[list[np.ndarray]]:
        found = []
        for video in videos:
            _, height, width, _ = video.frames.shape
            size = [
                max(1, round(side * self.shorter_side / min(height, width) / STRIDE)) * STRIDE
                for side in (height, width)
            ]
            to_native = np.array([width / size[1], height / size[0]] * 2, np.float32)
            people: list[np.ndarray] = []
            for start in range(0, len(video), self.batch):
                frames = [
                    video.frames[t] for t in range(start, min(start + self.batch, len(video)))
                ]
                people += [
                    boxes * to_native
                    for boxes in self.find(np.stack([_resized(frame, size) for frame in frames]))
                ]
                bar.update(len(frames))
            found.append(people)
        return found

    @abstractmethod
    def find(self, images: np.ndarray) -> list[np.ndarray]:
        """uint8 RGB (B, H, W, 3), sides multiples of 32 -> for each image float32 (N, 4): the
        people's boxes in its pixels.
        """


class DarknetDetector(PersonDetector):
    """A legacy Darknet network: `.weights` with its `.cfg` beside it, or the state dict
    `yolov3-spp-ultralytics.pt`.
    """

    default = "MobileNetV2-YOLOv3-Nano-coco.weights"

    def __init__(
        self, weights: str = default, device: str = "auto", shorter_side: int = NETWORK_SIDE
    ):
        super().__init__(weights, device, shorter_side)
        known_cfg = (
            find_weights(self.default.replace(".weights", ".cfg"))
            if weights == self.default
            else None
        )
        model = load_darknet(self.weights, known_cfg)
        require(
            model.channels == 3,
            f"{model.cfg}: channels={model.channels}; expected 3; choose a network of colour pictures",
            "conflict",
            file=model.cfg,
            field="channels",
        )
        self.model = model.to(self.device, memory_format=torch.channels_last)

    def identity(self) -> list:
        cfg = pooch.file_hash(str(self.model.cfg))  # anchors and the like stand there
        # Boxes in the cache that were found before the mask was corrected are others.
        corrected = ["mask 1,2,3"] if self.model.mask_corrected else []
        return [*super().identity(), cfg, *corrected]

    @torch.inference_mode()
    def find(self, images: np.ndarray) -> list[np.ndarray]:
        batch = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float() / 255
        return [
            people[:, :4].cpu().numpy()
            for people in find_people(self.model, batch, CONFIDENCE, IOU)
        ]


def load_detector(name: str, device: str = "auto") -> Detector:
    """A detector by name: "motion", "yolov3", "darknet", or the last two with weights:
    "yolov3:yolov3u.pt", "darknet:PATH".

    Args:
        name: without weights, "yolov3" takes `yolov3-tinyu.pt` and "darknet"
            `MobileNetV2-YOLOv3-Nano-coco.weights`; see `find_weights`.
        device: of the networks: "auto", "cpu", "cuda" or "mps".

    Raises:
        InputError: an unknown name, or weights that are missing or damaged.
    """
    kind, _, weights = name.partition(":")
    known = "expected motion, boxes (the dataset's own), yolov3, darknet, yolov3:WEIGHTS or darknet:WEIGHTS"
    require(
        kind in ("motion", "yolov3", "darknet") and not (kind == "motion" and weights),
        f"detector {name!r} is unknown; {known}",
        "unknown-name",
        field="detector",
    )
    if kind == "motion":
        return MotionDetector()
    if kind == "darknet":
        return DarknetDetector(weights or DarknetDetector.default, device)
    from vadlib.pseudo.yolov3 import YOLOv3Detector  # ultralytics loads only when it is asked for

    return YOLOv3Detector(weights or YOLOv3Detector.default, device)


def find_boxes(
    videos: Sequence[Video],
    detector: str | Detector = "motion",
    progress: bool = True,
    device: str = "auto",
) -> dict[str, list[np.ndarray]]:
    """Object boxes of every frame, by video name; found once and then read from the cache.

    Args:
        videos: all videos of the set; those of one scene share a background.
        detector: "boxes" (the dataset's own), a name for `load_detector`, or an object such as it
            returns.
        progress: show a bar.
        device: see `load_detector`.

    Returns:
        video name -> T arrays (N, 4) float32: x0, y0, x1, y1 in native pixels, ends exclusive.

    Raises:
        InputError: an unknown detector, missing weights, or "boxes" where the dataset brings none.
    """
    names = [video.name for video in videos]
    require(
        len(set(names)) == len(names),
        f"two videos are called {max(names, key=names.count)!r}; expected different names",
        "duplicate-name",
        field="videos",
    )
    if detector == "boxes":
        for video in videos:
            require(
                video.boxes is not None,
                f"video {video.name}: the dataset has no boxes; use the detector 'motion'",
                "conflict",
                field="detector",
            )
        return {video.name: list(video.boxes) for video in videos}
    finder = load_detector(detector, device) if isinstance(detector, str) else detector
    scenes = {video.scene: [v for v in videos if v.scene == video.scene] for video in videos}
    found = {}
    with tqdm(
        total=sum(map(len, videos)),
        desc="finding people once",
        unit="frame",
        disable=not progress,
        leave=False,
    ) as bar:
        for group in scenes.values() if finder.per_scene else [[video] for video in videos]:
            found |= _kept(group, finder, bar)
    return {video.name: found[video.name] for video in videos}


def _kept(videos: Sequence[Video], detector: Detector, bar: tqdm) -> dict[str, list[np.ndarray]]:
    identity, done = [detector.identity(), [[v.name, v.frames.identity()] for v in videos]], bar.n

    def detect() -> dict[str, np.ndarray]:
        arrays = {}
        for i, found in enumerate(detector.detect(videos, bar)):
            boxes = np.concatenate(found).astype(np.float32)
            arrays |= {f"box_{i}": boxes, f"count_{i}": np.array([len(frame) for frame in found])}
        return arrays

    stored = keep_arrays(
        "boxes", hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32], detect
    )
    bar.update(done + sum(map(len, videos)) - bar.n)  # what came from the cache
    return {
        v.name: np.split(stored[f"box_{i}"], np.cumsum(stored[f"count_{i}"])[:-1])
        for i, v in enumerate(videos)
    }


def _resized(frame: np.ndarray, size: Sequence[int]) -> np.ndarray:
    frame = cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_LINEAR).reshape(*size, -1)
    return frame if frame.shape[2] == 3 else np.repeat(frame, 3, axis=2)
