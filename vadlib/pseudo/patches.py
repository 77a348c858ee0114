"""Pictures to paste: from the sample images that scikit-learn ships, drawn things, or class folders
such as CIFAR-100's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
from sklearn.datasets import load_sample_images
from torch import Generator, randint

from vadlib.data.catalog import default_root
from vadlib.data.download import fetch_file
from vadlib.data.store import cache_dir
from vadlib.data.video import is_junk, list_images, read_image
from vadlib.errors import InputError, require
from vadlib.files import expand_home, is_disk_full, not_written


class Patches:
    """A source of pictures, all equally likely. Your own may be any class with these attributes.

    Attributes:
        source: where they come from, as `load_patches` takes it.
        pictures: uint8 RGB (h, w, 3), or RGBA (h, w, 4) of things that are cut out.
    """

    def __init__(self, source: str, pictures: Sequence[np.ndarray] | np.ndarray):
        self.source = source
        self.pictures = pictures

    def draw(self, generator: Generator) -> np.ndarray:
        """Draw one picture, uint8 (h, w, 3) or (h, w, 4)."""
        return np.asarray(self.pictures[_below(len(self.pictures), generator)])


class BuiltinPatches(Patches):
    """Square crops, 32 to 128 pixels wide, of scikit-learn's sample images: a temple and a flower.
    Needs no download.
    """

    def __init__(self) -> None:
        super().__init__("builtin", load_sample_images().images)

    def draw(self, generator: Generator) -> np.ndarray:
        image = super().draw(generator)
        side = 32 + _below(97, generator)
        y, x = (_below(size - side, generator) for size in image.shape[:2])
        return np.asarray(image[y : y + side, x : x + side])


class FolderPatches(Patches):
    """Images in class folders, `ROOT/CLASS/*.png`; a class is drawn first, then one of its images.

    Raises:
        InputError: the folder does not exist or holds no class folder with images.
    """

    def __init__(self, root: str | Path):
        super().__init__(str(root), [])
        root = expand_home(root)
        message = f"patches {root}: no such folder; expected builtin, sprites, cifar100 or a folder"
        require(root.is_dir(), message, "missing-file", file=root, field="patches")
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not is_junk(path))
        self.classes = [files for files in map(list_images, folders) if files]
        message = f"{root}: no images in class folders; expected files such as apple/0001.png"
        require(bool(self.classes), message, "too-few", file=root, field="patches")

    def draw(self, generator: Generator) -> np.ndarray:
        files = self.classes[_below(len(self.classes), generator)]
        return read_image(files[_below(len(files), generator)], channels=3)


def load_patches(source: str) -> Patches:
    """Return the patch source of a name.

    Args:
        source: "builtin"; "sprites", 32 animals and things that are cut out, none of which is among
            the anomalies of the rendered street; "cifar100"; or the path of a folder of class
            folders. "cifar100" takes class folders, `cifar100/train/CLASS/*.png` below
            `VADLIB_DATA` (else ./data), if there are any. Else torchvision reads its own copy, the
            50,000 training pictures in `cifar-100-python/` there. Else they are downloaded into the
            cache folder (169 MB).

    Raises:
        InputError: the folder is missing or empty, or CIFAR-100 is damaged or cannot be downloaded
            or unpacked.
    """
    if source == "builtin":
        return BuiltinPatches()
    if source == "sprites":
        return Patches(source, _sprites())
    folders = default_root() / "cifar100" / "train"
    if source == "cifar100" and not folders.is_dir():
        return Patches(source, _cifar100())
    return FolderPatches(folders if source == "cifar100" else source)


def _sprites() -> list[np.ndarray]:
    """Cut the sheet of Microsoft's Fluent Emoji (MIT licence), 64 x 64 pixels each, and trim it."""
    sheet = PIL.Image.open(Path(__file__).with_name("sprites.png")).convert("RGBA")
    sprites = []
    for y, x in np.ndindex(sheet.height // 64, sheet.width // 64):
        sprite = sheet.crop((64 * x, 64 * y, 64 * x + 64, 64 * y + 64))
        sprites.append(np.array(sprite.crop(sprite.getbbox())))
    return sprites


def _cifar100() -> np.ndarray:
    """Read the training pictures, uint8 (50000, 32, 32, 3), which torchvision verifies by MD5."""
    from torchvision.datasets import CIFAR100  # here, since importing torchvision takes seconds

    root = default_root()
    is_cached = not (root / CIFAR100.base_folder).is_dir()
    if is_cached:
        root = cache_dir() / "patches"
        fetch_file(CIFAR100.url, f"md5:{CIFAR100.tgz_md5}", root, "take the patches 'builtin'")
    try:
        # "Download" finds the archive there, or its contents, and unpacks it if needed.
        return np.asarray(CIFAR100(root, train=True, download=is_cached).data)
    except (OSError, RuntimeError, EOFError) as error:
        folder = root / CIFAR100.base_folder
        message = f"{folder}: damaged ({error}); remove it, and it is downloaded again"
        damaged = InputError(message, "damaged-file", file=folder)
        raise (not_written(folder, error) if is_disk_full(error) else damaged) from error


def _below(limit: int, generator: Generator) -> int:
    return int(randint(limit, (1,), generator=generator))
