"""The exercises of the notebooks: `check_answer`, which compares an answer with its key."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vadlib.course.exercises import answers
from vadlib.errors import require_known

_FILE = Path(__file__).with_name("exercises.toml")
EXERCISES: dict[str, dict[str, Any]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))

Answer = float | str | set[str]
Key = tuple[Answer, str, list[tuple[Answer, str]]]  # the right answer, a hint, known mistakes


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
    is_done = answer is not None
    verdict = judge(answer, *find_key(exercise, given)) if is_done else "not done yet"
    print(f"{exercise}: {verdict}")


def find_key(exercise: str, given: dict[str, object]) -> Key:
    """Return the right answer of an exercise, a hint, and known mistakes: (answer, hint) each."""
    texts = EXERCISES[exercise]
    right, pairs = texts.get("right"), texts["mistakes"]
    if "function" in texts:
        values = getattr(answers, texts["function"])(**given)
        right, pairs = values["right"], [(values[name], hint) for name, hint in pairs]
    mistakes = [(_plain(wrong), hint) for wrong, hint in pairs]
    return _plain(right), texts["hint"], mistakes


def _plain(value: Any) -> Answer:
    """Convert a number of NumPy or PyTorch to one of Python, and a list to a set."""
    if isinstance(value, (np.generic, Tensor)):
        number: float = value.item()
        return number
    plain: Answer = set(value) if isinstance(value, list) else value
    return plain


def judge(
    answer: object, right: Answer, hint: str, mistakes: Sequence[tuple[Answer, str]] = ()
) -> str:
    """Return "right", or "not yet: " and a hint. The first mistake that fits the answer counts."""
    value = _parse(answer, right)
    if value is None:
        expected = "a name" if isinstance(right, str) else "a number"
        if isinstance(right, set):
            expected = "a set of names"
        return f"not yet: expected {expected}, found {answer!r:.60}"
    if _equal(value, right):
        return "right"
    cases = list(mistakes)
    if isinstance(right, float):
        if 0.01 < right < 1:
            cases.insert(0, (100 * right, "a share lies between 0 and 1; divide by 100"))
        for digits in (2, 3):
            rounded = round(right, digits) or math.nan
            cases.append((rounded, "it is rounded; give four digits after the point"))
    for wrong, text in cases:
        if _equal(value, wrong):
            return f"not yet: {text}"
    return f"not yet: {hint}"


def _parse(answer: object, right: Answer) -> Answer | None:
    """Convert an answer to the type of the right one; return None where that is not possible."""
    if isinstance(right, set):
        names: list[Any] = list(answer) if isinstance(answer, Iterable) else [answer]
        if isinstance(answer, str):
            names = [None if "," in answer else answer]
        return set(names) if all(isinstance(name, str) for name in names) else None
    if isinstance(right, str) or isinstance(answer, str):
        return answer if isinstance(answer, str) and isinstance(right, str) else None
    try:
        if isinstance(answer, (np.ndarray, Tensor)):
            answer = answer.item()
        return float(answer)  # type: ignore[arg-type]  # float() says what it cannot convert
    except (TypeError, ValueError, RuntimeError):
        return None


def _equal(answer: Answer, value: Answer) -> bool:
    if isinstance(value, float) and isinstance(answer, float):
        # four digits after the point, or more
        return math.isclose(answer, value, rel_tol=1e-4, abs_tol=5.1e-5)
    return answer == value
