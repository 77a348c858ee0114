"""Print the table of baselines in docs/results.md, for the rendered street and the datasets that
are below VADLIB_DATA.

    python tools/baselines.py

Three minutes on two cores; no model takes part.
"""

from __future__ import annotations

import vadlib as vad
from vadlib import course
from vadlib.errors import InputError
from vadlib.evaluation.baselines import METRICS

DATASETS = {"ped2": "Ped2", "synthetic": "the synthetic scene", "avenue": "Avenue, four clips"}


def measured_baselines(data: str) -> dict[str, dict[str, float | None]]:
    """Measure every baseline on the test videos of a dataset."""
    test = vad.load_videos(data, "test")
    scores = course.baseline_scores(vad.load_videos(data, "train"), test)
    return vad.measure_baselines(scores, {video.name: video.labels for video in test})


def cell(values: dict[str, float | None]) -> str:
    return " / ".join(
        "-" if values[metric] is None else f"{values[metric]:.3f}" for metric in METRICS
    )


def main() -> None:
    columns = {}
    for data, title in DATASETS.items():
        try:
            columns[title] = measured_baselines(data)
        except InputError as error:
            print(f"{data} is left out: {error}")
    print(f"| baseline | {' | '.join(columns)} |")
    print(f"|---|{'---|' * len(columns)}")
    for name in next(iter(columns.values())):
        print(f"| {name} | {' | '.join(cell(measured[name]) for measured in columns.values())} |")
    best = []
    for measured in columns.values():
        largest = {
            metric: measured[vad.best_baseline(measured, metric)][metric] for metric in METRICS
        }
        best.append(f"**{cell(largest)}**")
    print(f"| **the best** | {' | '.join(best)} |")


if __name__ == "__main__":
    main()
