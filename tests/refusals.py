"""What a test expects of an `InputError`: its code, file and field; never its wording."""

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from vadlib.errors import InputError


@contextmanager
def refused(code, *, file=None, field=None):
    """Expect an `InputError` with this code, and with this file and this field where they are
    given; yield an object whose `error` is the exception, once the block has ended.
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
