"""Metrics as a table of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from vadlib.evaluation.baselines import BEST, METRICS, best_baseline

MICRO = ("micro_auc_per_video", "micro_auc_raw", "micro_auc_calibrated")
MACRO = ("macro_auc", "macro_auc_counted", "macro_auc_padded")
ALARMS = ("detection_delay", "false_alarms_per_hour", "normal_frames_above")
ROWS = (*MICRO, *MACRO, "average_precision", "eer", "pixel_auc", *ALARMS)
SUMMARY = (
    "{videos} videos, {frames} frames, {abnormal_frames} abnormal; {macro_auc_left_out} videos are "
    "one-sided; {events_found} of {events} events found, {false_alarms} false alarms"
)
NOTE = """\
micro: all frames together. per_video: scores min-max scaled to [0, 1] within each video.
raw: as they are. calibrated: compared with held-out normal videos.
In brackets: 95% intervals, by resampling videos.
macro: the mean of the AUCs of single videos, of raw scores. Videos whose frames all have one label
are left out, or counted as 1, or every video is padded by a frame of each label.
All other metrics are of calibrated scores. Delay (in seconds), false alarms and the share of normal
frames above are at the run's threshold. pixel_auc: a frame is found by 40% of its abnormal pixels.
Papers mostly print micro_auc_per_video, some a padded macro AUC. Those that score the middle frames
of clips mean "center"."""


def describe_metrics(metrics: Mapping[str, Any]) -> str:
    """Return the metrics of `metrics.json` as text.

    The table has a row for each metric, a column for each protocol and ground truth, and one for
    the best baseline of each metric. A second table holds all baselines, if they were measured.
    """
    truth = metrics.get("ground_truth")
    columns = {f"all, {truth}" if truth else "all": metrics, **metrics.get("protocols", {})}
    baselines = metrics.get("baselines", {})
    if baselines:
        columns[BEST] = _best_values(baselines)
    rows = [["", *columns]]
    for name in ROWS:
        if any(name in column for column in columns.values()):
            rows.append([name, *(_cell(column, name) for column in columns.values())])
    areas = [column.get("kind_auc", {}) for column in columns.values()]
    for kind in dict.fromkeys(chain(*areas)):
        rows.append([f"AUC of {kind}", *(_number(column.get(kind)) for column in areas)])
    dataset = f"{metrics['dataset']}: " if "dataset" in metrics else ""
    lines = [dataset + SUMMARY.format(**metrics), *_aligned(rows)]
    if baselines:
        rows = [["without learning", *METRICS]]
        for name, values in [*baselines.items(), ("the best", columns[BEST])]:
            rows.append([name, *(_number(values.get(metric)) for metric in METRICS)])
        lines += ["", *_aligned(rows), ""]
    for truth, reason in metrics.get("not_measured", {}).items():
        lines.append(f"not measured by {truth}: {reason}")
    return "\n".join([*lines, NOTE])


def _best_values(measured: Mapping[str, Mapping[str, float | None]]) -> dict[str, float | None]:
    """Return the largest value of each metric that was measured."""
    names = {metric: best_baseline(measured, metric) for metric in METRICS}
    return {metric: measured[name][metric] for metric, name in names.items() if name is not None}


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0].ljust(widths[0])
        lines.append("  ".join(cells))
    return lines


def _cell(column: Mapping[str, Any], name: str) -> str:
    interval = column.get("intervals", {}).get(name)
    bounds = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
    return _number(column.get(name)) + bounds


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"
