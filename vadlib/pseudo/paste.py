"""Follow a box through a clip and blend a picture into it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Generator, Tensor

from vadlib.data.clips import to_tensor

MIN_IOU = 0.1  # moving blobs merge and split, so consecutive boxes of one person may overlap little


def follow_box(
    boxes: Sequence[np.ndarray] | None, frame: tuple[int, int], generator: Generator
) -> np.ndarray | None:
    """Draw one box of the middle frame and follow it through the clip by overlap (IoU).

    Where the box is lost, it goes on at its last speed. The width and height are the track's
    medians and the centres are smoothed: detections jitter, and a patch that jitters or flickers
    would give itself away.

    Args:
        boxes: T arrays (N, 4): x0, y0, x1, y1; None where no detector ran.
        frame: (height, width) of the clip; only boxes whose centre is inside are drawn.
        generator: draws the box.

    Returns:
        float32 (T, 4), or None where no box qualifies.
    """
    if boxes is None:
        return None
    middle = len(boxes) // 2
    centres = (boxes[middle][:, :2] + boxes[middle][:, 2:]) / 2
    inside = np.flatnonzero(((centres >= 0) & (centres < frame[::-1])).all(1))
    if not len(inside):
        return None
    first = boxes[middle][inside[int(torch.randint(len(inside), (1,), generator=generator))]]
    later = _walk(first, boxes[middle + 1 :])
    earlier = _walk(first, boxes[:middle][::-1])
    track = np.array([*earlier[::-1], first, *later], np.float32)
    centre, size = (track[:, :2] + track[:, 2:]) / 2, np.median(track[:, 2:] - track[:, :2], axis=0)
    centre = np.stack([_smooth(centre[:, 0]), _smooth(centre[:, 1])], axis=1)
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1).astype(np.float32)


def paste_patch(
    clip: Tensor, patch: np.ndarray, track: np.ndarray, opacity: float, size: float
) -> tuple[Tensor, Tensor]:
    """Blend one picture into a moving box.

    A picture without alpha fills the box and fades towards a soft elliptical border. One with alpha
    keeps its shape and its proportions, and covers as much area as the box.

    Args:
        clip: float32 (C, T, H, W) in [-1, 1]; not changed.
        patch: uint8 RGB (h, w, 3) or RGBA (h, w, 4); turned grey for a grey clip.
        track: float32 (T, 4), the box in each frame.
        opacity: in [0, 1], where the picture is most opaque.
        size: share of the box's width and height that the picture takes.

    Returns:
        The changed clip, float32 (C, T, H, W), in [-1, 1], and the picture's weight in each pixel,
        float32 (T, H, W) in [0, 1].
    """
    channels, _, height, width = clip.shape
    has_alpha = patch.shape[2] == 4
    # of 2 pixels both would be border: nothing would change
    sides = np.maximum((track[0, 2:] - track[0, :2]) * size, 3)
    if has_alpha:
        proportions = np.array([patch.shape[1], patch.shape[0]])
        sides = proportions * (sides.prod() / proportions.prod()) ** 0.5
    wide, tall = (max(1, round(float(side))) for side in sides)
    patch = _resized(patch, wide, tall)
    alpha = patch[..., 3] / 255 if has_alpha else _ellipse(wide, tall)
    soft = (opacity * alpha).astype(np.float32)
    picture = patch[..., :3]
    if channels == 1:
        picture = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)[..., None]
    layer = to_tensor(picture[None]).numpy()[:, 0].transpose(1, 2, 0).astype(np.float32)
    centres = (track[:, :2] + track[:, 2:]) / 2
    changed, weights = clip.clone(), torch.zeros(clip.shape[1:])
    for t, (cx, cy) in enumerate(centres):
        # Shifting by fractions of a pixel keeps the motion as smooth as the person's; whole pixels
        # would make it jump.
        shift = np.float32([[1, 0, cx - wide / 2], [0, 1, cy - tall / 2]])
        weight = weights[t] = torch.from_numpy(cv2.warpAffine(soft, shift, (width, height)))
        moved = cv2.warpAffine(
            layer, shift, (width, height), borderMode=cv2.BORDER_REPLICATE
        ).reshape(height, width, channels)
        changed[:, t] = torch.lerp(clip[:, t], torch.from_numpy(moved).permute(2, 0, 1), weight)
    return changed.clamp_(-1, 1), weights


def _resized(patch: np.ndarray, wide: int, tall: int) -> np.ndarray:
    shrinking = wide < patch.shape[1] or tall < patch.shape[0]
    return cv2.resize(
        patch, (wide, tall), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    )


def _ellipse(wide: int, tall: int) -> np.ndarray:
    """Weights (tall, wide), 1 over the inner half of an ellipse, then falling to 0."""
    y, x = np.mgrid[-1 : 1 : tall * 1j, -1 : 1 : wide * 1j]
    return np.clip(2 * (1 - np.hypot(x, y)), 0, 1)


def _walk(box: np.ndarray, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    track, speed = [], np.zeros(4, np.float32)
    for candidates in frames:
        overlap = iou(box, candidates)
        if len(candidates) and overlap.max() >= MIN_IOU:
            following = candidates[overlap.argmax()]
            # A merged blob is no measure of one person: its centre jumps, so trust it only where
            # the size is alike.
            if np.ptp([np.prod(b[2:] - b[:2]) for b in (box, following)]) < np.prod(
                box[2:] - box[:2]
            ):
                centre_step = ((following - box)[:2] + (following - box)[2:]) / 2
                speed = (
                    np.tile(0.5 * speed[:2] + 0.5 * centre_step, 2)
                    if track
                    else np.tile(centre_step, 2)
                )
                box = following
                track.append(box)
                continue
        box = box + speed
        track.append(box)
    return track


def iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (4,) with each of (N, 4) -> (N,) in [0, 1]."""
    corner_0, corner_1 = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(corner_1 - corner_0, 0, None).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return shared / np.maximum(areas - shared, 1e-9)


def _smooth(values: np.ndarray) -> np.ndarray:
    padded = np.pad(values, 2, mode="reflect", reflect_type="odd")
    return np.convolve(padded, np.ones(5) / 5, mode="valid")
