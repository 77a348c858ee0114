"""Frame labels in the forms in which they circulate. Nothing is ever unpickled.

Labels are uint8 (T,), 0 normal and 1 abnormal. What cannot be read is an `InputError` that names
the file.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.io

from vadlib.data.video import lfs_pointer
from vadlib.errors import InputError, require
from vadlib.files import refuse_broken_link

_RANGE = r"\d+(?:\s*:\s*\d+)?"
_ENTRY = re.compile(
    r"TestVideoFile\{end\+1\}\.gt_frame\s*=\s*"
    rf"\[[\s,;]*((?:{_RANGE}(?:[\s,;]+{_RANGE})*)?)[\s,;]*\]\s*;?"
)
_PREAMBLE = re.compile(r"(clear|close|clc).*|TestVideoFile\s*=\s*\{\}\s*;?|")


def from_m(path: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """Read UCSD's own intervals: a MATLAB script with a line `TestVideoFile{end+1}.gt_frame =
    [5:90, 140:200];` per clip, 1-based and inclusive.

    Args:
        path: the script.
        lengths: frames of each clip.
    """
    require_content(path)
    clips = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        statement = line.split("%")[0].strip()  # % starts a comment
        if _PREAMBLE.fullmatch(statement):
            continue
        entry = _ENTRY.fullmatch(statement)
        if entry is None:
            expected = "TestVideoFile{end+1}.gt_frame = [5:90, 140:200];"
            message = f"{path}: line {number} is {statement[:60]!r}; expected such as {expected}"
            raise InputError(message, "wrong-format", file=path)
        ranges = re.findall(r"(\d+)(?:\s*:\s*(\d+))?", entry[1])
        clips.append([(int(start), int(end or start)) for start, end in ranges])
    return _from_intervals(path, clips, lengths)


def from_mat(path: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """Read the intervals in circulation: a MATLAB file with `gt`, a cell of 2 x k starts and ends
    per clip, 1-based and inclusive.
    """
    clips = []
    for number, cell in enumerate(read_mat(path, "gt").ravel(), start=1):
        ends = np.asarray(cell)
        if ends.ndim != 2 or ends.shape[0] != 2 or ends.dtype.kind not in "uif":
            message = f"{path}: clip {number} has an array {ends.shape}; expected numbers (2, k)"
            raise InputError(message, "wrong-shape", file=path, field="gt")
        # Stored as uint8, which would wrap around in sums.
        clips.append(ends.astype(np.int64).T.tolist())
    return _from_intervals(path, clips, lengths, field="gt")


def _from_intervals(
    path: Path,
    clips: Sequence[Sequence[tuple[int, int]]],
    lengths: Sequence[int],
    field: str = "",
) -> list[np.ndarray]:
    """Labels of each clip from its 1-based, inclusive intervals."""
    labels = []
    for number, (intervals, length) in enumerate(zip(clips, lengths, strict=False), start=1):
        values = np.zeros(length, np.uint8)
        for start, end in intervals:
            message = (
                f"{path}: clip {number} has the interval {start} to {end}; "
                f"expected 1 <= start <= end <= {length}"
            )
            require(1 <= start <= end <= length, message, "label-values", file=path)
            values[start - 1 : end] = 1
        labels.append(values)
    message = f"{path}: intervals for {len(clips)} clips; expected {len(lengths)} clips"
    require(len(clips) == len(lengths), message, "label-length", file=path, field=field)
    return labels


def from_whole_npy(path: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """Read one array over all test clips in order, (1, N) or (N,), and cut it by their lengths."""
    values = from_npy(path)
    message = (
        f"{path}: {len(values)} labels; expected {sum(lengths)}, one per frame of the test set"
    )
    require(len(values) == sum(lengths), message, "label-length", file=path)
    return np.split(values, np.cumsum(lengths)[:-1])


def from_npy(path: Path) -> np.ndarray:
    """Read a NumPy array of zeros and ones of any shape."""
    values = read_npy(path).ravel()
    message = f"{path}: values of type {values.dtype}; expected numbers 0 (normal) and 1 (abnormal)"
    require(values.dtype.kind in "buif", message, "wrong-type", file=path)
    others = values[~np.isin(values, (0, 1))]
    if len(others):
        message = f"{path}: values other than 0 (normal) and 1 (abnormal), such as {others[0]}"
        raise InputError(message, "label-values", file=path)
    return values.astype(np.uint8)


def read_npy(path: Path, mmap: bool = False) -> npt.NDArray[Any]:
    """Read a plain array from a .npy file, memory-mapped if asked for.

    Raises:
        InputError: it is missing, damaged, or a pickle.
    """
    require_content(path)
    with path.open("rb") as file:
        head = file.read(8)
    try:
        array = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    # NumPy raises many kinds for damaged headers; all mean the same to the user
    except Exception as error:
        reason = f"{path}: not a plain NumPy array"
        # protocols 2 to 5 begin so; object arrays hold a pickle
        if head.startswith(b"\x80") or "Object arrays" in str(error):
            message = f"{reason} but a Python pickle, which could run any code; get a .npy or .mat"
            raise InputError(message, "pickle", file=path) from error
        is_numpy = head.startswith((b"\x93NUMPY", b"PK"))
        raise InputError(
            f"{reason} ({one_line(error) if is_numpy else head!r}); get it again",
            "damaged-file" if is_numpy else "wrong-kind-of-file",
            file=path,
        ) from error
    message = f"{path}: an archive of several arrays; expected one .npy array"
    require(isinstance(array, np.ndarray), message, "wrong-kind-of-file", file=path)
    return np.asanyarray(array)


def read_mat(path: Path, name: str) -> npt.NDArray[np.object_]:
    """Read the cell array of that name from a MATLAB file of version 5.

    Raises:
        InputError: it is missing or damaged, or no cell array of that name is in it.
    """
    require_content(path)
    with path.open("rb") as file:
        is_matlab = file.read(6) == b"MATLAB"
    try:
        arrays = scipy.io.loadmat(path, variable_names=[name])
    # scipy raises a dozen kinds for damaged files; all mean the same to the user
    except Exception as error:
        raise InputError(
            f"{path}: not a MATLAB file with {name!r} ({one_line(error)}); get it again",
            "damaged-file" if is_matlab else "wrong-kind-of-file",
            file=path,
        ) from error
    message = f"{path}: no array {name!r} in it; expected a cell array: get it again"
    require(name in arrays, message, "unknown-key", file=path, field=name)
    cells = np.asarray(arrays[name])
    message = f"{path}: {name!r} is an array of {cells.dtype}; expected a cell array: get it again"
    require(cells.dtype == object, message, "wrong-type", file=path, field=name)
    return cells


def read_text(path: Path) -> str:
    """Read a text in UTF-8, or in UTF-16 with its mark."""
    content = path.read_bytes()
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeError as error:
        message = f"{path}: not readable as text ({one_line(error)}); save it as UTF-8"
        raise InputError(message, "wrong-format", file=path) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def require_content(path: Path) -> None:
    """Refuse a file that is missing, empty, or a pointer of Git LFS."""
    refuse_broken_link(path)
    message = f"{path}: no such file; it was there when the dataset was listed"
    require(path.is_file(), message, "missing-file", file=path)
    pointer = lfs_pointer(path)
    require(not pointer, f"{path}: {pointer}", "git-lfs-pointer", file=path)
    message = f"{path}: an empty file; copy or download it again"
    require(path.stat().st_size > 0, message, "empty-file", file=path)


def one_line(error: Exception) -> str:
    """The message of an error, in one line, for the message of another."""
    return " ".join(str(error).split())[:160] or type(error).__name__
