"""ShanghaiTech in its layouts: training videos, test frames, labels and masks, a scene for each
camera.
"""

import os
import shutil

import numpy as np
import pytest
from refusals import refused
from trees import official_shanghaitech, scene, write_images

from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.shanghaitech import TEST_LENGTHS

LENGTHS = {"01_0014": 40, "01_0015": 30, "02_0128": 50}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("shanghaitech")
    return root, official_shanghaitech(root, LENGTHS)


@pytest.fixture
def tree(template, tmp_path):
    """(the dataset's folder, labels) of a tree that the test may change."""
    shutil.copytree(template[0], tmp_path, copy_function=os.link, dirs_exist_ok=True)
    return tmp_path / "shanghaitech", template[1]


def test_known_lengths_are_those_of_the_real_label_file(real_data):
    labels = np.load(real_data / "shanghaitech/frame_labels_shanghai.npy")
    counts = (len(TEST_LENGTHS), sum(TEST_LENGTHS.values()), len(labels), int(labels.sum()))
    assert counts == (107, 40791, 40791, 17326)
    assert list(TEST_LENGTHS) == sorted(TEST_LENGTHS)
    # Most borders lie in normal frames or change the label; borders shifted by some frames would
    # fall into the middle of events far more often.
    borders = np.cumsum(list(TEST_LENGTHS.values()))[:-1] + np.array([[0, 60, 120, -60, -120]]).T
    inside = (labels[borders - 1] & labels[borders]).sum(1)
    assert inside[0] < min(inside[1:])
    with refused("missing-file", file=real_data, field="--root"):
        load_videos("shanghaitech", "test", real_data)  # labels without frames are no dataset


def test_official_tree(tree):
    folder, truth = tree
    train, test = (load_videos("shanghaitech", split, folder.parent) for split in ("train", "test"))
    assert [(v.name, len(v)) for v in train] == [("01_001", 80), ("01_002", 80), ("02_001", 80)]
    assert [v.name for v in test] == list(LENGTHS)
    for videos in (train, test):
        assert [v.scene[-3:] for v in videos] == [" 01", " 01", " 02"]
    for video in test:
        assert np.array_equal(video.labels, truth[video.name])
        assert video.ground_truth == "frame_mask"
        assert video.masks[:].any((1, 2)).tolist() == (truth[video.name] == 1).tolist()
        assert isinstance(video.masks.masks, np.memmap)  # a real clip's masks take 200 MB
    assert find_copy("shanghaitech", folder.parent).layout == "official"


def test_masks_and_labels_are_optional_apart_from_each_other(tree):
    folder, _ = tree
    shutil.rmtree(folder / "testing/test_pixel_mask")
    assert [v.masks for v in load_videos("shanghaitech", "test", folder.parent)] == [None] * 3
    labels = folder / "testing/test_frame_mask"
    (labels / "02_0128.npy").unlink()
    with refused("missing-labels", file=labels / "02_0128.npy"):
        load_videos("shanghaitech", "test", folder.parent)
    shutil.rmtree(labels)
    with refused("missing-labels", file=folder):
        load_videos("shanghaitech", "test", folder.parent)
    assert len(load_videos("shanghaitech", "train", folder.parent)) == 3


@pytest.mark.parametrize("name", ["shanghai", "ShanghaiTech"])
def test_community_frames_of_a_partial_copy_get_their_own_labels(tmp_path, name):
    folder = tmp_path / name
    labels = np.arange(40791) % 7 == 0
    ends = dict(zip(TEST_LENGTHS, np.cumsum(list(TEST_LENGTHS.values())), strict=True))
    lengths = {"01_0063": 193, "01_0162": 193, "12_0175": 265}
    for clip, length in lengths.items():
        frames = np.zeros((length, 8, 8), np.uint8)
        write_images(folder / "testing/frames" / clip, frames, "{:03d}.jpg")
    np.save(folder / "frame_labels_shanghai.npy", labels)
    test = load_videos("shanghaitech", "test", tmp_path)
    assert [(v.name, v.ground_truth) for v in test] == [(clip, "npy") for clip in lengths]
    for video in test:
        assert np.array_equal(
            video.labels, labels[ends[video.name] - len(video) : ends[video.name]]
        )
    assert find_copy("shanghaitech", tmp_path).layout == "community"
    clip = folder / "testing/frames/14_0001"
    write_images(clip, scene(1, 20)[0][0], "{:03d}.jpg")
    with refused("unexpected-clip", file=clip):
        load_videos("shanghaitech", "test", tmp_path)


LABELS, MASKS = "testing/test_frame_mask/01_0014.npy", "testing/test_pixel_mask/01_0014.npy"
WRONG = [(LABELS, np.zeros(41), "label-length"), (MASKS, np.zeros((40, 48)), "wrong-shape")]
WRONG += [(MASKS, np.zeros((39, 48, 64)), "label-length")]
WRONG += [(MASKS, np.zeros((40, 64, 48)), "mixed-sizes")]


@pytest.mark.parametrize(("place", "array", "code"), WRONG)
def test_wrong_labels_and_masks_are_named(tree, place, array, code):
    (tree[0] / place).unlink()
    np.save(tree[0] / place, array)
    with refused(code, file=tree[0] / place) as caught:
        load_videos("shanghaitech", "test", tree[0].parent)
    assert "01_0014" in str(caught.error)
