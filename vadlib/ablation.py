"""`vadlib ablate`: the default with one part changed at a time, trained small and with one seed, to
see what each part is worth.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vadlib.config import DEFAULT_KINDS, PseudoConfig
from vadlib.data.catalog import load_videos
from vadlib.device import processes
from vadlib.errors import require
from vadlib.evaluation.baselines import BEST, baseline_scores, best_baseline, measure_baselines
from vadlib.evaluation.metrics import Curves, bootstrap, micro_auc, per_video
from vadlib.evaluation.result import Result
from vadlib.files import expand_home
from vadlib.jobs import evaluate_once, train_run
from vadlib.output.ablation_table import read_ablation, write_ablation

SMALL = {"data": {"clip_step": 12}, "training": {"epochs": 2}}  # a ninth of the default's steps
BASE = "default"
ROWS: dict[str, dict[str, dict]] = {
    BASE: {},
    # nothing but chance: smaller differences than these mean nothing
    "seed 1": {"training": {"seed": 1}},
    "seed 2": {"training": {"seed": 2}},
    **{
        f"p = {p:g}": {"mixer": {"p": p}}
        for p in (0.0, 0.01, 0.05, 0.2, 0.5)
        if p != PseudoConfig.p
    },
    **{f"only {kind}": {"mixer": {"kinds": [kind]}} for kind in DEFAULT_KINDS},
    **{objective: {"training": {"objective": objective}} for objective in ("maximize", "none")},
    "no memory": {"model": {"memories": 0}},
    "one memory": {"model": {"memories": 1}},
    "one decoder": {"model": {"decoders": 1}},
    "one memory, one decoder": {"model": {"memories": 1, "decoders": 1}},
}
MEASURES = ("micro_auc_raw", "micro_auc_calibrated", "micro_auc_per_video")


def ablate(
    out: Path,
    data: str = "synthetic",
    root: Path | None = None,
    rows: Sequence[str] | None = None,
    size: Mapping[str, Mapping] = SMALL,
    device: str | None = None,
    every: int = 1,
) -> list[dict]:
    """Train and measure the default and its variants, and write `ablation.csv` after each.

    Finished rows are kept, and a training that was interrupted goes on.

    Args:
        out: the table's folder; each row's run lies in it.
        data, root: see `load_videos`; with labels.
        rows: some of `ROWS`, the base among them; None: all.
        size: parts of a run's config that make all rows small, see `train_run`.
        device: where to compute.
        every: n > 1 scores every n-th test video only, to save time.

    Returns:
        The table, a dict a row. The first row holds the best of `baseline_scores` for each measure.
            Its keys: "row"; `MEASURES`; for each of them NAME_low and NAME_high, the 95% interval
            of its difference to the default on the same videos; "plain_calibrated", the calibrated
            AUC of D_n's error alone, which all rows have in common, while the default score of a
            row without a trained pseudo path has no contrast; "minutes" (training and scoring;
            after an interruption, since then); "data", "seed" and "videos", the number of test
            videos. None where there is no such number.

    Raises:
        InputError: an unknown row, `every` below 1, test videos without labels of both kinds, or,
            in `out`, runs of other settings or rows that were measured on another number of test
            videos.
    """
    rows = list(ROWS if rows is None else rows)
    unknown = [row for row in rows if row not in ROWS]
    require(
        not unknown,
        f"rows {unknown} are unknown; expected some of {list(ROWS)}",
        "unknown-name",
        field="rows",
    )
    require(
        rows[:1] == [BASE],
        f"rows {', '.join(rows)}; expected {BASE!r} first, because the others are compared with it",
        "conflict",
        field="rows",
    )
    require(
        every >= 1,
        f"every = {every}; expected 1 (all test videos), 2 (every second one), ...",
        "out-of-range",
        field="every",
    )
    videos = load_videos(data, "test", root)[::every]
    labelled = all(video.labels is not None for video in videos)
    require(
        labelled
        and len({int(label) for video in videos for label in np.unique(video.labels)}) == 2,
        f"the test videos of {data} have no labels of both kinds (normal and abnormal), against which an ablation is measured",
        "missing-labels",
        field="data",
    )
    out = expand_home(out)
    path, table = out / "ablation.csv", []
    earlier = {row["row"]: row for row in read_ablation(path)} if path.is_file() else {}
    for name, row in earlier.items():
        tested = row.get("videos") or len(videos)
        require(
            tested == len(videos),
            f"{path}: {name} was tested on {tested:.0f} videos, now {len(videos)}; choose another folder",
            "other-run",
            file=path,
        )
    for row in rows:
        folder, started = out / re.sub(r"[^\w.]+", "_", row), time.monotonic()
        chosen = {
            part: {**size.get(part, {}), **ROWS[row].get(part, {})}
            for part in ("data", "model", "mixer", "training")
        }
        chosen["training"] |= {"device": device}
        run = train_run(data, root, "fast", chosen, folder, resume=True)
        known = row in earlier and (folder / "scores.npz").is_file()
        result = evaluate_once(run, videos, folder, device or "auto")
        took = earlier[row]["minutes"] if known else (time.monotonic() - started) / 60
        scores = _scores(result)
        if row == BASE:
            base, labels = scores, result.labels
            best = _best_baselines(
                baseline_scores(load_videos(data, "train", root), videos), labels
            )
            numbers = _areas(best, labels) | _differences(best, base, labels)
            table.append({"row": BEST, **numbers, "data": data, "videos": len(videos)})
        areas, differences = (
            _areas(scores, labels),
            _differences(scores, base, labels) if row != BASE else {},
        )
        plain = micro_auc(labels, result.rescore("calibrated", plain=1, temporal=0, contrast=0))
        where = {
            "minutes": round(took, 2),
            "data": data,
            "seed": run.config["training"]["seed"],
            "videos": len(videos),
        }
        table.append({"row": row, **areas, "plain_calibrated": plain, **differences, **where})
        if processes().is_main_process:
            new = {part["row"] for part in table}
            write_ablation(
                path, [*table, *(part for name, part in earlier.items() if name not in new)]
            )
    return table


def describe_ablation(table: Sequence[dict]) -> str:
    """The table as text."""
    lines = [
        f"{'':24}"
        + "".join(f"{name.removeprefix('micro_auc_'):>12}" for name in MEASURES)
        + f"{'change of raw':>20}{'minutes':>10}"
    ]
    for row in table:
        low, high = row.get("micro_auc_raw_low"), row.get("micro_auc_raw_high")
        cells = [
            f"{'-' if row[name] is None else format(row[name], '.3f'):>12}" for name in MEASURES
        ]
        change = "" if low is None else f"{low:+.3f} to {high:+.3f}"
        lines.append(f"{row['row']:24}{''.join(cells)}{change:>20}{row.get('minutes') or '':>10}")
    return "\n".join(lines)


def _scores(result: Result) -> dict[str, Curves]:
    return dict(zip(MEASURES, (result.raw, result.scores, per_video(result.raw)), strict=True))


def _best_baselines(
    scores: Mapping[str, Mapping[str, Curves]], labels: Curves
) -> dict[str, Curves | None]:
    """Return the scores of the best baseline for each of `MEASURES`; none is calibrated."""
    measured = measure_baselines(scores, labels)
    raw = scores[best_baseline(measured, "micro_auc_raw")]
    scaled = per_video(scores[best_baseline(measured, "micro_auc_per_video")])
    return {"micro_auc_raw": raw, "micro_auc_calibrated": None, "micro_auc_per_video": scaled}


def _areas(scores: Mapping[str, Curves | None], labels: Curves) -> dict[str, float | None]:
    return {name: curve and micro_auc(labels, curve) for name, curve in scores.items()}


def _differences(
    scores: Mapping[str, Curves | None], base: Mapping[str, Curves], labels: Curves
) -> dict[str, float]:
    found = {name: bootstrap(labels, curve, base[name]) for name, curve in scores.items() if curve}
    return {
        f"{name}_{end}": value
        for name, interval in found.items()
        if interval
        for end, value in zip(("low", "high"), interval, strict=True)
    }
