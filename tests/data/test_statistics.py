"""Statistics of frames against their literal definition."""

import numpy as np
import pytest

from vadlib.data.statistics import frame_changes, two_truths


@pytest.mark.parametrize("length", [2, 3, 40, 300, 513])
def test_changes_are_mean_absolute_differences(array_video, length):
    frames = np.random.default_rng(0).integers(0, 256, (length, 6, 7, 1), dtype=np.uint8)
    changes = frame_changes(array_video(frames))
    expected = [np.abs(frames[t].astype(int) - frames[t - 1]).mean() for t in range(1, length)]
    np.testing.assert_allclose(changes, [expected[0], *expected])


def test_colour_is_compared_as_grey_and_large_frames_at_ped2s_height(array_video):
    frames = np.random.default_rng(0).integers(0, 256, (3, 480, 640, 3), dtype=np.uint8)
    halves = frames.reshape(3, 240, 2, 320, 2, 3).mean((2, 4)) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(frame_changes(array_video(frames))[1:], np.abs(np.diff(halves, axis=0)).mean((1, 2)), rtol=0.01)


def test_avenues_truths_where_both_are_here(real_data):
    first, second = two_truths([], real_data)
    assert (len(first), sum(map(len, first.values()))) == (21, 15324)
    assert sum(int((first[n] != second[n]).sum()) for n in first) == 441


def test_elsewhere_each_event_is_widened(array_video, tmp_path):
    labels = np.zeros(60, np.uint8)
    labels[[20, 21, 22, 58]] = 1
    first, second = two_truths([array_video(np.zeros((60, 4, 4, 1)), "a", labels=labels)], tmp_path)
    assert np.array_equal(first["a"], labels)
    assert np.flatnonzero(second["a"]).tolist() == [*range(15, 28), *range(53, 60)]
