"""The exercises of the notebooks: `check_answer`, which compares an answer with its key."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vadlib.course.exercises import answers
from vadlib.course.exercises.key import Key, judge
from vadlib.errors import require_known

_FILE = Path(__file__).with_name("exercises.toml")
EXERCISES: dict[str, dict[str, Any]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
# Exercises whose right answer depends on what the notebook computed
ANSWERS: dict[str, Callable[..., answers.Values]] = {
    "00-2": answers.false_alarm_rate,
    "01-1": answers.small_anomalies,
    "01-2": answers.labels_one_off,
    "02-3": answers.change_by_skipping,
    "03-1": answers.noise_in_grey_levels,
    "03-2": answers.share_without_object,
    "04-2": answers.least_possible_kind,
    "07-1": answers.negated_scores,
    "07-2": answers.false_alarms_at,
    "07-3": answers.without_the_future,
    "08-1": answers.idle_slots,
    "08-2": answers.busy_slots,
    "08-3": answers.without_the_busiest,
    "10-1": answers.spread_of_a_difference,
    "10-2": answers.rows_without_contrast,
    "11-2": answers.alarms,
    "11-3": answers.patient_threshold,
}


def check_answer(exercise: str, answer: object, **given: object) -> None:
    """Print whether an answer is not done yet, right, or not right yet, with a hint.

    Args:
        exercise: its id, such as "07-2".
        answer: a number (fractions are compared to four digits after the point), a name or a set of
            names; None means not done yet.
        given: what the notebook computed; the arguments of the function in `ANSWERS`.

    Raises:
        InputError: there is no such exercise.
    """
    require_known(exercise, EXERCISES, "exercise")
    if answer is None:
        print(f"{exercise}: not done yet")
    else:
        print(f"{exercise}: {judge(answer, find_key(exercise, given))}")


def find_key(exercise: str, given: dict[str, object]) -> Key:
    """Return the key of an exercise."""
    texts = EXERCISES[exercise]
    if exercise not in ANSWERS:
        return Key(texts["right"], texts["hint"], texts["mistakes"])
    values = ANSWERS[exercise](**given)
    mistakes = []
    for name, hint in texts["mistakes"]:
        value = values.get(name, [])
        for wrong in value if isinstance(value, list) else [value]:
            mistakes.append((wrong, hint))
    return Key(values["right"], texts["hint"], mistakes)
