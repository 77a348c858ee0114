"""Decoded frames before they become RGB: a checksum of their samples, and what 8 bits leave of
deeper ones.
"""

from __future__ import annotations

import zlib

import av
import numpy as np
from av.video.reformatter import VideoReformatter

# of 256: with fewer left, a video of finer samples is refused; 12 bits in samples of 16 leave 16 or
# 17
LEAST_LEVELS = 20
_LOSS = 3  # times as many values in the file: then these levels hide what the file shows


def checksum(frame: av.VideoFrame) -> int:
    """Return the CRC-32 of a frame's visible samples, and of its palette if it has one."""
    total = 0
    for index, plane in enumerate(frame.planes):
        content = np.frombuffer(plane, np.uint8)
        if plane.line_size:  # a palette has no lines
            rows = content.reshape(-1, abs(plane.line_size))
            content = np.ascontiguousarray(rows[:, : _row_bytes(frame.format, index, plane.width)])
        total = zlib.crc32(content, total)
    return total


def _row_bytes(form: av.VideoFormat, index: int, width: int) -> int:
    """Bytes of a row of a plane that hold samples; behind them, rows are padded with anything."""
    planes = {component.plane for component in form.components}
    if len(planes) == 1:
        return -(-width * form.padded_bits_per_pixel // 8)
    return width * sum(
        -(-component.bits // 8) for component in form.components if component.plane == index
    )


class Levels:
    """Counts the values that a video's samples take, frame by frame, and the levels that 8 bits
    leave of them.

    Attributes:
        bits: bits a sample of the deepest component; 8 or less is never looked at.
    """

    def __init__(self):
        self.bits = 0
        # True for each value that occurs, on a scale of 16 bits
        self._values = np.zeros(1 << 16, bool)
        self._floats = 0
        self._convert = VideoReformatter()

    def add(self, frame: av.VideoFrame, threads: dict[str, int]) -> None:
        """Count the values of a frame; `threads` are arguments for the conversion."""
        form = frame.format
        self.bits = max(component.bits for component in form.components)
        if self.bits <= 8:
            return
        # Of YUV the luma counts: its depth is that of the video, and conversion to RGB would mix it
        # with the colours.
        luma = len(form.components) >= 3 and not form.is_rgb
        target = "yuv444p16le" if luma else "rgb48le" if form.is_rgb else "gray16le"
        samples = self._convert.reformat(frame, format=target, **threads).planes[0]
        width = frame.width * (3 if target == "rgb48le" else 1)
        rows = np.frombuffer(samples, "<u2").reshape(-1, samples.line_size // 2)
        self._values[rows[:, :width]] = True
        if "f32" in form.name:
            order = ">" if form.name.endswith("be") else "<"
            self._floats = max(
                self._floats, len(np.unique(np.frombuffer(frame.planes[0], f"{order}f4")))
            )

    @property
    def values(self) -> int:
        """How many values the samples take."""
        return max(int(self._values.sum()), self._floats)

    @property
    def left(self) -> int:
        """How many levels of 256 are left of them in 8 bits."""
        return int(self._values.reshape(256, 256).any(1).sum())

    @property
    def hidden(self) -> bool:
        """True if the video shows more than 8 bits can: many values in a few levels."""
        return self.bits > 8 and self.left < LEAST_LEVELS and self.values >= _LOSS * self.left
