"""Each frame's time from the stamps of its file: the right ones count, however many others are
missing or wrong.
"""

from fractions import Fraction

import numpy as np
import pytest
from films import SCENE, decoded, jpeg, matroska
from hypothesis import given
from hypothesis import strategies as st

from vadlib.data.check import check_dataset, describe_report
from vadlib.data.times import frame_times

MILLISECOND = Fraction(1, 1000)
PICTURES = [jpeg(pixels) for pixels in SCENE]
COUNT = len(PICTURES)
EVEN = [40 * t for t in range(COUNT)]


def replaced(stamps, changes):
    """A copy of the stamps with some of them changed."""
    copy = list(stamps)
    for position, stamp in changes.items():
        copy[position] = stamp
    return copy


def file_of(folder, stamps, **options):
    path = folder / "film.mkv"
    path.write_bytes(matroska(stamps, PICTURES, **options))
    return path


# --- stamps of a film of 25 frames a second, and how many of them are wrong

# the rate falls from 25 to 10
UNEVEN = list(range(0, 600, 40)) + [600 + 100 * t for t in range(COUNT - 15)]
BAD_STAMPS = {
    "none is wrong": (EVEN, EVEN, 0),
    "one twice": (EVEN, replaced(EVEN, {20: 760}), 1),
    "the second is the first": (EVEN, replaced(EVEN, {1: 0}), 1),
    "the last is twice": (EVEN, replaced(EVEN, {39: 38 * 40}), 1),
    "one that equals the next": (EVEN, replaced(EVEN, {20: 840}), 1),
    "one a little back": (EVEN, replaced(EVEN, {20: 750}), 1),
    "one far back": (EVEN, replaced(EVEN, {20: 3}), 1),
    "one is zero": (EVEN, replaced(EVEN, {33: 0}), 1),
    "the last far back": (EVEN, replaced(EVEN, {39: 3}), 1),
    "one a little ahead": (EVEN, replaced(EVEN, {20: 850}), 1),
    "one seconds ahead": (EVEN, replaced(EVEN, {20: 20_000}), 1),
    "one huge": (EVEN, replaced(EVEN, {20: 2**40}), 1),
    "one as large as can be": (EVEN, replaced(EVEN, {20: 2**62}), 1),
    "one that libav takes for none": (EVEN, replaced(EVEN, {20: 2**64 - 1}), 1),
    "the first huge": (EVEN, replaced(EVEN, {0: 2**50}), 1),
    "the last huge": (EVEN, replaced(EVEN, {39: 2**50}), 1),
    "two in a row": (EVEN, replaced(EVEN, {20: 3, 21: 2}), 2),
    "three in a row far ahead": (
        EVEN,
        replaced(EVEN, {20: 2**40, 21: 2**40 + 1, 22: 2**40 + 2}),
        3,
    ),
    "four equal ones": (EVEN, replaced(EVEN, {21: 800, 22: 800, 23: 800}), 3),
    "several places": (EVEN, replaced(EVEN, {5: 2**40, 12: 0, 20: 760, 30: 2**45}), 4),
    "all late by an hour": (EVEN, [3_600_000 + stamp for stamp in EVEN], 0),
    "all late by decades": (EVEN, [2**41 + stamp for stamp in EVEN], 0),
    "clock set from 1970 to now": (EVEN, EVEN[:20] + [2**41 + stamp for stamp in EVEN[20:]], 1),
    "clock set back": (EVEN, [10**7 + stamp for stamp in EVEN[:20]] + EVEN[20:], 1),
    "begins again": (EVEN, EVEN[:25] + EVEN[:15], 1),
    "begins again twice": (EVEN, EVEN[:15] + EVEN[:15] + EVEN[:10], 2),
    "uneven, none is wrong": (UNEVEN, UNEVEN, 0),
    "uneven, one far back": (UNEVEN, replaced(UNEVEN, {30: 7}), 1),
    "uneven, one huge": (UNEVEN, replaced(UNEVEN, {25: 2**40}), 1),
    "uneven, one twice": (UNEVEN, replaced(UNEVEN, {25: UNEVEN[24]}), 1),
}


@pytest.mark.parametrize("name", BAD_STAMPS)
def test_wrong_stamps_of_a_file_leave_the_others_alone(tmp_path, name):
    truth, stamps, wrong = BAD_STAMPS[name]
    frames = decoded(file_of(tmp_path, stamps))
    assert len(frames) == COUNT
    np.testing.assert_allclose(frames.times, np.array(truth) / 1000, atol=1e-9)
    assert frames.fps == pytest.approx((COUNT - 1) / (truth[-1] / 1000))
    assert frames.scan.wrong_times == wrong
    # The frames themselves are those of a sound file.
    sound = tmp_path / "sound"
    sound.mkdir()
    expected = decoded(file_of(sound, EVEN))
    for t in (0, 19, 20, 21, COUNT - 1, 10):
        assert np.array_equal(frames[t], expected[t])


# --- stamps that libav makes of other files


def test_a_missing_stamp_in_a_varying_rate_lies_in_the_middle_of_its_own_gap():
    seconds, fps, wrong = frame_times([0, 40, None, 1040, 1080], MILLISECOND, Fraction(25))
    assert seconds.tolist() == [0, 0.04, 0.54, 1.04, 1.08]
    assert fps == 4 / 1.08
    assert wrong == 1


def test_stamps_in_the_order_of_decoding_are_sorted():
    """AVI numbers frames as they are stored; with B-frames these are not as they are shown."""
    stored = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
    seconds, fps, wrong = frame_times(stored, Fraction(1, 25), Fraction(25))
    assert seconds.tolist() == [t / 25 for t in range(10)]
    assert (fps, wrong) == (25, 0)


@given(
    steps=st.lists(st.integers(1, 10**7), min_size=8, max_size=60),
    first=st.integers(-(10**12), 10**12),
    tick=st.sampled_from(
        [Fraction(1, 1000), Fraction(1, 90_000), Fraction(1001, 30_000), Fraction(1, 1)]
    ),
)
def test_increasing_stamps_are_never_changed(steps, first, tick):
    stamps = [first + step for step in np.cumsum([0, *steps]).tolist()]
    seconds, fps, wrong = frame_times(stamps, tick, Fraction(25))
    np.testing.assert_allclose(
        seconds, [float((stamp - first) * tick) for stamp in stamps], rtol=1e-12
    )
    assert fps == 25 or fps == pytest.approx(len(steps) / seconds[-1])
    assert wrong == 0


@given(data=st.data(), count=st.integers(12, 80), step=st.integers(1, 10**7))
def test_of_an_even_film_no_wrong_stamp_moves_another_frame(data, count, step):
    """Whatever single stamps become, each at least four frames from the next: the others keep their
    distances.
    """
    stamps = [step * t for t in range(count)]
    places = data.draw(st.sets(st.integers(0, count // 4 - 1), max_size=max(1, count // 12)))
    wrong = {
        4 * place + 1: data.draw(
            st.none() | st.integers(-(2**62), 2**62) | st.integers(0, step * count)
        )
        for place in places
    }
    seconds, fps, _ = frame_times(replaced(stamps, wrong), MILLISECOND, Fraction(1000, step))
    right = [t for t in range(count) if t not in wrong]
    np.testing.assert_allclose(np.diff(seconds[right]), np.diff(right) * step / 1000, rtol=1e-9)
    assert len(seconds) == count
    assert seconds[0] == 0
    assert (np.diff(seconds) > 0).all()
    assert fps > 0


@given(
    st.lists(
        st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 50), min_size=1, max_size=60
    )
)
def test_any_stamps_give_increasing_times(stamps):
    seconds, fps, _ = frame_times(stamps, MILLISECOND, Fraction(25))
    assert len(seconds) == len(stamps)
    assert seconds[0] == 0
    assert np.isfinite(seconds).all()
    assert (np.diff(seconds) > 0).all()
    assert 0 < fps < np.inf


# --- rates

RATES = [
    1e-6,
    1 / 86_400,
    1 / 3600,
    0.00164,
    0.005,
    0.01,
    1 / 60,
    0.3,
    1,
    7.5,
    12.5,
    29.97,
    60,
    239.9,
    240,
    300,
    480,
    960,
]


@pytest.mark.parametrize("fps", RATES)
def test_each_rate_is_read_and_shown_as_it_is(tmp_path, fps):
    stamps = [round(10**6 * t / fps) for t in range(COUNT)]
    path = file_of(tmp_path, stamps, tick=1000)  # microseconds
    frames = decoded(path)
    assert frames.fps == pytest.approx(fps, rel=1e-4)
    np.testing.assert_allclose(frames.times, np.arange(COUNT) / fps, atol=2e-6)
    report = check_dataset("folder", tmp_path, progress=False)
    assert report["splits"]["train"]["fps"] == [pytest.approx(fps, rel=1e-4)]
    [line] = [line for line in describe_report(report).splitlines() if line.endswith("no masks")]
    [shown] = [
        float(part.removesuffix(" fps")) for part in line.split(", ") if part.endswith(" fps")
    ]
    assert shown == pytest.approx(fps, rel=1e-4)


@pytest.mark.parametrize("fps", [1200, 2000, 2400, 10_000])
def test_a_rate_too_high_for_the_ticks_of_its_file_is_that_of_the_container(tmp_path, fps):
    """Matroska counts milliseconds, so that several frames have one stamp."""
    frames = decoded(file_of(tmp_path, [1000 * t // fps for t in range(COUNT)], rate=fps))
    np.testing.assert_allclose(frames.times, np.arange(COUNT) / fps, atol=1e-9)
    assert frames.fps == pytest.approx(fps, rel=1e-4)
    assert frames.scan.wrong_times == 0


def test_wrong_stamps_are_a_note_of_the_check(tmp_path):
    file_of(tmp_path, replaced(EVEN, {20: 3, 30: 2**40}))
    report = check_dataset("folder", tmp_path, progress=False)
    [note] = [entry for entry in report["notes"] if entry["code"] == "wrong-times"]
    assert str(tmp_path / "film.mkv") in note["where"]
    assert report["problems"] == []
    file_of(tmp_path, EVEN)
    notes = check_dataset("folder", tmp_path, progress=False)["notes"]
    assert [entry for entry in notes if entry["code"] == "wrong-times"] == []
