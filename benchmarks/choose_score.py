"""Measure many frame scores on held-out normal videos with pseudo-anomalies, never on test labels.

    python benchmarks/choose_score.py runs/ped2 --root DATA

The table shows micro AUCs of many scores, each on all disturbed copies and on those with an anomaly
that no training has seen ("glide"); see `held_out.py`. The defaults of `ScoreConfig` were chosen
from it; see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from held_out import Disturbed, held_out_aucs, held_out_maps

from vadlib.config import ScoreConfig
from vadlib.evaluation import calibration
from vadlib.evaluation.calibration import WINDOWS, Calibration, calibrate
from vadlib.evaluation.scores import Contrast, ErrorMaps, component_values
from vadlib.model.run import Run

WEIGHTS = {
    "plain": {"contrast": 0.0},
    "temporal": {"plain": 0.0, "temporal": 1.0, "contrast": 0.0},
    "contrast": {"plain": 0.0},
    "plain and temporal": {"temporal": 1.0, "contrast": 0.0},
    "plain and contrast": {},
    "all three": {"temporal": 1.0},
}


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--root", type=Path)
    options = parser.parse_args()
    run = Run.load(options.run)
    normal, disturbed = held_out_maps(run, options.root)
    length = run.config.clips.length
    default = ScoreConfig(frames=length)
    default_calibration = calibrate(normal, default)
    videos = [maps for scene in normal.values() for maps in scene]
    print(f"spread of the worst error over that of the ratio: {spread(videos, default):.1f}")
    print(f"scale of the ratio: {Contrast.scale}")
    print(f"{'':56} raw / per video / calibrated")
    for window in (16, 32, 64, None):
        for frames in (1, length // 2, length):
            for name, weights in WEIGHTS.items():
                score_config = ScoreConfig(window=window, frames=frames, **weights)
                is_known = window in WINDOWS and frames in (1, length)
                name = f"window {window}, {frames} frames, {name}"
                report(name, disturbed, score_config, default_calibration if is_known else None)
    for weight in (0.5, 2, 4):
        score_config = ScoreConfig(frames=length, contrast=weight)
        report(
            f"default, the contrast times {weight}", disturbed, score_config, default_calibration
        )
    for sigma in (2, 4, 8, 16, 32):
        score_config = ScoreConfig(frames=length, smoothing=sigma)
        report(f"default, smoothed, sigma {sigma}", disturbed, score_config, default_calibration)
    for prior in (50, 300, 3000, 30000):
        calibration.PRIOR = prior
        name = f"default, each location starts with {prior} frames"
        report(name, disturbed, default, calibrate(normal, default))


def spread(videos: list[ErrorMaps], score_config: ScoreConfig) -> float:
    """Return by how much more the log of the worst error varies on normal frames than that of the
    ratio of D_n's to D_p's.
    """
    deviations = []
    for name in ("plain", "contrast"):
        values = [
            component_values(name, maps, score_config.window, score_config.frames).max((1, 2))
            for maps in videos
        ]
        worst = np.concatenate(values)
        ratio = worst / (1 - worst) if name == "contrast" else worst
        deviations.append(np.log(ratio).std())
    return deviations[0] / deviations[1]


def report(
    name: str,
    disturbed: list[Disturbed],
    score_config: ScoreConfig,
    default_calibration: Calibration | None,
) -> None:
    cells = []
    for part in (disturbed, [video for video in disturbed if video.sort == "glide"]):
        areas = held_out_aucs(part, score_config, default_calibration)
        cells.append(" / ".join(f"{area:.3f}" for area in areas))
    print(f"{name:56} {cells[0]:24} glide {cells[1]}", flush=True)


if __name__ == "__main__":
    main()
