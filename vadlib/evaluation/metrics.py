"""Frame-level metrics. Labels: 0 normal, 1 abnormal. Scores: higher = more abnormal. AUCs are fractions in [0, 1]."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import roc_auc_score

from vadlib.errors import InputError


def micro_auc(scores: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> float:
    """Area under the ROC curve of all frames of all videos together: one threshold serves them all.

    Args:
        scores: video name -> (T,).
        labels: video name -> (T,), 0 or 1.

    Raises:
        InputError: all frames are normal, or all abnormal, so that there is no curve.
    """
    truth = np.concatenate([labels[name] for name in scores])
    if len(np.unique(truth)) < 2:
        what = "abnormal" if truth.any() else "normal"
        raise InputError(f"all {len(truth)} frames are {what}; expected some of both: the AUC needs labelled test videos with anomalies")
    return float(roc_auc_score(truth, np.concatenate([scores[name] for name in scores])))


def per_video(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Min-max scale each video's scores to [0, 1]; a constant curve becomes 0.

    This looks at the whole video, its future included, and forces a 0 and a 1 into each: common in papers, not usable live.
    """
    scaled = {}
    for name, values in scores.items():
        low, spread = values.min(), np.ptp(values)
        scaled[name] = (values - low) / spread if spread > 0 else np.zeros_like(values)
    return scaled


def macro_auc(scores: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> tuple[float | None, int]:
    """Mean of the videos' own AUCs, and how many videos were left out since all their frames have one label.

    None where every video was left out.
    """
    both = [name for name in scores if len(np.unique(labels[name])) == 2]
    areas = [roc_auc_score(labels[name], scores[name]) for name in both]
    return (float(np.mean(areas)) if areas else None), len(scores) - len(both)
