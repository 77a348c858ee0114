"""Pictures to paste: from the sample images that scikit-learn ships, drawn things, or class folders
such as CIFAR-100's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import PIL.Image
import torch
from sklearn.datasets import load_sample_images

from vadlib.data.catalog import default_root
from vadlib.data.download import fetch_file
from vadlib.data.store import cache_dir
from vadlib.data.video import is_junk, list_images, read_image
from vadlib.errors import InputError, require
from vadlib.files import expand_home, is_disk_full, not_written

SPRITES = Path(__file__).with_name("sprites.png")


class Patches(Protocol):
    """A source of pictures.

    Attributes:
        source: where they come from, as `load_patches` takes it.
    """

    source: str

    def draw(self, generator: torch.Generator) -> np.ndarray:
        """Draw one picture, uint8 RGB (h, w, 3), or RGBA (h, w, 4) of a thing that is cut out."""


class BuiltinPatches:
    """Square crops, 32 to 128 pixels wide, of scikit-learn's sample images: a temple and a flower.
    Needs no download.
    """

    source = "builtin"

    def __init__(self) -> None:
        self.images = load_sample_images().images

    def draw(self, generator: torch.Generator) -> np.ndarray:
        image = self.images[_below(len(self.images), generator)]
        side = 32 + _below(97, generator)
        y = _below(image.shape[0] - side, generator)
        x = _below(image.shape[1] - side, generator)
        crop: np.ndarray = image[y : y + side, x : x + side]
        return crop


class SpritePatches:
    """Animals and things, cut out, up to 64 x 64 pixels with alpha: `sprites.png`. Needs no
    download.

    None of them is among the anomalies of the rendered street. They are 32 of Microsoft's Fluent
    Emoji (MIT licence).
    """

    source = "sprites"

    def __init__(self) -> None:
        sheet = np.asarray(PIL.Image.open(SPRITES).convert("RGBA"))
        self.sprites = []
        for row in range(0, sheet.shape[0], 64):
            for column in range(0, sheet.shape[1], 64):
                self.sprites.append(_trimmed(sheet[row : row + 64, column : column + 64]))

    def draw(self, generator: torch.Generator) -> np.ndarray:
        return self.sprites[_below(len(self.sprites), generator)]


class FolderPatches:
    """Images in class folders, `ROOT/CLASS/*.png`; a class is drawn first, then one of its images.

    Raises:
        InputError: the folder does not exist or holds no class folder with images.
    """

    def __init__(self, root: str | Path):
        self.source = str(root)
        root = expand_home(root)
        expected = "expected 'builtin', 'sprites', 'cifar100', or a folder of class folders"
        message = f"patches {str(root)!r}: no such folder; {expected}"
        require(root.is_dir(), message, "missing-file", file=root, field="patches")
        folders = sorted(p for p in root.iterdir() if p.is_dir() and not is_junk(p))
        self.classes = [files for files in map(list_images, folders) if files]
        example = root / "apple" / "0001.png"
        message = f"{root}: no images in class folders; expected files such as {example}"
        require(bool(self.classes), message, "too-few", file=root, field="patches")

    def draw(self, generator: torch.Generator) -> np.ndarray:
        files = self.classes[_below(len(self.classes), generator)]
        return read_image(files[_below(len(files), generator)], channels=3)


class CIFAR100Patches:
    """The 50,000 training pictures of CIFAR-100, 32 x 32 pixels, read by torchvision, which
    verifies them by their MD5.

    They are read from `cifar-100-python/` below `VADLIB_DATA` (else ./data), or downloaded into the
    cache folder (169 MB).

    Raises:
        InputError: they are damaged, or cannot be downloaded, or there is no room to unpack them.
    """

    source = "cifar100"

    def __init__(self) -> None:
        from torchvision.datasets import CIFAR100  # here, since importing torchvision takes seconds

        root = default_root()
        is_cached = not (root / CIFAR100.base_folder).is_dir()
        if is_cached:
            root = cache_dir() / "patches"
        folder = root / CIFAR100.base_folder
        if not folder.is_dir():
            advice = "take the patches 'builtin', which need no download"
            fetch_file(CIFAR100.url, f"md5:{CIFAR100.tgz_md5}", root, advice)
        try:
            # "Download" finds the archive there, or its contents, and unpacks it if needed.
            self.pixels = CIFAR100(root, train=True, download=is_cached).data
        except (OSError, RuntimeError, EOFError) as error:
            if is_disk_full(error):
                raise not_written(folder, error) from error
            message = f"{folder}: damaged ({error}); remove it, and it is downloaded again"
            raise InputError(message, "damaged-file", file=folder) from error

    def draw(self, generator: torch.Generator) -> np.ndarray:
        picture: np.ndarray = self.pixels[_below(len(self.pixels), generator)]
        return picture


def load_patches(source: str) -> Patches:
    """Return the patch source of a name: "builtin", "sprites", "cifar100", else the path of a
    folder of class folders.

    "cifar100" takes class folders, `cifar100/train/CLASS/*.png` below `VADLIB_DATA` (else ./data),
    if there are any, else torchvision's copy.
    """
    if source == "builtin":
        return BuiltinPatches()
    if source == "sprites":
        return SpritePatches()
    if source == "cifar100":
        folders = default_root() / "cifar100" / "train"
        return FolderPatches(folders) if folders.is_dir() else CIFAR100Patches()
    return FolderPatches(source)


def _trimmed(sprite: np.ndarray) -> np.ndarray:
    """Cut the transparent border off."""
    rows = np.flatnonzero(sprite[..., 3].any(1))
    columns = np.flatnonzero(sprite[..., 3].any(0))
    return np.ascontiguousarray(sprite[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _below(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (1,), generator=generator))
