"""Compare trainings on held-out videos, and show how well that predicts the test.

    python benchmarks/choose_training.py runs/a runs/b ... --root DATA

The table shows each run's micro AUCs (raw / per video / calibrated) on held-out normal training
videos with pseudo-anomalies (see `held_out.py`); the mean of the three decides. For runs that
`vadlib evaluate` has evaluated it also shows those on the test set, which decide nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from held_out import held_out_aucs, held_out_maps
from scipy.stats import spearmanr

from vadlib.evaluation.calibration import Calibration, calibrate
from vadlib.model.run import Run

NAMES = ("micro_auc_raw", "micro_auc_per_video", "micro_auc_calibrated")


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--root", type=Path)
    options = parser.parse_args()
    held_out_means, test_means = [], []
    print(f"{'':24} held out: all            glide                    mean of all     test")
    for folder in options.runs:
        run = Run.load(folder)
        normal, disturbed = held_out_maps(run, options.root)
        score_config = Calibration.load(folder / "calibration.npz").score_config
        calibration = calibrate(normal, score_config)
        glides = [video for video in disturbed if video.sort == "glide"]
        aucs = held_out_aucs(disturbed, score_config, calibration)
        glide_aucs = held_out_aucs(glides, score_config, calibration)
        row = f"{folder.name:24} {cell(aucs):24} {cell(glide_aucs):24} {np.mean(aucs):.3f}"
        if (folder / "metrics.json").is_file():
            metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            test_aucs = [metrics[name] for name in NAMES]
            row += f"           {cell(test_aucs)}"
            held_out_means.append(np.mean(aucs))
            test_means.append(np.mean(test_aucs))
        print(row, flush=True)
    if len(test_means) > 2:
        correlation = spearmanr(held_out_means, test_means).statistic
        print(f"rank correlation of the two means over {len(test_means)} runs: {correlation:.2f}")


def cell(aucs: Iterable[float]) -> str:
    return " / ".join(f"{auc:.3f}" for auc in aucs)


if __name__ == "__main__":
    main()
