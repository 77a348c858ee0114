"""Labels of your own videos: tables of abnormal intervals, as CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vadlib.data.labels import one_line, read_text, require_content
from vadlib.errors import InputError, require

_DELIMITERS = ",;\t|"
_BLANKS = " \t\r\n\u00a0\ufeff"  # around a value; the last is the mark that some programs repeat
# A column without a name, as R and pandas also call it once it was read and written again.
_UNNAMED = re.compile(r"|unnamed: \d+(\.\d+)?|x(\.\d+)?|index", re.IGNORECASE)
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")
_SECONDS = {"s", "sec", "secs", "second", "seconds"}
_FRAMES = {"frame", "frames"}
_ROUNDED = 0.00051  # seconds: times are often written with three decimals


class Interval(NamedTuple):
    """An abnormal interval of one video, start inclusive, end exclusive.

    Attributes:
        video: its name as the file spells it.
        start: a frame from 0, or seconds since the first frame.
        end: the same.
        place: the line or entry of the file, for messages.
        in_seconds: whether start and end are seconds.
    """

    video: str
    start: float
    end: float
    place: str
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
    require_content(path)
    placed = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    intervals = [_interval(path, place, row) for place, row in placed]
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
                f"{path}: {row.place} ends video {row.video} at {end}, but it has {len(labels)} "
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
            f"{path}: {row.place} ends video {row.video} at {row.end:g} s, but it lasts "
            f"{length:.3f} s; expected 0 <= start < end <= {length:.3f}",
            "label-values",
            file=path,
            field="end",
        )
    start, end = np.searchsorted(seconds, [row.start - _ROUNDED, row.end - _ROUNDED])
    message = (
        f"{path}: {row.place} is {row.start:g} to {row.end:g} s, in which video {row.video} has no "
        f"frame; expected an interval of at least {1 / fps:.3f} s"
    )
    require(start < end, message, "label-values", file=path, field="end")
    return int(start), int(end)


def _json_rows(path: Path) -> list[tuple[str, dict]]:
    """Where each row is, and its values by column."""
    expected = "expected a list of objects with video, start and end"
    try:
        entries = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        message = f"{path}: not JSON ({one_line(error)}); {expected}"
        raise InputError(message, "wrong-format", file=path) from error
    is_list = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    require(is_list, f"{path}: {expected}", "wrong-format", file=path)
    rows = []
    for number, entry in enumerate(entries, start=1):
        place = f"entry {number}"
        columns = _columns(path, place, list(entry))
        rows.append((place, {columns[key]: value for key, value in entry.items()}))
    return rows


def _csv_rows(path: Path) -> list[tuple[str, dict]]:
    """Where each row that is not empty is, and its values by column."""
    delimiter, ((place, header), *rows) = _csv_table(path)
    named = [name for name in header if not _UNNAMED.fullmatch(name)]
    columns = _columns(path, place, named)
    unnamed = [i for i, name in enumerate(header) if _UNNAMED.fullmatch(name)]
    # R and pandas number the rows, and number them again when they are written again.
    first = 0
    while first in unnamed and all(row[first].isdecimal() for _, row in rows if first < len(row)):
        unnamed.remove(first)
        first += 1
    placed = []
    for place, row in rows:
        missing = [name for name in header[len(row) :] if name]
        odd = [value for i, value in enumerate(row) if value and (i in unnamed or i >= len(header))]
        message = f"{path}: {place} is {', '.join(row)[:80]!r}; expected a value for each of {', '.join(named)}, and no others"
        require(not missing and not odd, message, "wrong-format", file=path)
        cells = zip(header, row, strict=False)
        values = {columns[name]: value for name, value in cells if name in columns}
        if delimiter != ";":
            _refuse_thousands(path, place, values)
        placed.append((place, values))
    return placed


def _csv_table(path: Path) -> tuple[str, list[tuple[str, list[str]]]]:
    """What separates the values, and the rows: see `_rows_of`; the first one is the header."""
    # Excel's way to say what separates the values, in a line of its own.
    text = re.sub(r"\A\s*sep=.[ ,;\t|]*\n", "\n", read_text(path))
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


def _refuse_thousands(path: Path, place: str, values: dict) -> None:
    """Refuse numbers such as 1,234 unless semicolons part the values: there a comma is decimal."""
    numbers = [value for column, value in values.items() if column != "video"]
    unclear = [number for number in numbers if _THOUSANDS.fullmatch(number)]
    message = (
        f"{path}: {place} has {', '.join(unclear)}, which may be thousands or decimals; expected a "
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


def _columns(path: Path, place: str, names: Sequence[str]) -> dict[str, str]:
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
        f"{path}: {place} is {','.join(names)[:80]!r}; expected video, start and end (frames), "
        "or video, start_s and end_s (seconds), each once; remove or rename other columns"
    )
    require(sound, message, "wrong-format", file=path)
    message = f"{path}: {place} has start and end in different units; expected one unit"
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


def _interval(path: Path, place: str, row: dict) -> Interval:
    start_column = next(column for column in row if column.startswith("start"))
    end_column = next(column for column in row if column.startswith("end"))
    in_seconds = start_column == "start s"
    ends = {"start": row[start_column], "end": row[end_column]}
    complete = row["video"] not in (None, "") and None not in ends.values()
    message = f"{path}: {place} is {row}; expected video, start and end"
    require(complete, message, "wrong-format", file=path)
    read = _number_of_seconds if in_seconds else _whole_number
    start, end = (read(path, place, ends, column) for column in ends)
    unit = "seconds" if in_seconds else "frames from 0"
    message = f"{path}: {place} is the interval {start} to {end}; expected 0 <= start < end ({unit}, end exclusive)"
    require(start >= 0, message, "label-values", file=path, field="start")
    require(start < end, message, "label-values", file=path, field="end")
    return Interval(str(row["video"]).strip(_BLANKS), start, end, place, in_seconds)


def _whole_number(path: Path, place: str, ends: dict, column: str) -> int:
    value = ends[column]
    text = str(value)
    # 3.0 is what programs write that keep all numbers as floats; 1.000 may be one or a thousand.
    whole = re.fullmatch(r"([+-]?\d+)(?:[.,](?!000$)0+)?", text)
    is_number = not isinstance(value, bool) and whole is not None
    message = (
        f"{path}: {place} has start {ends['start']!r} and end {ends['end']!r}; expected whole "
        "numbers of frames, without separators (for seconds, call the columns start_s and end_s)"
    )
    require(is_number, message, "wrong-type", file=path, field=column)
    return int(whole[1])


def _number_of_seconds(path: Path, place: str, ends: dict, column: str) -> float:
    value = ends[column]
    text = str(value)
    number = re.fullmatch(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?", text)
    is_number = not isinstance(value, bool) and number is not None
    message = (
        f"{path}: {place} has start {ends['start']!r} and end {ends['end']!r}; expected numbers of "
        "seconds such as 12.5, without other separators"
    )
    require(is_number, message, "wrong-type", file=path, field=column)
    return float(text.replace(",", "."))


def _require_one_decimal_mark(path: Path, rows: Sequence[tuple[str, dict]]) -> None:
    """Refuse a file whose numbers have both commas and dots: one of them may part the thousands."""
    marks = {}
    for place, row in rows:
        numbers = "".join(str(value) for column, value in row.items() if column != "video")
        marks |= {sign: place for sign in ".," if sign in numbers}
    message = (
        f"{path}: numbers with a decimal comma ({marks.get(',')}) and with a decimal point "
        f"({marks.get('.')}); expected one of the two, and nothing between thousands"
    )
    require(len(marks) < 2, message, "wrong-format", file=path)
