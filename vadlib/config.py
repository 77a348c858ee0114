"""Small dataclass configs that travel in a run's folder: built from plain dicts, and refusing what they do not know."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import TypeVar

from vadlib.errors import InputError

T = TypeVar("T")


def from_dict(cls: type[T], values: Mapping, where: str) -> T:
    """Build the dataclass `cls` from `values`; JSON's lists become tuples.

    Args:
        cls: a dataclass whose fields are numbers, strings, booleans, tuples of those, or None.
        values: field name -> value; fields left out keep their defaults.
        where: what the values came from, for the message, such as "runs/ped2/config.json".

    Raises:
        InputError: an unknown key or a value of the wrong type, named with what was expected.
    """
    hints = typing.get_type_hints(cls)
    known = {f.name: hints[f.name] for f in dataclasses.fields(cls)}
    for key, value in values.items():
        if key not in known:
            raise InputError(f"{where}: unknown key {key!r} in {cls.__name__}; known keys: {', '.join(known)}")
        if not _matches(value, known[key]):
            raise InputError(f"{where}: {cls.__name__}.{key} = {value!r}; expected {_describe(known[key])}")
    return cls(**{key: _tupled(value) for key, value in values.items()})


def require(condition: bool, what: str) -> None:
    """Raise `InputError(what)` unless the condition holds."""
    if not condition:
        raise InputError(what)


def _tupled(value):
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value


def _options(hint) -> tuple:
    return typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)


def _matches(value, hint) -> bool:
    for option in _options(hint):
        origin, args = typing.get_origin(option), typing.get_args(option)
        if origin is tuple and isinstance(value, (tuple, list)):
            open_ended = len(args) == 2 and args[1] is Ellipsis
            inner = args[:1] * len(value) if open_ended else args
            if len(inner) == len(value) and all(_matches(v, a) for v, a in zip(value, inner, strict=True)):
                return True
        elif option is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return True
        elif option is type(None):
            if value is None:
                return True
        elif isinstance(option, type) and isinstance(value, option) and (option is bool or not isinstance(value, bool)):
            return True
    return False


def _describe(hint) -> str:
    return " or ".join(
        "null" if o is type(None) else o.__name__ if isinstance(o, type) and not typing.get_args(o) else str(o) for o in _options(hint)
    )
