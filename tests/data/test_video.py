"""Pictures become frames: in natural order, read when asked for, and never a damaged one in
silence.
"""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from refusals import refused

from vadlib.data.video import ImageFrames, MaskImages, is_junk, list_images, natural_key, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)


def test_pictures_come_back_exactly_as_rgb_or_bt_601_grey(tmp_path):
    for suffix in ("png", "bmp", "tif"):
        path = tmp_path / f"a.{suffix}"
        cv2.imwrite(str(path), PIXELS[..., ::-1])  # cv2 writes BGR
        assert np.array_equal(read_image(path, 3), PIXELS)
        grey = read_image(path, 1)
        assert (grey.shape, grey.dtype) == ((16, 24, 1), np.uint8)
        assert np.abs(grey[..., 0] - PIXELS @ [0.299, 0.587, 0.114]).max() <= 1
    Image.fromarray(PIXELS[..., 0]).save(path)
    assert np.array_equal(read_image(path, 3), np.repeat(PIXELS[..., :1], 3, axis=2))


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
OTHERS = [(b"", "empty-file"), (LFS, "git-lfs-pointer"), (b"<html>404", "wrong-kind-of-file")]


@pytest.mark.parametrize(("content", "code"), OTHERS)
def test_what_is_no_picture_is_named_for_what_it_is(tmp_path, content, code):
    (tmp_path / "001.jpg").write_bytes(content)
    with refused(code, file=tmp_path / "001.jpg"):
        read_image(tmp_path / "001.jpg", 1)
    with refused("missing-file", file=tmp_path / "002.jpg"):
        read_image(tmp_path / "002.jpg", 1)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_pictures_are_refused_by_name(tmp_path, suffix, channels):
    path = tmp_path / f"deep.{suffix}"
    cv2.imwrite(str(path), np.full((8, 9, channels), 300, np.uint16))
    with refused("wrong-kind-of-file", file=path):
        read_image(path, 3)


@given(st.lists(st.integers(0, 10**6), unique=True, min_size=2), st.integers(0, 6))
def test_numbers_order_names_by_value_however_padded(numbers, width):
    names = [f"Frame_{n:0{width}d}.jpg" for n in numbers]
    expected = [f"Frame_{n:0{width}d}.jpg" for n in sorted(numbers)]
    assert sorted(names, key=natural_key) == expected


def test_only_pictures_are_listed(tmp_path):
    junk = ["._1.png", "1.png~", "Thumbs.db", ".DS_Store", "desktop.ini"]
    names = ["1.png", "2.JPG", "3.TIF", "4.tiff", "5.bmp", "10.jpeg"]
    for name in [*names, *junk, "notes.txt"]:
        (tmp_path / name).touch()
    (tmp_path / "6.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == names
    assert all(is_junk(tmp_path / name) for name in junk)


@pytest.fixture
def paths(tmp_path):
    """Seven pictures of 24 x 16; the one at position t has level 10 t."""
    paths = [tmp_path / f"{t:03d}.png" for t in range(7)]
    for t, path in enumerate(paths):
        Image.new("L", (24, 16), 10 * t).save(path)
    return paths


def test_frames_are_read_at_their_positions(paths):
    frames = ImageFrames(paths, 3)
    assert (len(frames), frames.shape) == (7, (7, 16, 24, 3))
    levels = np.arange(0, 70, 10, dtype=np.uint8)
    expected = np.broadcast_to(levels[:, None, None, None], frames.shape)
    slices = [slice(None), slice(1, 6, 2), slice(None, None, -1), slice(4, 4), slice(-2, 99)]
    for index in (0, 6, -1, -7, np.int64(2), *slices):
        assert np.array_equal(frames[index], expected[index])
    assert np.array_equal(np.asarray(frames), expected)
    with pytest.raises(IndexError):
        frames[7]


def test_masks_are_true_wherever_a_pixel_is_set(paths):
    masks = MaskImages(paths)
    assert (masks.shape, masks[0].dtype, masks[1:1].dtype) == ((7, 16, 24), bool, bool)
    assert masks[:].all((1, 2)).tolist() == [False, True, True, True, True, True, True]
    Image.new("L", (24, 17)).save(paths[2])
    for images in (masks, ImageFrames(paths, 1)):
        with refused("mixed-sizes", file=paths[2]):
            images[2]


@pytest.mark.parametrize("count", [6, 8, 0])
def test_labels_and_masks_that_do_not_fit_are_refused(array_video, count):
    fields = {"labels": np.zeros(count, np.uint8), "masks": np.zeros((count, 4, 4), bool)}
    fields |= {"boxes": np.zeros((count, 0, 4)), "kinds": count * ("",)}
    for name, value in fields.items():
        with refused("label-length", field=name):
            array_video(np.zeros((7, 4, 4, 1)), **{name: value})
    with refused("mixed-sizes", field="masks"):
        array_video(np.zeros((7, 4, 4, 1)), masks=np.zeros((7, 4, 5), bool))
