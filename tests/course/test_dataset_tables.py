"""Statistics of datasets against their literal definition."""

import shutil

import numpy as np
import pytest
from trees import official_avenue

from vadlib.course.dataset_tables import frame_changes, load_test_videos, two_ground_truths
from vadlib.data.catalog import DATASETS


@pytest.fixture
def empty_data(monkeypatch, tmp_path):
    monkeypatch.setenv("VADLIB_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("length", [1, 2, 40])
def test_changes_are_mean_absolute_differences(array_video, length):
    frames = np.random.default_rng(0).integers(0, 256, (length, 6, 7, 1), dtype=np.uint8)
    expected = np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3))
    first = expected[:1] if length > 1 else [0]
    np.testing.assert_allclose(frame_changes(array_video(frames)), [*first, *expected])


def test_colour_is_compared_as_grey_and_large_frames_at_ped2s_height(array_video):
    frames = np.random.default_rng(0).integers(0, 256, (3, 480, 640, 3), dtype=np.uint8)
    halves = frames.reshape(3, 240, 2, 320, 2, 3).mean((2, 4)) @ [0.299, 0.587, 0.114]
    expected = np.abs(np.diff(halves, axis=0)).mean((1, 2))
    np.testing.assert_allclose(frame_changes(array_video(frames))[1:], expected, rtol=0.01)


def test_avenues_truths_where_both_are_here(real_data):
    truths = two_ground_truths([])
    assert list(truths) == ["vol", "community"]
    first, second = (np.concatenate(list(truth.values())) for truth in truths.values())
    assert len(truths["vol"]) == 21
    counts = [len(first), first.sum(), second.sum(), (first != second).sum()]
    assert counts == [15324, 3712, 3867, 441]


def test_elsewhere_each_event_is_widened(array_video, empty_data):
    labels = np.zeros(60, np.uint8)
    labels[[20, 21, 22, 58]] = 1
    frames = np.zeros((60, 4, 4, 1))
    video = array_video(frames, "a", labels=labels, ground_truth="scripted")
    truths = two_ground_truths([video])
    assert list(truths) == ["scripted", "widened"]
    assert np.array_equal(truths["scripted"]["a"], labels)
    assert np.flatnonzero(truths["widened"]["a"]).tolist() == [*range(15, 28), *range(53, 60)]


def test_datasets_are_taken_as_far_as_they_are_here(tiny_ped2, monkeypatch):
    monkeypatch.setenv("VADLIB_DATA", str(tiny_ped2.root))
    available, absent = load_test_videos()
    assert list(available) == ["synthetic", "ped2"]
    assert sum(int(v.labels.sum()) for v in available["ped2"]) == 1648
    for clip in sorted((tiny_ped2.folder / "testing" / "frames").iterdir()):
        if clip.name not in ("08", "09"):  # abnormal from the first frame to the last
            shutil.rmtree(clip)
    available, absent = load_test_videos()
    assert list(available) == ["synthetic"]
    assert absent["ped2"].startswith("2 test videos without both normal and abnormal frames")


def test_what_is_absent_says_why(empty_data):
    available, absent = load_test_videos()
    assert [(name, len(videos)) for name, videos in available.items()] == [("synthetic", 8)]
    assert list(absent) == [name for name in DATASETS if name not in ("synthetic", "folder")]
    assert all(reason.startswith(str(empty_data)) for reason in absent.values())
    official_avenue(empty_data, {20: 273})
    assert list(load_test_videos()[0]) == ["synthetic", "avenue"]
    shutil.rmtree(empty_data / "avenue" / "ground_truth_demo")
    available, absent = load_test_videos()
    assert list(available) == ["synthetic"]
    assert "no labels for the test clips" in absent["avenue"]
