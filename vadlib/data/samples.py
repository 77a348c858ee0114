"""What 8 bits leave of the samples of deeper video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from vadlib.errors import require

# of 256: with fewer left, a video of finer samples is refused; 12 bits in samples of 16 leave 16 or
# 17
LEAST_LEVELS = 20
_LOSS = 3  # times as many values in the file: then these levels hide what the file shows


class Levels:
    """Counts the values that a video's samples take, and the levels that 8 bits leave of them.

    Attributes:
        bits: bits a sample of the deepest component; 8 or less is never looked at.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bits = 0
        # True for each value that occurs, on a scale of 16 bits
        self._values = np.zeros(1 << 16, bool)
        self._convert = VideoReformatter()

    def add(self, frame: av.VideoFrame, threads: dict[str, Any]) -> None:
        """Count the values of a frame; `threads` are arguments for the conversion."""
        form = frame.format
        message = f"{self.path}: floating-point samples; convert the video to 8 bits a sample"
        require("f32" not in form.name, message, "wrong-kind-of-file", file=self.path)
        self.bits = max(component.bits for component in form.components)
        if self.bits <= 8:
            return
        target = "rgb48le" if form.is_rgb else "gray16le"
        if len(form.components) >= 3 and not form.is_rgb:
            target = "yuv444p16le"  # the luma counts: its depth is that of the video
        samples = self._convert.reformat(frame, format=target, **threads).planes[0]
        width = frame.width * (3 if form.is_rgb else 1)
        rows = np.frombuffer(memoryview(samples), "<u2").reshape(-1, samples.line_size // 2)
        self._values[rows[:, :width]] = True

    @property
    def left(self) -> int:
        """How many levels of 256 are left in 8 bits."""
        return int(self._values.reshape(256, 256).any(1).sum())

    def require_visible(self) -> None:
        """Raise an `InputError` if the video has many values, but few levels are left of them."""
        values, levels = int(self._values.sum()), self.left
        message = (
            f"{self.path}: its samples have {self.bits} bits and take {values} values, of which 8 "
            f"bits would leave {levels} of 256 levels; expected at least {LEAST_LEVELS}. Stretch "
            "the values over the whole range when converting, in the same way for all videos"
        )
        is_visible = self.bits <= 8 or levels >= LEAST_LEVELS or values < _LOSS * levels
        require(is_visible, message, "wrong-kind-of-file", file=self.path)
