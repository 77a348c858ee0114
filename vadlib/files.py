"""Atomic writes and safe reads: an interrupted write leaves the old file intact, and nothing is
unpickled.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from vadlib.errors import InputError, require


def command_line(*words: object) -> str:
    """Return a `vadlib` command as you type it, for a message: words with spaces are quoted."""
    command = ["vadlib", *map(str, words)]
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)


def expand_home(path: str | Path) -> Path:
    """Return a path whose leading `~` or `~user` is replaced by the home folder, as a shell does.

    A name that only begins with `~`, such as `~old.mp4`, stays: there is no such user.
    """
    return Path(os.path.expanduser(path))


def folder_variable(name: str) -> Path | None:
    """Return the folder that an environment variable names; None if it is unset or blank.

    The folder need not be there yet: see `require_folder_variable`.

    Raises:
        InputError: it is a link whose target is missing.
    """
    value = os.environ.get(name, "").strip()
    if not value:
        return None
    folder = expand_home(value)
    require(
        not is_broken_link(folder),
        f"{folder}: a link whose target is missing; mount its disk, or change or unset {name}",
        "missing-file",
        file=folder,
        field=name,
    )
    return folder


def require_folder_variable(name: str, holds: str) -> Path | None:
    """Return the folder of `folder_variable`, which must be there.

    Args:
        name: of the environment variable.
        holds: what the folder should hold, for the message.

    Raises:
        InputError: it is missing or a file, or what `folder_variable` refuses.
    """
    folder = folder_variable(name)
    if folder is None or folder.is_dir():
        return folder
    message = (
        f"{folder}: expected a folder; set {name} to the folder that holds {holds}, or unset it"
    )
    if folder.exists():
        raise InputError(message, "wrong-kind-of-file", file=folder, field=name)
    raise InputError(message, "missing-file", file=folder, field=name)


def is_broken_link(path: Path) -> bool:
    """Return True for a symbolic link whose target is missing or cannot be reached."""
    return path.is_symlink() and not os.path.exists(path)


def refuse_broken_link(path: Path) -> None:
    """Raise `InputError` for a symbolic link whose target is missing.

    Such links are what git-annex, DVC and disks that are not mounted leave behind.
    """
    if is_broken_link(path):
        message = (
            f"{path}: a link to {os.readlink(path)}, which is missing; get that file (such as "
            "`git annex get` or `dvc pull`), mount its disk, or remove the link"
        )
        raise InputError(message, "missing-file", file=path)


def read_arrays(path: Path, advice: str) -> dict[str, np.ndarray]:
    """Return all arrays of an .npz file, by name; nothing is unpickled.

    Args:
        path: the file.
        advice: what to do when it is missing or damaged, for the message.

    Raises:
        InputError: it is missing, damaged or not readable.
    """
    require(path.is_file(), f"{path}: no such file; {advice}", "missing-file", file=path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except PermissionError as error:
        message = f"{path}: cannot be read ({error.strerror}); change its permissions"
        raise InputError(message, "not-readable", file=path) from error
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        message = f"{path}: a damaged file ({error}); {advice}"
        raise InputError(message, "damaged-file", file=path) from error


def json_text(value: object) -> str:
    """Return the text of a JSON file: two-space indent, a line break at the end."""
    return json.dumps(value, indent=2) + "\n"


def write_json(path: Path, value: object) -> None:
    """Write JSON, atomically; see `json_text`."""
    with atomic(path) as temporary:
        temporary.write_text(json_text(value), encoding="utf-8")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` when the block ends well,
    remove it otherwise.

    Raises:
        InputError: the folder cannot be written, or the disk is full. Errors of Python, PyAV, torch
            and safetensors about writing are translated.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays: NumPy and matplotlib go by it.
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent
        )
    except OSError as error:
        raise not_written(path.parent, error) from error
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
        if isinstance(error, OSError) or _write_errno(error) is not None:
            raise not_written(path, error) from error
        raise


def require_writable(folder: Path) -> None:
    """Make a folder, if need be, and try to write there: before hours of computing, not after.

    Raises:
        InputError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise not_written(folder, error) from error


def require_room(folder: Path, needed: int) -> None:
    """Raise `OSError` unless the disk of a folder has that many free bytes, and some to spare."""
    free = shutil.disk_usage(folder).free
    if needed > 0.95 * free:
        reason = f"{needed / 1e9:.2f} GB are needed, but only {free / 1e9:.2f} GB are free"
        raise OSError(errno.ENOSPC, reason)


def is_disk_full(error: BaseException) -> bool:
    """Return True if the disk, the user's quota or the largest size of a file was reached."""
    return _write_errno(error) in _FULL


def not_written(path: Path, error: BaseException) -> InputError:
    """Describe a file or folder that cannot be written, and what to do.

    Args:
        path: the file or folder.
        error: what was raised when it was written.
    """
    # torch reports a full disk by positions in its file.
    is_plain = isinstance(error, (OSError, SafetensorError))
    reason = str(error) if is_plain else "not all of it could be written"
    places = (
        "choose another folder (VADLIB_CACHE sets that of the cache, VADLIB_RUNS that of the "
        "notebooks' runs)"
    )
    if is_disk_full(error):
        message = f"{path}: no room to write it ({reason}); make room on the disk, or {places}"
        return InputError(message, "disk-full", file=path)
    return InputError(f"{path}: cannot be written ({reason}); {places}", "not-writable", file=path)


# The last one is the number of Windows, which safetensors passes on.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, 112}


def _write_errno(error: BaseException) -> int | None:
    """Return the number of the operating system's error, None if it is not about files."""
    if isinstance(error, OSError):
        return error.errno
    if isinstance(error, SafetensorError):
        number = re.search(r"os error (\d+)", str(error))
        return int(number[1]) if number else None
    # torch does not say why it cannot write; the usual reason is a full disk.
    is_torch = isinstance(error, RuntimeError) and re.search(
        r"inline_container|Pytorch", str(error)
    )
    return errno.ENOSPC if is_torch else None
