"""How trainings are compared, and how well that predicts the test.

    python benchmarks/choose_training.py runs/a runs/b ... --root DATA

Each run's micro AUCs (raw / per video / calibrated) on held-out normal training videos with
pseudo-anomalies, see `held_out.py`: a choice is made by the mean of the three. Beside them those on
the test set, where the run has been evaluated (`vadlib evaluate`); they choose nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from held_out import held_out_aucs, held_out_maps
from scipy.stats import spearmanr

from vadlib.evaluation.calibration import Calibration, calibrate
from vadlib.model.run import Run

NAMES = ("micro_auc_raw", "micro_auc_per_video", "micro_auc_calibrated")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--root", type=Path)
    options = parser.parse_args()
    chosen, tested = [], []
    print(f"{'':24} held out: all            glide                    mean of all     test")
    for folder in options.runs:
        run = Run.load(folder)
        normal, disturbed = held_out_maps(run, options.root)
        score_config = Calibration.load(folder / "calibration.npz").score_config
        known = calibrate(normal, score_config)
        parts = [
            held_out_aucs(part, score_config, known)
            for part in (disturbed, [d for d in disturbed if d.sort == "glide"])
        ]
        cells, test = [" / ".join(f"{area:.3f}" for area in part) for part in parts], ""
        if (folder / "metrics.json").is_file():
            metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            test = " / ".join(f"{metrics[name]:.3f}" for name in NAMES)
            chosen.append(np.mean(parts[0]))
            tested.append(np.mean([metrics[name] for name in NAMES]))
        print(
            f"{folder.name:24} {cells[0]:24} {cells[1]:24} {np.mean(parts[0]):.3f}           {test}",
            flush=True,
        )
    if len(chosen) > 2:
        print(
            f"rank correlation of the two means over {len(chosen)} runs: {spearmanr(chosen, tested).statistic:.2f}"
        )


if __name__ == "__main__":
    main()
