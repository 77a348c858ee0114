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
    shutil.copytree(template[0], tmp_path / "data", copy_function=os.link)
    return tmp_path / "data", template[1]


def test_known_lengths_are_those_of_the_real_label_file(real_data):
    labels = np.load(real_data / "shanghaitech" / "frame_labels_shanghai.npy")
    counts = (len(TEST_LENGTHS), sum(TEST_LENGTHS.values()), len(labels), int(labels.sum()))
    assert counts == (107, 40791, 40791, 17326)
    assert list(TEST_LENGTHS) == sorted(TEST_LENGTHS)
    # Most borders lie in normal frames or change the label; borders shifted by some frames would
    # fall into the middle of events far more often.
    borders = np.cumsum(list(TEST_LENGTHS.values()))[:-1] + np.array([[0, 60, 120, -60, -120]]).T
    inside = (labels[borders - 1] & labels[borders]).sum(1)
    assert inside[0] < min(inside[1:])


def test_official_tree(tree):
    root, truth = tree
    train, test = (load_videos("shanghaitech", split, root) for split in ("train", "test"))
    assert [(v.name, len(v)) for v in train] == [("01_001", 80), ("01_002", 80), ("02_001", 80)]
    assert [v.name for v in test] == list(LENGTHS)
    for videos in (train, test):
        assert [v.scene[-3:] for v in videos] == [" 01", " 01", " 02"]
    for video in test:
        assert np.array_equal(video.labels, truth[video.name])
        assert video.ground_truth == "frame_mask"
        assert video.masks[:].any((1, 2)).tolist() == (truth[video.name] == 1).tolist()
        assert isinstance(video.masks.masks, np.memmap)  # a real clip's masks take 200 MB
    assert find_copy("shanghaitech", root).layout == "official"


def test_masks_and_labels_are_optional_apart_from_each_other(tree):
    root, _ = tree
    shutil.rmtree(root / "shanghaitech" / "testing" / "test_pixel_mask")
    assert [v.masks for v in load_videos("shanghaitech", "test", root)] == [None] * 3
    labels = root / "shanghaitech" / "testing" / "test_frame_mask"
    (labels / "02_0128.npy").unlink()
    with refused("missing-labels", file=labels / "02_0128.npy"):
        load_videos("shanghaitech", "test", root)
    shutil.rmtree(labels)
    with refused("missing-labels", file=root / "shanghaitech"):
        load_videos("shanghaitech", "test", root)
    assert len(load_videos("shanghaitech", "train", root)) == 3


@pytest.mark.parametrize("name", ["shanghai", "ShanghaiTech"])
def test_community_frames_of_a_partial_copy_get_their_own_labels(tmp_path, name):
    folder = tmp_path / name
    labels = np.arange(40791) % 7 == 0
    ends = dict(zip(TEST_LENGTHS, np.cumsum(list(TEST_LENGTHS.values())), strict=True))
    lengths = {"01_0063": 193, "01_0162": 193, "12_0175": 265}
    places = {f"testing/frames/{clip}": length for clip, length in lengths.items()}
    for place, length in {**places, "training/frames/03_002": 20}.items():
        write_images(folder / place, np.zeros((length, 8, 8), np.uint8), "{:03d}.jpg")
    np.save(folder / "frame_labels_shanghai.npy", labels)
    test = load_videos("shanghaitech", "test", tmp_path)
    assert [(v.name, v.ground_truth) for v in test] == [(clip, "npy") for clip in lengths]
    for video in test:
        end = ends[video.name]
        assert np.array_equal(video.labels, labels[end - len(video) : end])
    assert [v.scene for v in load_videos("shanghaitech", "train", tmp_path)] == ["shanghaitech 03"]
    assert find_copy("shanghaitech", tmp_path).layout == "community"


def test_a_clip_that_the_whole_set_does_not_know_is_named(tmp_path):
    clip = tmp_path / "shanghai" / "testing" / "frames" / "14_0001"
    write_images(clip, scene(1, 20)[0][0], "{:03d}.jpg")
    np.save(tmp_path / "shanghai" / "frame_labels_shanghai.npy", np.zeros(40791, np.uint8))
    with refused("unexpected-clip", file=clip):
        load_videos("shanghaitech", "test", tmp_path)


LABELS, MASKS = "testing/test_frame_mask", "testing/test_pixel_mask"


@pytest.mark.parametrize(
    ("kind", "array", "code", "place", "numbers"),
    [
        (LABELS, np.zeros(41), "label-length", "testing/frames/01_0014", ["40", "41"]),
        (LABELS, np.full(40, 2), "label-values", f"{LABELS}/01_0014.npy", []),
        (LABELS, np.array(["a"] * 40), "wrong-type", f"{LABELS}/01_0014.npy", []),
        (MASKS, np.zeros((39, 48, 64), np.uint8), "label-length", None, ["40", "39"]),
        (MASKS, np.zeros((40, 64, 48), np.uint8), "mixed-sizes", None, ["64x48", "48x64"]),
        (MASKS, np.zeros((40, 48)), "wrong-shape", f"{MASKS}/01_0014.npy", ["(40, 48)"]),
    ],
)
def test_wrong_labels_and_masks_are_named(tree, kind, array, code, place, numbers):
    folder = tree[0] / "shanghaitech"
    path = folder / kind / "01_0014.npy"
    path.unlink()
    np.save(path, array)
    with refused(code, file=place and folder / place) as caught:
        load_videos("shanghaitech", "test", tree[0])
    assert "01_0014" in str(caught.error)
    assert [number for number in numbers if number not in str(caught.error)] == []


def test_labels_without_frames_are_no_dataset(real_data):
    with refused("labels-without-frames") as caught:
        load_videos("shanghaitech", "test", real_data)
    assert caught.error.file.name == "frame_labels_shanghai.npy"
