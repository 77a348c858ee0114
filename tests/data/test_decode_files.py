"""What is kept of a video file, and how few of them are open."""

import os
import pickle
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from films import SCENE, avi, decoded, jpeg
from refusals import refused

from vadlib.data.decode import VIDEO_SUFFIXES, list_videos

# --- the scan is kept


def test_a_video_is_scanned_once(video, cache, tmp_path, watched, monkeypatch):
    path = shutil.copy(video("h264.mp4"), tmp_path)
    watched.opened = 0  # the video may have been written just now
    first = decoded(path)
    assert watched.opened == 2  # once for its header
    monkeypatch.setattr(av, "open", lambda *args, **kwargs: pytest.fail("opened again"))
    again = decoded(path, channels=1)
    assert (again.shape[:3], again.fps) == (first.shape[:3], first.fps)
    assert np.array_equal(again.times, first.times)
    assert len(list((cache / "videos").iterdir())) == 1


def test_a_changed_file_is_scanned_anew(video, cache, tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(avi([jpeg(frame) for frame in SCENE[:10]]))
    assert len(decoded(path)) == 10
    path.write_bytes(avi([jpeg(frame) for frame in SCENE[:7]]))
    assert len(decoded(path)) == 7
    path.write_bytes(content := avi([jpeg(frame) for frame in SCENE[7:14]]))
    os.utime(path, ns=(1, 2))
    before = decoded(path).identity()
    path.write_bytes(content[::-1])
    os.utime(path, ns=(3, 4))
    with refused("wrong-kind-of-file", file=path):
        decoded(path)
    assert before[-2] == 2


def test_the_identity_follows_the_file_and_the_channels(video, tmp_path):
    path = shutil.copy(video("h264.mp4"), tmp_path / "a.mp4")
    os.utime(path, ns=(1, 10**9))
    one = decoded(path)
    assert one.identity() == ["video", 1, str(path.resolve()), path.stat().st_size, 10**9, 3]
    assert decoded(path).identity() == one.identity() != decoded(path, channels=1).identity()
    os.utime(path, ns=(1, 2 * 10**9))
    assert decoded(path).identity() != one.identity()


@pytest.mark.parametrize(
    "how", ["removed", "touched", "shorter", "other frames, same size and time"]
)
def test_a_file_that_changes_while_it_is_read_is_named(video, tmp_path, how):
    path = Path(shutil.copy(video("h264.mkv"), tmp_path / "a.mkv"))
    frames = decoded(path)
    stat, content = path.stat(), path.read_bytes()
    path.unlink()
    if how == "touched":
        path.write_bytes(content)
        os.utime(path, ns=(1, 2))
    elif how == "shorter":
        path.write_bytes(content[:-100])
    elif how.startswith("other"):
        # The second half is gone, yet nothing shows it from outside.
        path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert frames[0].shape == (48, 64, 3)
        with refused("damaged-file", file=path) as caught:
            frames[39]
        assert "39 of 40" in str(caught.error)
        assert frames[1].shape == (48, 64, 3)
        return
    with refused("changed-file", file=path):
        frames[3]


# --- open files, processes and threads


def test_a_copy_starts_closed(video, watched):
    frames = decoded(video("h264.mp4"))
    expected = frames[:]
    copy = pickle.loads(pickle.dumps(frames))
    assert (copy.shape, copy.fps, copy.path, copy.channels) == (
        frames.shape,
        frames.fps,
        frames.path,
        frames.channels,
    )
    assert copy.identity() == frames.identity()
    for t in (0, 30, 7):
        assert np.array_equal(copy[t], expected[t])
        assert np.array_equal(frames[t], expected[t])


# --- folders


def test_videos_of_a_folder_in_natural_order_without_junk(tmp_path):
    for name in (
        "10.avi",
        "2.AVI",
        "1.mp4",
        "._1.mp4",
        "b.mkv",
        "notes.txt",
        "1.mp4~",
        ".DS_Store",
        "x.mpg",
        "01.jpg",
    ):
        (tmp_path / name).touch()
    (tmp_path / "folder.avi").mkdir()
    assert [path.name for path in list_videos(tmp_path)] == ["1.mp4", "2.AVI", "10.avi", "b.mkv"]
    assert list_videos(tmp_path / "folder.avi") == []
    assert {".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm"} <= VIDEO_SUFFIXES
