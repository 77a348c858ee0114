"""Metrics as a table that can be read."""

from __future__ import annotations

from vadlib.evaluation.baselines import BEST, METRICS, best_baseline

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
    """Return the metrics of `metrics.json` as text.

    The table has a row for each metric, a column for each protocol and ground truth, and one for
    the best baseline of each metric. A second table holds all baselines, if they were measured.
    """
    columns = {
        f"all, {metrics['ground_truth']}" if metrics.get("ground_truth") else "all": metrics,
        **metrics.get("protocols", {}),
    }
    baselines = metrics.get("baselines", {})
    if baselines:
        best = {metric: best_baseline(baselines, metric) for metric in METRICS}
        columns[BEST] = {metric: baselines[name][metric] for metric, name in best.items() if name}
    rows = [["", *columns]]
    rows += [
        [row, *(_cell(column, row) for column in columns.values())]
        for row in ROWS
        if any(row in c for c in columns.values())
    ]
    kinds = dict.fromkeys(
        kind for column in columns.values() for kind in column.get("kind_auc", {})
    )
    rows += [
        [
            f"AUC of {kind}",
            *(_number(column.get("kind_auc", {}).get(kind)) for column in columns.values()),
        ]
        for kind in kinds
    ]
    lines = _aligned(rows)
    if baselines:
        lines += ["", *describe_baselines(baselines), ""]
    counted = "{videos} videos, {frames} frames, {abnormal_frames} abnormal; {macro_auc_left_out} videos are one-sided".format(
        **metrics
    )
    found = "; {events_found} of {events} events found, {false_alarms} false alarms".format(
        **metrics
    )
    absent = [
        f"not measured by {truth}: {reason}"
        for truth, reason in metrics.get("not_measured", {}).items()
    ]
    return "\n".join(
        [
            metrics.get("dataset", "") + (": " if "dataset" in metrics else "") + counted + found,
            *lines,
            *absent,
            NOTE,
        ]
    )


def describe_baselines(measured: dict[str, dict[str, float | None]]) -> list[str]:
    """Return lines of a table: what each baseline reaches, and the best of each metric."""
    rows = [["without learning", *METRICS]]
    rows += [
        [name, *(_number(values[metric]) for metric in METRICS)]
        for name, values in measured.items()
    ]
    best = [best_baseline(measured, metric) for metric in METRICS]
    rows.append(
        [
            "the best",
            *(
                _number(measured[name][metric] if name else None)
                for name, metric in zip(best, METRICS, strict=True)
            ),
        ]
    )
    return _aligned(rows)


def _aligned(rows: list[list[str]]) -> list[str]:
    """Return a line for each row: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]


def _cell(column: dict, row: str) -> str:
    interval = column.get("intervals", {}).get(row)
    return _number(column.get(row)) + (
        f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"
