"""One's own videos: any tree, labels in four forms or none."""

import json
import os
import re

import numpy as np
import pytest
from refusals import refused
from trees import own_videos, scene, spot, write_images, write_video

from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.folder import open_video


@pytest.mark.parametrize(
    ("kind", "truth"), [("csv", "csv"), ("json", "json"), ("npy", "npy"), ("masks", "masks")]
)
def test_a_tree_with_labels_in_each_form(tmp_path, kind, truth):
    expected = own_videos(tmp_path, kind)
    train, test = load_videos("folder", "train", tmp_path), load_videos("folder", "test", tmp_path)
    assert [(v.name, len(v), v.labels) for v in train] == [
        (name, 60, None) for name in ("cam1/monday", "cam1/tuesday", "cam2/more", "cam2/walk")
    ]
    assert [v.scene for v in train] == ["cam1 64x48", "cam1 64x48", "cam2 72x56", "cam2 72x56"]
    assert [v.name for v in test] == ["cam1/friday", "cam2/sunday"]
    assert [v.scene for v in test] == ["cam1 64x48", "cam2 72x56"]
    for video in test:
        assert np.array_equal(video.labels, expected[video.name])
        assert video.ground_truth == truth
        assert (video.masks is not None) == (kind == "masks")


def test_without_labels_there_are_none(tmp_path):
    own_videos(tmp_path, None)
    assert [v.labels for v in load_videos("folder", "test", tmp_path)] == [None, None]


def test_masks_beside_frame_labels_serve_the_pixels(tmp_path):
    expected = own_videos(tmp_path, "csv")
    for name, clip in expected.items():
        write_images(
            tmp_path / "masks" / name, spot(clip, (48, 64) if name.startswith("cam1") else (56, 72))
        )
    for video in load_videos("folder", "test", tmp_path):
        assert video.ground_truth == "csv"
        assert video.masks[:].any((1, 2)).tolist() == (expected[video.name] == 1).tolist()


def test_a_heap_of_videos_is_for_training(tmp_path):
    for name in ("b.mp4", "a.AVI", "deep/er/c.mkv"):
        write_video(tmp_path / name, scene(1, 20)[0][0])
    videos = load_videos("folder", "train", tmp_path)
    assert [v.name for v in videos] == ["a", "b", "deep/er/c"]
    assert [v.scene for v in videos] == ["folder 64x48", "folder 64x48", "deep/er 64x48"]
    with refused("missing-file", file=tmp_path / "testing"):
        load_videos("folder", "test", tmp_path)
    assert find_copy("folder", tmp_path).layout == "all for training"


def test_grey_stays_grey_only_where_all_is_grey(tmp_path):
    write_images(tmp_path / "training" / "a", scene(1, 20)[0][0][..., :1])
    write_images(tmp_path / "testing" / "b", scene(1, 20)[0][0][..., :1])
    assert {
        load_videos("folder", split, tmp_path)[0].frames.shape[3] for split in ("train", "test")
    } == {1}
    write_images(tmp_path / "testing" / "c", scene(1, 20)[0][0])
    for split in ("train", "test"):
        assert {v.frames.shape[3] for v in load_videos("folder", split, tmp_path)} == {3}


def test_two_videos_of_one_name_are_refused(tmp_path):
    frames = scene(1, 20)[0][0]
    write_video(tmp_path / "a.mp4", frames)
    write_video(tmp_path / "a.avi", frames)
    with refused("duplicate-name", file=tmp_path):
        load_videos("folder", "train", tmp_path)


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"


@pytest.mark.parametrize(
    ("name", "content", "code", "place"),
    [  # tables are in test_label_tables.py
        ("labels.csv", b"", "empty-file", ""),
        ("labels.csv", b"video,start,end\ncam1/friday,5,61\n", "label-values", "line 2"),
        ("labels.csv", b"video,start,end\ncam9/friday,5,6\n", "unknown-name", "line 2"),
        ("labels.csv", b"\x80\x04\x95pickle", "wrong-format", ""),
        ("labels.csv", LFS_POINTER, "git-lfs-pointer", ""),
        ("labels.json", b"{", "wrong-format", ""),
        ("labels.json", b"[1]", "wrong-format", ""),
        ("labels.json", b"[" * 100_000, "wrong-format", ""),
        ("labels.json", b'[{"video": "cam1/friday", "start": 2}]', "wrong-format", "entry 1"),
    ],
)
def test_wrong_label_files_are_named_with_the_line(tmp_path, name, content, code, place):
    own_videos(tmp_path, None)
    (tmp_path / name).write_bytes(content)
    with refused(code, file=tmp_path / name) as caught:
        load_videos("folder", "test", tmp_path)
    assert place in str(caught.error)


def test_two_label_files_are_refused(tmp_path):
    own_videos(tmp_path, "csv")
    (tmp_path / "labels.json").write_text(json.dumps([]))
    with refused("conflict", file=tmp_path / "labels.csv") as caught:
        load_videos("folder", "test", tmp_path)
    assert str(tmp_path / "labels.json") in str(caught.error)


def test_labels_need_test_videos(tmp_path):
    write_video(tmp_path / "a.mp4", scene(1, 20)[0][0])
    (tmp_path / "labels.csv").write_text("video,start,end\na,1,2\n")
    with refused("labels-without-frames", file=tmp_path / "labels.csv"):
        load_videos("folder", "train", tmp_path)


@pytest.mark.parametrize("count", [59, 61, 0])
def test_another_number_of_masks_is_refused(tmp_path, count):
    expected = own_videos(tmp_path, "masks")
    folder = tmp_path / "masks" / "cam1" / "friday"
    for path in folder.iterdir():
        path.unlink()
    write_images(folder, np.zeros((count, 48, 64), bool))
    assert len(expected["cam1/friday"]) == 60
    with refused("label-length", file=folder) as caught:
        load_videos("folder", "test", tmp_path)
    assert re.search(rf": {count} .*\b60\b", str(caught.error))


@pytest.mark.parametrize(
    "make",
    [
        lambda p: None,
        lambda p: (p / "training").mkdir(),
        lambda p: (p / "notes.txt").write_text("x"),
    ],
)
def test_a_folder_without_videos_says_what_was_expected(tmp_path, make):
    make(tmp_path)
    folder = tmp_path / "training" if (tmp_path / "training").exists() else tmp_path
    with refused("too-few", file=folder) as caught:
        load_videos("folder", "train", tmp_path)
    assert ".mp4" in str(caught.error)


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    """As root runs these tests, a folder without permission would not stop them."""
    write_video(tmp_path / "a.mp4", scene(1, 20)[0][0])
    (tmp_path / "locked").mkdir()

    def scan(path, known=os.scandir):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return known(path)

    monkeypatch.setattr(os, "scandir", scan)
    with refused("not-readable", file=tmp_path / "locked"):
        load_videos("folder", "train", tmp_path)


def test_a_single_video_that_is_none_is_named(tmp_path):
    with refused("missing-file", file=tmp_path / "a.mp4"):
        open_video(tmp_path / "a.mp4")
    with refused("too-few", file=tmp_path):
        open_video(tmp_path)
