"""What a test expects of an `InputError`: its code, and the file and the field that it names; never
its wording.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from vadlib.errors import InputError


@contextmanager
def refused(
    code: str,
    *,
    file: Path | str | None = None,
    field: str | None = None,
) -> Iterator[SimpleNamespace]:
    """Expect an `InputError` with this code, and with this file and this field where they are
    given.

    Yields:
        an object whose `error` is the exception, once the block has ended.
    """
    caught = SimpleNamespace(error=None)
    try:
        yield caught
    except InputError as error:
        caught.error = error
    assert caught.error is not None, f"no InputError was raised; expected the code {code!r}"
    assert caught.error.code == code, f"{caught.error.code!r}, not {code!r}: {caught.error}"
    if file is not None:
        assert caught.error.file == Path(file), f"{caught.error.file}, not {file}: {caught.error}"
    if field is not None:
        assert caught.error.field == field, f"{caught.error.field!r}, not {field!r}"
