"""UCSD in its layouts: the right frames with the right labels, or an error that says why not."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from refusals import refused
from trees import matlab_script

from vadlib.data import labels
from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.ucsd import Ped2

TEST_LENGTHS = Ped2.numbered_lengths
TRAIN_LENGTHS = (120, 150, 150, 180, 180, 150, 150, 120, 180, 180, 180, 180, 180, 150, 150, 150)


def levels(video):
    """The grey level of each frame's first pixel; in the tiny Ped2 that is the frame's position."""
    return [int(video.frames[t][0, 0, 0]) for t in range(len(video))]


def test_the_real_ped2_has_the_published_counts_and_its_labels_agree_on_every_frame(real_data):
    folder = real_data / "ped2"
    train, test = load_videos("ped2", "train", real_data), load_videos("ped2", "test", real_data)
    assert tuple(map(len, train)) == TRAIN_LENGTHS
    assert tuple(map(len, test)) == TEST_LENGTHS
    assert sum(int(v.labels.sum()) for v in test) == 1648
    assert {v.frames.shape[1:] for v in train + test} == {(240, 360, 1)}
    npy = labels.from_whole_npy(folder / "frame_labels_ped2.npy", TEST_LENGTHS)
    for video, truth in zip(test, npy, strict=True):
        assert video.ground_truth == "mat"
        assert np.array_equal(video.labels, truth), video.name
        assert np.array_equal(truth, video.masks[:].any((1, 2))), video.name


def test_the_real_ped1(real_data):
    [video] = load_videos("ped1", "test", real_data)
    assert (video.name, video.frames.shape, video.fps) == ("03", (200, 158, 238, 1), 10.0)
    assert np.flatnonzero(video.labels).tolist() == list(range(90, 200))  # gt_frame = [91:200]
    assert np.array_equal(video.masks[:].any((1, 2)), video.labels == 1)
    script = real_data / "UCSD_Anomaly_Dataset.v1p2/UCSDped1/Test/UCSDped1.m"
    clips = labels.from_m(script, (200,) * 36)
    assert sum(int(clip.sum()) for clip in clips) == 4045
    # [5:90, 140:200]
    assert np.flatnonzero(clips[4] == 0).tolist() == [0, 1, 2, 3, *range(90, 139)]


@pytest.fixture
def official(tiny_ped2, tmp_path):
    """The tiny copy as its archive holds it, in a folder too many: masks called frame001.bmp, junk
    and a stale .m~ among the data.
    """
    tests = tmp_path / "official/unpacked/UCSD_Anomaly_Dataset.v1p2/UCSDped2/Test"
    shutil.copytree(tiny_ped2.clip(1, "training").parent, tests.parent / "Train")
    for n in range(1, 13):
        clip = tests / f"Test{n:03d}"
        shutil.copytree(tiny_ped2.clip(n), clip)
        masks = shutil.copytree(tiny_ped2.folder / f"testing/masks/{n:02d}", f"{clip}_gt")
        for path in list(Path(masks).iterdir()) if n in (6, 9, 12) else ():
            path.rename(path.with_name(f"frame{path.name}"))
        for junk in (".DS_Store", "._001.tif", "Thumbs.db", "001.tif~", "../._UCSDped2.m"):
            (clip / junk).write_bytes(b"\0\5\x16\7junk")
    (tests / "UCSDped2.m").write_text(matlab_script(tiny_ped2.labels))
    (tests / "UCSDped2.m~").write_text(matlab_script([1 - clip for clip in tiny_ped2.labels]))
    return tests.parent


@pytest.mark.parametrize("layout", ["community", "official"])
def test_frames_labels_and_masks_of_a_copy(tiny_ped2, official, layout):
    root = official.parents[2] if layout == "official" else tiny_ped2.root
    train, test = load_videos("ped2", "train", root), load_videos("ped2", "test", root)
    assert [(v.name, len(v)) for v in train] == [("01", 40), ("02", 40), ("03", 40)]
    assert [v.name for v in test] == [f"{n:02d}" for n in range(1, 13)]
    for video, truth in zip(test, tiny_ped2.labels, strict=True):
        assert np.array_equal(video.labels, truth)
        assert (video.labels.dtype, video.scene) == (np.uint8, "ped2")
        assert levels(video) == list(range(len(video)))
        assert all(video.masks[t].any() == truth[t] for t in range(0, len(video), 7))
    assert find_copy("ped2", root).layout == layout
    (official / "Test/UCSDped2.m").unlink()  # the backup is not read in its place
    with refused("missing-labels", file=official):
        load_videos("ped2", "test", official.parents[2])


def test_clips_directly_in_the_folder_of_a_split(tiny_ped2):
    expected = [v.labels.tolist() for v in load_videos("ped2", "test", tiny_ped2.root)]
    for split in ("training", "testing"):
        for clip in list((tiny_ped2.folder / split / "frames").iterdir()):
            clip.rename(tiny_ped2.folder / split / clip.name)
    test = load_videos("ped2", "test", tiny_ped2.root)  # an empty frames/ is there, and masks/
    assert [v.labels.tolist() for v in test] == expected
    assert all(v.masks is not None for v in test)
    assert len(load_videos("ped2", "train", tiny_ped2.root)) == 3


@pytest.mark.parametrize("source", ["mat", "npy"])
def test_a_partial_copy_gets_its_own_labels(tiny_ped2, source):
    numbers = [2, 9, 11]
    for number in set(range(1, 13)) - set(numbers):
        shutil.rmtree(tiny_ped2.clip(number))
    if source == "npy":
        (tiny_ped2.folder / "ped2.mat").unlink()
    videos = load_videos("ped2", "test", tiny_ped2.root)
    assert [v.name for v in videos] == [f"{n:02d}" for n in numbers]
    for video, number in zip(videos, numbers, strict=True):
        assert video.ground_truth == source
        assert np.array_equal(video.labels, tiny_ped2.labels[number - 1])


@pytest.mark.parametrize("name", ["13", "00", "Test099", "4", "04 (1)", "Test004_old_1", "copy"])
def test_a_clip_without_labels_is_refused_by_name(tiny_ped2, name):
    clip = tiny_ped2.clip(3).rename(tiny_ped2.clip(3).with_name(name))
    with refused("duplicate-name" if name == "4" else "unexpected-clip") as caught:
        load_videos("ped2", "test", tiny_ped2.root)
    assert str(clip) in str(caught.error)


@pytest.mark.parametrize(("number", "change"), [(4, -1), (4, 1), (12, -30)])
def test_a_clip_of_another_length_than_its_labels_is_refused(tiny_ped2, number, change):
    length = TEST_LENGTHS[number - 1]
    for t in range(length + change, length):
        tiny_ped2.frame(number, t).unlink()
    for t in range(length, length + change):
        os.link(tiny_ped2.frame(number, 0), tiny_ped2.frame(number, t))
    with refused("label-length", file=tiny_ped2.folder / "ped2.mat") as caught:
        load_videos("ped2", "test", tiny_ped2.root)
    numbers = list(map(int, re.findall(r"\d+", str(caught.error))))
    assert numbers == [number, length + change, length]


def test_masks_are_optional_but_labels_are_not(tiny_ped2):
    shutil.rmtree(tiny_ped2.folder / "testing/masks")
    assert {v.masks for v in load_videos("ped2", "test", tiny_ped2.root)} == {None}
    (tiny_ped2.folder / "ped2.mat").unlink()
    (tiny_ped2.folder / "frame_labels_ped2.npy").unlink()
    with refused("missing-labels", file=tiny_ped2.folder) as caught:
        load_videos("ped2", "test", tiny_ped2.root)
    assert "ped2.mat or frame_labels_ped2.npy" in str(caught.error)
    assert len(load_videos("ped2", "train", tiny_ped2.root)) == 3


def test_a_root_without_the_dataset_is_named(tmp_path):
    (tmp_path / "file").touch()
    roots = {"nowhere": "missing-file", "file": "wrong-kind-of-file", ".": "missing-file"}
    for place, code in roots.items():
        with refused(code, file=tmp_path / place, field="--root"):
            load_videos("ped2", "train", tmp_path / place)


def test_empty_and_missing_folders_are_named(tiny_ped2):
    clips = tiny_ped2.folder / "testing/frames"
    shutil.rmtree(clips)
    with refused("too-few", file=tiny_ped2.folder):
        load_videos("ped2", "test", tiny_ped2.root)
    (clips / "01").mkdir(parents=True)
    with refused("too-few", file=clips / "01"):
        load_videos("ped2", "test", tiny_ped2.root)


def test_unknown_names_are_refused(tiny_ped2):
    with refused("unknown-name", field="dataset"):
        load_videos(["ped2"], "train", tiny_ped2.root)
    with refused("unknown-name", field="split"):
        load_videos("ped2", "validation", tiny_ped2.root)
    for name in ("ped2", "synthetic"):
        with refused("conflict", field="ground_truth"):
            load_videos(name, "test", tiny_ped2.root, "vol")
