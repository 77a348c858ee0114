"""Metrics as a table that can be read."""

from __future__ import annotations

ROWS = (
    "micro_auc_per_video",
    "micro_auc_raw",
    "micro_auc_calibrated",
    "macro_auc",
    "macro_auc_counted",
    "macro_auc_padded",
    "average_precision",
    "eer",
    "pixel_auc",
    "detection_delay",
    "false_alarms_per_hour",
    "normal_frames_above",
)
NOTE = """\
micro: all frames together; per_video: scores stretched to [0, 1] within each video; raw: as they are; calibrated: compared with
those of held-out normal videos. In brackets: 95% intervals, by drawing videos anew. macro: the mean of the videos' own AUCs of raw
scores; videos with frames of one kind are left out, or counted as 1, or every video is padded by a frame of each kind. All else is of
calibrated scores; delay (in seconds), false alarms and the share of normal frames above are at the run's threshold. pixel_auc: a
frame is found by 40% of its abnormal pixels. Papers mostly print micro_auc_per_video, some a padded macro AUC; those that score the
middle frames of clips mean "center"."""


def describe_metrics(metrics: dict) -> str:
    """The metrics of `metrics.json` as text: a row for each, and a column for each protocol and ground truth, and for the yardstick."""
    columns = {f"all, {metrics['ground_truth']}" if metrics.get("ground_truth") else "all": metrics, **metrics.get("protocols", {})}
    columns |= {"yardstick": metrics["yardstick"]} if "yardstick" in metrics else {}
    rows = [["", *columns]]
    rows += [[row, *(_cell(column, row) for column in columns.values())] for row in ROWS if any(row in c for c in columns.values())]
    kinds = dict.fromkeys(kind for column in columns.values() for kind in column.get("kind_auc", {}))
    rows += [[f"AUC of {kind}", *(_number(column.get("kind_auc", {}).get(kind)) for column in columns.values())] for kind in kinds]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]) for row in rows]
    counted = "{videos} videos, {frames} frames, {abnormal_frames} abnormal; {macro_auc_left_out} videos are one-sided".format(**metrics)
    found = "; {events_found} of {events} events found, {false_alarms} false alarms".format(**metrics)
    absent = [f"not measured by {truth}: {reason}" for truth, reason in metrics.get("not_measured", {}).items()]
    return "\n".join([metrics.get("dataset", "") + (": " if "dataset" in metrics else "") + counted + found, *lines, *absent, NOTE])


def _cell(column: dict, row: str) -> str:
    interval = column.get("intervals", {}).get(row)
    return _number(column.get(row)) + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"
