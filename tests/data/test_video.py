"""Pictures become frames: in natural order, read when asked for, and never a damaged one in
silence.
"""

import io
import os
import pickle
import re

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from refusals import refused

from vadlib.data.video import (
    ImageFrames,
    MaskImages,
    is_junk,
    list_images,
    natural_key,
    read_image,
)
from vadlib.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
)


def encoded(format: str, pixels=PIXELS) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format)
    return buffer.getvalue()


# --- one picture


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_lossless_pictures_come_back_exactly_as_rgb(tmp_path, suffix):
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), PIXELS[..., ::-1])  # cv2 writes BGR
    assert np.array_equal(read_image(tmp_path / f"a.{suffix}", 3), PIXELS)


def test_a_grey_picture_is_grey_and_colour_is_weighted_as_bt_601(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    expected = PIXELS @ np.array([0.299, 0.587, 0.114])
    grey = read_image(path, 1)
    assert grey.shape == (16, 24, 1)
    assert grey.dtype == np.uint8
    assert np.abs(grey[..., 0] - expected).max() <= 1
    Image.fromarray(PIXELS[..., 0]).save(path)
    assert np.array_equal(read_image(path, 1)[..., 0], PIXELS[..., 0])
    assert np.array_equal(read_image(path, 3), np.repeat(PIXELS[..., :1], 3, axis=2))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "TIFF"])
def test_a_picture_cut_anywhere_is_refused_by_name(tmp_path, format):
    path, whole = tmp_path / "007.img", encoded(format)
    path.write_bytes(whole)
    expected = read_image(path, 3)
    tried = [*range(0, len(whole) - 40, 5), *range(len(whole) - 40, len(whole))]
    count = 0
    for length in tried:
        path.write_bytes(whole[:length])
        try:
            # only what follows the pixels was cut
            assert np.array_equal(read_image(path, 3), expected)
        except InputError as error:
            assert error.file == path
            assert error.code in {"empty-file", "damaged-file", "wrong-kind-of-file"}
            count += 1
    assert count >= len(tried) - 24  # a PNG ends with 20 bytes that hold no pixels


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty-file"),
        (LFS_POINTER, "git-lfs-pointer"),
        (b"<html>404 not found</html>", "wrong-kind-of-file"),
        (pickle.dumps([1, 2]), "wrong-kind-of-file"),
    ],
)
def test_what_is_no_picture_is_named_for_what_it_is(tmp_path, content, code):
    path = tmp_path / "001.jpg"
    path.write_bytes(content)
    with refused(code, file=path):
        read_image(path, 1)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_pictures_are_refused_by_name(tmp_path, suffix, channels):
    deep = np.random.default_rng(0).integers(0, 65536, (8, 9, channels), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / f"deep.{suffix}"), deep)
    assert cv2.imread(str(tmp_path / f"deep.{suffix}"), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    for wanted in (1, 3):
        with refused("wrong-kind-of-file", file=tmp_path / f"deep.{suffix}"):
            read_image(tmp_path / f"deep.{suffix}", wanted)


# --- names


@given(
    st.lists(st.integers(0, 10**6), unique=True, min_size=2),
    st.sampled_from(["", "frame", "Test", "01_"]),
    st.integers(0, 6),
)
def test_numbers_order_names_by_value_however_padded(numbers, prefix, width):
    names = [f"{prefix}{n:0{width}d}.jpg" for n in numbers]
    assert sorted(names, key=natural_key) == [f"{prefix}{n:0{width}d}.jpg" for n in sorted(numbers)]


@given(st.lists(st.text("aA01", max_size=4), unique=True), st.randoms())
def test_the_order_does_not_depend_on_how_the_folder_was_listed(names, random):
    shuffled = random.sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == sorted(names, key=natural_key)


@pytest.mark.parametrize(
    "name", [".DS_Store", "._001.jpg", "001.jpg~", "Thumbs.db", "thumbs.db", "desktop.ini", ".git"]
)
def test_junk_is_junk(tmp_path, name):
    assert is_junk(tmp_path / name)


def test_only_pictures_are_listed(tmp_path):
    pictures, others = (
        ["2.JPG", "10.jpeg", "1.png", "3.TIF", "4.tiff", "5.bmp"],
        ["._1.png", "1.png~", "notes.txt", "Thumbs.db", "x.m~"],
    )
    for name in pictures + others:
        (tmp_path / name).touch()
    (tmp_path / "6.png").mkdir()
    assert [p.name for p in list_images(tmp_path)] == [
        "1.png",
        "2.JPG",
        "3.TIF",
        "4.tiff",
        "5.bmp",
        "10.jpeg",
    ]


# --- frames of a video


@pytest.fixture
def paths(tmp_path):
    """Seven pictures of 24 x 16; the one at position t has level 10 t."""
    made = [tmp_path / f"{t:03d}.png" for t in range(7)]
    for t, path in enumerate(made):
        Image.new("L", (24, 16), 10 * t).save(path)
    return made


@pytest.mark.parametrize("channels", [1, 3])
def test_frames_are_read_at_their_positions(paths, channels):
    frames = ImageFrames(paths, channels)
    assert len(frames) == 7
    assert frames.shape == (7, 16, 24, channels)
    expected = np.broadcast_to(
        (10 * np.arange(7, dtype=np.uint8))[:, None, None, None], (7, 16, 24, channels)
    )
    for index in (0, 3, 6, -1, -7, np.int64(2)):
        assert np.array_equal(frames[index], expected[index])
    for index in (
        slice(None),
        slice(1, 6, 2),
        slice(5, None),
        slice(None, None, -1),
        slice(4, 4),
        slice(-2, 99),
    ):
        assert np.array_equal(frames[index], expected[index])
    assert np.array_equal(np.asarray(frames), expected)


def test_a_frame_of_another_size_is_named_with_both_sizes(paths):
    Image.new("L", (20, 16)).save(paths[4])
    frames = ImageFrames(paths, 1)
    assert frames[3].shape == (16, 24, 1)
    with refused("mixed-sizes", file=paths[4]) as caught:
        frames[4]
    assert re.findall(r"\d+x\d+", str(caught.error)) == ["20x16", "24x16"]


def test_identity_tells_sources_apart(paths):
    first = ImageFrames(paths, 1).identity()
    assert ImageFrames(paths, 1).identity() == first
    assert ImageFrames(paths, 3).identity() != first
    assert ImageFrames(paths[:-1], 1).identity() != first
    assert ImageFrames(paths[::-1], 1).identity() != first
    os.utime(paths[3], ns=(1, 1))
    assert ImageFrames(paths, 1).identity() != first


def test_masks_are_true_wherever_a_pixel_is_set(tmp_path):
    levels = np.zeros((16, 24), np.uint8)
    levels[2:5, 3:9], levels[10, 20] = 255, 1
    Image.fromarray(levels).save(tmp_path / "0.png")
    Image.fromarray(levels * 0).save(tmp_path / "1.png")
    masks = MaskImages([tmp_path / "0.png", tmp_path / "1.png"])
    assert masks.shape == (2, 16, 24)
    assert masks[0].dtype == bool
    assert np.array_equal(masks[:], [levels > 0, levels > 255])
    assert masks[1:1].dtype == bool


def test_a_mask_of_another_size_is_named(paths):
    Image.new("L", (24, 17)).save(paths[2])
    with refused("mixed-sizes", file=paths[2]):
        MaskImages(paths)[2]


@pytest.mark.parametrize("what", ["labels", "masks", "boxes", "kinds"])
@pytest.mark.parametrize("count", [6, 8, 0])
def test_another_number_of_labels_is_refused_with_both_numbers(array_video, what, count):
    given = {
        "labels": np.zeros(count, np.uint8),
        "masks": np.zeros((count, 4, 4), bool),
        "boxes": [np.zeros((0, 4))] * count,
        "kinds": [""] * count,
    }[what]
    with refused("label-length", field=what) as caught:
        array_video(np.zeros((7, 4, 4, 1)), "05", **{what: given})
    assert re.findall(r"\d+", str(caught.error)) == ["05", "7", str(count)]


def test_masks_of_another_size_than_the_frames_are_refused(array_video):
    with refused("mixed-sizes", field="masks") as caught:
        array_video(np.zeros((7, 4, 4, 1)), "05", masks=np.zeros((7, 4, 5), bool))
    assert re.findall(r"\d+x\d+", str(caught.error)) == ["4x5", "4x4"]
