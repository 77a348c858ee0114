"""One's own videos: any tree, labels in four forms or none."""

import os
import re

import numpy as np
import pytest
from refusals import refused
from trees import POINTER, own_videos, scene, write_images, write_video

from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.folder import open_video


@pytest.mark.parametrize("kind", ["csv", "json", "npy", "masks", None])
def test_a_tree_with_labels_in_each_form(tmp_path, kind):
    expected = own_videos(tmp_path, kind)
    train, test = load_videos("folder", "train", tmp_path), load_videos("folder", "test", tmp_path)
    names = ["cam1/monday", "cam1/tuesday", "cam2/more", "cam2/walk"]
    assert [(v.name, len(v), v.labels) for v in train] == [(name, 60, None) for name in names]
    assert [v.scene for v in train] == ["cam1 64x48", "cam1 64x48", "cam2 72x56", "cam2 72x56"]
    scenes = [("cam1/friday", "cam1 64x48"), ("cam2/sunday", "cam2 72x56")]
    assert [(v.name, v.scene) for v in test] == scenes
    assert find_copy("folder", tmp_path).unread_files() == []
    for video in test:
        assert np.array_equal(video.labels, expected[video.name] if kind else None)
        assert video.ground_truth == (kind or "")
        assert (video.masks is not None) == (kind == "masks")


def test_masks_beside_frame_labels_serve_the_pixels(tmp_path):
    expected = own_videos(tmp_path, "masks")
    own_videos(tmp_path, "csv")
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
    for channels in (1, 3):
        for split in ("train", "test"):
            for video in load_videos("folder", split, tmp_path):
                assert video.frames.shape[3] == channels
        write_images(tmp_path / "testing" / "c", scene(1, 20)[0][0])


def test_two_videos_of_one_name_are_refused(tmp_path):
    frames = scene(1, 20)[0][0]
    write_video(tmp_path / "a.mp4", frames)
    write_video(tmp_path / "a.avi", frames)
    with refused("duplicate-name", file=tmp_path):
        load_videos("folder", "train", tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "code", "place"),
    [  # tables are in test_label_tables.py
        ("labels.csv", b"", "empty-file", ""),
        ("labels.csv", b"video,start,end\ncam1/friday,5,61\n", "label-values", "line 2"),
        ("labels.csv", b"video,start,end\ncam9/friday,5,6\n", "unknown-name", "line 2"),
        ("labels.csv", b"\x80\x04\x95pickle", "wrong-format", ""),
        ("labels.csv", POINTER, "git-lfs-pointer", ""),
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


def named_files(error):
    return {word.strip(";:,") for word in str(error).split()}


@pytest.mark.parametrize("name", ["labels.json", "testing/labels.csv"])
def test_two_label_files_are_refused(tmp_path, name):
    own_videos(tmp_path, "csv")
    (tmp_path / name).write_text("[]")
    with refused("conflict") as caught:
        load_videos("folder", "test", tmp_path)
    assert caught.error.file in (tmp_path / name, tmp_path / "labels.csv")
    assert {str(tmp_path / name), str(tmp_path / "labels.csv")} <= named_files(caught.error)


def test_labels_need_test_videos(tmp_path):
    write_video(tmp_path / "a.mp4", scene(1, 20)[0][0])
    (tmp_path / "labels.csv").write_text("video,start,end\na,1,2\n")
    with refused("labels-without-frames", file=tmp_path / "labels.csv"):
        load_videos("folder", "train", tmp_path)


@pytest.mark.parametrize("count", [59, 61])
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


@pytest.mark.parametrize("name", [".", "training"])
def test_a_folder_without_videos_says_what_was_expected(tmp_path, name):
    (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / name / "notes.txt").write_text("x")
    with refused("too-few", file=tmp_path / name) as caught:
        load_videos("folder", "train", tmp_path)
    assert ".mp4" in str(caught.error)


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    """As root runs these tests, a folder without permission would not stop them."""
    write_video(tmp_path / "a.mp4", scene(1, 20)[0][0])
    (tmp_path / "locked").mkdir()

    def scan(path, original=os.scandir):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", scan)
    with refused("not-readable", file=tmp_path / "locked"):
        load_videos("folder", "train", tmp_path)


def test_a_single_video_that_is_none_is_named(tmp_path):
    with refused("missing-file", file=tmp_path / "a.mp4"):
        open_video(tmp_path / "a.mp4")
    with refused("too-few", file=tmp_path):
        open_video(tmp_path)
