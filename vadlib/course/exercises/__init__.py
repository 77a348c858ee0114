"""The notebooks' exercises: `check_answer`, and the keys, which work the right answers out anew."""

from __future__ import annotations

from collections.abc import Callable

from vadlib.course.exercises import judging, modelling, seeing
from vadlib.course.exercises.key import Key, judge
from vadlib.errors import require_known

EXERCISES: dict[str, Callable[..., Key]] = {
    "00-1": seeing.auc_by_hand,
    "00-2": seeing.false_alarm_rate,
    "01-1": seeing.small_anomalies,
    "01-2": seeing.labels_one_off,
    "02-1": seeing.first_that_cannot_skip,
    "02-2": seeing.orders_without_neighbours,
    "02-3": seeing.skipping_beside_shuffling,
    "03-1": seeing.noise_in_grey_levels,
    "03-2": seeing.share_without_object,
    "04-1": seeing.mixed_batch,
    "04-2": seeing.seldom_made,
    "05-1": modelling.slots_for_an_empty_read,
    "05-2": modelling.paper_with_500_slots,
    "06-1": modelling.what_maximize_trains,
    "06-2": modelling.resumed_after,
    "07-1": judging.turned_round,
    "07-2": judging.false_alarms_at,
    "07-3": judging.without_the_future,
    "08-1": modelling.idle_slots,
    "08-2": modelling.busy_slots,
    "08-3": modelling.without_the_busiest,
    "09-1": judging.shift_that_mends,
    "09-2": judging.which_auc_changes,
    "10-1": judging.spread_of_a_difference,
    "10-2": judging.rows_without_contrast,
    "10-3": judging.videos_for_half_the_interval,
    "11-1": judging.frames_apart,
    "11-2": judging.alarms,
    "11-3": judging.patient_threshold,
}


def check_answer(exercise: str, answer: object, **given: object) -> None:
    """Print what an answer is: not done yet, right, or not right yet, with a hint that fits the
    mistake.

    Args:
        exercise: its id, such as "07-2".
        answer: a number (a fraction is compared to four digits after the point), a name or a set of
            names; None: not done yet.
        given: what the notebook has computed and the exercise is about; see the functions in
            `EXERCISES`.

    Raises:
        InputError: there is no such exercise.
    """
    require_known(exercise, EXERCISES, "exercise")
    print(
        f"{exercise}: {'not done yet' if answer is None else judge(answer, EXERCISES[exercise](**given))}"
    )
