"""Metrics as a table of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vadlib.evaluation.baselines import BEST, METRICS, best_baseline

ROWS = ["micro_auc_per_video", "micro_auc_raw", "micro_auc_calibrated", "macro_auc"]
ROWS += ["macro_auc_counted", "macro_auc_padded", "average_precision", "eer", "pixel_auc"]
ROWS += ["detection_delay", "false_alarms_per_hour", "normal_frames_above"]
SUMMARY = """\
{videos} videos, {frames} frames, {abnormal_frames} abnormal; {macro_auc_left_out} videos are \
one-sided; {events_found} of {events} events found, {false_alarms} false alarms"""
NOTE = """\
micro: all frames together; scores as they are (raw), compared with held-out normal videos
(calibrated), or min-max scaled within each video, as most papers do. In brackets: 95% intervals.
macro: the mean of the AUCs of single videos, of raw scores. Videos whose frames all have one label
are left out, or counted as 1, or every video is padded by a frame of each label.
All others: of calibrated scores; delay (in seconds) and alarms at the run's threshold."""


def describe_metrics(metrics: Mapping[str, object]) -> str:
    """Return the metrics of `metrics.json` as text.

    The table has a row for each metric, a column for each protocol and ground truth, and one for
    the best baseline of each metric. A second table holds all baselines, if they were measured.
    """
    measured: dict[str, Any] = dict(metrics)
    truth = measured.get("ground_truth")
    columns = {f"all, {truth}" if truth else "all": measured, **measured.get("protocols", {})}
    baselines = measured.get("baselines", {})
    if baselines:
        columns[BEST] = {}
        for metric in METRICS:
            columns[BEST][metric] = baselines.get(best_baseline(baselines, metric), {}).get(metric)
    rows = [["", *columns]]
    for name in ROWS:
        if any(name in column for column in columns.values()):
            rows.append([name, *(_cell(column, name) for column in columns.values())])
    for kind in measured.get("kind_auc", {}):
        cells = [_number(column.get("kind_auc", {}).get(kind)) for column in columns.values()]
        rows.append([f"AUC of {kind}", *cells])
    dataset = f"{measured['dataset']}: " if "dataset" in measured else ""
    lines = [dataset + SUMMARY.format(**measured), *_aligned(rows)]
    if baselines:
        rows = [["without learning", *METRICS]]
        for name, values in (baselines | {"the best": columns[BEST]}).items():
            rows.append([name, *(_number(values.get(metric)) for metric in METRICS)])
        lines += ["", *_aligned(rows), ""]
    for truth, reason in measured.get("not_measured", {}).items():
        lines.append(f"not measured by {truth}: {reason}")
    return "\n".join([*lines, NOTE])


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]))
    return lines


def _cell(column: Mapping[str, Any], name: str) -> str:
    interval = column.get("intervals", {}).get(name)
    bounds = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
    return _number(column.get(name)) + bounds


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"
