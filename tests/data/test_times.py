"""Each frame's time from the stamps of its file, of which some may be missing or wrong."""

from fractions import Fraction

import numpy as np
import pytest
from films import SCENE, decoded, jpeg, matroska
from hypothesis import given
from hypothesis import strategies as st

from vadlib.data.check import check_dataset, describe_report
from vadlib.data.decode import frame_times

MILLISECOND, RATE = Fraction(1, 1000), Fraction(25)
PICTURES = [jpeg(pixels) for pixels in SCENE]
COUNT = len(PICTURES)
EVEN = [40 * t for t in range(COUNT)]


def file_of(folder, stamps, **options):
    path = folder / "film.mkv"
    path.write_bytes(matroska(stamps, PICTURES, **options))
    return path


WRONG = [{}, {20: 760}, {1: 0}, {39: 3}, {20: 20_000}, {0: 2**50}, {20: 2**40, 21: 2**40 + 1}]
WRONG += [{20: 2**64 - 1}]  # which libav takes for none


@pytest.mark.parametrize("changes", WRONG)
def test_wrong_stamps_of_a_file_leave_the_others_alone(tmp_path, changes):
    stamps = [changes.get(t, stamp) for t, stamp in enumerate(EVEN)]
    frames = decoded(file_of(tmp_path, stamps))
    np.testing.assert_allclose(frames.times, np.array(EVEN) / 1000, atol=1e-9)
    assert frames.fps == pytest.approx(25)
    assert frames.scan.wrong_times == len(changes)
    assert frames[20].shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("stamps", "tick", "seconds", "wrong"),
    [
        # in the middle of its own gap
        ([0, 40, np.nan, 1040, 1080], 1000, [0, 0.04, 0.54, 1.04, 1.08], 1),
        # AVI numbers frames as they are stored, with B-frames
        ([0, 3, 1, 2, 6, 4, 5, 9, 7, 8], 25, [t / 25 for t in range(10)], 0),
        ([np.nan] * 3, 25, [0, 0.04, 0.08], 0),
        ([np.nan, 7, np.nan], 25, [0, 0.04, 0.08], 2),
        # ticks that are too coarse for the rate
        ([0, 0, 0, 0, 0, 1], 5, [t / 25 for t in range(6)], 0),
    ],
)
def test_missing_shuffled_and_coarse_stamps(stamps, tick, seconds, wrong):
    times = frame_times(np.array(stamps, float), Fraction(1, tick), RATE)
    np.testing.assert_allclose(times[0], seconds, atol=1e-12)
    assert times[1] == wrong


@given(
    st.lists(
        st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 50), min_size=1, max_size=60
    )
)
def test_any_stamps_give_increasing_times(stamps):
    seconds, wrong = frame_times(np.array(stamps, float), MILLISECOND, RATE)
    assert len(seconds) == len(stamps)
    assert seconds[0] == 0
    assert np.isfinite(seconds).all()
    assert (np.diff(seconds) > 0).all()
    assert 0 <= wrong <= len(stamps)


@pytest.mark.parametrize("fps", [1e-6, 1 / 3600, 0.00164, 0.3, 1, 12.5, 29.97, 239.9, 960])
def test_each_rate_is_read_and_shown_as_it_is(tmp_path, fps):
    """Among them one picture an hour (cases/16)."""
    stamps = [round(10**6 * t / fps) for t in range(COUNT)]
    frames = decoded(file_of(tmp_path, stamps, tick=1000))  # microseconds
    assert frames.fps == pytest.approx(fps, rel=1e-4)
    np.testing.assert_allclose(frames.times, np.arange(COUNT) / fps, atol=2e-6)
    report = check_dataset("folder", tmp_path, progress=False)
    assert report["splits"]["train"]["fps"] == [pytest.approx(fps, rel=1e-4)]
    assert " 0 fps" not in describe_report(report)


@pytest.mark.parametrize("count", [0, 2])
def test_wrong_stamps_are_a_note_of_the_check(tmp_path, count):
    file_of(tmp_path, [3 if 20 <= t < 20 + count else stamp for t, stamp in enumerate(EVEN)])
    report = check_dataset("folder", tmp_path, progress=False)
    assert report["problems"] == []
    assert {entry["code"] for entry in report["notes"]} == ({"wrong-times"} if count else set())
