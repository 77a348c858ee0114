"""`vadlib ablate`: the default with one part changed at a time, trained small and with one seed, to
measure what each part contributes.
"""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from vadlib.config import DEFAULT_KINDS
from vadlib.data.catalog import load_videos
from vadlib.data.video import Video
from vadlib.device import processes
from vadlib.errors import InputError, require, require_known
from vadlib.evaluation.baselines import BEST, baseline_scores, best_baseline, measure_baselines
from vadlib.evaluation.metrics import Curves, bootstrap, micro_auc, per_video
from vadlib.files import atomic, expand_home
from vadlib.jobs import Settings, evaluate_once, make_config, train_run
from vadlib.model.run import PRETRAINED

Row = dict[str, str | float | None]  # of the table: column -> text, number or None

SMALL: Settings = {"clips": {"clip_step": 12}, "training": {"epochs": 2}}  # a ninth of the steps
BASE = "default"
ROWS: dict[str, Settings] = {BASE: {}}
for seed in (1, 2):  # only chance: smaller differences than these mean nothing
    ROWS[f"seed {seed}"] = {"training": {"seed": seed}}
for p in (0.0, 0.01, 0.05, 0.2):
    ROWS[f"p = {p:g}"] = {"pseudo": {"p": p}}
for kind in DEFAULT_KINDS:
    ROWS[f"only {kind}"] = {"pseudo": {"kinds": [kind]}}
for objective in ("maximize", "none"):
    ROWS[objective] = {"training": {"objective": objective}}
ROWS["no memory"] = {"model": {"memories": 0}}
ROWS["one memory"] = {"model": {"memories": 1}}
ROWS["one decoder"] = {"model": {"decoders": 1}}
ROWS["one memory, one decoder"] = {"model": {"memories": 1, "decoders": 1}}
MEASURES = ("micro_auc_raw", "micro_auc_calibrated", "micro_auc_per_video")


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
    selected = list(ROWS if rows is None else rows)
    for name in selected:
        require_known(name, ROWS, "row", field="rows")
    require(selected[:1] == [BASE], f"expected {BASE!r} first", "conflict", field="rows")
    require(every >= 1, f"every = {every}; expected 1, 2, ...", "out-of-range", field="every")
    videos = load_videos(data, "test", root)[::every]
    path = expand_home(out) / "ablation.csv"
    earlier = _earlier_rows(path, len(videos))
    best = _best_baselines(data, root, videos)
    common: Row = {"data": data, "videos": len(videos)}
    table: dict[str, Row] = {}
    for name in selected:
        started = time.monotonic()
        config = make_config(data, "fast", size).changed(ROWS[name])
        config = config.changed({"training": {"device": device or "auto"}})
        folder = path.parent / re.sub(r"[^\w.]+", "_", name)
        run = train_run(config, folder, root, resume=True)
        result = evaluate_once(run, videos, folder, device or "auto")
        minutes = round((time.monotonic() - started) / 60, 2)
        scores = (result.raw, result.scores, per_video(result.raw))
        curves = dict(zip(MEASURES, scores, strict=True))
        if name == BASE:
            base = curves
            table[BEST] = {"row": BEST} | _measured(best, base, result.labels) | common
        row = table[name] = {"row": name} | _measured(curves, base, result.labels) | common
        plain = result.rescore("calibrated", plain=1, temporal=0, contrast=0, weights={})
        row |= {"plain_calibrated": micro_auc(result.labels, plain), "seed": config.training.seed}
        row["minutes"] = earlier[name]["minutes"] if name in earlier else minutes
        if processes().is_main_process:
            _write(path, list((table | earlier | table).values()))
    return list(table.values())


def describe_ablation(table: Sequence[Row]) -> str:
    """Return the table as text."""
    lines = [f"{'':33}raw  calibrated   per_video       change of raw   minutes"]
    for row in table:
        line = f"{row['row']:24}"
        for name in MEASURES:
            line += f"{'-':>12}" if row[name] is None else f"{row[name]:12.3f}"
        low, high = row.get("micro_auc_raw_low"), row.get("micro_auc_raw_high")
        change = "" if low is None else f"{low:+.3f} to {high:+.3f}"
        lines.append(f"{line}{change:>20}{row.get('minutes') or '':>10}")
    return "\n".join(lines)


def _write(path: Path, table: Sequence[Row]) -> None:
    """Write the table as CSV, atomically; None becomes an empty field."""
    columns = list(dict.fromkeys(column for row in table for column in row))
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
    advice = "write it with `vadlib ablate`"
    require(path.is_file(), f"{path}: no such file; {advice}", "missing-file", file=path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = [_typed(fields) for fields in csv.DictReader(file)]
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        message = f"{path}: not a table of an ablation ({error}); {advice}"
        raise InputError(message, "wrong-format", file=path) from error
    require(len(table) > 0, f"{path}: no rows; {advice}", "wrong-format", file=path)
    return table


def _typed(fields: dict[str, str]) -> Row:
    """Convert a row's numbers; a missing column of words is a `KeyError`."""
    row: Row = {column: fields.pop(column) for column in ("row", "data")}
    return row | {column: float(text) if text else None for column, text in fields.items()}


def _earlier_rows(path: Path, video_count: int) -> dict[str, Row]:
    """Read the rows of an earlier call, which must be of as many test videos."""
    rows = {str(row["row"]): row for row in read_ablation(path)} if path.is_file() else {}
    counts = {row.get("videos") for row in rows.values()} - {None, video_count}
    message = f"{path}: rows of {counts} test videos, now {video_count}; choose another folder"
    require(not counts, message, "other-run", file=path)
    return rows


def _best_baselines(data: str, root: Path | None, videos: Sequence[Video]) -> dict[str, Curves]:
    """Return the scores of the best baseline by each measure; none is calibrated. Videos without
    labels, or with labels of one kind only, are refused.
    """
    labels = {video.name: video.labels for video in videos if video.labels is not None}
    require(len(labels) == len(videos), f"{data}: no labels", "missing-labels", field="data")
    scores = baseline_scores(load_videos(data, "train", root), videos)
    measured = measure_baselines(scores, labels)
    raw, scaled = (str(best_baseline(measured, name)) for name in (MEASURES[0], MEASURES[2]))
    return {MEASURES[0]: scores[raw], MEASURES[2]: per_video(scores[scaled])}


def _measured(scores: Mapping[str, Curves], base: Mapping[str, Curves], labels: Curves) -> Row:
    """Return AUCs, and the intervals of their differences to those of other scores."""
    row: Row = dict.fromkeys(MEASURES)
    for name, curves in scores.items():
        row[name] = micro_auc(labels, curves)
        interval = None if scores is base else bootstrap(labels, curves, base[name])
        if interval:
            row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return row
