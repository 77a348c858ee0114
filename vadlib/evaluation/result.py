"""The scores of some videos, their metrics, and their files."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from vadlib.config import ScoreConfig
from vadlib.errors import InputError, require, require_known
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.components import ErrorMaps, local_means
from vadlib.evaluation.curves import (
    checked_numbers,
    checked_zeros_and_ones,
    require_increasing,
    require_length,
)
from vadlib.evaluation.metrics import per_video
from vadlib.evaluation.scores import raw_score
from vadlib.files import atomic, command_line, expand_home, json_text, read_arrays

SCALES = ("raw", "calibrated", "per_video")


@dataclass(frozen=True)
class VideoResult:
    """The scores of one video.

    Attributes:
        scores: calibrated scores, float64 (T,).
        times: seconds of each frame since the first, float64 (T,).
        scene: the scene that it is calibrated for; "" if no scene of the run is known to be it.
        raw: raw scores, float64 (T,); None for a video that was scored while it was read.
        labels: uint8 (T,); None if it has none.
        maps: error map name -> float16 (T, H', W'), from which all scores can be computed again;
            None if they were dropped.
    """

    scores: np.ndarray
    times: np.ndarray
    scene: str = ""
    raw: np.ndarray | None = None
    labels: np.ndarray | None = None
    maps: ErrorMaps | None = None


@dataclass(frozen=True)
class Result:
    """Scores and metrics of some videos. With protocol "all" every frame has a score.

    Attributes:
        videos: video name -> its scores; see `VideoResult`.
        calibration: of the run, with its threshold.
        metrics: as in `metrics.json`; empty without labels.
        protocol: "all", or "center": then the first 8 and the last 7 frames of each video are left
            out of everything above.

    Raises:
        InputError: no videos, parts of a video that differ in length, scores that are not finite,
            labels other than 0 and 1, or times that decrease.
    """

    videos: dict[str, VideoResult]
    calibration: Calibration
    metrics: dict[str, Any] = field(default_factory=dict)
    protocol: str = "all"

    def __post_init__(self) -> None:
        require(len(self.videos) > 0, "no videos; expected one or more", "too-few", field="videos")
        checked = {name: _checked(name, video) for name, video in self.videos.items()}
        object.__setattr__(self, "videos", checked)

    @property
    def scores(self) -> dict[str, np.ndarray]:
        """Calibrated scores: video name -> float64 (T,)."""
        return {name: video.scores for name, video in self.videos.items()}

    @property
    def raw(self) -> dict[str, np.ndarray]:
        """Raw scores of the videos that have some: video name -> float64 (T,)."""
        return {name: video.raw for name, video in self.videos.items() if video.raw is not None}

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """Labels of the videos that have some: video name -> uint8 (T,)."""
        return {
            name: video.labels for name, video in self.videos.items() if video.labels is not None
        }

    @property
    def times(self) -> dict[str, np.ndarray]:
        """Seconds of each frame since the first: video name -> float64 (T,)."""
        return {name: video.times for name, video in self.videos.items()}

    @property
    def threshold(self) -> float:
        """Calibrated score above which a frame is called abnormal."""
        return self.calibration.threshold

    def rescore(self, scale: str = "raw", **changes: object) -> dict[str, np.ndarray]:
        """Compute other scores from the same errors: video name -> float64 (T,).

        Args:
            scale: "raw"; "calibrated", compared with held-out normal videos; or "per_video", raw
                ones, min-max scaled to [0, 1] within each video.
            changes: fields of `ScoreConfig` that differ from the run's own, such as `window=8,
                smoothing=32`.

        Raises:
            InputError: an unknown scale, a wrong value, or a calibrated score of a window that the
                calibration does not know.
        """
        require_known(scale, SCALES, "scale")
        settings = [setting.name for setting in fields(ScoreConfig)]
        unknown = ", ".join(name for name in changes if name not in settings)
        message = f"score setting {unknown} is unknown; expected one of: {', '.join(settings)}"
        require(not unknown, message, "unknown-key", field=unknown)
        score_config = replace(self.calibration.score_config, **changes)  # type: ignore[arg-type]
        scores = {}
        for name, video in self.videos.items():
            maps = self._maps(name)
            if scale == "calibrated":
                scores[name] = self.calibration.score(maps, video.scene, score_config)
            else:
                scores[name] = raw_score(maps, score_config)
        return per_video(scores) if scale == "per_video" else scores

    def window_errors(self, name: str, window: int = 32) -> np.ndarray:
        """Return the error of D_n around each place of a video, float32 (T, H / 8, W / 8): the mean
        squared error over a window, pixels in [-1, 1].

        The largest value of a frame is the simplest score, the error in its highest-error window.

        Args:
            name: of the video.
            window: its side in pixels, a multiple of 8.
        """
        return local_means(self._maps(name), "plain", window, frames=1)

    def score_map(self, name: str) -> np.ndarray:
        """Return the places that a video's calibrated scores come from: float64 (T, H / 8, W / 8).
        The largest value of a frame is its score.
        """
        config = self.calibration.score_config
        maps = self._maps(name)
        return self.calibration.score_map(maps, self.videos[name].scene, config, config.window)

    def _maps(self, name: str) -> ErrorMaps:
        require_known(name, self.videos, "video", field="name")
        maps = self.videos[name].maps
        if maps is None:
            message = f"video {name!r} has no error maps; evaluate it again"
            raise InputError(message, "nothing-to-do", field="maps")
        return maps

    def save(self, folder: str | Path) -> None:
        """Write `scores.npz` (scores, labels, error maps, calibration) and, with labels,
        `metrics.json`. Earlier files are replaced when both are written.

        Raises:
            InputError: the folder cannot be written, or the disk is full; the earlier files are
                unchanged.
        """
        arrays = {"protocol": np.array(self.protocol)}
        for name, video in self.videos.items():
            for part in ("scores", "times", "scene", "raw", "labels"):
                if getattr(video, part) is not None:
                    arrays[f"{part}/{name}"] = np.asarray(getattr(video, part))
            for error, values in (video.maps or {}).items():
                arrays[f"maps/{error}/{name}"] = values
        for key, values in self.calibration.arrays().items():
            arrays[f"calibration/{key}"] = values
        folder = expand_home(folder)
        path = folder / "metrics.json"
        with ExitStack() as files:
            if self.metrics:
                measured = files.enter_context(atomic(path))
                measured.write_text(json_text(self.metrics), encoding="utf-8")
            # Opened last, so renamed first: metrics never lie beside the scores of another time.
            scores = files.enter_context(atomic(folder / "scores.npz"))
            np.savez_compressed(scores, **arrays)  # type: ignore[arg-type]
            path.unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: str | Path) -> Result:
        """Read what `save` wrote.

        Raises:
            InputError: the run was not evaluated, or a file is damaged or of an earlier version.
        """
        folder = expand_home(folder)
        path = folder / "scores.npz"
        command = command_line("evaluate", "RUN", "--out", folder)
        if (folder / "config.json").is_file():
            command = command_line("evaluate", folder)
        advice = f"write it with `{command}`"
        stored = read_arrays(path, advice)
        calibration = {}
        videos: dict[str, dict[str, Any]] = {}
        for key, values in stored.items():
            part, name = key.split("/", 1) if "/" in key else (key, "")
            if part == "calibration":
                calibration[name] = values
            elif part == "maps":
                error, name = name.split("/", 1)
                videos.setdefault(name, {}).setdefault("maps", {})[error] = values
            elif part == "scene":
                videos.setdefault(name, {})["scene"] = str(values)
            elif part in VideoResult.__dataclass_fields__:
                videos.setdefault(name, {})[part] = values
        try:
            results = {name: VideoResult(**parts) for name, parts in videos.items()}
            protocol = str(stored["protocol"])
            run_calibration = Calibration.from_arrays(calibration, path, advice)
            return cls(results, run_calibration, _read_metrics(folder, advice), protocol)
        except (InputError, TypeError, KeyError) as error:
            message = f"{path}: incomplete, or of an earlier version ({error}); {advice}"
            raise InputError(message, "damaged-file", file=path) from error


def _checked(name: str, video: VideoResult) -> VideoResult:
    """Convert the arrays of a video to their types, and refuse what cannot be right."""
    arrays = {}
    for part in ("scores", "times", "raw", "labels"):
        values = getattr(video, part)
        if values is not None:
            check = checked_zeros_and_ones if part == "labels" else checked_numbers
            arrays[part] = check(values, f"{part} of video {name!r}", part)
            require_length(values, len(arrays["scores"]), name, part)
    require_increasing(arrays["times"], name)
    for error, values in (video.maps or {}).items():
        require_length(values, len(arrays["scores"]), name, f"maps of {error}")
    return replace(video, **arrays)  # type: ignore[arg-type]  # the names are fields


def _read_metrics(folder: Path, advice: str) -> dict[str, Any]:
    path = folder / "metrics.json"
    if not path.is_file():
        return {}
    try:
        metrics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{path}: not JSON ({error}); {advice}"
        raise InputError(message, "wrong-format", file=path) from error
    return metrics
