"""Every `InputError` of the package has a literal code that is listed, and every listed code is in
use.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import vadlib
from vadlib.errors import CODES

PACKAGE = Path(vadlib.__file__).parent
CALLS = {"InputError", "require"}
# `errors.py` defines both, and its `require` passes on the code that it was given.
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "errors.py")


def refusals(source: str) -> Iterator[ast.Call]:
    """The calls of `InputError` and `require` in a module, by their plain name or through a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in CALLS:
                yield node


def code_argument(call: ast.Call) -> ast.expr | None:
    """The expression that gives a call its code; None if there is none."""
    by_keyword = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    place = 1 if name == "InputError" else 2
    by_place = call.args[place : place + 1]
    return next(iter(by_keyword + by_place), None)


def literal_codes(expression: ast.expr | None) -> list[object]:
    """What an expression for a code can give: constants, the choice of two, or nothing where
    another error's code is passed on.

    Anything else gives None, which is no code.
    """
    if isinstance(expression, ast.Constant):
        return [expression.value]
    if isinstance(expression, ast.IfExp):
        return literal_codes(expression.body) + literal_codes(expression.orelse)
    if isinstance(expression, ast.Attribute) and expression.attr == "code":
        return []
    return [None]


def unknown_codes(source: str) -> list[str]:
    """The calls in a module whose code is missing, computed or not listed."""
    return [
        f"line {call.lineno}: {ast.unparse(call)[:100]}"
        for call in refusals(source)
        if not set(literal_codes(code_argument(call))) <= set(CODES)
    ]


def test_every_refusal_has_a_listed_code():
    unknown = {path: unknown_codes(path.read_text(encoding="utf-8")) for path in MODULES}
    assert {path: calls for path, calls in unknown.items() if calls} == {}


def test_every_listed_code_is_in_use():
    used = set()
    for path in MODULES:
        for call in refusals(path.read_text(encoding="utf-8")):
            used.update(literal_codes(code_argument(call)))
    assert sorted(set(CODES) - used) == []


@pytest.mark.parametrize(
    ("call", "is_refused"),
    [
        ("InputError('x', 'pickle')", False),
        ("errors.InputError('x', code='pickle', file=path)", False),
        ("require(a, 'x', 'pickle' if b else 'download')", False),
        ("InputError(f'{path}: {error}', error.code)", False),
        ("InputError('x')", True),
        ("require(a, 'x')", True),
        ("require(a, 'x', 'no-such-code')", True),
        ("InputError('x', 'pickle' if b else 'no-such-code')", True),
        ("InputError('x', code)", True),
        ("InputError('x', f'{kind}-file')", True),
    ],
)
def test_the_walk_sees_wrong_calls(call, is_refused):
    assert bool(unknown_codes(call)) == is_refused
