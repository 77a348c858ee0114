"""How the frame score was chosen: on held-out normal training videos with pseudo-anomalies put into
them, never on test labels.

    python benchmarks/choose_score.py runs/ped2 --root DATA

The table shows micro AUCs of many scores, each on all disturbed copies and on those with what no
training has seen ("glide"); see `held_out.py`. The defaults in `vadlib/evaluation/scores.py` were
chosen from it; see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from held_out import held_out_aucs, held_out_maps

from vadlib.config import ScoreConfig
from vadlib.evaluation import calibration
from vadlib.evaluation.calibration import WINDOWS, calibrate
from vadlib.evaluation.scores import CONTRAST_SCALE, local_values
from vadlib.model.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--root", type=Path)
    options = parser.parse_args()
    run = Run.load(options.run)
    normal, disturbed = held_out_maps(run, options.root)
    length = run.config.clips.length
    default = ScoreConfig(frames=length)
    known = calibrate(normal, default)

    values = [
        local_values(maps, default.window, length).max((2, 3))
        for videos in normal.values()
        for maps in videos
    ]
    plain, _, share = np.concatenate(values, axis=1)
    spread = np.log(plain).std() / np.log(share / (1 - share)).std()
    print(
        f"normal frames: the log of the worst error varies {spread:.1f} times as much as that of the ratio; the scale is {CONTRAST_SCALE}"
    )

    def report(name: str, how: ScoreConfig, by: calibration.Calibration = known) -> None:
        by = by if how.window in WINDOWS and how.frames in (1, length) else None
        parts = (disturbed, [part for part in disturbed if part.sort == "glide"])
        cells = [
            " / ".join(f"{area:.3f}" for area in held_out_aucs(part, how, by)) for part in parts
        ]
        print(f"{name:56} {cells[0]:24} glide {cells[1]}", flush=True)

    print(f"{'':56} raw / per video / calibrated")
    kinds = {
        "plain": {"contrast": 0},
        "temporal": {"plain": 0, "temporal": 1, "contrast": 0},
        "contrast": {"plain": 0},
    }
    kinds |= {
        "plain and temporal": {"temporal": 1, "contrast": 0},
        "plain and contrast": {},
        "all three": {"temporal": 1},
    }
    for window in (16, 32, 64, None):
        for frames in (1, length // 2, length):
            for kind, weights in kinds.items():
                report(
                    f"window {window}, {frames} frames, {kind}",
                    ScoreConfig(window=window, frames=frames, **weights),
                )
    for weight in (0.5, 2, 4):
        report(f"default, the contrast times {weight}", ScoreConfig(frames=length, contrast=weight))
    for sigma in (2, 4, 8, 16, 32):
        report(f"default, smoothed, sigma {sigma}", ScoreConfig(frames=length, smoothing=sigma))
    for prior in (50, 300, 3000, 30000):
        calibration.PRIOR = prior
        report(
            f"default, each location starts with {prior} frames",
            default,
            calibrate(normal, default),
        )


if __name__ == "__main__":
    main()
