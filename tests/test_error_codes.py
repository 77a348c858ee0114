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
# The position of the code. `errors.py` defines both, and its `require` passes on what it was given.
CALLS = {"InputError": 1, "require": 2}
SOURCES = {
    path: path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "errors.py"
}


def codes(source: str) -> Iterator[tuple[int, object]]:
    """Yield the line and the code of each refusal in a module; None for a code that is missing or
    computed.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in CALLS:
            by_keyword = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            arguments = by_keyword or node.args[CALLS[name] :] or [None]
            for code in literals(arguments[0]):
                yield node.lineno, code


def literals(expression: ast.expr | None) -> list[object]:
    """Return the constants that an expression can give, or nothing where another error's code is
    passed on.
    """
    if isinstance(expression, ast.Constant):
        return [expression.value]
    if isinstance(expression, ast.IfExp):
        return literals(expression.body) + literals(expression.orelse)
    if isinstance(expression, ast.Attribute) and expression.attr == "code":
        return []
    return [None]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_refusal_has_a_listed_code(path):
    assert [line for line, code in codes(SOURCES[path]) if code not in CODES] == []


def test_every_listed_code_is_in_use():
    used = set()
    for source in SOURCES.values():
        used.update(code for _, code in codes(source))
    assert sorted(set(CODES) - used) == []


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("InputError('x', 'pickle')", ["pickle"]),
        ("errors.InputError('x', code='pickle', file=path)", ["pickle"]),
        ("require(a, 'x', 'pickle' if b else 'download')", ["pickle", "download"]),
        ("InputError(f'{path}: {error}', error.code)", []),
        ("InputError('x')", [None]),
        ("require(a, 'x')", [None]),
        ("InputError('x', code)", [None]),
        ("InputError('x', f'{kind}-file')", [None]),
    ],
)
def test_the_walk_sees_wrong_calls(call, expected):
    assert [code for _, code in codes(call)] == expected
