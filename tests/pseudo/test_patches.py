"""Where the pasted pictures come from."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from vadlib.errors import InputError
from vadlib.pseudo.patches import BuiltinPatches, FolderPatches, load_patches


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_builtin_patches_are_square_crops_of_the_sample_images():
    images, sides, sources = load_sample_images().images, set(), set()
    patches = load_patches("builtin")
    assert isinstance(patches, BuiltinPatches)
    for seed in range(60):
        patch = patches.draw(seeded(seed))
        assert patch.dtype == np.uint8
        side = patch.shape[0]
        assert patch.shape == (side, side, 3)
        assert 32 <= side <= 128
        views = [np.lib.stride_tricks.sliding_window_view(image[..., 0], (side, 1))[..., 0] for image in images]
        sources.add(next(k for k, view in enumerate(views) if (view == patch[:, 0, 0]).all(-1).any()))
        sides.add(side)
    assert sources == {0, 1}
    assert len(sides) > 20


@pytest.fixture
def folder(tmp_path):
    """Class a with three pictures, b with one, an empty class and junk."""
    for name, level in (("a/1.png", 10), ("a/2.png", 20), ("a/10.png", 30), ("b/1.jpg", 200)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (6, 5), (level, 0, 255 - level)).save(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "a" / "._1.png").touch()
    return tmp_path


def test_folder_patches_draw_a_class_first(folder):
    drawn = [int(load_patches(str(folder)).draw(seeded(seed))[0, 0, 0]) for seed in range(400)]
    assert 150 < sum(level > 100 for level in drawn) < 250  # class b, half of the time, though it has a quarter of the pictures
    assert {10, 20, 30} <= set(drawn)


def test_folder_patches_are_rgb(folder):
    patches = FolderPatches(folder)
    levels = {tuple(patches.draw(seeded(seed))[0, 0].tolist()) for seed in range(50)}
    assert {(10, 0, 245), (20, 0, 235), (30, 0, 225)} <= levels


@pytest.mark.parametrize("source", ["builtin", "folder"])
def test_same_generator_same_picture(folder, source):
    patches = load_patches("builtin" if source == "builtin" else str(folder))
    assert np.array_equal(patches.draw(seeded(3)), patches.draw(seeded(3)))


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"patches 'nowhere': no such folder; expected 'builtin'"):
        load_patches("nowhere")
    with pytest.raises(InputError, match=rf"{tmp_path}: no images in class folders"):
        load_patches(str(tmp_path))


def test_a_damaged_picture_is_refused_by_name(folder):
    for path in folder.glob("*/*"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"an empty file"):
        load_patches(str(folder)).draw(seeded())


def test_real_cifar_pictures(real_data):
    patches = FolderPatches(real_data / "cifar100" / "train")
    assert len(patches.classes) == 100
    assert sum(map(len, patches.classes)) == 4000
    assert patches.draw(seeded()).shape == (32, 32, 3)
