"""What an exercise's right answer is, what each known wrong answer shows, and how an answer is
judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Key(NamedTuple):
    """What `check_answer` compares with.

    right: a number, a name, or a set of names.
    wrong: a hint -> the wrong answer that calls for it; the first that fits is shown.
    hint: for every other answer.
    """

    right: object
    wrong: Mapping[str, object]
    hint: str


def judge(answer: object, key: Key) -> str:
    """ "right", or "not yet: " and a hint."""
    expected, understand = "a number", _number
    if isinstance(key.right, set):
        expected, understand = "a set of names", _names
    elif isinstance(key.right, str):
        expected, understand = "a name", lambda given: given if isinstance(given, str) else None
    understood = understand(answer)
    if understood is None:
        return f"not yet: expected {expected}, found {answer!r:.60}"
    if _equal(understood, key.right):
        return "right"
    if (
        isinstance(key.right, float)
        and 0 < key.right < 1 < understood
        and _equal(understood / 100, key.right)
    ):
        return "not yet: a share lies between 0 and 1; divide by 100"
    rounded = (
        isinstance(key.right, float)
        and understood != 0
        and any(_equal(understood, round(key.right, digits)) for digits in (2, 3))
    )
    otherwise = "it is rounded; give four digits after the point" if rounded else key.hint
    return "not yet: " + next(
        (hint for hint, value in key.wrong.items() if _equal(understood, value)), otherwise
    )


def _number(answer: object) -> float | None:
    """A number of any library as a float; None where it is none."""
    if isinstance(answer, str):
        return None
    try:
        return float(answer.item() if hasattr(answer, "item") else answer)
    except (TypeError, ValueError, RuntimeError):
        return None


def _names(answer: object) -> set[str] | None:
    """One name, or a collection of names, as a set; None where it is neither."""
    if isinstance(answer, str):
        return {answer} if "," not in answer else None
    items = list(answer) if isinstance(answer, Iterable) else [None]
    return {str(item) for item in items} if all(isinstance(item, str) for item in items) else None


def _equal(answer: object, value: object) -> bool:
    if isinstance(value, float):
        # four digits after the point, or more
        return math.isclose(answer, value, rel_tol=1e-4, abs_tol=5.1e-5)
    return answer == value
