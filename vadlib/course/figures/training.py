"""Figures of trainings: curves of the loss terms, and errors on normal and on changed clips."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from vadlib.config import OBJECTIVES
from vadlib.course.figures.style import LINES, Look, legend_above, one_panel, panels
from vadlib.errors import require, require_known
from vadlib.model.run import PRETRAINED, Run

OBJECTIVE_RUNS = PRETRAINED / "objectives"

Columns = dict[str, np.ndarray]


def read_history(run: Run | str | Path) -> Columns:
    """Read the columns of a run's `history.csv`, with a value for each epoch.

    The columns are "epoch", the mean of each loss term, "made_KIND" and "not_made_KIND".

    Raises:
        InputError: there is none, because this is not a run or its first epoch has not ended.
    """
    folder = run.folder if isinstance(run, Run) else run
    path = Path(folder or "") / "history.csv"
    message = f"{path}: no such file; expected a run whose first epoch has ended"
    require(path.is_file(), message, "missing-file", file=path)
    rows = np.atleast_1d(np.genfromtxt(path, delimiter=",", names=True))
    return {name: rows[name] for name in rows.dtype.names or ()}


def read_objectives() -> tuple[dict[str, Columns], dict[str, Columns]]:
    """Read what ships of three full runs on the synthetic street, one for each objective.

    `benchmarks/objectives.py` makes these files.

    Returns:
        Two dictionaries by objective: the history, see `read_history`, and the errors of D_n on
        held-out clips, kind -> (N,), see `errors_by_kind`.
    """
    histories, errors = {}, {}
    for objective in OBJECTIVES:
        folder = OBJECTIVE_RUNS / objective
        histories[objective] = read_history(folder)
        kinds = json.loads((folder / "errors.json").read_text(encoding="utf-8"))
        errors[objective] = {kind: np.array(values) for kind, values in kinds.items()}
    return histories, errors


def plot_history(
    histories: Mapping[str, Columns], terms: Sequence[str], same_scale: bool = False
) -> np.ndarray:
    """Draw each loss term's mean over the epochs, a panel per term and a curve per run.

    Args:
        histories: a run's name, up to five -> what `read_history` returned. Runs without a term are
            left out of its panel.
        terms: columns of the history.
        same_scale: one y-axis for all panels, to compare terms.

    Returns:
        The Axes, (terms,).
    """
    columns = set[str]().union(*histories.values()) - {"epoch"}
    axes: np.ndarray = panels(1, len(terms), 9, 2.9, sharey=same_scale)[0]
    handles = {}
    for ax, term in zip(axes, terms, strict=True):
        require_known(term, sorted(columns), "term", field="terms")
        for (name, history), look in zip(histories.items(), LINES, strict=False):
            if term in history:
                [handles[name]] = ax.plot(history["epoch"], history[term], label=name, **look)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="epoch", title=term)
    for ax in axes:
        limits = [panel.dataLim.intervaly for panel in (axes if same_scale else [ax])]
        if np.min(limits) >= 0:  # else a curve is negative
            ax.set_ylim(0, max(1.08 * np.max(limits), 1e-3))
    axes[0].set_ylabel("mean over the epoch's clips", fontsize="small")
    if len(histories) > 1:
        legend: Look = {"ncols": len(handles), "fontsize": "small", "frameon": False}
        legend |= {"loc": "outside lower center", "handlelength": 4}
        axes[0].figure.legend(handles.values(), handles, **legend)
    return axes


def plot_clip_errors(errors: Mapping[str, Mapping[str, np.ndarray]]) -> Axes:
    """Draw the median error (marker) and the middle half (bar) of each run and kind of clip.

    Args:
        errors: run, up to five -> kind of clip -> errors (N,).
    """
    ax = one_panel(8, 3.2)
    first = -(len(errors) - 1) / 2
    for k, ((name, kinds), look) in enumerate(zip(errors.items(), LINES, strict=False)):
        quartiles = np.array([np.quantile(values, [0.25, 0.5, 0.75]) for values in kinds.values()])
        places = np.arange(len(kinds)) + 0.18 * (first + k)
        lengths = np.diff(quartiles).T
        marks: Look = {"fmt": look["marker"], "color": look["color"], "capsize": 3}
        ax.errorbar(places, quartiles[:, 1], lengths, label=name, **marks)
        ax.set_xticks(range(len(kinds)), kinds)
    ax.set(ylabel="squared error of a clip", ylim=(0, None))
    legend_above(ax, len(errors), right=True)
    return ax
