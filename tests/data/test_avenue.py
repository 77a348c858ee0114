"""Avenue in its layouts: frames, both ground truths, masks, and what is said without them."""

import os
import shutil

import numpy as np
import pytest
import scipy.io
from refusals import refused
from trees import official_avenue, save_cells, scene, write_images

from vadlib.data.avenue import TEST_LENGTHS, VolMasks
from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.check import check_dataset

LENGTHS = {8: 36, 21: 76}  # the two shortest test clips
KINDS = ("vol", "community")
MASKS = "avenue/ground_truth_demo/testing_label_mask"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("avenue")
    return root, official_avenue(root, LENGTHS)


@pytest.fixture
def tree(template, tmp_path):
    """(root, labels by "vol") of a tree that the test may change."""
    shutil.copytree(template[0], tmp_path / "data", copy_function=os.link)
    return tmp_path / "data", template[1]


def save_community(folder):
    """frame_labels_avenue.npy as it circulates: (1, 15324)."""
    labels = np.arange(sum(TEST_LENGTHS)) % 3 == 0
    np.save(folder / "frame_labels_avenue.npy", labels.astype(np.int8)[None])
    return np.split(labels, np.cumsum(TEST_LENGTHS)[:-1])


def test_real_clips_have_their_counts(real_data):
    train = load_videos("avenue", "train", real_data)
    test = load_videos("avenue", "test", real_data)
    assert [(v.name, len(v)) for v in train] == [("12", 145), ("16", 244)]
    counts = [(v.name, len(v), int(v.labels.sum()), v.ground_truth) for v in test]
    assert counts == [("20", 273, 154, "vol"), ("21", 76, 53, "vol")]
    for video in train + test:
        facts = (video.frames.shape[1:], video.fps, video.scene)
        assert facts == ((360, 640, 3), 25.0, "avenue")
    cells = scipy.io.loadmat(real_data / MASKS / "21_label.mat")["volLabel"].ravel()
    assert np.array_equal(test[1].masks[:], np.stack(cells) > 0)
    assert np.array_equal(test[1].masks[:].any((1, 2)), test[1].labels)
    whole = np.load(real_data / "avenue/frame_labels_avenue.npy").ravel()
    test = load_videos("avenue", "test", real_data, ground_truth="community")
    assert np.array_equal(np.concatenate([v.labels for v in test]), whole[-349:])
    # masks are the other truth's
    assert [(v.ground_truth, v.masks) for v in test] == [("community", None)] * 2


def test_the_two_real_ground_truths_have_the_published_counts_and_differ_on_441_frames(real_data):
    labels = find_copy("avenue", real_data).all_labels()
    assert tuple(map(len, labels["vol"].values())) == TEST_LENGTHS
    vol, community = (np.concatenate(list(labels[kind].values())) for kind in KINDS)
    counts = (len(vol), vol.sum(), community.sum(), (vol != community).sum())
    assert counts == (15324, 3712, 3867, 441)


PLACES = {
    "avenue/Avenue Dataset": "avenue/ground_truth_demo",
    "Avenue_Dataset/Avenue Dataset": "ground_truth_demo/ground_truth_demo",
    "downloads/Avenue Dataset": "downloads/ground_truth_demo",
    "Avenue Dataset": "ground_truth_demo",
    "avenue": "avenue/ground_truth_demo",
}


@pytest.mark.parametrize(("frames", "masks"), PLACES.items())
def test_an_archive_may_be_unpacked_anywhere(template, tmp_path, frames, masks):
    shutil.copytree(template[0] / "avenue/Avenue Dataset", tmp_path / frames)
    shutil.copytree(template[0] / "avenue/ground_truth_demo", tmp_path / masks)
    train, test = (load_videos("avenue", split, tmp_path) for split in ("train", "test"))
    assert [(v.name, len(v), v.labels) for v in train] == [("01", 40, None), ("02", 40, None)]
    assert [(v.name, len(v)) for v in test] == [("08", 36), ("21", 76)]
    for video in test:
        assert np.array_equal(video.labels, template[1][int(video.name)])
        assert np.array_equal(video.masks[:].any((1, 2)), video.labels)
    assert find_copy("avenue", tmp_path).layout == "official"


@pytest.mark.parametrize("source", ["npy", "mat"])
def test_community_frames_with_labels_of_the_whole_set(tmp_path, source):
    folder = tmp_path / "avenue"
    for number, length in LENGTHS.items():
        frames = scene(1, length, seed=number)[0][0]
        write_images(folder / f"testing/frames/{number:02d}", frames, "{:04d}.jpg")
    if source == "npy":
        labels = save_community(folder)
    else:
        labels = [np.arange(length) < 20 for length in TEST_LENGTHS]
        save_cells(folder / "avenue.mat", "gt", list(np.full((21, 2, 1), [[1], [20]], np.uint16)))
    for truth in (None, "community"):
        test = load_videos("avenue", "test", tmp_path, truth)
        assert [(v.name, v.ground_truth) for v in test] == [(n, "community") for n in ("08", "21")]
        assert all(np.array_equal(v.labels, labels[int(v.name) - 1]) for v in test)
    with refused("missing-labels", file=folder, field="ground_truth"):
        load_videos("avenue", "test", tmp_path, "vol")


def test_two_ground_truths_of_one_copy(tree):
    root, truth = tree
    community = save_community(root / "avenue")
    for kind, labels in ((None, truth[8]), ("vol", truth[8]), ("community", community[7])):
        assert np.array_equal(load_videos("avenue", "test", root, kind)[0].labels, labels)
    copy = find_copy("avenue", root)
    every = copy.all_labels()
    assert list(every) == list(KINDS)
    notes = {entry["code"]: entry["where"] for entry in check_dataset("avenue", root)["notes"]}
    assert "testing_label_mask (vol) and " in notes["two-ground-truths"]
    differing = sum(int((every["vol"][n] != every["community"][n]).sum()) for n in ("08", "21"))
    assert notes["two-ground-truths"].endswith(f" differ on {differing} test frames")
    for kind in KINDS:
        for video in copy.open("test", kind):
            assert np.array_equal(every[kind][video.name], video.labels)
    save_cells(root / MASKS / "8_label.mat", "volLabel", list(np.ones((76, 60, 80), np.uint8)))
    with refused("label-length", file=root / MASKS / "8_label.mat"):
        copy.open("test", "vol")


@pytest.mark.parametrize(
    ("shape", "code"), [((35, 60, 80), "label-length"), ((36, 80, 60), "mixed-sizes")]
)
def test_masks_of_another_length_or_size_are_refused(tree, shape, code):
    save_cells(tree[0] / MASKS / "8_label.mat", "volLabel", list(np.zeros(shape, np.uint8)))
    with refused(code, file=tree[0] / MASKS / "8_label.mat") as caught:
        load_videos("avenue", "test", tree[0])
    assert "video 08: " in str(caught.error)
    (tree[0] / MASKS / "8_label.mat").unlink()
    with refused("missing-labels", file=tree[0] / MASKS / "8_label.mat"):
        load_videos("avenue", "test", tree[0])


def test_mat_files_without_masks_are_refused_and_changed_ones_read_again(tmp_path):
    path = tmp_path / "1_label.mat"
    for shapes in ([(4, 5), (5, 4)], [(4, 5, 3)], []):
        save_cells(path, "volLabel", [np.zeros(shape, np.uint8) for shape in shapes])
        with refused("wrong-shape", file=path, field="volLabel"):
            VolMasks(path)
    for count in (3, 5):
        save_cells(path, "volLabel", list(np.ones((count, 4, 5), np.uint8)))
        masks = VolMasks(path)
        assert (masks.shape, bool(masks[count - 1].all())) == ((count, 4, 5), True)
