"""The exercises of the notebooks: `check_answer`, and keys that compute the right answers."""

from __future__ import annotations

from collections.abc import Callable

from vadlib.course.exercises import data, evaluation, model
from vadlib.course.exercises.key import Key, judge
from vadlib.errors import require_known

EXERCISES: dict[str, Callable[..., Key]] = {
    "00-1": data.auc_by_hand,
    "00-2": data.false_alarm_rate,
    "01-1": data.small_anomalies,
    "01-2": data.labels_one_off,
    "02-1": data.first_start_without_skip,
    "02-2": data.orders_without_neighbours,
    "02-3": data.change_by_skipping,
    "03-1": data.noise_in_grey_levels,
    "03-2": data.share_without_object,
    "04-1": data.mixed_batch,
    "04-2": data.least_possible_kind,
    "05-1": model.slots_for_an_empty_read,
    "05-2": model.paper_with_500_slots,
    "06-1": model.parts_that_maximize_trains,
    "06-2": model.resumed_after,
    "07-1": evaluation.negated_scores,
    "07-2": evaluation.false_alarms_at,
    "07-3": evaluation.without_the_future,
    "08-1": model.idle_slots,
    "08-2": model.busy_slots,
    "08-3": model.without_the_busiest,
    "09-1": evaluation.correcting_shift,
    "09-2": evaluation.changing_aucs,
    "10-1": evaluation.spread_of_a_difference,
    "10-2": evaluation.rows_without_contrast,
    "10-3": evaluation.videos_for_half_the_interval,
    "11-1": evaluation.frames_apart,
    "11-2": evaluation.alarms,
    "11-3": evaluation.patient_threshold,
}


def check_answer(exercise: str, answer: object, **given: object) -> None:
    """Print whether an answer is not done yet, right, or not right yet, with a hint.

    Args:
        exercise: its id, such as "07-2".
        answer: a number (fractions are compared to four digits after the point), a name or a set of
            names; None means not done yet.
        given: what the notebook computed; the arguments of the function in `EXERCISES`.

    Raises:
        InputError: there is no such exercise.
    """
    require_known(exercise, EXERCISES, "exercise")
    if answer is None:
        print(f"{exercise}: not done yet")
    else:
        print(f"{exercise}: {judge(answer, EXERCISES[exercise](**given))}")
