"""Frame labels in the forms in which they circulate. Nothing is ever unpickled.

Every function returns uint8 (T,) a clip, 0 normal and 1 abnormal, or raises an `InputError` that
names the file.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.io

from vadlib.data.video import lfs_pointer
from vadlib.errors import InputError, require
from vadlib.files import refuse_broken_link

_ENTRY = re.compile(r"TestVideoFile\{end\+1\}\.gt_frame\s*=\s*\[(.*)\]\s*;?")
_RANGE = re.compile(r"(\d+)(?::(\d+))?")


def from_m(path: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """UCSD's own intervals: a MATLAB script with one line `TestVideoFile{end+1}.gt_frame = [5:90,
    140:200];` a clip.

    1-based, inclusive; several ranges are a union.
    """
    require_content(path)
    labels: list[np.ndarray] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        line = line.split("%")[0].strip()  # % starts a comment
        if not line or re.fullmatch(r"(clear|close|clc).*|TestVideoFile\s*=\s*\{\}\s*;?", line):
            continue
        entry = _ENTRY.fullmatch(line)
        message = f"{path}: line {number} is {line[:60]!r}; expected TestVideoFile{{end+1}}.gt_frame = [61:180];"
        require(entry is not None, message, "wrong-format", file=path)
        message = f"{path}: intervals for more than {len(lengths)} clips; get it again"
        require(len(labels) < len(lengths), message, "label-length", file=path)
        ranges = [
            _RANGE.fullmatch(part)
            for part in re.split(r"[,;\s]+", re.sub(r"\s*:\s*", ":", entry[1]).strip(" ,;"))
            if part
        ]
        message = f"{path}: line {number} has the ranges {entry[1][:60]!r}; expected such as 5:90, 140:200"
        require(all(ranges), message, "wrong-format", file=path)
        labels.append(
            _mark(
                [(int(r[1]), int(r[2] or r[1])) for r in ranges],
                lengths[len(labels)],
                path,
                len(labels) + 1,
            )
        )
    message = f"{path}: intervals for {len(labels)} clips; expected {len(lengths)}: get it again"
    require(len(labels) == len(lengths), message, "label-length", file=path)
    return labels


def from_mat(path: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """Community intervals: a MATLAB file with `gt`, a cell of 2 x k starts and ends a clip, 1-based
    and inclusive.
    """
    cells = read_mat(path, "gt").ravel()
    message = f"{path}: intervals for {len(cells)} clips; expected {len(lengths)}"
    require(len(cells) == len(lengths), message, "label-length", file=path, field="gt")
    labels = []
    for number, (cell, length) in enumerate(zip(cells, lengths, strict=True), start=1):
        cell = np.asarray(cell)
        if cell.ndim != 2 or cell.shape[0] != 2 or cell.dtype.kind not in "uif":
            message = f"{path}: clip {number} has a {cell.dtype} array of shape {cell.shape}; expected 2 x k starts and ends"
            raise InputError(message, "wrong-shape", file=path, field="gt")
        # Stored as uint8, which would wrap around in sums.
        labels.append(_mark(cell.astype(np.int64).T.tolist(), length, path, number))
    return labels


def from_whole_npy(path: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """One array over all test clips in order, (1, N) or (N,), cut by the clips' known lengths: a
    partial copy still gets its own.
    """
    values = from_npy(path)
    if len(values) != sum(lengths):
        raise InputError(
            f"{path}: {len(values)} labels; expected {sum(lengths)}, one for each frame of the {len(lengths)} test clips",
            "label-length",
            file=path,
        )
    return np.split(values, np.cumsum(lengths)[:-1])


def from_npy(path: Path) -> np.ndarray:
    """The labels of one clip, or of a whole set, as a NumPy array of zeros and ones of any shape."""
    values = read_npy(path).ravel()
    message = f"{path}: values of type {values.dtype}; expected numbers 0 (normal) and 1 (abnormal)"
    require(values.dtype.kind in "buif", message, "wrong-type", file=path)
    odd = ~np.isin(values, (0, 1))
    if odd.any():
        message = f"{path}: values other than 0 (normal) and 1 (abnormal), such as {values[odd][0]}"
        raise InputError(message, "label-values", file=path)
    return values.astype(np.uint8)


def read_npy(path: Path, mmap: bool = False) -> np.ndarray:
    """A plain array from a .npy file, memory-mapped if asked for.

    Raises:
        InputError: it is missing, damaged, or a pickle.
    """
    require_content(path)
    with path.open("rb") as file:
        head = file.read(8)
    pickled = head[:1] == b"\x80"  # protocols 2 to 5 begin so
    try:
        array = (
            np.lib.format.open_memmap(path, mode="r") if mmap else np.load(path, allow_pickle=False)
        )
    # NumPy raises many kinds for damaged headers; all mean the same to the user
    except Exception as error:
        if pickled or "Object arrays" in str(error) or "Python objects" in str(error):
            raise InputError(
                f"{path}: not a plain NumPy array but a Python pickle, which can run any code; it was not opened: "
                "get the labels as a plain .npy or a .mat file",
                "pickle",
                file=path,
            ) from error
        is_numpy = head.startswith((b"\x93NUMPY", b"PK"))
        reason = one_line(error) if is_numpy else f"it starts with {head!r}"
        message = (
            f"{path}: not a plain NumPy array ({reason}); expected numbers 0 or 1: get it again"
        )
        raise InputError(
            message, "damaged-file" if is_numpy else "wrong-kind-of-file", file=path
        ) from error
    message = f"{path}: not a plain NumPy array but an archive of several; expected one .npy array"
    require(isinstance(array, np.ndarray), message, "wrong-kind-of-file", file=path)
    return array


def read_mat(path: Path, name: str) -> np.ndarray:
    """The cell array of that name from a MATLAB file of version 5.

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
        message = f"{path}: not a MATLAB file with a cell array {name!r} ({one_line(error)}); get it again"
        raise InputError(
            message, "damaged-file" if is_matlab else "wrong-kind-of-file", file=path
        ) from error
    require(
        name in arrays,
        f"{path}: no array {name!r} in it; expected a cell array: get it again",
        "unknown-key",
        file=path,
        field=name,
    )
    cells = arrays[name]
    message = f"{path}: {name!r} is an array of {cells.dtype}; expected a cell array: get it again"
    require(cells.dtype == object, message, "wrong-type", file=path, field=name)
    return cells


def _mark(intervals: Sequence[Sequence[int]], length: int, path: Path, number: int) -> np.ndarray:
    """Labels from 1-based, inclusive intervals."""
    labels = np.zeros(length, np.uint8)
    for start, end in intervals:
        if not 1 <= start <= end <= length:
            message = f"{path}: clip {number} has the interval {start} to {end}; expected 1 <= start <= end <= {length}"
            raise InputError(message, "label-values", file=path)
        labels[start - 1 : end] = 1
    return labels


def read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        return path.read_text(encoding="utf-16" if marked else "utf-8-sig")
    except (UnicodeError, OSError) as error:
        message = f"{path}: not readable as text ({one_line(error)}); expected UTF-8: get it again, or save it as UTF-8"
        raise InputError(
            message, "not-readable" if isinstance(error, OSError) else "wrong-format", file=path
        ) from error


def require_content(path: Path) -> None:
    refuse_broken_link(path)
    require(
        path.is_file(),
        f"{path}: no such file; it was there when the dataset was listed",
        "missing-file",
        file=path,
    )
    pointer = lfs_pointer(path)
    if pointer:
        raise InputError(f"{path}: {pointer}", "git-lfs-pointer", file=path)
    require(
        path.stat().st_size > 0,
        f"{path}: an empty file; copy or download it again",
        "empty-file",
        file=path,
    )


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
