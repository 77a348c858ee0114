"""Time the metrics on published scores beside scikit-learn alone, in one run: the ratios are the
cost of checking the input.

    python benchmarks/metrics.py ../shared/published/stgnf_shanghaitech.npz

The file holds `score/VIDEO` and `label/VIDEO`, one value per frame.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

import vadlib as vad

ROUNDS = 15


def median_seconds(job: Callable[[], object]) -> float:
    """Return the median time of a job over some rounds."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("file")
    stored = np.load(parser.parse_args().file)
    videos = [key.partition("/")[2] for key in stored.files if key.startswith("score/")]
    scores = {name: stored[f"score/{name}"] for name in videos}
    labels = {name: stored[f"label/{name}"] for name in videos}
    truth = np.concatenate([labels[name] for name in videos])
    pooled = np.concatenate([scores[name] for name in videos])
    pairs = {
        "micro AUC": (
            lambda: vad.metrics.micro_auc(labels, scores),
            lambda: roc_auc_score(truth, pooled),
        ),
        "average precision": (
            lambda: vad.metrics.average_precision(labels, scores),
            lambda: average_precision_score(truth, pooled),
        ),
    }
    print(f"{len(videos)} videos, {len(truth)} frames; medians of {ROUNDS} rounds")
    for name, (ours, theirs) in pairs.items():
        own, other = median_seconds(ours), median_seconds(theirs)
        times = f"{1000 * own:.1f} ms, scikit-learn alone {1000 * other:.1f} ms"
        print(f"{name}: {times}, ratio {own / other:.2f}; value {ours():.4f}")
    interval = median_seconds(lambda: vad.metrics.bootstrap(labels, scores))
    print(f"interval of 2000 resamples: {1000 * interval:.1f} ms")


if __name__ == "__main__":
    main()
