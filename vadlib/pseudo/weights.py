"""Weights of detectors: your own file, or a known one, which is downloaded if it is not there."""

from __future__ import annotations

from pathlib import Path

from vadlib.data.catalog import default_root
from vadlib.data.download import fetch_file
from vadlib.data.store import cache_dir
from vadlib.errors import require
from vadlib.files import expand_home

_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"
_NANO = (
    "https://raw.githubusercontent.com/dog-qiuqiu/MobileNet-Yolo/master/"
    "MobileNetV2-YOLOv3-Nano/COCO/"
)
# Name -> its folder, and its SHA-256 if we know it. The others are read without unpickling, see
# `vadlib.pseudo.yolov3`.
KNOWN: dict[str, tuple[str, str | None]] = {
    "yolov3-tinyu.pt": (_ULTRALYTICS, None),
    "yolov3u.pt": (_ULTRALYTICS, None),
    "yolov3-sppu.pt": (_ULTRALYTICS, None),
    "MobileNetV2-YOLOv3-Nano-coco.weights": (
        _NANO,
        "60a6c2a86735fd39ff54d61f9a16f3ac3fe24a8b2e0d7740585bf2b54a5db81a",
    ),
    "MobileNetV2-YOLOv3-Nano-coco.cfg": (
        _NANO,
        "f9c93b9167275c94975984c8b1d8adbff990f2e3a983adc79d02e748d6ed763b",
    ),
}


def find_weights(name: str) -> Path:
    """Return the file of a name: a path, or a known file in `weights/` of the cache folder or of
    `VADLIB_DATA` (else ./data); if it is in none of them, it is downloaded.

    Raises:
        InputError: no such file, and none that can be downloaded.
    """
    folder = cache_dir() / "weights"
    for path in (expand_home(name), folder / name, default_root() / "weights" / name):
        if path.is_file():
            return path
    places = f"here or in {folder} or {default_root() / 'weights'}"
    names = ", ".join(name for name in KNOWN if not name.endswith(".cfg"))
    message = f"weights {name!r}: no such file {places}; expected a path, or one of: {names}"
    require(name in KNOWN, message, "missing-file", file=name, field="weights")
    address, digest = KNOWN[name]
    advice = "take the detector 'motion', which needs no weights"
    return fetch_file(address + name, digest, folder, advice)
