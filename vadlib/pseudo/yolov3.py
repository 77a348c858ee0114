"""YOLOv3 by ultralytics, kept from changing the process it runs in.

ultralytics is under AGPL-3.0: it is imported here alone, when this detector is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import PIL.Image
import torch

from vadlib.data.store import cache_dir
from vadlib.errors import InputError, require
from vadlib.pseudo.detectors import CONFIDENCE, IOU, NETWORK_SIDE, PersonDetector

PERSON = 0  # the class in COCO
# ultralytics replaces these functions of other libraries by its own.
PATCHED = [
    (torch, "save"),
    (torch, "load"),
    (PIL.Image, "open"),
    (cv2, "imread"),
    (cv2, "imwrite"),
    (cv2, "imshow"),
]


class YOLOv3Detector(PersonDetector):
    """`yolov3-tinyu.pt`, `yolov3u.pt`, `yolov3-sppu.pt`, or the path of another detector that
    ultralytics reads.

    Raises:
        InputError: weights that are missing, damaged or no detector's, or ultralytics was imported
            before in a way that unpickles them.
    """

    default = "yolov3-tinyu.pt"

    def __init__(
        self, weights: str = default, device: str = "auto", shorter_side: int = NETWORK_SIDE
    ):
        super().__init__(weights, device, shorter_side)
        with tamed():
            import ultralytics

            require(
                getattr(ultralytics.utils, "SAFE_LOAD", False),
                "ultralytics would unpickle weights, because it is too old (8.4 is needed) or was imported "
                "without ULTRALYTICS_SAFE_LOAD=1; update it, or restart Python",
                "not-available",
                field="ULTRALYTICS_SAFE_LOAD",
            )
            try:
                self.model = ultralytics.YOLO(str(self.weights), task="detect")
                names = self.model.names  # loads the network
            except Exception as error:  # of many kinds; all mean that this is no file of a detector
                reason = " ".join(str(error).split())
                raise InputError(
                    f"{self.weights}: not a detector that ultralytics can read ({reason}); download it again, or choose another",
                    "wrong-kind-of-file",
                    file=self.weights,
                ) from error
        require(
            names.get(PERSON) == "person",
            f"{self.weights}: its class 0 is {names.get(PERSON)!r}; expected 'person', as in COCO",
            "wrong-kind-of-file",
            file=self.weights,
        )

    def find(self, images: np.ndarray) -> list[np.ndarray]:
        bgr = [np.ascontiguousarray(image[..., ::-1]) for image in images]
        options = {
            "imgsz": images.shape[1:3],
            "conf": CONFIDENCE,
            "iou": IOU,
            "classes": [PERSON],
            "device": str(self.device),
        }
        with tamed():
            found = self.model.predict(bgr, verbose=False, save=False, **options)
        return [result.boxes.xyxy.cpu().numpy() for result in found]


@contextmanager
def tamed() -> Iterator[None]:
    """Undo at the end what ultralytics does to this process: threads, environment, functions, how
    numbers are printed.
    """
    environment, functions = (
        dict(os.environ),
        [(home, name, getattr(home, name)) for home, name in PATCHED],
    )
    threads, cv2_threads, printing = (
        torch.get_num_threads(),
        cv2.getNumThreads(),
        np.get_printoptions(),
    )
    tensor_printing = dict(vars(torch._tensor_str.PRINT_OPTS))
    settings = cache_dir() / "ultralytics"
    settings.mkdir(parents=True, exist_ok=True)  # else it falls back to other places
    os.environ |= {
        "YOLO_CONFIG_DIR": str(settings),
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "false",
        "ULTRALYTICS_SAFE_LOAD": "1",
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= environment
        for home, name, function in functions:
            setattr(home, name, function)
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv2_threads)
        np.set_printoptions(**printing)
        vars(torch._tensor_str.PRINT_OPTS).update(tensor_printing)
