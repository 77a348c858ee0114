"""Files are written so that a kill leaves the old one or the new one, and read without trust."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vadlib.errors import InputError, require


def read_arrays(path: Path, advice: str) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, by name; nothing is unpickled.

    Args:
        path: the file.
        advice: what to do when it is missing or damaged, for the message.

    Raises:
        InputError: it is.
    """
    require(path.is_file(), f"{path}: no such file; {advice}", "missing-file", file=path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); look at its permissions", "not-readable", file=path) from error
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: a damaged file ({error}); {advice}", "damaged-file", file=path) from error


def write_json(path: Path, value: object) -> None:
    """Write JSON with two-space indent, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` when the block ends well, remove it otherwise.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays: NumPy and matplotlib go by it.
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise _no_place(path.parent, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files for their owner only; results are to be shared as any new file is.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            message = f"{path}: cannot be written ({error}); make room on the disk, or choose another folder"
            raise InputError(message, "disk-full" if is_disk_full(error) else "not-writable", file=path) from error
        raise


def require_writable(folder: Path) -> None:
    """Make a folder, if need be, and try to write there: before an hour of computing, not after it.

    Raises:
        InputError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _no_place(folder, error) from error


def is_disk_full(error: OSError) -> bool:
    """Return True if writing failed for want of room, on the disk or in the user's quota."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def _no_place(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"{folder}: cannot write there ({error.strerror}); choose another folder "
        "(VADLIB_CACHE sets that of the cache, VADLIB_RUNS that of the notebooks' runs)",
        "disk-full" if is_disk_full(error) else "not-writable",
        file=folder,
    )
