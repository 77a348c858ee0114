"""Weights of detectors: a file of one's own, or a known one, which is looked for and, where it is
nowhere, downloaded.
"""

from __future__ import annotations

from pathlib import Path

from vadlib.data.catalog import default_root
from vadlib.data.download import fetch_file
from vadlib.data.store import cache_dir
from vadlib.errors import require
from vadlib.files import expand_home

_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"
_NANO = "https://raw.githubusercontent.com/dog-qiuqiu/MobileNet-Yolo/master/MobileNetV2-YOLOv3-Nano/COCO/"
# Name -> where it is, and its SHA-256 where one is known to us. The others are read without
# unpickling, see `vadlib.pseudo.yolov3`.
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
    """The file of that name: a path, or a known file in `weights/` of the cache folder or of
    `VADLIB_DATA` (else ./data); else downloaded.

    Raises:
        InputError: no such file, and none that can be downloaded.
    """
    if expand_home(name).is_file():
        return expand_home(name)
    folders = [cache_dir() / "weights", default_root() / "weights"]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    known = ", ".join(known for known in KNOWN if not known.endswith(".cfg"))
    require(
        name in KNOWN,
        f"weights {name!r}: no such file here or in {' or '.join(map(str, folders))}; expected a path, or one of: {known}",
        "missing-file",
        file=name,
        field="weights",
    )
    address, digest = KNOWN[name]
    return fetch_file(
        address + name, digest, folders[0], "take the detector 'motion', which needs no weights"
    )
