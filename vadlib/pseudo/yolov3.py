"""YOLOv3 by ultralytics, without its changes to the process that imports it.

ultralytics is under AGPL-3.0: it is an extra, `vadlib[yolov3]`, and imported here alone, when this
detector is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import PIL.Image
import torch

from vadlib.data.store import cache_dir
from vadlib.errors import InputError, require
from vadlib.pseudo.detectors import CONFIDENCE, IOU, PERSON, PersonDetector


class YOLOv3Detector(PersonDetector):
    """`yolov3-tinyu.pt`, `yolov3u.pt`, `yolov3-sppu.pt`, or the path of another detector that
    ultralytics reads.

    Raises:
        InputError: ultralytics is not installed, or it was imported before in a way that unpickles
            weights; the weights are missing, damaged or not a detector's.
    """

    default = "yolov3-tinyu.pt"

    def __init__(self, weights: str = default, device: str = "auto"):
        super().__init__(weights, device)
        with unchanged_process():
            try:
                from ultralytics import YOLO, utils  # type: ignore[attr-defined]  # lazily
            except ModuleNotFoundError as error:
                message = "the detector yolov3 needs ultralytics: pip install 'vadlib[yolov3]'"
                raise InputError(message, "not-available", field="detector") from error
            is_safe = getattr(utils, "SAFE_LOAD", False)
            message = "ultralytics would unpickle weights; restart Python, or install 8.4 or later"
            require(is_safe, message, "not-available", field="ULTRALYTICS_SAFE_LOAD")
            try:
                self.model: Any = YOLO(str(self.weights), task="detect")
                person = self.model.names.get(PERSON)  # loads the network
            except Exception as error:  # of many types; all mean that this is no detector's file
                message = f"{self.weights}: not a detector ({' '.join(str(error).split())})"
                raise InputError(message, "wrong-kind-of-file", file=self.weights) from error
        message = f"{self.weights}: its class 0 is {person!r}; expected 'person', as in COCO"
        require(person == "person", message, "wrong-kind-of-file", file=self.weights)

    def find(self, images: np.ndarray) -> list[np.ndarray]:
        bgr = [np.ascontiguousarray(image[..., ::-1]) for image in images]
        settings = {"imgsz": images.shape[1:3], "device": str(self.device)}
        limits = {"conf": CONFIDENCE, "iou": IOU, "classes": [PERSON]}
        with unchanged_process():
            results = self.model.predict(bgr, verbose=False, save=False, **settings, **limits)
        return [result.boxes.xyxy.cpu().numpy() for result in results]


@contextmanager
def unchanged_process() -> Iterator[None]:
    """Undo the changes of ultralytics at the end: to threads, environment, functions and the
    printing of numbers.
    """
    folder = cache_dir() / "ultralytics"
    folder.mkdir(parents=True, exist_ok=True)  # else it falls back to other places
    settings = {"YOLO_CONFIG_DIR": str(folder), "YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false"}
    settings |= {"YOLO_AUTOINSTALL": "false", "ULTRALYTICS_SAFE_LOAD": "1"}
    threads = (torch.get_num_threads(), cv2.getNumThreads())
    with (
        patch.dict(os.environ, settings),
        patch.multiple(torch, save=torch.save, load=torch.load),
        patch.multiple(cv2, imread=cv2.imread, imwrite=cv2.imwrite, imshow=cv2.imshow),
        patch.object(PIL.Image, "open", PIL.Image.open),
        np.printoptions(),
    ):
        try:
            yield
        finally:
            torch.set_num_threads(threads[0])
            cv2.setNumThreads(threads[1])
            torch.set_printoptions(profile="default")  # type: ignore[no-untyped-call]
