"""Frames become a video file that browsers play: H.264 in MP4, written with PyAV."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vadlib.errors import require
from vadlib.files import atomic, expand_home

# The comment in a film that `vadlib score` has painted: no model must learn from it.
ANNOTATED = "annotated by vadlib score"


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float, comment: str = "") -> None:
    """Write frames, one after the other, as H.264. The same frames give the same file.

    Args:
        path: a name that ends in .mp4; replaced when the last frame is written.
        frames: uint8 (H, W, C), RGB, or grey with C = 1, all of one size; an odd height or width is cut by a pixel, as the format wants.
        fps: frames a second.
        comment: a text in the file's header; "" for none.

    Raises:
        InputError: another ending, no frames, frames of several sizes, a rate that is not above 0, or a folder that cannot be written.
    """
    path = expand_home(path)
    require(path.suffix.lower() == ".mp4", f"{path}: expected a name that ends in .mp4", "wrong-kind-of-file", file=path)
    require(fps > 0, f"{path}: {fps} frames a second; expected more than 0", "out-of-range", file=path, field="fps")
    with atomic(path) as temporary, av.open(str(temporary), "w") as container:
        stream = shape = None
        if comment:
            container.metadata["comment"] = comment
        for frame in frames:
            height, width = (side // 2 * 2 for side in frame.shape[:2])
            shape = shape or frame.shape
            message = f"{path}: a frame of {frame.shape} after one of {shape}; expected one size: resize the frames"
            require(frame.shape == shape, message, "mixed-sizes", file=path, field="frames")
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
                stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
                stream.options = {"x264-params": "mbtree=0"}  # which gives other bytes each time where x264 uses AVX-512
            rgb = np.ascontiguousarray(np.broadcast_to(frame, (*frame.shape[:2], 3))[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        require(stream is not None, f"{path}: no frames to write; expected at least one", "too-few", file=path, field="frames")
        container.mux(stream.encode())
