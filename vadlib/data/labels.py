"""Ground truths: the frame labels of test videos, in the forms in which they circulate.

Labels are uint8 (T,), 0 normal and 1 abnormal. What cannot be read is an `InputError` that names
the file. Nothing is ever unpickled.
"""

from __future__ import annotations

import csv
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.io
from numpy.lib.format import open_memmap

from vadlib.data.layout import below
from vadlib.data.video import Video, lfs_pointer, wrong_kind
from vadlib.errors import InputError, require
from vadlib.files import refuse_broken_link

Rows = Iterator[tuple[str, dict[str, object]]]  # line, column -> value
_EXPECTED = "expected video, start, end (frames) or video, start_s, end_s (seconds), each once"
_FRAMES = re.compile(r"\d+(\.0)?")  # 1.000 may be one or a thousand
_SECONDS = re.compile(r"(\d+(\.\d*)?|\.\d+)(e-?\d+)?", re.IGNORECASE)
_ROUNDED = 0.00051  # seconds: times are often written with three decimals
_ITEMS = r"(?:[\s,;]*\d+(?:\s*:\s*\d+)?(?![\d:]))*"
_ENTRY = re.compile(rf"TestVideoFile\{{end\+1\}}\.gt_frame\s*=\s*\[({_ITEMS})[\s,;]*\]\s*;?")


class GroundTruth(ABC):
    """Frame labels of a copy's test videos.

    Args:
        name: what results call it, such as "mat" or "vol".
        path: the file or folder that holds the labels.
        lengths: test clip -> its frames, of a complete copy, in order, where they are known.
    """

    def __init__(self, name: str, path: Path, lengths: Mapping[str, int] | None = None):
        self.name = name
        self.path = path
        self.lengths = lengths or {}

    def prepare(self, clips: Mapping[str, Path]) -> None:
        """Read what holds the labels of several clips, before any video is opened.

        Args:
            clips: the test clips that are here, name -> path.

        Raises:
            InputError: a file is missing or damaged, or it does not fit the clips.
        """
        return

    def file(self, video: Video) -> Path:
        """Return the file with the labels of a test video, for messages."""
        return self.path

    @abstractmethod
    def read(self, video: Video, clip: Path) -> np.ndarray:
        """Return the labels of one test video, uint8 (T,).

        Args:
            video: opened, without labels.
            clip: its folder or file, for messages.

        Raises:
            InputError: there are none, or they are damaged.
        """

    def read_all(self) -> dict[str, np.ndarray]:
        """Read the labels of all clips of known length, also of those that are not here: name ->
        uint8 (T,).
        """
        return {}


class ClipLabels(GroundTruth):
    """A folder with one array of 0 and 1 per clip, `NAME.npy`."""

    def file(self, video: Video) -> Path:
        return below(self.path, f"{video.name}.npy") or self.path / f"{video.name}.npy"

    def read(self, video: Video, clip: Path) -> np.ndarray:
        path = self.file(video)
        is_here = path.exists() or path.is_symlink()
        require(is_here, f"{path}: no labels of {clip}", "missing-labels", file=path)
        return from_npy(path)


class WholeSetLabels(GroundTruth):
    """One file with the labels of the whole test set: UCSD's .m, or a .mat or .npy."""

    def prepare(self, clips: Mapping[str, Path]) -> None:
        self.labels = self.read_all()

    def read(self, video: Video, clip: Path) -> np.ndarray:
        message = f"{clip}: no test clip of this dataset is called so; rename or move it"
        require(video.name in self.labels, message, "unexpected-clip", file=clip)
        return self.labels[video.name]

    def read_all(self) -> dict[str, np.ndarray]:
        readers = {".m": from_m, ".mat": from_mat, ".npy": from_whole_npy}
        clips = readers[self.path.suffix.lower()](self.path, list(self.lengths.values()))
        return dict(zip(self.lengths, clips, strict=True))


def from_m(path: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """Read UCSD's own intervals: a MATLAB script with a line `TestVideoFile{end+1}.gt_frame =
    [5:90, 140:200];` per clip, 1-based and inclusive.

    Args:
        path: the script.
        lengths: frames of each clip.
    """
    read_head(path)
    script = re.sub("%.*", "", path.read_text("utf-8-sig", "replace"))  # % starts a comment
    rest = re.search(r"gt_frame.*|\d.*", _ENTRY.sub("", script))
    require(not rest, f"{path}: no list of intervals: {rest}", "wrong-format", file=path)
    clips = []
    for entry in _ENTRY.findall(script):
        ranges = re.findall(r"(\d+)(?:\s*:\s*(\d+))?", entry)
        clips.append([(int(start), int(end or start)) for start, end in ranges])
    return _from_intervals(path, clips, lengths)


def from_mat(path: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """Read the intervals in circulation: a MATLAB file with `gt`, a cell of 2 x k starts and ends
    per clip, 1-based and inclusive.
    """
    clips = []
    for number, cell in enumerate(read_mat(path, "gt").ravel(), start=1):
        ends = np.asarray(cell)
        is_sound = ends.ndim == 2 and ends.shape[0] == 2 and ends.dtype.kind in "uif"
        message = f"{path}: clip {number} has an array {ends.shape}; expected numbers (2, k)"
        require(is_sound, message, "wrong-shape", file=path, field="gt")
        # Stored as uint8, which would wrap around in sums.
        clips.append(ends.astype(np.int64).T.tolist())
    return _from_intervals(path, clips, lengths)


def _from_intervals(path: Path, clips: list[Any], lengths: Sequence[int]) -> list[np.ndarray]:
    """Labels of each clip from its 1-based, inclusive intervals."""
    labels = []
    for number, (intervals, length) in enumerate(zip(clips, lengths, strict=False), start=1):
        values = np.zeros(length, np.uint8)
        for start, end in intervals:
            message = f"{path}: clip {number} has an interval {start} to {end} of {length} frames"
            require(1 <= start <= end <= length, message, "label-values", file=path)
            values[start - 1 : end] = 1
        labels.append(values)
    message = f"{path}: intervals for {len(clips)} clips; expected {len(lengths)} clips"
    require(len(clips) == len(lengths), message, "label-length", file=path)
    return labels


def from_whole_npy(path: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """Read one array over all test clips in order, (1, N) or (N,), and cut it by their lengths."""
    values = from_npy(path)
    message = f"{path}: {len(values)} labels; expected {sum(lengths)}, one per test frame"
    require(len(values) == sum(lengths), message, "label-length", file=path)
    return np.split(values, np.cumsum(lengths)[:-1])


def from_npy(path: Path) -> np.ndarray:
    """Read a NumPy array of zeros and ones of any shape."""
    values = read_npy(path).ravel()
    is_sound = values.dtype.kind in "buif" and bool(np.isin(values, (0, 1)).all())
    require(is_sound, f"{path}: values other than 0 and 1", "label-values", file=path)
    return values.astype(np.uint8)


def read_npy(path: Path) -> np.ndarray:
    """Open a plain array in a .npy file, memory-mapped.

    Raises:
        InputError: it is missing, damaged, or a pickle.
    """
    array: np.ndarray = _load(path, lambda: open_memmap(path, mode="r"))
    return array


def read_mat(path: Path, name: str) -> np.ndarray:
    """Read the cell array of that name from a MATLAB file of version 5.

    Raises:
        InputError: it is missing or damaged, or no cell array of that name is in it.
    """
    arrays = _load(path, lambda: scipy.io.loadmat(path, variable_names=[name]))
    message = f"{path}: no cell array {name!r} in it; get it again"
    require(name in arrays, message, "unknown-key", file=path, field=name)
    cells = np.asarray(arrays[name])
    require(cells.dtype == object, message, "wrong-type", file=path, field=name)
    return cells


def _load(path: Path, load: Callable[[], Any]) -> Any:
    head = read_head(path)
    try:
        return load()
    # NumPy and scipy raise many kinds for damaged files; all mean the same to the user
    except Exception as error:
        # pickles of protocols 2 to 5 begin so; arrays of objects hold one
        is_pickle = head.startswith(b"\x80") or "Python objects" in str(error)
        magic = b"MATLAB" if path.suffix.lower() == ".mat" else b"\x93NUMPY"
        is_damaged = head.startswith(magic)
        code = "pickle" if is_pickle else "damaged-file" if is_damaged else "wrong-kind-of-file"
        message = f"{path}: no plain {path.suffix} file ({error!r:.160}); get another one"
        raise InputError(message, code, file=path) from error


def read_head(path: Path) -> bytes:
    """Return the first bytes of a file; refuse one that is missing, empty, or a Git LFS pointer."""
    refuse_broken_link(path)
    require(path.is_file(), f"{path}: no such file", "missing-file", file=path)
    with path.open("rb") as file:
        head = file.read(8)
    if not head or lfs_pointer(path):
        raise wrong_kind(path, head, "label file", {".npy", ".mat", ".m", ".csv", ".json"})
    return head


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
    """Read a table of abnormal intervals, one per row.

    CSV: columns video, start and end in any order, separated by commas, semicolons (then with
    decimal commas) or tabs, in UTF-8. Empty rows, empty columns and a first column of row numbers
    without a name are skipped. JSON: a list of objects with these keys. Numbers are frames from 0;
    start_s and end_s, or "start (s)" and "end (s)", are seconds. A video without a row is normal.

    Raises:
        InputError: the file is damaged, a column is missing, unknown or there twice, or a row is
            incomplete or no interval.
    """
    read_head(path)
    is_json = path.suffix.lower() == ".json"
    try:
        text = path.read_text("utf-8-sig")
        header = text.strip('"\t ,;\r\n').partition("\n")[0]
        delimiter = max(",;\t", key=header.count)
        csv_rows = csv.reader(text.split("\n"), delimiter=delimiter, skipinitialspace=True)
        content = json.loads(text) if is_json else list(csv_rows)
    except (csv.Error, ValueError, RecursionError) as error:
        message = f"{path}: no table in UTF-8 ({error!r:.160}); {_EXPECTED}"
        raise InputError(message, "wrong-format", file=path) from error
    rows = _json_rows(path, content) if is_json else _csv_rows(path, content, delimiter == ";")
    return [_interval(path, place, row) for place, row in rows]


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
        ends = np.array([row.start, row.end])
        longest = float(len(labels))
        if row.in_seconds:
            ends = np.searchsorted(seconds, ends - _ROUNDED)
            longest = float(seconds[-1]) + 1 / fps + _ROUNDED
        start, end = ends.astype(int)
        message = f"{path}: {row.place} is no interval within {row.video}, which has {longest:g}"
        is_inside = start < end and row.end <= longest
        require(is_inside, message, "label-values", file=path, field="end")
        labels[start:end] = 1
    return labels


def _json_rows(path: Path, content: object) -> Rows:
    for number, entry in enumerate(content if isinstance(content, list) else [content], start=1):
        is_object = isinstance(entry, dict)
        require(is_object, f"{path}: {entry!r:.40}; {_EXPECTED}", "wrong-format", file=path)
        columns = _columns(path, list(entry))
        yield f"entry {number}", dict(zip(columns, entry.values(), strict=True))


def _csv_rows(path: Path, table: list[list[str]], has_commas: bool) -> Rows:
    header: list[str] = []
    for number, row in enumerate(table, start=1):
        cells = [cell.strip() for cell in row]
        if header and any(cells):
            if not header[0] and cells[0].isdigit():
                cells[0] = ""  # the number of the row, as R and pandas write it
            values: dict[str, object] = {}
            for name, cell in zip_longest(header, cells, fillvalue=""):
                message = f"{path}: line {number} has {cell!r} without a column; {_EXPECTED}"
                require(bool(name) or not cell, message, "wrong-format", file=path)
                is_number = has_commas and name != "video"
                values[name] = cell.replace(",", ".") if is_number else cell
            yield f"line {number}", values
        elif any(cells):
            header = _columns(path, cells)
    require(bool(header), f"{path}: an empty table; {_EXPECTED}", "wrong-format", file=path)


def _columns(path: Path, names: Sequence[str]) -> list[str]:
    """Return the names of columns in lower case, "start (s)" as start_s; "" stays."""
    columns = [re.sub(r"\s*\(s\)$", "_s", name.lower()) for name in names]
    unit = "_s" if "start_s" in columns else ""
    is_sound = sorted(filter(None, columns)) == [f"end{unit}", f"start{unit}", "video"]
    message = f"{path}: the columns {', '.join(columns)[:80]!r}; {_EXPECTED}"
    require(is_sound, message, "wrong-format", file=path)
    return columns


def _interval(path: Path, place: str, row: Mapping[str, object]) -> Interval:
    unit = "_s" if "start_s" in row else ""
    video = str(row["video"] or "").replace("\\", "/")  # as Windows writes a path
    require(video != "", f"{path}: {place} names no video", "wrong-format", file=path)
    ends = []
    for column in ("start", "end"):
        text = str(row[column + unit])
        message = f"{path}: {place} has {column} {text!r}; expected such as 12, or 12.5 (seconds)"
        is_number = (_SECONDS if unit else _FRAMES).fullmatch(text) is not None
        require(is_number, message, "wrong-type", file=path, field=column)
        ends.append(float(text))
    return Interval(video, ends[0], ends[1], place, unit == "_s")
