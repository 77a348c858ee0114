"""A picture is blended into a box that follows its person; where the pictures come from."""

import hashlib
import pickle
import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from archives import make_tar
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from refusals import refused
from servers import sends, status
from sklearn.datasets import load_sample_images
from torchvision.datasets import CIFAR100

from vadlib.pseudo.kinds import follow_box, paste_patch
from vadlib.pseudo.patches import load_patches


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def walk(length, speed=(1.5, 0.4), start=(20.0, 15.0), size=(10.0, 20.0)):
    """The true boxes of something that moves straight on."""
    corner = np.array(start) + np.arange(length)[:, None] * speed
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 16, 17])
def test_a_steady_box_is_followed_exactly(length):
    truth = walk(length)
    track = follow_box([b[None] for b in truth], (120, 160), seeded())
    assert track.dtype == np.float32
    assert track.shape == (length, 4)
    assert np.abs(track - truth).max() < 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_jitter_is_smoothed_and_the_size_kept(seed):
    truth = walk(16)
    noisy = truth + np.random.default_rng(seed).uniform(-1.5, 1.5, truth.shape).astype(np.float32)
    track = follow_box([b[None] for b in noisy], (120, 160), seeded())
    centres = [boxes.reshape(-1, 2, 2).mean(1) for boxes in (track, noisy, truth)]
    assert np.abs(centres[0] - centres[2]).max() < 1.5
    sizes = track[:, 2:] - track[:, :2]
    # a patch that grows and shrinks would give itself away
    assert np.abs(sizes - sizes[0]).max() < 1e-4
    assert np.abs(sizes[0] - [10, 20]).max() < 1.5
    roughness = [np.abs(np.diff(values, 2, axis=0)).mean() for values in centres]
    assert roughness[0] < 0.5 * roughness[1]


@pytest.mark.parametrize("is_merged", [False, True])
@pytest.mark.parametrize("gap", [[9, 10], [2, 3, 4], [13, 14, 15], [0, 1], [5, 11]])
def test_gaps_and_merged_blobs_are_bridged_at_the_last_speed(gap, is_merged):
    truth = walk(16)
    boxes = [truth[t : t + 1].copy() for t in range(16)]
    for t in gap:
        # A neighbour's blob joins: the box is three times as wide, its centre off.
        boxes[t] = boxes[t] + np.float32([0, 0, 20, 0]) if is_merged else boxes[t][:0]
    assert np.abs(follow_box(boxes, (120, 160), seeded()) - truth).max() < 1.0


def test_defect_05_only_boxes_inside_the_picture_are_drawn():
    """In an order of boxes that changes from frame to frame."""
    inside, outside = walk(16), walk(16, start=(20, 130))  # inside a picture of 160 x 120
    rng = np.random.default_rng(0)
    both = [np.stack(pair)[rng.permutation(2)] for pair in zip(inside, outside, strict=True)]
    for seed in range(10):
        assert np.abs(follow_box(both, (120, 160), seeded(seed)) - inside).max() < 1e-3
    tracks = [follow_box(both, (200, 160), seeded(seed))[0, 1] for seed in range(40)]
    assert 8 <= sum(top > 100 for top in tracks) <= 32  # each is drawn about half of the time
    assert follow_box([b[None] for b in outside], (120, 160), seeded()) is None
    assert follow_box([np.zeros((0, 4), np.float32)] * 16, (120, 160), seeded()) is None


BOX = np.float32([20, 10, 32, 40])  # 12 wide, 30 tall
WHITE = np.full((8, 8, 3), 255, np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (60, 48, 3), np.uint8)


def pasted(clip, patch, box=BOX, speed=(0, 0), **options):
    """The changed clip, and the weights."""
    steps = np.arange(clip.shape[1], dtype=np.float32)[:, None] * np.float32([*speed, *speed])
    return paste_patch(clip, patch, box + steps, **{"opacity": 1.0, "size": 1.0} | options)


def test_defect_06_the_patch_does_not_flicker_and_moves_by_fractions_of_a_pixel():
    """It shows the same pixels in every frame, moved with the box."""
    changed, _ = pasted(torch.zeros(3, 8, 60, 80), NOISE, speed=(3, 1))
    for t in range(1, 8):
        moved_back = torch.roll(changed[:, t], (-t, -3 * t), (1, 2))
        assert (moved_back - changed[:, 0]).abs().max() < 1e-4
    changed = pasted(torch.zeros(1, 9, 60, 80), WHITE, speed=(0.25, 0))[0][0]
    centres = (changed.sum(1) * torch.arange(80)).sum(1) / changed.sum((1, 2))
    assert np.abs(np.diff(centres.numpy()) - 0.25).max() < 0.05


COLOURS = {(255, 0, 0): 76, (0, 255, 0): 150, (0, 0, 255): 29}  # as grey, by BT.601


@pytest.mark.parametrize(("colour", "grey"), COLOURS.items())
def test_defect_06_red_stays_red_and_is_turned_grey_for_a_grey_clip(colour, grey):
    patch = np.full((16, 16, 3), colour, np.uint8)
    for levels in (colour, [grey]):
        changed = pasted(torch.zeros(len(levels), 1, 60, 80), patch)[0]
        expected = [level / 127.5 - 1 for level in levels]
        assert changed[:, 0, 25, 26].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("opacity", [0.25, 1.0])
def test_the_patch_is_most_opaque_at_its_centre_and_ends_softly(opacity):
    box = np.float32([20, 10, 50, 50])
    black = torch.full((1, 1, 60, 80), -1.0)
    weight = (pasted(black, WHITE, box, opacity=opacity)[0][0, 0] / 2 + 0.5) / opacity
    for line in (weight[29, 20:50], weight[10:50, 34]):
        half = len(line) // 2
        assert line[half - 3 : half + 3].tolist() == pytest.approx([1] * 6, abs=0.01)
        assert (line[: half - 1].diff() >= -1e-4).all()
        assert (line[half + 1 :].diff() <= 1e-4).all()
        assert line[0] < 0.25
        assert line.diff().abs().max() < 0.3
    assert weight[11, 21] == 0  # the box's corners lie outside the ellipse
    outside = np.ones((60, 80), bool)
    outside[10:50, 20:50] = False
    assert not weight[outside].any()


def test_a_cut_out_keeps_its_shape_and_covers_the_boxs_area():
    """A second way: blend the sprite by hand where it lies on whole pixels."""
    patch = np.zeros((30, 60, 4), np.uint8)
    patch[..., 0] = 255
    patch[5:25, 10:50, 3] = 255
    box = np.float32([20, 10, 32, 34])  # an area of 12 x 24, that of a sprite of 24 x 12
    changed, weight = pasted(torch.zeros(3, 1, 60, 80), patch, box)
    expected = np.zeros((60, 80), np.float32)
    expected[16:28, 14:38] = cv2.resize(patch, (24, 12), interpolation=cv2.INTER_AREA)[..., 3] / 255
    np.testing.assert_allclose(weight[0].numpy(), expected, atol=1e-5)
    assert changed[0, 0, 22, 26] == 1.0
    np.testing.assert_allclose(changed[1, 0].numpy(), -expected, atol=1e-5)


SIDES = st.floats(0.5, 60)


@given(st.floats(-30, 110), st.floats(-30, 90), SIDES, SIDES, st.floats(0, 1), st.floats(0.5, 1))
def test_any_box_can_be_pasted_into_and_nothing_is_changed_in_place(
    x, y, wide, tall, opacity, size
):
    clip, patch = torch.zeros(3, 1, 60, 80), NOISE.copy()
    box = np.float32([x, y, x + wide, y + tall])
    changed, weight = pasted(clip, patch, box, opacity=opacity, size=size)
    assert changed.isfinite().all()
    assert changed.abs().max() <= 1
    assert not changed[:, weight == 0].any()
    assert not clip.any()
    assert np.array_equal(patch, NOISE)


def test_builtin_patches_are_square_crops_of_the_sample_images():
    patches, sources = load_patches("builtin"), set()
    for seed in range(60):
        patch = patches.draw(seeded(seed))
        side = patch.shape[0]
        assert (patch.dtype, patch.shape) == (np.uint8, (side, side, 3))
        assert 32 <= side <= 128
        for k, image in enumerate(load_sample_images().images):
            views = np.lib.stride_tricks.sliding_window_view(image[..., 0], (side, 1))[..., 0]
            if (views == patch[:, 0, 0]).all(-1).any():
                sources.add(k)
    assert sources == {0, 1}


def test_sprites_are_cut_out_with_alpha():
    patches = load_patches("sprites")
    sprites = [patches.draw(seeded(seed)) for seed in range(300)]
    sprites = {sprite.tobytes(): sprite for sprite in sprites}
    assert len(sprites) == 32
    for sprite in sprites.values():
        assert (sprite.dtype, sprite.shape[2]) == (np.uint8, 4)
        assert max(sprite.shape) <= 64
        assert sprite[[0, -1], :, 3].any(1).all()  # trimmed
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
    patches = load_patches(str(folder))
    colours = [tuple(patches.draw(seeded(seed))[0, 0].tolist()) for seed in range(400)]
    # class b, half of the time, though it has a quarter of the pictures
    assert 150 < sum(colour[0] > 100 for colour in colours) < 250
    assert {(10, 0, 245), (20, 0, 235), (30, 0, 225)} <= set(colours)  # RGB
    for path in folder.glob("*/*"):
        path.write_bytes(b"")
    with refused("empty-file"):
        patches.draw(seeded())
    for root, code in ((folder / "nowhere", "missing-file"), (folder / "empty", "too-few")):
        with refused(code, file=root, field="patches"):
            load_patches(str(root))


@pytest.fixture
def cifar(host, cache, tmp_path, monkeypatch):
    """The server has a CIFAR-100 of 30 pictures in the real layout."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    rows = pixels.transpose(0, 3, 1, 2).reshape(30, 3072)
    parts = {"train": {"data": rows, "fine_labels": [0] * 30}, "meta": {"fine_label_names": ["x"]}}
    parts["test"] = {"data": rows[:1], "fine_labels": [0]}
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


def test_cifar_is_downloaded_verified_and_read_once(cifar, host, tmp_path):
    for answer in (status(404), sends(b"another file")):
        host.answers = [answer]
        with refused("download") as caught:
            load_patches("cifar100")
        assert caught.error.file.name == "cifar-100-python.tar.gz"
    host.answers = [sends(cifar.archive)]
    patches = load_patches("cifar100")
    assert np.array_equal(patches.pictures, cifar.pixels)
    pictures = {patches.draw(seeded(seed)).tobytes() for seed in range(200)}
    assert pictures == {picture.tobytes() for picture in cifar.pixels}
    count = len(host.asked)
    load_patches("cifar100")
    assert len(host.asked) == count
    unpacked = tmp_path / "cache" / "patches" / "cifar-100-python"
    copied = shutil.copytree(unpacked, tmp_path / "data" / "cifar-100-python")
    host.answers = [status(404)]
    assert np.array_equal(load_patches("cifar100").pictures, cifar.pixels)
    assert len(host.asked) == count
    (copied / "train").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")  # never unpickled
    with refused("damaged-file", file=copied):
        load_patches("cifar100")
