"""Atomic writes and safe reads: an interrupted write leaves the old file intact, and nothing is
unpickled.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
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
    """
    value = os.environ.get(name, "").strip()
    return expand_home(value) if value else None


def require_folder_variable(name: str, holds: str) -> Path | None:
    """Return the folder of `folder_variable`, which must be there.

    Args:
        name: of the environment variable.
        holds: what the folder should hold, for the message.

    Raises:
        InputError: it is missing or a file.
    """
    folder = folder_variable(name)
    if folder is not None and not folder.is_dir():
        message = f"{folder}: set {name} to the folder that holds {holds}, or unset it"
        code = "wrong-kind-of-file" if folder.exists() else "missing-file"
        raise InputError(message, code, file=folder, field=name)
    return folder


def is_broken_link(path: Path) -> bool:
    """Return True for a symbolic link whose target is missing or cannot be reached."""
    return path.is_symlink() and not os.path.exists(path)


def refuse_broken_link(path: Path) -> None:
    """Raise `InputError` for a symbolic link whose target is missing.

    Such links are what git-annex, DVC and disks that are not mounted leave behind.
    """
    message = f"{path}: a link whose target is missing; get that file, or remove the link"
    require(not is_broken_link(path), message, "missing-file", file=path)


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
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        code = "not-readable" if isinstance(error, PermissionError) else "damaged-file"
        raise InputError(f"{path}: cannot be read ({error}); {advice}", code, file=path) from error


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
    # The suffix stays: NumPy and matplotlib go by it.
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise not_written(path.parent, error) from error
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) or _write_errno(error) is not None:
            raise not_written(path, error) from error
        raise


def require_room(folder: Path, needed: int) -> None:
    """Raise `OSError` unless the disk of a folder has that many free bytes, and some to spare."""
    free = shutil.disk_usage(folder).free
    if needed > 0.95 * free:
        reason = f"{needed / 1e9:.2f} GB are needed, but only {free / 1e9:.2f} GB are free"
        raise OSError(errno.ENOSPC, reason)


def is_disk_full(error: BaseException) -> bool:
    """Return True if the disk, the user's quota or the largest size of a file was reached."""
    # The last one is the number of Windows, which safetensors passes on.
    return _write_errno(error) in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, 112}


def not_written(path: Path, error: BaseException) -> InputError:
    """Describe a file or folder that cannot be written, and what to do.

    Args:
        path: the file or folder.
        error: what was raised when it was written.
    """
    # torch reports a full disk by positions in its file.
    is_plain = isinstance(error, (OSError, SafetensorError))
    reason = error if is_plain else "not all of it could be written"
    message = f"{path}: cannot be written ({reason}); make room, or set VADLIB_CACHE or VADLIB_RUNS"
    code = "disk-full" if is_disk_full(error) else "not-writable"
    return InputError(message, code, file=path)


def _write_errno(error: BaseException) -> int | None:
    """Return the number of the operating system's error, None if it is not about files."""
    if isinstance(error, OSError):
        return error.errno
    match = re.search(r"os error (\d+)|inline_container|Pytorch", str(error))
    if match is None or not isinstance(error, (SafetensorError, RuntimeError)):
        return None
    # torch does not say why it cannot write; the usual reason is a full disk.
    return int(match[1] or errno.ENOSPC)
