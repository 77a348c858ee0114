"""Every refusal of the package has a literal, listed code, and every listed code is in use."""

import ast
from pathlib import Path

import vadlib
from vadlib.errors import CODES

PACKAGE = Path(vadlib.__file__).parent
POSITIONS = {"InputError": 1, "require": 2}  # of the code among the arguments


def literals(expression):
    """The constants that an expression can give; None for anything else but a variable `code`."""
    if isinstance(expression, ast.IfExp):
        return literals(expression.body) + literals(expression.orelse)
    if getattr(expression, "attr", getattr(expression, "id", "")) == "code":
        return []
    return [getattr(expression, "value", None)]


def codes(source):
    """The codes of all refusals in a module, and all values of variables `code`."""
    values = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "code":
            values += literals(node.value)
        elif isinstance(node, ast.Call):
            position = POSITIONS.get(getattr(node.func, "id", ""))
            if position is not None:
                values += literals(node.args[position])
    return values


def test_every_refusal_has_a_listed_code_and_every_listed_code_is_in_use():
    used = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name != "errors.py":  # defines both
            of_file = set(codes(path.read_text(encoding="utf-8")))
            assert of_file <= CODES.keys(), path
            used |= of_file
    assert used == CODES.keys()


def test_the_walk_sees_wrong_calls():
    source = "require(a, 'x', 'pickle' if b else 'nosuch'); InputError('x', f'{kind}-file')"
    assert codes(source) == ["pickle", "nosuch", codes("InputError('x', f'{kind}-file')")[0]]
    assert codes("InputError('x', error.code)") == []
