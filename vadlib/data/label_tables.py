"""Labels of your own videos: tables of abnormal intervals, as CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vadlib.data.labels import one_line, read_text, require_content
from vadlib.errors import InputError, require

_BLANKS = " \t\r\n\u00a0\ufeff"  # around a value; the last is the mark that some programs repeat
# A column without a name, as R and pandas also call it once it was read and written again.
_UNNAMED = re.compile(r"|unnamed: \d+(\.\d+)?|x(\.\d+)?|index", re.IGNORECASE)
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")
# 3.0 is what programs write that keep all numbers as floats; 1.000 may be one or a thousand.
_WHOLE = re.compile(r"([+-]?\d+)(?:[.,](?!000$)0+)?")
_DECIMAL = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?")
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


class Row(NamedTuple):
    """One row of a table: where it is, and its values by column, such as "start s"."""

    place: str
    values: Mapping[str, object]


def read_intervals(path: Path) -> list[Interval]:
    """Read a table of abnormal intervals, one per row.

    CSV: columns video, start and end in any order, separated by commas, semicolons, tabs or |, in
    UTF-8, or UTF-16 with its mark. Empty rows, empty columns and first columns of row numbers are
    skipped. JSON: a list of objects with these keys. Numbers are frames from 0; columns such as
    start_s, "start (s)" or end_seconds hold seconds. A video without a row is normal.

    Raises:
        InputError: the file is damaged, a column is missing, unknown or there twice, or a row is
            incomplete or no interval.
    """
    require_content(path)
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    intervals = [_interval(path, row) for row in rows]
    numbers = ""
    for row in rows:
        numbers += "".join(str(row.values[column]) for column in row.values if column != "video")
    message = f"{path}: decimal commas and decimal points; expected one of them, and no thousands"
    require(not {".", ","} <= set(numbers), message, "wrong-format", file=path)
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
    duration = float(seconds[-1]) + 1 / fps
    for row in rows:
        longest = duration if row.in_seconds else len(labels)
        unit = "s" if row.in_seconds else "frames"
        message = f"{path}: {row.place} ends at {row.end:g} {unit} of {longest:g} in {row.video}"
        tolerance = _ROUNDED if row.in_seconds else 0
        require(row.end <= longest + tolerance, message, "label-values", file=path, field="end")
        start, end = int(row.start), int(row.end)
        if row.in_seconds:
            start = int(np.searchsorted(seconds, row.start - _ROUNDED))
            end = int(np.searchsorted(seconds, row.end - _ROUNDED))
        message = f"{path}: {row.place} holds no frame of video {row.video} (at {fps:g} a second)"
        require(start < end, message, "label-values", file=path, field="end")
        labels[start:end] = 1
    return labels


def _json_rows(path: Path) -> list[Row]:
    expected = "expected a list of objects with video, start and end"
    try:
        entries = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        message = f"{path}: not JSON ({one_line(error)}); {expected}"
        raise InputError(message, "wrong-format", file=path) from error
    is_list = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    require(is_list, f"{path}: {expected}", "wrong-format", file=path)
    rows = []
    for number, entry in enumerate(entries, start=1):
        place = f"entry {number}"
        columns = _columns(path, place, list(entry))
        rows.append(Row(place, dict(zip(columns, entry.values(), strict=True))))
    return rows


def _csv_rows(path: Path) -> list[Row]:
    """Rows that are not empty."""
    delimiter, table = _csv_table(path)
    (place, header), *body = table
    columns = _columns(path, place, header)
    needed = max(i for i, column in enumerate(columns) if column) + 1
    # R and pandas number the rows, and number them again when they are written again.
    first = 0
    while not columns[first] and all(row[first].isdecimal() for _, row in body if first < len(row)):
        first += 1
    rows = []
    for place, row in body:
        cells = dict(zip(columns, row, strict=False))
        cells.pop("", None)
        odd = [cell for i, cell in enumerate(row) if i >= first and not "".join(columns[i : i + 1])]
        message = f"{path}: {place} is {row}; expected one value per column of {header}"
        is_complete = len(row) >= needed and not any(odd)
        require(is_complete, message, "wrong-format", file=path)
        # Where semicolons part the values, a comma is decimal.
        numbers = [cells[column] for column in cells if column != "video"]
        message = f"{path}: {place} has {', '.join(numbers)}, which may be thousands or decimals"
        unclear = delimiter != ";" and any(map(_THOUSANDS.fullmatch, numbers))
        require(not unclear, message, "wrong-type", file=path)
        rows.append(Row(place, cells))
    return rows


def _csv_table(path: Path) -> tuple[str, list[tuple[str, list[str]]]]:
    """What separates the values, and each row that is not empty with its place."""
    # Excel's way to say what separates the values, in a line of its own.
    text = re.sub(r"\A\s*sep=.[ ,;\t|]*\n", "\n", read_text(path))
    best: tuple[str, list[tuple[str, list[str]]]] = ("", [])
    most = -1
    for delimiter in ",;\t|":
        rows = []
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
        try:
            for row in reader:
                cells = [cell.strip(_BLANKS) for cell in row]
                if any(cells):
                    rows.append((f"line {reader.line_num}", cells))
        except csv.Error as error:
            message = f"{path}: not CSV ({error}); expected lines video,start,end"
            raise InputError(message, "wrong-format", file=path) from error
        count = sum(_column(name) != "" for name in rows[0][1]) if rows else -1
        if count > most:
            best = (delimiter, rows)
            most = count
    message = f"{path}: nothing but blanks; expected lines video,start,end"
    require(most >= 0, message, "wrong-format", file=path)
    return best


def _columns(path: Path, place: str, names: Sequence[str]) -> list[str]:
    """ "video", or "start" or "end" with their unit, for each name; "" for one without a name."""
    columns = [_column(name) for name in names]
    named = sorted(column for column in columns if column)
    unknown = [name for name in names if not _column(name) and not _UNNAMED.fullmatch(name)]
    kinds = [column.split()[0] for column in named]
    message = (
        f"{path}: {place} is {','.join(names)[:80]!r}; expected video, start and end (frames), "
        "or video, start_s and end_s (seconds), each once; remove or rename other columns"
    )
    is_sound = not unknown and kinds == ["end", "start", "video"]
    require(is_sound, message, "wrong-format", file=path)
    message = f"{path}: {place} has start and end in different units; expected one unit"
    require(named[0].split()[1] == named[1].split()[1], message, "conflict", file=path)
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
    if set(words[1:-1]) - {"in", "time"} or unit not in _SECONDS | _FRAMES:
        return ""
    return f"{words[0]} {'s' if unit in _SECONDS else 'frames'}"


def _interval(path: Path, row: Row) -> Interval:
    in_seconds = "start s" in row.values
    unit = "s" if in_seconds else "frames"
    video = row.values["video"]
    ends = (row.values[f"start {unit}"], row.values[f"end {unit}"])
    is_complete = video not in (None, "") and None not in ends
    message = f"{path}: {row.place} is {dict(row.values)}; expected video, start and end"
    require(is_complete, message, "wrong-format", file=path)
    start = _number(path, row.place, "start", ends[0], in_seconds)
    end = _number(path, row.place, "end", ends[1], in_seconds)
    message = f"{path}: {row.place} is {start:g} to {end:g} {unit}; expected 0 <= start < end"
    require(start >= 0, message, "label-values", file=path, field="start")
    require(start < end, message, "label-values", file=path, field="end")
    return Interval(str(video).strip(_BLANKS), start, end, row.place, in_seconds)


def _number(path: Path, place: str, column: str, value: object, in_seconds: bool) -> float:
    text = str(value)
    pattern = _DECIMAL if in_seconds else _WHOLE
    is_number = not isinstance(value, bool) and pattern.fullmatch(text) is not None
    expected = "whole numbers of frames (for seconds, call the columns start_s and end_s)"
    if in_seconds:
        expected = "numbers of seconds such as 12.5"
    message = f"{path}: {place} has {column} {value!r}; expected {expected}, without separators"
    require(is_number, message, "wrong-type", file=path, field=column)
    return float(text.replace(",", "."))
