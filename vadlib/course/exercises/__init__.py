"""The exercises of the notebooks: `check_answer`, which compares an answer with its key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from vadlib.course.exercises import answers
from vadlib.course.exercises.key import Key, judge
from vadlib.errors import require_known

_FILE = Path(__file__).with_name("exercises.toml")
EXERCISES: dict[str, dict[str, Any]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))


def check_answer(exercise: str, answer: object, **given: object) -> None:
    """Print whether an answer is not done yet, right, or not right yet, with a hint.

    Args:
        exercise: its id, such as "07-2".
        answer: a number (fractions are compared to four digits after the point), a name or a set of
            names; None means not done yet.
        given: what the notebook computed; the arguments of the exercise's function.

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
    if "right" in texts:
        return Key(texts["right"], texts["hint"], texts["mistakes"])
    values = getattr(answers, texts["function"])(**given)
    mistakes = []
    for name, hint in texts["mistakes"]:
        value = values.get(name, [])
        for wrong in value if isinstance(value, list) else [value]:
            mistakes.append((wrong, hint))
    return Key(values["right"], texts["hint"], mistakes)
