"""The key of an exercise, and how an answer is compared with it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from torch import Tensor

Answer = float | str | set[str]
Value = Answer | np.floating | np.integer | Tensor | list[str]  # what `_plain` converts


class Key:
    """The right answer of an exercise, a hint for wrong ones, and known mistakes: (answer, hint).

    Of several mistakes that fit an answer, the first counts.
    """

    def __init__(self, right: Value, hint: str, mistakes: Iterable[tuple[Value, str]] = ()):
        self.right = _plain(right)
        self.hint = hint
        self.mistakes = [(_plain(wrong), text) for wrong, text in mistakes]


def _plain(value: Value) -> Answer:
    """Convert a number of NumPy or PyTorch to one of Python, and a list to a set."""
    if isinstance(value, (np.generic, Tensor)):
        number: float = value.item()
        return number
    return set(value) if isinstance(value, list) else value


def judge(answer: object, key: Key) -> str:
    """Return "right", or "not yet: " and a hint."""
    value = _parse(answer, key.right)
    if value is None:
        return f"not yet: expected {_expected(key.right)}, found {answer!r:.60}"
    if _equal(value, key.right):
        return "right"
    if _is_percentage(value, key.right):
        return "not yet: a share lies between 0 and 1; divide by 100"
    for wrong, hint in key.mistakes:
        if _equal(value, wrong):
            return f"not yet: {hint}"
    if _is_rounded(value, key.right):
        return "not yet: it is rounded; give four digits after the point"
    return f"not yet: {key.hint}"


def _expected(right: Answer) -> str:
    if isinstance(right, set):
        return "a set of names"
    return "a name" if isinstance(right, str) else "a number"


def _parse(answer: object, right: Answer) -> Answer | None:
    """Convert an answer to the type of the right one; return None where that is not possible."""
    if isinstance(right, set):
        return _parse_names(answer)
    if isinstance(right, str):
        return answer if isinstance(answer, str) else None
    if isinstance(answer, str):
        return None
    try:
        if isinstance(answer, (np.ndarray, Tensor)):
            answer = answer.item()
        return float(answer)  # type: ignore[arg-type]  # float() says what it cannot convert
    except (TypeError, ValueError, RuntimeError):
        return None


def _parse_names(answer: object) -> set[str] | None:
    """Accept one name, or a collection of names."""
    if isinstance(answer, str):
        return None if "," in answer else {answer}
    if not isinstance(answer, Iterable):
        return None
    items = list(answer)
    if all(isinstance(item, str) for item in items):
        return {str(item) for item in items}
    return None


def _equal(answer: Answer, value: Answer) -> bool:
    if isinstance(value, float) and isinstance(answer, (int, float)):
        # four digits after the point, or more
        return math.isclose(answer, value, rel_tol=1e-4, abs_tol=5.1e-5)
    return answer == value


def _is_percentage(value: Answer, right: Answer) -> bool:
    if not isinstance(right, float) or not isinstance(value, float):
        return False
    return 0 < right < 1 < value and _equal(value / 100, right)


def _is_rounded(value: Answer, right: Answer) -> bool:
    if not isinstance(right, float) or value == 0:
        return False
    return _equal(value, round(right, 2)) or _equal(value, round(right, 3))
