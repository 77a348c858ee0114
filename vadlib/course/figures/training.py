"""Plots of trainings: curves of the terms, and errors on normal and on changed clips. Data in, Axes
out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from vadlib.config import OBJECTIVES
from vadlib.errors import require
from vadlib.model.run import PRETRAINED, Run
from vadlib.output.figure import BLUE, GREEN, GREY, ORANGE, PINK

OBJECTIVE_RUNS = PRETRAINED / "objectives"

# Colour, line and marker: any one of them tells the curves apart.
LOOKS = [
    (BLUE, "-", "o"),
    (ORANGE, "--", "s"),
    (GREEN, "-.", "^"),
    (PINK, ":", "D"),
    (GREY, (0, (5, 1, 1, 1, 1, 1)), "v"),
]


def read_history(run: Run | str | Path) -> dict[str, np.ndarray]:
    """The columns of a run's `history.csv`, a value an epoch: "epoch", the mean of each term,
    "made_KIND" and "not_made_KIND".

    Raises:
        InputError: there is none: not a run, or its first epoch has not ended.
    """
    path = Path(run.folder if isinstance(run, Run) else run) / "history.csv"
    require(
        path.is_file(),
        f"{path}: no such file; expected the folder of a run whose first epoch has ended",
        "missing-file",
        file=path,
    )
    rows = np.atleast_1d(np.genfromtxt(path, delimiter=",", names=True))
    return {name: rows[name] for name in rows.dtype.names}


def read_objectives() -> tuple[dict[str, dict[str, np.ndarray]], dict[str, dict[str, np.ndarray]]]:
    """Read what ships of three full runs on the rendered street, one for each objective; see
    `benchmarks/objectives.py`.

    Returns:
        Two dictionaries, both by objective: its history, as of `read_history`, and the errors of
            `D_n` on held-out clips, as of
        `errors_by_kind`: kind -> (N,).
    """
    histories = {objective: read_history(OBJECTIVE_RUNS / objective) for objective in OBJECTIVES}
    errors = {}
    for objective in OBJECTIVES:
        stored = json.loads(
            (OBJECTIVE_RUNS / objective / "errors.json").read_text(encoding="utf-8")
        )
        errors[objective] = {kind: np.array(values) for kind, values in stored.items()}
    return histories, errors


def plot_history(
    runs: Mapping[str, Run | Mapping[str, np.ndarray]],
    terms: Sequence[str] = ("rebuild",),
    same_scale: bool = False,
) -> np.ndarray:
    """Each term's mean over the epochs, a panel a term and a curve a run. Returns the Axes,
    (terms,).

    Args:
        runs: what they are called -> a run, or what `read_history` returned. Runs without a term
            are left out of its panel.
        terms: columns of the history.
        same_scale: one y-axis for all panels, to compare terms.
    """
    require(
        0 < len(runs) <= len(LOOKS),
        f"{len(runs)} runs; expected 1 to {len(LOOKS)}",
        "out-of-range",
        field="runs",
    )
    histories = {
        name: read_history(run) if isinstance(run, Run) else run for name, run in runs.items()
    }
    known = {column for history in histories.values() for column in history}
    for term in terms:
        require(
            term in known,
            f"no run has a term {term!r}; they have: {', '.join(sorted(known - {'epoch'}))}",
            "unknown-name",
            field="terms",
        )
    figure, axes = plt.subplots(
        1, len(terms), figsize=(9, 2.9), layout="constrained", squeeze=False, sharey=same_scale
    )
    handles = {}
    for ax, term in zip(axes[0], terms, strict=True):
        for (name, history), (colour, line, marker) in zip(histories.items(), LOOKS, strict=False):
            if term in history:
                [handles[name]] = ax.plot(
                    history["epoch"],
                    history[term],
                    color=colour,
                    linestyle=line,
                    marker=marker,
                    label=name,
                )
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="epoch", title=term)
    for ax in axes[0]:
        drawn = [panel.dataLim for panel in (axes[0] if same_scale else [ax])]
        if min(limits.ymin for limits in drawn) >= 0:
            ax.set_ylim(0, max(*(1.08 * limits.ymax for limits in drawn), 1e-3))
    axes[0, 0].set_ylabel("mean over the epoch's clips", fontsize="small")
    if len(runs) > 1:
        look = {"ncols": len(handles), "handlelength": 4, "fontsize": "small", "frameon": False}
        figure.legend(handles.values(), handles, loc="outside lower center", **look)
    return axes[0]


def plot_clip_errors(
    errors: Mapping[str, Mapping[str, np.ndarray]], ax: Axes | None = None
) -> Axes:
    """Errors of single clips, summed up: the median as a marker, the middle half as a bar, for each
    run and kind of clip.

    Args:
        errors: run -> kind of clip -> errors (N,).
        ax: where to draw.
    """
    require(
        0 < len(errors) <= len(LOOKS),
        f"{len(errors)} runs; expected 1 to {len(LOOKS)}",
        "out-of-range",
        field="errors",
    )
    ax = ax or plt.subplots(figsize=(8, 3.2), layout="constrained")[1]
    kinds = list(next(iter(errors.values())))
    for k, ((name, of_run), (colour, _, marker)) in enumerate(
        zip(errors.items(), LOOKS, strict=False)
    ):
        low, middle, high = np.array(
            [np.quantile(of_run[kind], [0.25, 0.5, 0.75]) for kind in kinds]
        ).T
        places = np.arange(len(kinds)) + 0.18 * (k - (len(errors) - 1) / 2)
        ax.errorbar(
            places,
            middle,
            [middle - low, high - middle],
            fmt=marker,
            color=colour,
            capsize=3,
            label=name,
        )
    ax.set_xticks(range(len(kinds)), kinds)
    ax.set(ylabel="squared error of a clip", ylim=(0, None))
    ax.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=len(errors), fontsize="small", frameon=False
    )
    return ax
