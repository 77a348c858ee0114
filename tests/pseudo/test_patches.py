"""Where the pasted pictures come from."""

import hashlib
import io
import pickle
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from archives import make_tar
from PIL import Image
from refusals import refused
from servers import drops, sends, status
from sklearn.datasets import load_sample_images
from torchvision.datasets import CIFAR100

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
        for k, image in enumerate(images):
            views = np.lib.stride_tricks.sliding_window_view(image[..., 0], (side, 1))[..., 0]
            if (views == patch[:, 0, 0]).all(-1).any():
                sources.add(k)
        sides.add(side)
    assert sources == {0, 1}
    assert len(sides) > 20


def test_sprites_are_cut_out_with_alpha():
    patches = load_patches("sprites")
    sprites = [patches.draw(seeded(seed)) for seed in range(300)]
    sprites = {sprite.tobytes(): sprite for sprite in sprites}
    assert len(sprites) == 32
    for sprite in sprites.values():
        height, width, channels = sprite.shape
        assert (sprite.dtype, channels) == (np.uint8, 4)
        assert max(height, width) <= 64
        covered = sprite[..., 3] > 0
        assert covered[[0, -1]].any(1).all()  # trimmed
        assert covered[:, [0, -1]].any(0).all()
        assert 0.2 < (sprite[..., 3] > 127).mean() < 0.95  # a shape, not a rectangle


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
    patches = FolderPatches(folder)
    colours = [tuple(patches.draw(seeded(seed))[0, 0].tolist()) for seed in range(400)]
    # class b, half of the time, though it has a quarter of the pictures
    assert 150 < sum(red > 100 for red, _, _ in colours) < 250
    assert {(10, 0, 245), (20, 0, 235), (30, 0, 225)} <= set(colours)  # RGB


@pytest.mark.parametrize("source", ["builtin", "sprites", "folder"])
def test_same_generator_same_picture(folder, source):
    patches = load_patches(str(folder) if source == "folder" else source)
    assert np.array_equal(patches.draw(seeded(3)), patches.draw(seeded(3)))


def test_missing_and_empty_folders_are_refused(tmp_path):
    with refused("missing-file", file="nowhere", field="patches"):
        load_patches("nowhere")
    with refused("too-few", file=tmp_path, field="patches"):
        load_patches(str(tmp_path))


def test_a_damaged_picture_is_refused_by_name(folder):
    for path in folder.glob("*/*"):
        path.write_bytes(b"")
    with refused("empty-file") as caught:
        load_patches(str(folder)).draw(seeded())
    assert caught.error.file in folder.glob("*/*")


# --- CIFAR-100


@pytest.fixture
def cifar(host, cache, tmp_path, monkeypatch):
    """The server has a CIFAR-100 of 30 pictures in the real layout, (channels, rows, columns) in
    one row of a pickled array each.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    rows = pixels.transpose(0, 3, 1, 2).reshape(30, 3072)
    parts = {
        "train": {"data": rows, "fine_labels": [0] * 30},
        "test": {"data": rows[:1], "fine_labels": [0]},
        "meta": {"fine_label_names": ["x"]},
    }
    files = {name: pickle.dumps(content) for name, content in parts.items()}
    archive = make_tar(*((f"cifar-100-python/{name}", content) for name, content in files.items()))
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(CIFAR100, "url", f"{host.url}/cifar-100-python.tar.gz")
    monkeypatch.setattr(CIFAR100, "tgz_md5", hashlib.md5(archive).hexdigest())
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", CIFAR100.meta | {"md5": sums["meta"]})
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("VADLIB_DATA", str(tmp_path / "data"))
    return SimpleNamespace(pixels=pixels, archive=archive, folder=tmp_path / "cache" / "patches")


def test_cifar_is_downloaded_verified_and_read(cifar, host):
    host.answers = [sends(cifar.archive)]
    patches = load_patches("cifar100")
    assert np.array_equal(patches.pixels, cifar.pixels)
    pictures = {patches.draw(seeded(seed)).tobytes() for seed in range(200)}
    assert pictures == {picture.tobytes() for picture in cifar.pixels}
    load_patches("cifar100")
    assert len(host.asked) == 1


def test_a_torchvision_copy_below_the_root_needs_no_network(cifar, host, tmp_path):
    with tarfile.open(fileobj=io.BytesIO(cifar.archive)) as archive:
        archive.extractall(tmp_path / "data", filter="data")
    assert np.array_equal(load_patches("cifar100").pixels, cifar.pixels)
    assert host.asked == []


@pytest.mark.parametrize("answer", [status(404), drops, sends(b"another file")])
def test_a_failed_download_of_cifar_names_the_file_and_leaves_nothing(cifar, host, answer):
    host.answers = [answer]
    with refused("download") as caught:
        load_patches("cifar100")
    assert caught.error.file.name == "cifar-100-python.tar.gz"
    host.answers = [sends(cifar.archive)]
    assert len(load_patches("cifar100").pixels) == 30


def test_a_damaged_copy_of_cifar_is_never_unpickled(cifar, host, tmp_path):
    folder = tmp_path / "data" / "cifar-100-python"
    folder.mkdir(parents=True)
    (folder / "train").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with refused("damaged-file", file=folder):
        load_patches("cifar100")


def test_class_folders_of_cifar_below_the_root_are_taken_first(real_data, monkeypatch, host):
    monkeypatch.setenv("VADLIB_DATA", str(real_data))
    assert len(load_patches("cifar100").classes) == 100
    assert host.asked == []


def test_real_cifar_pictures(real_data):
    patches = FolderPatches(real_data / "cifar100" / "train")
    assert len(patches.classes) == 100
    assert sum(map(len, patches.classes)) == 4000
    assert patches.draw(seeded()).shape == (32, 32, 3)
