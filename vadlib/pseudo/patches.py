"""Pictures to paste: from the sample images that scikit-learn ships, drawn things, or class folders
such as CIFAR-100's.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from sklearn.datasets import load_sample_images

from vadlib.data.catalog import default_root
from vadlib.data.download import fetch_file
from vadlib.data.store import cache_dir
from vadlib.data.video import is_junk, list_images, read_image
from vadlib.errors import InputError
from vadlib.files import expand_home, is_disk_full, not_written

SPRITES = Path(__file__).with_name("sprites.png")


class Patches(Protocol):
    """A source of pictures.

    Attributes:
        source: where they come from, as `load_patches` takes it.
    """

    source: str

    def draw(self, generator: torch.Generator) -> np.ndarray:
        """One picture, uint8 RGB (h, w, 3), or RGBA (h, w, 4) of a thing that is cut out."""


class BuiltinPatches:
    """Square crops, 32 to 128 pixels wide, of scikit-learn's sample images: a temple and a flower.
    Needs no download.
    """

    source = "builtin"

    def __init__(self):
        self.images = _sample_images()

    def draw(self, generator: torch.Generator) -> np.ndarray:
        image = self.images[_below(len(self.images), generator)]
        side = 32 + _below(97, generator)
        top, left = (
            _below(image.shape[0] - side, generator),
            _below(image.shape[1] - side, generator),
        )
        return image[top : top + side, left : left + side]


class SpritePatches:
    """Animals and things, cut out, 64 x 64 pixels with alpha: `sprites.png`. Needs no download.

    None of them is among the anomalies of the rendered street. They are 32 of Microsoft's Fluent
    Emoji (MIT licence).
    """

    source = "sprites"
    side = 64

    def __init__(self):
        sheet = cv2.imread(str(SPRITES), cv2.IMREAD_UNCHANGED)
        sheet = cv2.cvtColor(sheet, cv2.COLOR_BGRA2RGBA)
        rows, columns = sheet.shape[0] // self.side, sheet.shape[1] // self.side
        cells = sheet.reshape(rows, self.side, columns, self.side, 4).swapaxes(1, 2)
        self.sprites = [_trimmed(sprite) for sprite in cells.reshape(-1, self.side, self.side, 4)]

    def draw(self, generator: torch.Generator) -> np.ndarray:
        return self.sprites[_below(len(self.sprites), generator)]


class FolderPatches:
    """Images in class folders, `ROOT/CLASS/*.png`; a class is drawn first, then one of its images.

    Raises:
        InputError: the folder does not exist or holds no class folder with images.
    """

    def __init__(self, root: str | Path):
        self.source, root = str(root), expand_home(root)
        if not root.is_dir():
            raise InputError(
                f"patches {str(root)!r}: no such folder; expected 'builtin', 'sprites', 'cifar100', or a folder of class folders",
                "missing-file",
                file=root,
                field="patches",
            )
        classes = sorted(p for p in root.iterdir() if p.is_dir() and not is_junk(p))
        self.classes = [files for files in map(list_images, classes) if files]
        if not self.classes:
            raise InputError(
                f"{root}: no images in class folders; expected files such as {root / 'apple' / '0001.png'}",
                "too-few",
                file=root,
                field="patches",
            )

    def draw(self, generator: torch.Generator) -> np.ndarray:
        files = self.classes[_below(len(self.classes), generator)]
        return read_image(files[_below(len(files), generator)], channels=3)


class CIFAR100Patches:
    """The 50,000 training pictures of CIFAR-100, 32 x 32 pixels, read by torchvision, which
    verifies them by their MD5.

    They are taken from `cifar-100-python/` below `VADLIB_DATA` (else ./data); else they are
    downloaded into the cache folder (169 MB).

    Raises:
        InputError: they are damaged, or cannot be downloaded, or there is no room to unpack them.
    """

    source = "cifar100"

    def __init__(self):
        from torchvision.datasets import CIFAR100  # here, since importing torchvision takes seconds

        root = default_root()
        if not (root / CIFAR100.base_folder).is_dir():
            root = cache_dir() / "patches"
            if not (root / CIFAR100.base_folder).is_dir():
                fetch_file(
                    CIFAR100.url,
                    f"md5:{CIFAR100.tgz_md5}",
                    root,
                    "take the patches 'builtin', which need no download",
                )
        try:
            # "Download" finds the archive there, or all that it holds, and unpacks it if need be.
            self.pixels = CIFAR100(root, train=True, download=root != default_root()).data
        except (OSError, RuntimeError, EOFError) as error:
            if is_disk_full(error):
                raise not_written(root / CIFAR100.base_folder, error) from error
            raise InputError(
                f"{root / CIFAR100.base_folder}: damaged ({error}); remove it, and CIFAR-100 is downloaded again",
                "damaged-file",
                file=root / CIFAR100.base_folder,
            ) from error

    def draw(self, generator: torch.Generator) -> np.ndarray:
        return self.pixels[_below(len(self.pixels), generator)]


def load_patches(source: str) -> Patches:
    """The patch source of that name: "builtin", "sprites", "cifar100", else the path of a folder of
    class folders.

    "cifar100" takes class folders, `cifar100/train/CLASS/*.png` below `VADLIB_DATA` (else ./data),
    where they are, else torchvision's copy.
    """
    if source == "cifar100":
        folders = default_root() / "cifar100" / "train"
        return FolderPatches(folders) if folders.is_dir() else CIFAR100Patches()
    if source == "builtin":
        return BuiltinPatches()
    return SpritePatches() if source == "sprites" else FolderPatches(source)


@cache
def _sample_images() -> list[np.ndarray]:
    return list(load_sample_images().images)


def _trimmed(sprite: np.ndarray) -> np.ndarray:
    """The sprite without its transparent border."""
    x, y, width, height = cv2.boundingRect((sprite[..., 3] > 0).astype(np.uint8))
    return np.ascontiguousarray(sprite[y : y + height, x : x + width])


def _below(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (1,), generator=generator))
