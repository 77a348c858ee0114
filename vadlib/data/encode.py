"""Frames become a video file that browsers play: H.264 in MP4, written with PyAV."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain, count
from pathlib import Path

import av
import numpy as np

from vadlib.errors import require
from vadlib.files import atomic, expand_home

# The comment in a film that `vadlib score` has painted: no model must learn from it.
ANNOTATED = "annotated by vadlib score"

# ticks between two frames; frames are reordered, so that some of MP4's numbers, below 2**31, span
# several steps
LARGEST = 2**28
FASTEST = 1e6  # frames a second
Images = Iterable[np.ndarray]
Times = np.ndarray | None


def write_video(path: str | Path, frames: Images, fps: float, times: Times = None) -> None:
    """Write frames, one after the other, as H.264. The same frames give the same file.

    Args:
        path: a name that ends in .mp4; replaced when the last frame is written.
        frames: uint8 (H, W, C), RGB, or grey with C = 1, all of one size; an odd height or width is
            cut by a pixel, as the format wants.
        fps: frames a second, such as 1 / 3600 for a picture an hour; with `times`, only the last
            frame is shown for 1 / fps.
        times: (T,), seconds of each frame since the first, increasing, for a rate that varies;
            None: the rate is constant.

    Raises:
        InputError: another ending, no frames, frames of several sizes, a rate outside 4e-9 to 1e6,
            or a file that cannot be written.
    """
    path = expand_home(path)
    message = f"{path}: expected a name that ends in .mp4"
    require(path.suffix.lower() == ".mp4", message, "wrong-kind-of-file", file=path)
    with atomic(path) as temporary:
        encode_video(temporary, frames, fps, times, path)


def encode_video(
    file: Path, frames: Images, fps: float, times: Times, path: Path, comment: str = ""
) -> None:
    """Write frames, and a comment into the header, into a file that gets its name, `path`, later;
    otherwise as `write_video`.
    """
    message = f"{path}: {fps} frames a second; expected 4e-9 to 1e6"
    require(1 / LARGEST <= fps <= FASTEST, message, "out-of-range", file=path, field="fps")
    images = iter(frames)
    first = next(images, np.empty(0))
    message = f"{path}: no frames to write; expected at least one"
    require(first.size > 0, message, "too-few", file=path, field="frames")
    rate = _fraction(fps)
    if times is None:
        # More than needed: players expect some thousands.
        clock = rate.numerator * max(1, min(10_000 // rate.numerator, LARGEST // rate.denominator))
        tick = 1 / rate
        stamps = count()
    else:
        longest = max(1 / fps, float(np.diff(times).max(initial=0)))
        clock = max(1, min(90_000, int(LARGEST / longest)))
        tick, steps = Fraction(1, clock), np.arange(len(times))
        later = np.rint(times * clock).astype(np.int64) - steps
        stamps = (np.maximum.accumulate(later) + steps).tolist()  # strictly increasing
    height, width = first.shape[:2]
    with av.open(str(file), "w", options={"video_track_timescale": str(clock)}) as container:
        container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = height // 2 * 2, width // 2 * 2
        stream.pix_fmt = "yuv420p"
        # mbtree gives other bytes each time where x264 uses AVX-512.
        stream.options = {"x264-params": "mbtree=0"}
        stream.codec_context.time_base = tick
        for stamp, pixels in zip(stamps, chain([first], images), strict=False):
            message = f"{path}: a frame of {pixels.shape} after one of {first.shape}; resize them"
            require(pixels.shape == first.shape, message, "mixed-sizes", file=path, field="frames")
            rgb = np.broadcast_to(pixels, (height, width, 3))[: stream.height, : stream.width]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts, frame.time_base = stamp, tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _fraction(fps: float) -> Fraction:
    """The rate as a fraction of numbers that MP4 can hold; 29.97 becomes 30000 / 1001 or nearly so,
    and 1 / 3600 stays itself.
    """
    if fps >= 1:
        return Fraction(fps).limit_denominator(1001)
    return 1 / Fraction(1 / fps).limit_denominator(max(1, min(1001, int(LARGEST * fps))))
