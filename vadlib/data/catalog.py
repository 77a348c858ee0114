"""The datasets by name, and the one way to load them."""

from __future__ import annotations

import os
from pathlib import Path

from vadlib.config import require
from vadlib.data.ped2 import load_ped2
from vadlib.data.synthetic import load_synthetic
from vadlib.data.video import Video

LOADERS = {"synthetic": load_synthetic, "ped2": load_ped2}


def default_root() -> Path:
    """The folder that holds the datasets' own folders: `VADLIB_DATA`, else ./data."""
    return Path(os.environ.get("VADLIB_DATA") or "data")


def load_videos(name: str, split: str = "train", root: str | Path | None = None) -> list[Video]:
    """Load one split of a dataset; frames are read only when asked for.

    Args:
        name: "synthetic" (rendered, needs nothing) or "ped2".
        split: "train" (normal videos only) or "test" (with frame labels, and masks where the copy has them).
        root: the folder that holds the dataset's own folder, such as `ped2/`; default `VADLIB_DATA`, else ./data.

    Raises:
        InputError: unknown name or split, or a copy that is missing, incomplete or damaged.
    """
    require(isinstance(name, str) and name in LOADERS, f"dataset {name!r} is unknown; expected one of: {', '.join(LOADERS)}")
    require(split in ("train", "test"), f"split {split!r} is unknown; expected 'train' or 'test'")
    return LOADERS[name](split, Path(root) if root is not None else default_root())
