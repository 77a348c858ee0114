"""Frame labels in the forms in which they circulate. Nothing is ever unpickled.

Every function returns uint8 (T,) a clip, 0 normal and 1 abnormal, or raises an `InputError` that names the file.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.io

from vadlib.config import require
from vadlib.data.video import lfs_pointer
from vadlib.errors import InputError

_ENTRY = re.compile(r"TestVideoFile\{end\+1\}\.gt_frame\s*=\s*\[(.*)\]\s*;?")
_RANGE = re.compile(r"(\d+)(?::(\d+))?")


def from_m(path: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """UCSD's own intervals: a MATLAB script with one line `TestVideoFile{end+1}.gt_frame = [5:90, 140:200];` a clip.

    1-based, inclusive; several ranges are a union.
    """
    _refuse_pointer(path)
    labels: list[np.ndarray] = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        line = line.split("%")[0].strip()  # % starts a comment
        if not line or re.fullmatch(r"(clear|close|clc).*|TestVideoFile\s*=\s*\{\}\s*;?", line):
            continue
        entry = _ENTRY.fullmatch(line)
        require(entry is not None, f"{path}: line {number} is {line[:60]!r}; expected TestVideoFile{{end+1}}.gt_frame = [61:180];")
        require(len(labels) < len(lengths), f"{path}: intervals for more than {len(lengths)} clips; get it again")
        ranges = [_RANGE.fullmatch(part) for part in re.split(r"[,;\s]+", re.sub(r"\s*:\s*", ":", entry[1]).strip(" ,;")) if part]
        require(all(ranges), f"{path}: line {number} has the ranges {entry[1][:60]!r}; expected such as 5:90, 140:200")
        labels.append(_mark([(int(r[1]), int(r[2] or r[1])) for r in ranges], lengths[len(labels)], path, len(labels) + 1))
    require(len(labels) == len(lengths), f"{path}: intervals for {len(labels)} clips; expected {len(lengths)}: get it again")
    return labels


def from_mat(path: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """Community intervals: a MATLAB file with `gt`, a cell of 2 x k starts and ends a clip, 1-based and inclusive."""
    cells = read_mat(path, "gt").ravel()
    require(len(cells) == len(lengths), f"{path}: intervals for {len(cells)} clips; expected {len(lengths)}")
    labels = []
    for number, (cell, length) in enumerate(zip(cells, lengths, strict=True), start=1):
        cell = np.asarray(cell)
        if cell.ndim != 2 or cell.shape[0] != 2 or cell.dtype.kind not in "uif":
            raise InputError(f"{path}: clip {number} has a {cell.dtype} array of shape {cell.shape}; expected 2 x k starts and ends")
        # Stored as uint8, which would wrap around in sums.
        labels.append(_mark(cell.astype(np.int64).T.tolist(), length, path, number))
    return labels


def from_whole_npy(path: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """One array over all test clips in order, (1, N) or (N,), cut by the clips' known lengths: a partial copy still gets its own."""
    values = from_npy(path)
    if len(values) != sum(lengths):
        raise InputError(
            f"{path}: {len(values)} labels; expected {sum(lengths)}, one for each frame of the {len(lengths)} test clips",
            trap="label-length",
        )
    return np.split(values, np.cumsum(lengths)[:-1])


def from_npy(path: Path) -> np.ndarray:
    """The labels of one clip, or of a whole set, as a NumPy array of zeros and ones of any shape."""
    values = read_npy(path).ravel()
    require(values.dtype.kind in "buif", f"{path}: values of type {values.dtype}; expected numbers 0 (normal) and 1 (abnormal)")
    odd = ~np.isin(values, (0, 1))
    require(not odd.any(), f"{path}: values other than 0 (normal) and 1 (abnormal), such as {values[odd][0] if odd.any() else ''}")
    return values.astype(np.uint8)


def read_npy(path: Path, mmap: bool = False) -> np.ndarray:
    """A plain array from a .npy file, memory-mapped if asked for.

    Raises:
        InputError: it is missing, damaged, or a pickle.
    """
    _refuse_pointer(path)
    with path.open("rb") as file:
        head = file.read(8)
    pickled = head[:1] == b"\x80"  # protocols 2 to 5 begin so
    try:
        array = np.lib.format.open_memmap(path, mode="r") if mmap else np.load(path, allow_pickle=False)
    except Exception as error:  # NumPy raises many kinds for damaged headers; all mean the same to the user
        if pickled or "Object arrays" in str(error) or "Python objects" in str(error):
            raise InputError(
                f"{path}: not a plain NumPy array but a Python pickle, which can run any code; it was not opened: "
                "get the labels as a plain .npy or a .mat file",
                trap="pickle",
            ) from error
        reason = _one_line(error) if head.startswith((b"\x93NUMPY", b"PK")) else f"it starts with {head!r}"
        raise InputError(f"{path}: not a plain NumPy array ({reason}); expected numbers 0 or 1: get it again") from error
    require(isinstance(array, np.ndarray), f"{path}: not a plain NumPy array but an archive of several; expected one .npy array")
    return array


def read_mat(path: Path, name: str) -> np.ndarray:
    """The cell array of that name from a MATLAB file of version 5.

    Raises:
        InputError: it is missing or damaged, or no cell array of that name is in it.
    """
    _refuse_pointer(path)
    try:
        cells = scipy.io.loadmat(path, variable_names=[name])[name]
    except Exception as error:  # scipy raises a dozen kinds for damaged files; all mean the same to the user
        raise InputError(f"{path}: not a MATLAB file with a cell array {name!r} ({_one_line(error)}); get it again") from error
    require(cells.dtype == object, f"{path}: {name!r} is an array of {cells.dtype}; expected a cell array: get it again")
    return cells


def read_intervals(path: Path) -> list[tuple[str, int, int, str]]:
    """One's own labels: rows (video, start, end, where it stands) from a CSV or JSON file, 0-based, end exclusive.

    CSV: a header `video,start,end`, then a row an abnormal interval. JSON: a list of objects with these keys.
    A video without a row is normal throughout.
    """
    _refuse_pointer(path)
    if path.suffix.lower() == ".json":
        try:
            rows = json.loads(_text(path))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: not JSON ({_one_line(error)}); expected a list of objects with video, start and end") from error
        require(
            isinstance(rows, list) and all(isinstance(r, dict) for r in rows),
            f"{path}: expected a list of objects with video, start and end",
        )
        placed = [(f"entry {i}", row) for i, row in enumerate(rows, start=1)]
    else:
        lines = _text(path).splitlines()
        head = lines[0].lower() if lines else ""
        # Spreadsheets of many countries separate by semicolons.
        reader = csv.DictReader(
            lines[1:], head.replace(" ", "").replace(";", ",").split(","), delimiter=";" if ";" in head else ",", skipinitialspace=True
        )
        try:
            placed = [(f"line {reader.line_num + 1}", row) for row in reader]
        except csv.Error as error:
            raise InputError(f"{path}: not CSV ({error}); expected lines video,start,end") from error
        require(reader.fieldnames == ["video", "start", "end"], f"{path}: the first line is {head[:60]!r}; expected video,start,end")
    return [_interval(path, where, row) for where, row in placed]


def mark(rows: Sequence[tuple[str, int, int, str]], length: int, path: Path) -> np.ndarray:
    """uint8 (length,) from the rows of one video.

    Raises:
        InputError: an interval that ends after the video.
    """
    labels = np.zeros(length, np.uint8)
    for video, start, end, where in rows:
        if end > length:
            raise InputError(
                f"{path}: {where} ends video {video} at {end}, but it has {length} frames; expected 0 <= start < end <= {length}",
                trap="label-length",
            )
        labels[start:end] = 1
    return labels


def _interval(path: Path, where: str, row: dict) -> tuple[str, int, int, str]:
    require(set(row) == {"video", "start", "end"} and None not in row.values(), f"{path}: {where} is {row}; expected video, start and end")
    try:
        numbers = [
            row[key] if isinstance(row[key], int) and not isinstance(row[key], bool) else int(str(row[key]), 10) for key in ("start", "end")
        ]
    except ValueError as error:
        raise InputError(f"{path}: {where} has start {row['start']!r} and end {row['end']!r}; expected whole numbers of frames") from error
    start, end = numbers
    require(0 <= start < end, f"{path}: {where} is the interval {start} to {end}; expected 0 <= start < end (frames from 0, end exclusive)")
    return str(row["video"]).strip(), start, end, where


def _mark(intervals: Sequence[Sequence[int]], length: int, path: Path, number: int) -> np.ndarray:
    """Labels from 1-based, inclusive intervals."""
    labels = np.zeros(length, np.uint8)
    for start, end in intervals:
        if not 1 <= start <= end <= length:
            raise InputError(f"{path}: clip {number} has the interval {start} to {end}; expected 1 <= start <= end <= {length}")
        labels[start - 1 : end] = 1
    return labels


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not readable as text ({_one_line(error)}); expected UTF-8: get it again, or save it as UTF-8") from error


def _refuse_pointer(path: Path) -> None:
    require(path.is_file(), f"{path}: no such file; it was there when the dataset was listed")
    pointer = lfs_pointer(path)
    if pointer:
        raise InputError(f"{path}: {pointer}", trap="git-lfs-pointer")
    require(path.stat().st_size > 0, f"{path}: an empty file; copy or download it again")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
