"""Error maps and results from plain arrays, for tests of scores, metrics and plots."""

import numpy as np

from vadlib.config import ScoreConfig
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.result import Result, VideoResult
from vadlib.evaluation.scores import needed_errors


def maps_of(plain, temporal=None, pseudo=None):
    """The error maps of all components; those that are left out equal the plain error."""
    parts = {"plain": plain, "temporal": temporal, "pseudo": pseudo}
    maps = {}
    for name in parts | needed_errors():
        values = parts.get(name)
        maps[name] = np.asarray(plain if values is None else values, np.float16)
    return maps


def result_of(scores, labels=None, raw=None, times=None, threshold=0.0):
    """A result from mappings of video name -> (T,); times are 25 frames per second by default."""
    videos = {}
    for name, values in scores.items():
        seconds = times[name] if times else np.arange(len(values)) / 25
        parts = [curves[name] if curves else None for curves in (raw, labels)]
        videos[name] = VideoResult(values, seconds, "one", *parts)
    return Result(videos, Calibration({}, threshold, ScoreConfig()))
