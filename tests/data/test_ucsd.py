"""UCSD in its layouts: the right frames with the right labels, or an error that says why not."""

import os
import re
import shutil

import cv2
import numpy as np
import pytest
from refusals import refused

from vadlib.data import labels
from vadlib.data.catalog import load_videos
from vadlib.data.ucsd import TEST_LENGTHS as UCSD_LENGTHS

TEST_LENGTHS = UCSD_LENGTHS["ped2"]
TRAIN_LENGTHS = (120, 150, 150, 180, 180, 150, 150, 120, 180, 180, 180, 180, 180, 150, 150, 150)


def levels(video):
    """The grey level of each frame's first pixel; in the tiny Ped2 that is the frame's position."""
    return [int(video.frames[t][0, 0, 0]) for t in range(len(video))]


def test_real_copy_has_the_published_counts(real_data):
    train, test = load_videos("ped2", "train", real_data), load_videos("ped2", "test", real_data)
    assert [len(v) for v in train] == list(TRAIN_LENGTHS)
    assert [len(v) for v in test] == [180, 180, 150, 180, 150, 180, 180, 180, 120, 150, 180, 180]
    assert [v.name for v in test] == [f"{n:02d}" for n in range(1, 13)]
    assert sum(int(v.labels.sum()) for v in test) == 1648
    assert {v.frames.shape[1:] for v in train + test} == {(240, 360, 1)}
    assert {v.labels for v in train} == {None}


def test_real_intervals_labels_and_masks_agree_on_every_frame(real_data):
    folder = real_data / "ped2"
    mat = labels.from_mat(folder / "ped2.mat", TEST_LENGTHS)
    npy = labels.from_whole_npy(folder / "frame_labels_ped2.npy", TEST_LENGTHS)
    test = load_videos("ped2", "test", real_data)
    for video, a, b in zip(test, mat, npy, strict=True):
        assert video.ground_truth == "mat"
        assert np.array_equal(a, b), video.name
        assert np.array_equal(a, [video.masks[t].any() for t in range(len(video))]), video.name


def test_real_frames_are_what_opencv_reads(real_data):
    """A second library, and positions against file names; JPEG decoders may differ by a level or
    two.
    """
    video = load_videos("ped2", "test", real_data)[3]
    for t in (0, 7, 99, 179):
        path = real_data / "ped2" / "testing" / "frames" / "04" / f"{t:03d}.jpg"
        other = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert np.abs(video.frames[t][..., 0].astype(int) - other).max() <= 3


def test_frames_and_labels_of_the_tiny_copy(tiny_ped2):
    root = tiny_ped2.root
    train, test = load_videos("ped2", "train", root), load_videos("ped2", "test", root)
    assert [(v.name, len(v)) for v in train] == [("01", 40), ("02", 40), ("03", 40)]
    assert [len(v) for v in test] == list(TEST_LENGTHS)
    for video, truth in zip(test, tiny_ped2.labels, strict=True):
        assert np.array_equal(video.labels, truth)
        assert video.labels.dtype == np.uint8
        assert levels(video) == list(range(len(video)))
        assert all(video.masks[t].any() == truth[t] for t in range(0, len(video), 7))
    assert {v.scene for v in train + test} == {"ped2"}


@pytest.mark.parametrize("numbers", [[4], [2, 9, 11], [1, 12]])
@pytest.mark.parametrize("source", ["mat", "npy"])
def test_a_partial_copy_gets_its_own_labels(tiny_ped2, numbers, source):
    for number in set(range(1, 13)) - set(numbers):
        shutil.rmtree(tiny_ped2.clip(number))
    if source == "npy":
        (tiny_ped2.folder / "ped2.mat").unlink()
    videos = load_videos("ped2", "test", tiny_ped2.root)
    assert [v.name for v in videos] == [f"{n:02d}" for n in numbers]
    assert {v.ground_truth for v in videos} == {source}
    for video, number in zip(videos, numbers, strict=True):
        assert np.array_equal(video.labels, tiny_ped2.labels[number - 1])


@pytest.mark.parametrize("name", ["13", "00", "Test099", "4", "04 (1)", "Test004_old_1", "copy"])
def test_a_clip_without_labels_is_refused_by_name(tiny_ped2, name):
    clip = tiny_ped2.clip(3).rename(tiny_ped2.clip(3).with_name(name))
    with refused("duplicate-name" if name == "4" else "unexpected-clip") as caught:
        load_videos("ped2", "test", tiny_ped2.root)
    assert str(clip) in str(caught.error)
    assert caught.error.file in ((clip, tiny_ped2.clip(4)) if name == "4" else (clip,))


@pytest.mark.parametrize(("number", "change"), [(4, -1), (4, 1), (12, -30)])
def test_a_clip_of_another_length_than_its_labels_is_refused(tiny_ped2, number, change):
    length = TEST_LENGTHS[number - 1]
    for t in range(length + change, length):
        tiny_ped2.frame(number, t).unlink()
    for t in range(length, length + change):
        os.link(tiny_ped2.frame(number, 0), tiny_ped2.frame(number, t))
    with refused("label-length", file=tiny_ped2.clip(number)) as caught:
        load_videos("ped2", "test", tiny_ped2.root)
    numbers = re.findall(r"\d+", str(caught.error).split(": ", 1)[1])
    assert numbers[:2] == [str(length + change), str(length)]


def test_masks_are_optional_but_labels_are_not(tiny_ped2):
    shutil.rmtree(tiny_ped2.folder / "testing" / "masks")
    assert {v.masks for v in load_videos("ped2", "test", tiny_ped2.root)} == {None}
    (tiny_ped2.folder / "ped2.mat").unlink()
    (tiny_ped2.folder / "frame_labels_ped2.npy").unlink()
    with refused("missing-labels", file=tiny_ped2.folder) as caught:
        load_videos("ped2", "test", tiny_ped2.root)
    assert "ped2.mat" in str(caught.error)
    assert "frame_labels_ped2.npy" in str(caught.error)
    assert len(load_videos("ped2", "train", tiny_ped2.root)) == 3


@pytest.mark.parametrize("name", ["ped2", "folder"])
def test_a_root_without_the_dataset_is_named(tiny_ped2, tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    empty = "too-few" if name == "folder" else "missing-file"
    codes = {"nowhere": "missing-file", "file": "wrong-kind-of-file", "empty": empty}
    for place, code in codes.items():
        with refused(code, file=tmp_path / place):
            load_videos(name, "train", tmp_path / place)
    with refused("missing-file", file=tiny_ped2.folder, field="--root"):
        load_videos("ped2", "train", tiny_ped2.folder)  # the dataset's own folder


def test_empty_and_missing_folders_are_named(tiny_ped2):
    clip, clips = tiny_ped2.clip(2, "training"), tiny_ped2.folder / "testing" / "frames"
    shutil.rmtree(clip)
    clip.mkdir()
    with refused("too-few", file=clip):
        load_videos("ped2", "train", tiny_ped2.root)
    shutil.rmtree(clips)
    with refused("missing-file", file=clips):
        load_videos("ped2", "test", tiny_ped2.root)
    clips.mkdir()
    with refused("too-few", file=clips):
        load_videos("ped2", "test", tiny_ped2.root)


def test_unknown_names_are_refused(tiny_ped2):
    for name in ("ped3", ["ped2"]):
        with refused("unknown-name", field="dataset"):
            load_videos(name, "train", tiny_ped2.root)
    with refused("unknown-name", field="split"):
        load_videos("ped2", "validation", tiny_ped2.root)
    for name in ("ped2", "synthetic"):
        with refused("conflict", field="ground_truth"):
            load_videos(name, "test", tiny_ped2.root, "vol")


def test_the_root_defaults_to_the_environment_then_to_data(tiny_ped2, monkeypatch):
    monkeypatch.setenv("VADLIB_DATA", str(tiny_ped2.root))
    assert len(load_videos("ped2")) == 3
    monkeypatch.delenv("VADLIB_DATA")
    monkeypatch.chdir(tiny_ped2.root.parent)  # holds data/
    assert len(load_videos("ped2")) == 3
