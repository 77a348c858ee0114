"""Frame labels in the forms in which they circulate. Nothing is ever unpickled.

Every function returns uint8 (T,) a clip, 0 normal and 1 abnormal, or raises an `InputError` that
names the file.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io

from vadlib.data.video import lfs_pointer
from vadlib.errors import InputError, require
from vadlib.files import refuse_broken_link

_ENTRY = re.compile(r"TestVideoFile\{end\+1\}\.gt_frame\s*=\s*\[(.*)\]\s*;?")
_RANGE = re.compile(r"(\d+)(?::(\d+))?")
_DELIMITERS = ",;\t|"
_BLANKS = " \t\r\n\u00a0\ufeff"  # around a value; the last is the mark that some programs repeat
# A column without a name, as R and pandas also call it once it was read and written again.
_UNNAMED = re.compile(r"|unnamed: \d+(\.\d+)?|x(\.\d+)?|index", re.IGNORECASE)
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")
_SECONDS = {"s", "sec", "secs", "second", "seconds"}
_FRAMES = {"frame", "frames"}
_ROUNDED = 0.00051  # seconds: times are often written with three decimals


def from_m(path: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """UCSD's own intervals: a MATLAB script with one line `TestVideoFile{end+1}.gt_frame = [5:90,
    140:200];` a clip.

    1-based, inclusive; several ranges are a union.
    """
    _refuse_pointer(path)
    labels: list[np.ndarray] = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
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
    _refuse_pointer(path)
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
        reason = _one_line(error) if is_numpy else f"it starts with {head!r}"
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
    _refuse_pointer(path)
    with path.open("rb") as file:
        is_matlab = file.read(6) == b"MATLAB"
    try:
        arrays = scipy.io.loadmat(path, variable_names=[name])
    # scipy raises a dozen kinds for damaged files; all mean the same to the user
    except Exception as error:
        message = f"{path}: not a MATLAB file with a cell array {name!r} ({_one_line(error)}); get it again"
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


class Interval(NamedTuple):
    """An abnormal interval of one video, start inclusive, end exclusive.

    Attributes:
        video: its name as the file spells it.
        start: a frame from 0, or seconds since the first frame.
        end: the same.
        where: the line or entry of the file, for messages.
        in_seconds: whether start and end are seconds.
    """

    video: str
    start: float
    end: float
    where: str
    in_seconds: bool = False


def read_intervals(path: Path) -> list[Interval]:
    """Read one's own labels from a CSV or JSON file: an abnormal interval a row.

    CSV: columns video, start and end in any order, separated by commas, semicolons, tabs or |, in
    UTF-8, or UTF-16 with its mark. Empty rows, empty columns and a first column of row numbers
    are passed over. JSON: a list of objects with these keys. Numbers are frames from 0; columns
    such as start_s, "start (s)" or end_seconds hold seconds. A video without a row is normal.

    Raises:
        InputError: the file is damaged, a column is missing, unknown or there twice, or a row is
            incomplete or no interval.
    """
    _refuse_pointer(path)
    placed = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    intervals = [_interval(path, where, row) for where, row in placed]
    _require_one_decimal_mark(path, placed)
    return intervals


def mark(rows: Sequence[Interval], seconds: np.ndarray, fps: float, path: Path) -> np.ndarray:
    """Return the labels of one video, uint8 (T,), from its rows.

    Args:
        rows: abnormal intervals.
        seconds: when each frame was taken, float (T,), since the first one.
        fps: frames a second; the last frame lasts as long as its inverse.
        path: the file of the rows, for messages.

    Raises:
        InputError: an interval that ends after the video, or one in seconds without a frame.
    """
    labels = np.zeros(len(seconds), np.uint8)
    for row in rows:
        start, end = _frames(row, seconds, fps, path) if row.in_seconds else (row.start, row.end)
        if end > len(labels):
            raise InputError(
                f"{path}: {row.where} ends video {row.video} at {end}, but it has {len(labels)} "
                f"frames; expected 0 <= start < end <= {len(labels)}",
                "label-values",
                file=path,
                field="end",
            )
        labels[start:end] = 1
    return labels


def _frames(row: Interval, seconds: np.ndarray, fps: float, path: Path) -> tuple[int, int]:
    """The frames whose time is in an interval: the first one, and the one behind the last."""
    length = float(seconds[-1]) + 1 / fps
    if row.end > length + _ROUNDED:
        raise InputError(
            f"{path}: {row.where} ends video {row.video} at {row.end:g} s, but it lasts "
            f"{length:.3f} s; expected 0 <= start < end <= {length:.3f}",
            "label-values",
            file=path,
            field="end",
        )
    start, end = np.searchsorted(seconds, [row.start - _ROUNDED, row.end - _ROUNDED])
    message = (
        f"{path}: {row.where} is {row.start:g} to {row.end:g} s, in which video {row.video} has no "
        f"frame; expected an interval of at least {1 / fps:.3f} s"
    )
    require(start < end, message, "label-values", file=path, field="end")
    return int(start), int(end)


def _json_rows(path: Path) -> list[tuple[str, dict]]:
    """Where each row is, and its values by column."""
    expected = "expected a list of objects with video, start and end"
    try:
        entries = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        message = f"{path}: not JSON ({_one_line(error)}); {expected}"
        raise InputError(message, "wrong-format", file=path) from error
    is_list = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    require(is_list, f"{path}: {expected}", "wrong-format", file=path)
    rows = []
    for number, entry in enumerate(entries, start=1):
        where = f"entry {number}"
        columns = _columns(path, where, list(entry))
        rows.append((where, {columns[key]: value for key, value in entry.items()}))
    return rows


def _csv_rows(path: Path) -> list[tuple[str, dict]]:
    """Where each row that is not empty is, and its values by column."""
    delimiter, ((where, header), *rows) = _csv_table(path)
    named = [name for name in header if not _UNNAMED.fullmatch(name)]
    columns = _columns(path, where, named)
    unnamed = [i for i, name in enumerate(header) if _UNNAMED.fullmatch(name)]
    # R and pandas number the rows, and number them again when they are written again.
    first = 0
    while first in unnamed and all(row[first].isdecimal() for _, row in rows if first < len(row)):
        unnamed.remove(first)
        first += 1
    placed = []
    for where, row in rows:
        missing = [name for name in header[len(row) :] if name]
        odd = [value for i, value in enumerate(row) if value and (i in unnamed or i >= len(header))]
        message = f"{path}: {where} is {', '.join(row)[:80]!r}; expected a value for each of {', '.join(named)}, and no others"
        require(not missing and not odd, message, "wrong-format", file=path)
        cells = zip(header, row, strict=False)
        values = {columns[name]: value for name, value in cells if name in columns}
        if delimiter != ";":
            _refuse_thousands(path, where, values)
        placed.append((where, values))
    return placed


def _csv_table(path: Path) -> tuple[str, list[tuple[str, list[str]]]]:
    """What separates the values, and the rows: see `_rows_of`; the first one is the header."""
    # Excel's way to say what separates the values, in a line of its own.
    text = re.sub(r"\A\s*sep=.[ ,;\t|]*\n", "\n", _text(path))
    best, known = (",", []), -1
    for delimiter in _DELIMITERS:
        try:
            rows = _rows_of(text, delimiter)
        except csv.Error as error:
            message = f"{path}: not CSV ({error}); expected lines video,start,end"
            raise InputError(message, "wrong-format", file=path) from error
        columns = [name for name in rows[0][1] if _column(name)] if rows else []
        if rows and len(columns) > known:
            best, known = (delimiter, rows), len(columns)
    message = f"{path}: nothing but blanks; expected lines video,start,end"
    require(known >= 0, message, "wrong-format", file=path)
    return best


def _refuse_thousands(path: Path, where: str, values: dict) -> None:
    """Refuse numbers such as 1,234 unless semicolons part the values: there a comma is decimal."""
    numbers = [value for column, value in values.items() if column != "video"]
    unclear = [number for number in numbers if _THOUSANDS.fullmatch(number)]
    message = (
        f"{path}: {where} has {', '.join(unclear)}, which may be thousands or decimals; expected a "
        "decimal point, and nothing between thousands"
    )
    require(not unclear, message, "wrong-type", file=path)


def _rows_of(text: str, delimiter: str) -> list[tuple[str, list[str]]]:
    """Where each row that is not empty is, and its values without the blanks around them."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    rows = []
    for row in reader:
        values = [value.strip(_BLANKS) for value in row]
        if any(values):
            rows.append((f"line {reader.line_num}", values))
    return rows


def _columns(path: Path, where: str, names: Sequence[str]) -> dict[str, str]:
    """Name -> "video", or "start" or "end" with their unit, such as "start s"; each is there once.

    Raises:
        InputError: a name that is none of them, or is there twice or not at all, or two units.
    """
    columns = {name: _column(name) for name in names}
    unknown = [name for name, column in columns.items() if not column]
    found = [column.partition(" ")[0] for column in columns.values()]
    units = {column.partition(" ")[2] for column in columns.values()} - {""}
    sound = not unknown and sorted(found) == ["end", "start", "video"] and len(names) == 3
    message = (
        f"{path}: {where} is {','.join(names)[:80]!r}; expected video, start and end (frames), "
        "or video, start_s and end_s (seconds), each once; remove or rename other columns"
    )
    require(sound, message, "wrong-format", file=path)
    message = f"{path}: {where} has start and end in different units; expected one unit"
    require(len(units) == 1, message, "conflict", file=path)
    return columns


def _column(name: str) -> str:
    """ "video", "start frames", "start s" and so on; "" for any other column."""
    # "startSeconds" and "start..s." (R's way to write "start (s)") are two words each.
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [word.lower() for word in re.split(r"[\W_]+", parted) if word]
    if words == ["video"]:
        return "video"
    if not words or words[0] not in {"start", "end"}:
        return ""
    unit = words[-1] if len(words) > 1 else "frames"
    fillers = set(words[1:-1])
    if fillers - {"in", "time"} or unit not in _SECONDS | _FRAMES:
        return ""
    return f"{words[0]} {'s' if unit in _SECONDS else 'frames'}"


def _interval(path: Path, where: str, row: dict) -> Interval:
    start_column = next(column for column in row if column.startswith("start"))
    end_column = next(column for column in row if column.startswith("end"))
    in_seconds = start_column == "start s"
    ends = {"start": row[start_column], "end": row[end_column]}
    complete = row["video"] not in (None, "") and None not in ends.values()
    message = f"{path}: {where} is {row}; expected video, start and end"
    require(complete, message, "wrong-format", file=path)
    read = _number_of_seconds if in_seconds else _whole_number
    start, end = (read(path, where, ends, column) for column in ends)
    unit = "seconds" if in_seconds else "frames from 0"
    message = f"{path}: {where} is the interval {start} to {end}; expected 0 <= start < end ({unit}, end exclusive)"
    require(start >= 0, message, "label-values", file=path, field="start")
    require(start < end, message, "label-values", file=path, field="end")
    return Interval(str(row["video"]).strip(_BLANKS), start, end, where, in_seconds)


def _whole_number(path: Path, where: str, ends: dict, column: str) -> int:
    value = ends[column]
    text = str(value)
    # 3.0 is what programs write that keep all numbers as floats; 1.000 may be one or a thousand.
    whole = re.fullmatch(r"([+-]?\d+)(?:[.,](?!000$)0+)?", text)
    is_number = not isinstance(value, bool) and whole is not None
    message = (
        f"{path}: {where} has start {ends['start']!r} and end {ends['end']!r}; expected whole "
        "numbers of frames, without separators (for seconds, call the columns start_s and end_s)"
    )
    require(is_number, message, "wrong-type", file=path, field=column)
    return int(whole[1])


def _number_of_seconds(path: Path, where: str, ends: dict, column: str) -> float:
    value = ends[column]
    text = str(value)
    number = re.fullmatch(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?", text)
    is_number = not isinstance(value, bool) and number is not None
    message = (
        f"{path}: {where} has start {ends['start']!r} and end {ends['end']!r}; expected numbers of "
        "seconds such as 12.5, without other separators"
    )
    require(is_number, message, "wrong-type", file=path, field=column)
    return float(text.replace(",", "."))


def _require_one_decimal_mark(path: Path, rows: Sequence[tuple[str, dict]]) -> None:
    """Refuse a file whose numbers have both commas and dots: one of them may part the thousands."""
    marks = {}
    for where, row in rows:
        numbers = "".join(str(value) for column, value in row.items() if column != "video")
        marks |= {sign: where for sign in ".," if sign in numbers}
    message = (
        f"{path}: numbers with a decimal comma ({marks.get(',')}) and with a decimal point "
        f"({marks.get('.')}); expected one of the two, and nothing between thousands"
    )
    require(len(marks) < 2, message, "wrong-format", file=path)


def _mark(intervals: Sequence[Sequence[int]], length: int, path: Path, number: int) -> np.ndarray:
    """Labels from 1-based, inclusive intervals."""
    labels = np.zeros(length, np.uint8)
    for start, end in intervals:
        if not 1 <= start <= end <= length:
            message = f"{path}: clip {number} has the interval {start} to {end}; expected 1 <= start <= end <= {length}"
            raise InputError(message, "label-values", file=path)
        labels[start - 1 : end] = 1
    return labels


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        return path.read_text(encoding="utf-16" if marked else "utf-8-sig")
    except (UnicodeError, OSError) as error:
        message = f"{path}: not readable as text ({_one_line(error)}); expected UTF-8: get it again, or save it as UTF-8"
        raise InputError(
            message, "not-readable" if isinstance(error, OSError) else "wrong-format", file=path
        ) from error


def _refuse_pointer(path: Path) -> None:
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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
