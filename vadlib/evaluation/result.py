"""The scores of some videos, their metrics, and their files."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from vadlib.config import ScoreConfig, from_dict
from vadlib.errors import require, require_known
from vadlib.evaluation.calibration import Calibration, readable, split_names
from vadlib.evaluation.metrics import checked, per_video, require_frames, require_increasing
from vadlib.evaluation.scores import ErrorMaps, local_means, raw_score
from vadlib.files import atomic, command_line, expand_home, json_text, read_arrays

Metrics = dict[str, object]  # as in `metrics.json`
CURVES = ("scores", "times", "raw", "labels")  # parts of a `VideoResult` with a value per frame


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
    metrics: Metrics = field(default_factory=dict)
    protocol: str = "all"

    def __post_init__(self) -> None:
        require(len(self.videos) > 0, "no videos", "too-few", field="videos")
        videos = dict(self.videos)
        for part in CURVES:
            for name, values in self._curves(part).items():
                curve: Any = checked(values, name, part)
                videos[name] = replace(videos[name], **{part: curve})
                require_frames({name: videos[name].scores}, {name: curve}, part)
        for name, video in videos.items():
            require_increasing(video.times, name)
            for values in (video.maps or {}).values():
                require_frames({name: video.scores}, {name: values}, "maps")
        object.__setattr__(self, "videos", videos)

    @property
    def scores(self) -> dict[str, np.ndarray]:
        """Calibrated scores: video name -> float64 (T,)."""
        return self._curves("scores")

    @property
    def raw(self) -> dict[str, np.ndarray]:
        """Raw scores of the videos that have some: video name -> float64 (T,)."""
        return self._curves("raw")

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """Labels of the videos that have some: video name -> uint8 (T,)."""
        return self._curves("labels")

    @property
    def times(self) -> dict[str, np.ndarray]:
        """Seconds of each frame since the first: video name -> float64 (T,)."""
        return self._curves("times")

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
            InputError: an unknown scale or field, a wrong value, or a calibrated score of a window
                that the calibration does not know.
        """
        require_known(scale, ("raw", "calibrated", "per_video"), "scale")
        settings = asdict(self.calibration.score_config) | changes
        score_config = from_dict(ScoreConfig, settings, "rescore")
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
        calibration = self.calibration
        maps = self._maps(name)
        return calibration.score_map(maps, self.videos[name].scene, calibration.score_config)

    def _curves(self, part: str) -> dict[str, np.ndarray]:
        curves = {name: getattr(video, part) for name, video in self.videos.items()}
        return {name: values for name, values in curves.items() if values is not None}

    def _maps(self, name: str) -> ErrorMaps:
        require_known(name, self.videos, "video", field="name")
        maps = self.videos[name].maps or {}
        message = f"video {name!r} has no error maps; evaluate it again"
        require("plain" in maps, message, "nothing-to-do", field="maps")
        return maps

    def save(self, folder: str | Path) -> None:
        """Write `scores.npz` (scores, labels, error maps, calibration) and, with labels,
        `metrics.json`. Earlier files are replaced when both are written.

        Raises:
            InputError: the folder cannot be written, or the disk is full; the earlier files are
                unchanged.
        """
        arrays = {f"calibration/{key}": part for key, part in self.calibration.arrays().items()}
        arrays["protocol"] = np.array(self.protocol)
        for name, video in self.videos.items():
            arrays[f"scene/{name}"] = np.array(video.scene)
            for error, values in (video.maps or {}).items():
                arrays[f"maps/{error}/{name}"] = values
        for part in CURVES:
            for name, values in self._curves(part).items():
                arrays[f"{part}/{name}"] = values
        folder = expand_home(folder)
        path = folder / "metrics.json"
        # Scores are renamed first: metrics never lie beside the scores of another time.
        with atomic(path) as measured, atomic(folder / "scores.npz") as scores:
            measured.write_text(json_text(self.metrics), encoding="utf-8")
            np.savez_compressed(scores, **arrays)  # type: ignore[arg-type]
            path.unlink(missing_ok=True)
        if not self.metrics:
            path.unlink()

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: the run was not evaluated, or a file is damaged or of an earlier version.
        """
        folder = expand_home(folder)
        path = folder / "scores.npz"
        advice = f"write it with `{command_line('evaluate', folder)}`"
        parts = split_names(read_arrays(path, advice))
        with readable(path, advice):
            calibration = Calibration.from_arrays(parts.pop("calibration"))
            protocol = str(parts.pop("protocol")[""])
            maps = split_names(parts.pop("maps", {}))
            videos = {}
            for name in parts["scores"]:
                fields: dict[str, Any] = {part: values.get(name) for part, values in parts.items()}
                fields["scene"] = str(parts["scene"][name])
                of_video = {error: values[name] for error, values in maps.items() if name in values}
                videos[name] = VideoResult(**fields, maps=of_video or None)
            result = cls(videos, calibration, protocol=protocol)
        path = folder / "metrics.json"
        if path.is_file():
            with readable(path, advice):
                result.metrics.update(json.loads(path.read_text(encoding="utf-8")))
        return result
