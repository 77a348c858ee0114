"""Annotated frames: what is normal stays as it is, an alarm is seen without colour, and the bar
tells the score.
"""

import cv2
import numpy as np
import pytest

from vadlib.output.annotation import annotate

THRESHOLD = 4.0


def picture(channels=3, size=(240, 320)):
    return np.random.default_rng(0).integers(60, 180, (*size, channels), np.uint8)


def shown(score, frame=None, threshold=THRESHOLD, seconds=3723.5):
    """One cell of the map has the score, the others half of the threshold."""
    score_map = np.full((30, 40), threshold - 2)
    score_map[10, 20] = score
    return annotate(picture() if frame is None else frame, score_map, score, threshold, seconds)


def filled(annotated):
    """Columns of the bar that are neither ground nor the mark."""
    row = annotated[240 + (len(annotated) - 240) // 4 + 1].astype(int)
    return np.flatnonzero(np.ptp(row, axis=1) > 30)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_normal_frame_stays_as_it_is(channels):
    frame = picture(channels)
    annotated = shown(THRESHOLD, frame)
    np.testing.assert_array_equal(annotated[:240], np.broadcast_to(frame, (240, 320, 3)))


def test_heat_lies_where_the_map_is_above_the_threshold():
    changed = (shown(9.0)[:240] != picture()).any(2)
    # the frame of an alarm
    changed[:5], changed[-5:], changed[:, :5], changed[:, -5:] = False, False, False, False
    places = np.argwhere(changed)
    # The cell is 8 x 8 pixels; its outline is up to 2 pixels thick on each side.
    assert [*places.min(0), *places.max(0)] == pytest.approx([80, 160, 87, 167], abs=2)
    assert changed[80:88, 160:168].all()


def test_an_alarm_is_seen_without_colour():
    pair = [cv2.cvtColor(shown(score), cv2.COLOR_RGB2GRAY) for score in (3.99, 4.01)]
    quiet, alarm = np.array(pair, int)
    differ = np.abs(quiet - alarm) > 60
    assert differ[:240, :3].mean() > 0.9  # a white frame
    assert differ[240:, -70:].sum() > 60  # a word
    assert differ[240:, 100:200].sum() > 40  # hatches


def test_the_bar_grows_with_the_score_and_is_full_at_three_thresholds():
    ends = [filled(shown(score)).max(initial=0) for score in (1.0, 2.0, 3.0)]
    steps = np.diff(ends)
    assert steps[0] == pytest.approx(steps[1], abs=2)
    full, beyond = filled(shown(12.0)), filled(shown(50.0))
    assert full.max() == beyond.max()
    assert full.max() - full.min() == pytest.approx(12 * steps.mean(), abs=10)
    assert len(filled(shown(-1.0))) == 0


@pytest.mark.parametrize("threshold", [4.0, 0.0, -2.0])
def test_the_mark_divides_alarm_from_quiet(threshold):
    below, above = (shown(threshold + d, threshold=threshold) for d in (-0.05, 0.05))
    mark = np.flatnonzero((below[242] == 255).all(1))
    assert len(mark) == 2  # above the bar nothing else is white
    assert filled(below).max() <= mark.max() + 2
    assert filled(above).max() >= mark.min() - 4  # the last may be a hatch


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((48, 64), (240, 320)),
        ((241, 363), (240, 364)),
        ((720, 1280), (720, 1280)),
        *[((560, 240), (560, 240)), ((2000, 90), (5334, 240)), ((90, 2000), (240, 5334))],
    ],
)
def test_sizes_are_even_and_small_frames_enlarged(size, expected):
    height, width, _ = annotate(picture(1, size), np.zeros((6, 8)), 0.0, THRESHOLD, 0).shape
    assert width == expected[1]
    assert height > expected[0]
    assert height % 2 == 0
    alarm = annotate(picture(1, size), np.full((6, 8), 9.0), 9.0, THRESHOLD, 360_000)
    assert alarm.shape == (height, width, 3)
    bar = alarm[expected[0] :].astype(int)
    assert (bar[..., 0] - bar[..., 2] > 100).any(), "the bar is orange"


@pytest.mark.parametrize("hours", [0, 39, 99, 100, 720, 8760, 87_600])
def test_the_clock_of_a_long_film_does_not_reach_into_the_bar(hours):
    strip = shown(-1.0, seconds=3600.0 * hours + 59)[240:]
    row = strip[len(strip) // 4 + 1]
    bar = np.flatnonzero((row == 60).all(1))
    bright = np.flatnonzero((strip[:, : strip.shape[1] // 2] > 200).any((0, 2)))
    text = bright[bright < bar.min()]
    assert len(text) > 20
    assert text.max() < bar.min() - 3
    mark = bright[bright >= bar.min()]
    assert len(mark) <= 2, "only the mark is bright inside the bar"
