"""What the widgets share: ipywidgets on demand, one handler at a time, and how a panel is shown."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, ParamSpec

from vadlib.errors import InputError

P = ParamSpec("P")
_turn = threading.RLock()


def load_ipywidgets() -> Any:
    """Import ipywidgets, which only widgets need.

    Raises:
        InputError: it is not installed.
    """
    try:
        import ipywidgets
    except ModuleNotFoundError as error:
        message = f"sliders need ipywidgets ({error}); pip install 'vadlib[notebooks]', or go on"
        raise InputError(message, "not-available", field="ipywidgets") from error
    return ipywidgets


def in_turn(handler: Callable[P, None]) -> Callable[P, None]:
    """Make a handler of a widget wait while another one runs.

    JupyterLab handles the messages of each widget in a thread of its own ("subshells"), so a
    slider's handler can start while another still draws. Matplotlib draws wrong pictures in several
    threads at once.
    """

    @functools.wraps(handler)
    def wait(*arguments: P.args, **named: P.kwargs) -> None:
        with _turn:
            handler(*arguments, **named)

    return wait


class Panel:
    """Controls and pictures in a box, which a notebook shows as the value of a cell."""

    box: Any  # an ipywidgets box; the library has no types

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.box._repr_mimebundle_(**options)
