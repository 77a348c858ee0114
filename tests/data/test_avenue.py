"""Avenue in its layouts: frames, both ground truths, masks, and what is said when one of them is
not there.
"""

import os
import re
import shutil

import numpy as np
import pytest
import scipy.io
from refusals import refused
from trees import official_avenue, save_cells, scene, write_images

from vadlib.data.avenue import TEST_LENGTHS, VolMasks
from vadlib.data.catalog import find_copy, load_videos

LENGTHS = {8: 36, 21: 76}  # the two shortest test clips


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("avenue")
    truth = official_avenue(root, LENGTHS)
    return root, truth


@pytest.fixture
def tree(template, tmp_path):
    """(root, labels by "vol") of a tree that the test may change."""
    shutil.copytree(template[0], tmp_path / "data", copy_function=os.link)
    return tmp_path / "data", template[1]


def save_community(folder, labels=None):
    """frame_labels_avenue.npy as it circulates: (1, 15324)."""
    labels = labels if labels is not None else np.arange(sum(TEST_LENGTHS)) % 3 == 0
    np.save(folder / "frame_labels_avenue.npy", labels.astype(np.int8)[None])
    return np.split(labels, np.cumsum(TEST_LENGTHS)[:-1])


# --- real files


def test_real_clips_have_their_counts(real_data):
    train, test = (load_videos("avenue", split, real_data) for split in ("train", "test"))
    assert [(v.name, len(v)) for v in train] == [("12", 145), ("16", 244)]
    assert [(v.name, len(v), int(v.labels.sum())) for v in test] == [
        ("20", 273, 154),
        ("21", 76, 53),
    ]
    assert {v.frames.shape[1:] for v in train + test} == {(360, 640, 3)}
    assert {(v.fps, v.scene) for v in train + test} == {(25.0, "avenue")}
    for video in test:
        assert video.ground_truth == "vol"
        assert video.masks.shape == (len(video), 360, 640)
        assert [bool(video.masks[t].any()) for t in range(len(video))] == (
            video.labels == 1
        ).tolist()


def test_the_two_real_ground_truths_have_the_published_counts_and_differ_on_441_frames(real_data):
    labels = find_copy("avenue", real_data).all_labels()
    assert tuple(map(len, labels["vol"].values())) == TEST_LENGTHS
    assert sum(TEST_LENGTHS) == 15324
    vol, community = (np.concatenate(list(labels[kind].values())) for kind in ("vol", "community"))
    assert (int(vol.sum()), int(community.sum()), int((vol != community).sum())) == (
        3712,
        3867,
        441,
    )


def test_real_masks_are_those_of_the_mat_file_and_kept_as_labels(real_data):
    path = real_data / "avenue" / "ground_truth_demo" / "testing_label_mask" / "21_label.mat"
    masks, cells = VolMasks(path), scipy.io.loadmat(path)["volLabel"].ravel()
    for t in (0, 20, 50, 75):
        assert np.array_equal(masks[t], cells[t] > 0)
    assert masks[10:12].dtype == bool


def test_real_masks_lie_on_what_moves(real_data):
    """Inside the masks consecutive frames differ far more than in the picture as a whole: not so if
    masks were shifted or flipped.
    """
    for video in load_videos("avenue", "test", real_data):
        inside, everywhere, flipped = [], [], []
        for t in np.flatnonzero(video.labels)[1::9]:
            change = np.abs(video.frames[t].astype(int) - video.frames[t - 1]).mean(2)
            mask = video.masks[t]
            inside.append(change[mask].mean())
            flipped.append(change[mask[:, ::-1]].mean())
            everywhere.append(change.mean())
        assert np.mean(inside) > 2 * np.mean(everywhere)
        assert np.mean(inside) > 1.5 * np.mean(flipped)


def test_real_community_labels_are_cut_for_the_clips_that_are_there(real_data):
    whole = np.load(real_data / "avenue" / "frame_labels_avenue.npy").ravel()
    test = load_videos("avenue", "test", real_data, ground_truth="community")
    assert [v.ground_truth for v in test] == ["community"] * 2
    assert np.array_equal(test[0].labels, whole[-349:-76])
    assert np.array_equal(test[1].labels, whole[-76:])
    assert [v.masks for v in test] == [None, None]  # masks are the other truth's


# --- layouts


def test_official_tree(tree):
    root, truth = tree
    train, test = load_videos("avenue", "train", root), load_videos("avenue", "test", root)
    assert [(v.name, len(v), v.labels) for v in train] == [("01", 40, None), ("02", 40, None)]
    assert [v.name for v in test] == ["08", "21"]
    for video, (number, labels) in zip(test, truth.items(), strict=True):
        assert video.name == f"{number:02d}"
        assert np.array_equal(video.labels, labels)
        assert video.frames.shape == (LENGTHS[number], 60, 80, 3)
        assert video.masks[:].any((1, 2)).tolist() == (labels == 1).tolist()
    copy = find_copy("avenue", root)
    assert (copy.layout, [truth.name for truth in copy.ground_truths()]) == ("official", ["vol"])


@pytest.mark.parametrize(
    "place", ["Avenue Dataset", "Avenue_Dataset", "avenue/avenue_dataset", "avenue"]
)
def test_the_official_folder_is_found_wherever_archives_put_it(tree, place):
    root, _ = tree
    (root / "avenue" / "Avenue Dataset").rename(root / "moved")
    truths = root / "avenue" / "ground_truth_demo"
    if place == "avenue":
        (root / "moved" / "testing_videos").rename(root / "avenue" / "testing_videos")
        (root / "moved" / "training_videos").rename(root / "avenue" / "training_videos")
    else:
        if "/" not in place:
            truths.rename(root / "ground_truth_demo")
        (root / "moved").rename(root / place)
    assert [v.ground_truth for v in load_videos("avenue", "test", root)] == ["vol", "vol"]


@pytest.mark.parametrize("source", ["npy", "mat"])
def test_community_frames_with_labels_of_the_whole_set(tmp_path, source):
    folder = tmp_path / "avenue"
    for number, length in LENGTHS.items():
        write_images(
            folder / "testing" / "frames" / f"{number:02d}",
            scene(1, length, seed=number)[0][0],
            "{:04d}.jpg",
        )
    write_images(folder / "training" / "frames" / "01", scene(1, 30)[0][0], "{:04d}.jpg")
    if source == "npy":
        known = save_community(folder)
    else:
        known = [np.arange(length) < 20 for length in TEST_LENGTHS]
        save_cells(folder / "avenue.mat", "gt", [np.array([[1], [20]], np.uint16)] * 21)
    for truth in (None, "community"):
        test = load_videos("avenue", "test", tmp_path, truth)
        assert [(v.name, v.ground_truth) for v in test] == [
            ("08", "community"),
            ("21", "community"),
        ]
        assert [np.array_equal(v.labels, known[int(v.name) - 1]) for v in test] == [True, True]
    with refused("missing-labels", file=folder, field="ground_truth"):
        load_videos("avenue", "test", tmp_path, "vol")


def test_both_truths_of_one_copy(tree):
    root, truth = tree
    known = save_community(root / "avenue")
    # vol is the default
    assert np.array_equal(load_videos("avenue", "test", root)[0].labels, truth[8])
    assert np.array_equal(load_videos("avenue", "test", root, "vol")[0].labels, truth[8])
    assert np.array_equal(load_videos("avenue", "test", root, "community")[0].labels, known[7])
    labels = find_copy("avenue", root).all_labels()
    for number, clip in truth.items():
        assert np.array_equal(labels["vol"][f"{number:02d}"], clip)
        assert np.array_equal(labels["community"][f"{number:02d}"], known[number - 1])


# --- what is missing or wrong


def test_a_missing_mask_file_is_named_with_the_way_out(tree):
    root, _ = tree
    path = root / "avenue" / "ground_truth_demo" / "testing_label_mask" / "21_label.mat"
    path.unlink()
    with refused("missing-labels", file=path):
        load_videos("avenue", "test", root)


def test_labels_of_another_length_stop_with_clip_and_both_numbers(tree):
    root, _ = tree
    masks = [np.zeros((60, 80), np.uint8)] * 35
    save_cells(
        root / "avenue" / "ground_truth_demo" / "testing_label_mask" / "8_label.mat",
        "volLabel",
        masks,
    )
    with refused(
        "label-length", file=root / "avenue" / "Avenue Dataset" / "testing_videos" / "08.avi"
    ) as caught:
        load_videos("avenue", "test", root)
    assert "36" in str(caught.error)
    assert "35" in str(caught.error)


def test_masks_of_another_size_are_refused(tree):
    root, _ = tree
    masks = [np.zeros((80, 60), np.uint8)] * 36
    save_cells(
        root / "avenue" / "ground_truth_demo" / "testing_label_mask" / "8_label.mat",
        "volLabel",
        masks,
    )
    with refused("mixed-sizes", field="masks") as caught:
        load_videos("avenue", "test", root)
    assert re.findall(r"\d+x\d+", str(caught.error)) == ["80x60", "60x80"]


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ([np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8)], "mixed-sizes"),
        ([np.zeros(4, np.uint8)] * 2 + [np.zeros((2, 2, 2))], "mixed-sizes"),
        (["text"] * 3, "wrong-shape"),
        ([np.zeros((4, 5, 3), np.uint8)] * 3, "wrong-shape"),
    ],
)
def test_mat_files_without_masks_are_refused(tmp_path, cells, code):
    save_cells(tmp_path / "1_label.mat", "volLabel", cells)
    with refused(code, file=tmp_path / "1_label.mat", field="volLabel"):
        VolMasks(tmp_path / "1_label.mat")


def test_a_changed_mask_file_is_read_anew(tmp_path):
    path = tmp_path / "1_label.mat"
    for count in (3, 5):
        save_cells(path, "volLabel", [np.ones((4, 5), np.uint8)] * count)
        masks = VolMasks(path)
        assert masks.shape == (count, 4, 5)
        assert masks[count - 1].all()


def test_without_any_labels_the_training_videos_can_still_be_read(tree):
    root, _ = tree
    shutil.rmtree(root / "avenue" / "ground_truth_demo")
    assert len(load_videos("avenue", "train", root)) == 2
    with refused("missing-labels", file=root / "avenue" / "Avenue Dataset"):
        load_videos("avenue", "test", root)


@pytest.mark.parametrize(
    ("name", "truth", "code"),
    [
        ("avenue", "pixel", "unknown-name"),
        ("avenue", "", "unknown-name"),
        ("ped2", "vol", "conflict"),
        ("synthetic", "vol", "conflict"),
    ],
)
def test_unknown_ground_truths_are_refused(tree, name, truth, code):
    with refused(code, field="ground_truth"):
        load_videos(name, "test", tree[0], truth)


def test_labels_without_frames_are_no_dataset(tree):
    root, _ = tree
    shutil.rmtree(root / "avenue" / "Avenue Dataset")
    save_community(root / "avenue")
    with refused("labels-without-frames", file=root / "avenue" / "frame_labels_avenue.npy"):
        load_videos("avenue", "test", root)
