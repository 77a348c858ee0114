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

    If the box is lost, it goes on at its last speed. The width and height are the track's medians
    and the centres are smoothed: detections jitter, and a patch that jitters or flickers would give
    itself away.

    Args:
        boxes: T arrays (N, 4) float32: x0, y0, x1, y1; None if no detector ran.
        frame: (height, width) of the clip; only boxes whose centre is inside are drawn.
        generator: draws the box.

    Returns:
        float32 (T, 4), or None if no box qualifies.
    """
    if boxes is None:
        return None
    middle = len(boxes) // 2
    centres = _centres(boxes[middle])
    is_inside = ((centres >= 0) & (centres < frame[::-1])).all(1)
    candidates = boxes[middle][is_inside]
    if not len(candidates):
        return None
    first = candidates[int(torch.randint(len(candidates), (1,), generator=generator))]
    later = _walk(first, boxes[middle + 1 :])
    earlier = _walk(first, boxes[:middle][::-1])
    track = np.array([*earlier[::-1], first, *later], np.float32)
    half = np.median(track[:, 2:] - track[:, :2], axis=0) / 2
    centres = np.stack([_smooth(coordinate) for coordinate in _centres(track).T], axis=1)
    return np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)


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
    patch, alpha = _resized(patch, (track[0, 2:] - track[0, :2]) * size)
    alpha = (opacity * alpha).astype(np.float32)
    if len(clip) == 1:
        patch = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)[..., None]
    picture = to_tensor(patch[None])[:, 0].permute(1, 2, 0).float().numpy()
    changed = clip.clone()
    weights = torch.zeros(clip.shape[1:])
    tall, wide = alpha.shape
    for t, (x, y) in enumerate(_centres(track)):
        # Shifting by fractions of a pixel keeps the motion as smooth as the person's; whole pixels
        # would make it jump.
        shift = np.array([[1, 0, x - wide / 2], [0, 1, y - tall / 2]], np.float32)
        weights[t] = torch.from_numpy(_shifted(alpha, shift, clip.shape[2:], cv2.BORDER_CONSTANT))
        moved = _shifted(picture, shift, clip.shape[2:], cv2.BORDER_REPLICATE)
        layer = torch.from_numpy(moved.reshape(*clip.shape[2:], len(clip))).permute(2, 0, 1)
        changed[:, t] = torch.lerp(clip[:, t], layer, weights[t])
    return changed.clamp_(-1, 1), weights


def _resized(patch: np.ndarray, sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit a picture into a box of these sides (width, height): its pixels RGB (h, w, 3), and how
    opaque each of them is, (h, w) in [0, 1].
    """
    height, width = patch.shape[:2]
    has_alpha = patch.shape[2] == 4
    sides = np.maximum(sides, 3)  # of 2 pixels both would be border: nothing would change
    if has_alpha:
        proportions = np.array([width, height])
        sides = proportions * (sides.prod() / proportions.prod()) ** 0.5
    wide, tall = (max(1, round(float(side))) for side in sides)
    is_smaller = wide < width or tall < height
    interpolation = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
    patch = cv2.resize(patch, (wide, tall), interpolation=interpolation)
    if has_alpha:
        return np.ascontiguousarray(patch[..., :3]), patch[..., 3] / 255
    return patch, _ellipse(wide, tall)


def _shifted(
    picture: np.ndarray, shift: np.ndarray, size: Sequence[int], border: int
) -> np.ndarray:
    moved: np.ndarray = cv2.warpAffine(picture, shift, (size[1], size[0]), borderMode=border)
    return moved


def _ellipse(wide: int, tall: int) -> np.ndarray:
    """Return weights (tall, wide), 1 over the inner half of an ellipse, then falling to 0."""
    y, x = np.mgrid[-1 : 1 : tall * 1j, -1 : 1 : wide * 1j]
    weights: np.ndarray = np.clip(2 * (1 - np.hypot(x, y)), 0, 1)
    return weights


def _centres(boxes: np.ndarray) -> np.ndarray:
    centres: np.ndarray = (boxes[:, :2] + boxes[:, 2:]) / 2
    return centres


def _walk(box: np.ndarray, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Follow a box through frames with boxes (N, 4) each; return one box for each frame."""
    track: list[np.ndarray] = []
    speed = np.zeros(2, np.float32)
    for candidates in frames:
        following = _most_overlapping(box, candidates)
        if following is None:
            box = box + np.tile(speed, 2)
        else:
            step = _centres((following - box)[None])[0]
            speed = 0.5 * speed + 0.5 * step if track else step
            box = following
        track.append(box)
    return track


def _most_overlapping(box: np.ndarray, candidates: np.ndarray) -> np.ndarray | None:
    """Return the box that overlaps most with this one; None if it overlaps too little, or has
    twice its area: the centre of a merged blob says nothing about one person.
    """
    from torchvision.ops import box_iou  # here, since importing torchvision takes seconds

    if not len(candidates):
        return None
    overlaps = box_iou(torch.from_numpy(box[None]), torch.from_numpy(candidates))[0]
    best: np.ndarray = candidates[int(overlaps.argmax())]
    area, best_area = ((b[2:] - b[:2]).prod() for b in (box, best))
    is_alike = abs(best_area - area) < area
    return best if is_alike and overlaps.max() >= MIN_IOU else None


def _smooth(values: np.ndarray) -> np.ndarray:
    padded = np.pad(values, 2, mode="reflect", reflect_type="odd")
    smooth: np.ndarray = np.convolve(padded, np.ones(5) / 5, mode="valid")
    return smooth
