"""`vadlib ablate`: the default with one part changed at a time, trained small and with one seed, to
measure what each part contributes.
"""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vadlib.data.catalog import load_videos
from vadlib.data.video import Video
from vadlib.device import processes
from vadlib.errors import InputError, require, require_known
from vadlib.evaluation.baselines import BEST, baseline_scores, best_baseline, measure_baselines
from vadlib.evaluation.metrics import Curves, bootstrap, micro_auc, per_video
from vadlib.evaluation.result import Result
from vadlib.files import atomic, expand_home
from vadlib.jobs import evaluate_once, make_config, train_run
from vadlib.model.run import PRETRAINED

Row = dict[str, Any]  # of the table: column -> text, number or None
Settings = Mapping[str, Mapping[str, Any]]  # parts of a run's config

SMALL: Settings = {"clips": {"clip_step": 12}, "training": {"epochs": 2}}  # a ninth of the steps
BASE = "default"
ROWS: dict[str, Settings] = {
    BASE: {},
    # only chance: smaller differences than these mean nothing
    "seed 1": {"training": {"seed": 1}},
    "seed 2": {"training": {"seed": 2}},
    "p = 0": {"pseudo": {"p": 0.0}},
    "p = 0.01": {"pseudo": {"p": 0.01}},
    "p = 0.05": {"pseudo": {"p": 0.05}},
    "p = 0.2": {"pseudo": {"p": 0.2}},
    "only skip": {"pseudo": {"kinds": ["skip"]}},
    "only shuffle": {"pseudo": {"kinds": ["shuffle"]}},
    "only noise": {"pseudo": {"kinds": ["noise"]}},
    "only object": {"pseudo": {"kinds": ["object"]}},
    "maximize": {"training": {"objective": "maximize"}},
    "none": {"training": {"objective": "none"}},
    "no memory": {"model": {"memories": 0}},
    "one memory": {"model": {"memories": 1}},
    "one decoder": {"model": {"decoders": 1}},
    "one memory, one decoder": {"model": {"memories": 1, "decoders": 1}},
}
MEASURES = ("micro_auc_raw", "micro_auc_calibrated", "micro_auc_per_video")
TEXT = ("row", "data")  # columns of words; all others hold numbers


def ablate(
    out: Path,
    data: str = "synthetic",
    root: Path | None = None,
    rows: Sequence[str] | None = None,
    size: Settings = SMALL,
    device: str | None = None,
    every: int = 1,
) -> list[Row]:
    """Train and measure the default and its variants, and write `ablation.csv` after each.

    Finished rows are kept, and an interrupted training continues.

    Args:
        out: the folder of the table and of each row's run.
        data, root: see `load_videos`; with labels.
        rows: some of `ROWS`, the base first; None: all.
        size: parts of a run's config that make all rows small, see `train_run`.
        device: where to compute.
        every: score only every n-th test video, to save time.

    Returns:
        The table. The first row holds the best of `baseline_scores` for each measure. Columns:
        "row"; `MEASURES`; for each of them NAME_low and NAME_high, the 95% interval of its
        difference to the default on the same videos; "plain_calibrated", the calibrated AUC of
        D_n's error alone, which all rows have in common, because the default score of a row without
        a trained pseudo path has no contrast; "minutes" of training and scoring, after an
        interruption since then; "data", "seed" and "videos", the number of test videos. A number
        that does not exist is None.

    Raises:
        InputError: an unknown row, `every` below 1, test videos without labels of both kinds, or,
            in `out`, runs of other settings or rows that were measured on another number of test
            videos.
    """
    selected = _checked_rows(rows)
    videos = _test_videos(data, root, every)
    out = expand_home(out)
    path = out / "ablation.csv"
    earlier = _earlier_rows(path, len(videos))
    common = {"data": data, "videos": len(videos)}
    table: list[Row] = []
    base: Result | None = None
    for name in selected:
        folder = out / re.sub(r"[^\w.]+", "_", name)
        started = time.monotonic()
        config = make_config(data, "fast", _settings(name, size, device))
        run = train_run(config, folder, root, resume=True)
        is_finished = name in earlier and (folder / "scores.npz").is_file()
        result = evaluate_once(run, videos, folder, device or "auto")
        minutes = (time.monotonic() - started) / 60
        if is_finished:
            minutes = earlier[name]["minutes"]
        base = base or result
        if not table:
            table.append(_baseline_row(data, root, videos, result) | common)
        row = {"row": name, **_row(result, base), "minutes": round(minutes, 2), **common}
        table.append(row | {"seed": run.config.training.seed})
        if processes().is_main_process:
            names = [row["row"] for row in table]
            _write(path, table + [row for row in earlier.values() if row["row"] not in names])
    return table


def describe_ablation(table: Sequence[Row]) -> str:
    """Return the table as text."""
    heads = [f"{name.removeprefix('micro_auc_'):>12}" for name in MEASURES]
    lines = [f"{'':24}{''.join(heads)}{'change of raw':>20}{'minutes':>10}"]
    for row in table:
        values = [row[name] for name in MEASURES]
        cells = "".join("           -" if value is None else f"{value:12.3f}" for value in values)
        low = row.get("micro_auc_raw_low")
        change = "" if low is None else f"{low:+.3f} to {row['micro_auc_raw_high']:+.3f}"
        lines.append(f"{row['row']:24}{cells}{change:>20}{row.get('minutes') or '':>10}")
    return "\n".join(lines)


def _write(path: Path, table: Sequence[Row]) -> None:
    """Write the table as CSV, atomically; None becomes an empty field."""
    columns = list(dict.fromkeys(chain(*table)))
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(table)


def read_ablation(path: str | Path | None = None) -> list[Row]:
    """Read a table that `vadlib ablate` wrote; see `ablate` for its columns. Empty fields are None.

    Args:
        path: an `ablation.csv`; None: the table of Ped2 that ships with vadlib.

    Raises:
        InputError: no such file, or not such a table.
    """
    path = expand_home(path or PRETRAINED / "ablation.csv")
    message = f"{path}: no such file; expected a table written by `vadlib ablate`"
    require(path.is_file(), message, "missing-file", file=path)
    table = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for fields in csv.DictReader(file):
                row: Row = {"row": fields["row"]}
                for column, text in fields.items():
                    number = float(text) if text and column not in TEXT else None
                    row[column] = text if column in TEXT else number
                table.append(row)
    except (ValueError, TypeError, KeyError) as error:
        message = f"{path}: not a table of an ablation ({error}); write it with `vadlib ablate`"
        raise InputError(message, "wrong-format", file=path) from error
    message = f"{path}: no rows; write it again with `vadlib ablate`"
    require(len(table) > 0, message, "wrong-format", file=path)
    return table


def _checked_rows(rows: Sequence[str] | None) -> list[str]:
    selected = list(ROWS if rows is None else rows)
    for name in selected:
        require_known(name, ROWS, "row", field="rows")
    message = f"rows {', '.join(selected)}; expected {BASE!r} first, to compare the others with"
    require(selected[:1] == [BASE], message, "conflict", field="rows")
    return selected


def _test_videos(data: str, root: Path | None, every: int) -> list[Video]:
    """Load every n-th test video, and require labels of both kinds."""
    require(every >= 1, f"every = {every}; expected 1, 2, ...", "out-of-range", field="every")
    videos = load_videos(data, "test", root)[::every]
    labels = [video.labels for video in videos if video.labels is not None]
    both = len(labels) == len(videos) and len(np.unique(np.concatenate(labels))) == 2
    message = f"the test videos of {data} need labels, with normal and abnormal frames"
    require(both, message, "missing-labels", field="data")
    return videos


def _earlier_rows(path: Path, video_count: int) -> dict[str, Row]:
    """Read the rows of an earlier call, which must be of as many test videos."""
    if not path.is_file():
        return {}
    rows = {row["row"]: row for row in read_ablation(path)}
    for name, row in rows.items():
        tested = row.get("videos") or video_count
        message = (
            f"{path}: {name}: {tested:.0f} test videos, now {video_count}; choose another folder"
        )
        require(tested == video_count, message, "other-run", file=path)
    return rows


def _settings(name: str, size: Settings, device: str | None) -> dict[str, dict[str, Any]]:
    """Return the parts of the config of a row's run."""
    parts = {}
    for part in ("clips", "pseudo", "model", "training"):
        parts[part] = {**size.get(part, {}), **ROWS[name].get(part, {})}
    parts["training"]["device"] = device
    return parts


def _row(result: Result, base: Result) -> Row:
    """Return the AUCs of a row and the intervals of their differences to the base's."""
    scores = _scores(result)
    plain = result.rescore("calibrated", plain=1, temporal=0, contrast=0, weights={})
    row = _areas(scores, result.labels) | {"plain_calibrated": micro_auc(result.labels, plain)}
    return row if result is base else row | _differences(scores, base)


def _baseline_row(data: str, root: Path | None, videos: Sequence[Video], base: Result) -> Row:
    """Return the row of the best baseline of each measure; none is calibrated."""
    scores = baseline_scores(load_videos(data, "train", root), videos)
    measured = measure_baselines(scores, base.labels)
    raw = scores[str(best_baseline(measured, "micro_auc_raw"))]
    scaled = scores[str(best_baseline(measured, "micro_auc_per_video"))]
    best: dict[str, Curves] = {"micro_auc_raw": raw, "micro_auc_per_video": per_video(scaled)}
    return {"row": BEST, **_areas(best, base.labels), **_differences(best, base)}


def _scores(result: Result) -> dict[str, Curves]:
    """Return the scores of each of `MEASURES`."""
    return dict(zip(MEASURES, (result.raw, result.scores, per_video(result.raw)), strict=True))


def _areas(scores: Mapping[str, Curves], labels: Curves) -> Row:
    areas = {name: micro_auc(labels, curves) for name, curves in scores.items()}
    return {name: areas.get(name) for name in MEASURES}


def _differences(scores: Mapping[str, Curves], base: Result) -> dict[str, float]:
    """Return the intervals of the differences of AUCs to the base's."""
    base_scores = _scores(base)
    differences = {}
    for name, curves in scores.items():
        interval = bootstrap(base.labels, curves, base_scores[name])
        if interval:
            differences[f"{name}_low"] = interval.low
            differences[f"{name}_high"] = interval.high
    return differences
