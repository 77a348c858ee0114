"""Metrics as a table of text."""

from collections.abc import Iterable, Mapping
from typing import Any

from vadlib.evaluation.baselines import BEST, METRICS, best_baseline

ROWS = ["micro_auc_per_video", "micro_auc_raw", "micro_auc_calibrated", "macro_auc"]
ROWS += ["macro_auc_counted", "macro_auc_padded", "average_precision", "eer", "pixel_auc"]
ROWS += ["detection_delay", "false_alarms_per_hour", "normal_frames_above"]
SUMMARY = "{videos} videos, {frames} frames, {abnormal_frames} abnormal; {macro_auc_left_out} "
SUMMARY += "one-sided; {events_found} of {events} events found, {false_alarms} false alarms"
NOTE = """\
micro: all frames together; raw scores, calibrated ones (compared with held-out normal videos), or
raw ones, min-max scaled within each video. In brackets: 95% intervals.
macro: the mean of the AUCs of single videos, raw; one-sided ones left out, counted as 1, or padded.
All others: of calibrated scores; delay (in seconds) and alarms at the run's threshold."""


def describe_metrics(metrics: Mapping[str, object]) -> str:
    """Return the metrics of `metrics.json` as text.

    The table has a row for each metric, a column for each protocol and ground truth, and one for
    the best baseline of each metric. A second table holds all baselines, if they were measured.
    """
    measured: dict[str, Any] = dict(metrics)
    truth = measured.get("ground_truth")
    columns = {f"all, {truth}" if truth else "all": measured}
    columns |= measured.get("protocols", {})
    baselines = measured.get("baselines", {})
    if baselines:
        columns[BEST] = {}
        for metric in METRICS:
            name = best_baseline(baselines, metric)
            columns[BEST][metric] = baselines.get(name, {}).get(metric)
    lines = [SUMMARY.format(**measured), _row("", columns)]
    if "dataset" in measured:
        lines[0] = f"{measured['dataset']}: {lines[0]}"
    for name in ROWS:
        if name in measured:
            cells = [_cell(column, name) for column in columns.values()]
            lines.append(_row(name, cells))
    areas = measured.get("kind_auc", {})
    for kind in areas:
        lines.append(_row(f"AUC of {kind}", [_cell(areas, kind)]))
    if baselines:
        lines += ["", _row("without learning", METRICS)]
        for name, values in (baselines | {"the best": columns[BEST]}).items():
            cells = [_cell(values, metric) for metric in METRICS]
            lines.append(_row(name, cells))
        lines.append("")
    for truth, reason in measured.get("not_measured", {}).items():
        lines.append(f"not measured by {truth}: {reason}")
    return "\n".join([*lines, NOTE])


def _row(name: str, cells: Iterable[str]) -> str:
    """Return a line of a table: the name to the left, the others to the right."""
    return "  ".join([f"{name:26}", *map("{:>20}".format, cells)])


def _cell(column: Mapping[str, Any], name: str) -> str:
    value = column.get(name)
    if value is None:
        return "-"
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"
    interval = column.get("intervals", {}).get(name)
    if interval:
        text += f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    return text
