"""Small dataclass configs that travel in a run's folder: built from plain dicts, and refusing what
they do not know.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from vadlib.errors import require

T = TypeVar("T")


def from_dict(cls: type[T], values: Mapping, where: str | Path) -> T:
    """Build the dataclass `cls` from `values`; JSON's lists become tuples.

    Args:
        cls: a dataclass whose fields are numbers, strings, booleans, tuples of those, or None.
        values: field name -> value; fields left out keep their defaults.
        where: the origin of the values for the message, such as "options"; a `Path` is the error's
            `file`.

    Raises:
        InputError: an unknown key or a value of the wrong type, named with what was expected.
    """
    hints = typing.get_type_hints(cls)
    known = {f.name: hints[f.name] for f in dataclasses.fields(cls)}
    file = where if isinstance(where, Path) else None
    for key, value in values.items():
        field = f"{cls.__name__}.{key}"
        unknown = f"{where}: unknown key {key!r} in {cls.__name__}; known keys: {', '.join(known)}"
        require(key in known, unknown, "unknown-key", file=file, field=field)
        expected = f"{where}: {field} = {value!r}; expected {_describe(known[key])}"
        require(_matches(value, known[key]), expected, "wrong-type", file=file, field=field)
    return cls(**{key: _tupled(value) for key, value in values.items()})


def require_field(config: object, name: str, condition: bool, expected: str) -> None:
    """Raise `InputError` with the code "out-of-range" about a field of a config unless the
    condition holds.

    Args:
        config: the dataclass instance; the message gives the field's value.
        name: the field's name.
        condition: whether its value is valid.
        expected: the requirement in words, such as "at least 1".
    """
    field = f"{type(config).__name__}.{name}"
    message = f"{field} = {getattr(config, name)!r}; expected {expected}"
    require(condition, message, "out-of-range", field=field)


def require_known_field(config: object, name: str, known: Iterable[str]) -> None:
    """Raise `InputError` with the code "unknown-name" unless a field of a config holds one of the
    known names.
    """
    field = f"{type(config).__name__}.{name}"
    value = getattr(config, name)
    names = list(known)
    message = f"{field} = {value!r}; expected one of: {', '.join(names)}"
    require(value in names, message, "unknown-name", field=field)


def _tupled(value):
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value


def _options(hint) -> tuple:
    return (
        typing.get_args(hint)
        if typing.get_origin(hint) in (types.UnionType, typing.Union)
        else (hint,)
    )


def _matches(value, hint) -> bool:
    for option in _options(hint):
        origin, args = typing.get_origin(option), typing.get_args(option)
        if origin is tuple and isinstance(value, (tuple, list)):
            open_ended = len(args) == 2 and args[1] is Ellipsis
            inner = args[:1] * len(value) if open_ended else args
            if len(inner) == len(value) and all(
                _matches(v, a) for v, a in zip(value, inner, strict=True)
            ):
                return True
        elif option is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return True
        elif option is type(None):
            if value is None:
                return True
        elif (
            isinstance(option, type)
            and isinstance(value, option)
            and (option is bool or not isinstance(value, bool))
        ):
            return True
    return False


def _describe(hint) -> str:
    return " or ".join(
        "null"
        if o is type(None)
        else o.__name__
        if isinstance(o, type) and not typing.get_args(o)
        else str(o)
        for o in _options(hint)
    )
