"""The kinds of pseudo-anomaly: each turns a normal clip into one that looks or moves wrongly, and
says which pixels changed.

Every kind draws its parameters from an explicit generator: the same generator state gives the same
pseudo-anomaly, so a widget can replay it and a test can fix it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import ClassVar, NamedTuple

import cv2
import numpy as np
import torch
from torch import Generator, Tensor, nn

from vadlib.data.clips import Clip, to_tensor
from vadlib.data.store import resize_frame
from vadlib.errors import require
from vadlib.pseudo.patches import Patches, load_patches

Params = dict[str, object]  # each kind has its own
Change = tuple[Tensor, Params]
Strength = float | tuple[float, float]
Boxes = Sequence[np.ndarray]  # of each frame, float32 (N, 4): x0, y0, x1, y1


class PseudoClip(NamedTuple):
    """A pseudo-anomalous clip.

    Attributes:
        tensor: float32 (C, T, H, W) in [-1, 1], the range of normal clips.
        mask: bool (T, H, W), True where the clip differs from the normal one.
        kind: the kind's name, such as "skip".
        params: the physical parameters drawn, such as {"stride": 3}.
    """

    tensor: Tensor
    mask: Tensor
    kind: str
    params: Params


class PseudoAnomaly(ABC):
    """Base of the kinds: `kind(clip, generator)` returns a `PseudoClip`, or None if it cannot be
    made of this clip.

    Args:
        strength: in [0, 1], or a range (low, high) from which each clip draws; None is the kind's
            `default_strength`. 0 returns the clip bit for bit, and the mean change over many clips
            does not fall as the strength rises.

    Raises:
        InputError: a strength outside [0, 1].
    """

    name: ClassVar[str]
    default_strength: ClassVar[Strength] = (0.25, 1.0)
    options: ClassVar[tuple[str, ...]] = ()  # fields of `PseudoConfig` that are its attributes

    def __init__(self, strength: Strength | None = None):
        strength = self.default_strength if strength is None else strength
        ends = strength if isinstance(strength, tuple) else (strength, strength)
        field = f"{type(self).__name__}.strength"
        message = f"{field} = {strength}; expected a number in [0, 1], or (low, high) in it"
        fits = len(ends) == 2 and all(isinstance(end, (int, float)) for end in ends)
        require(fits and 0 <= ends[0] <= ends[1] <= 1, message, "out-of-range", field=field)
        self.strength = (float(ends[0]), float(ends[1]))

    def settings(self) -> dict[str, object]:
        """Return what makes this kind what it is, as JSON. A run is resumed only with the same.

        A kind with settings that `PseudoConfig` lacks overrides this:
        `super().settings() | {"depth": self.depth}`.
        """
        options = {name: getattr(self, name) for name in self.options}
        return {"strength": list(self.strength)} | options

    def __call__(self, clip: Clip, generator: Generator) -> PseudoClip | None:
        low, high = self.strength
        strength = low + (high - low) * float(torch.rand((), generator=generator))
        change = self._change(clip, strength, generator)
        if change is None:
            return None
        tensor, params = change
        return PseudoClip(tensor, (tensor != clip.tensor).any(0), self.name, params)

    @abstractmethod
    def _change(self, clip: Clip, strength: float, generator: Generator) -> Change | None:
        """Draw the physical parameters, and return the changed clip, of the shape and range of
        `clip.tensor`, with them; None if this kind cannot be made of the clip.
        """


class SkipFrames(PseudoAnomaly):
    """Too fast: shows every `stride`-th frame of the video, looking ahead of the clip.

    Strength 0 to 1 maps onto strides 1 to 5 (the paper's stride 2 is 0.25). Near the end of a video
    the stride is the largest that the remaining frames allow; None if not even 2 fits.
    """

    name = "skip"

    def _change(self, clip: Clip, strength: float, generator: Generator) -> Change | None:
        length = clip.tensor.shape[1]
        wanted = 1 + round(4 * strength)
        stride = min(wanted, 1 + len(clip.lookahead) // max(1, length - 1))
        if stride == 1 < wanted:
            return None
        positions = torch.arange(length) * stride
        inside = clip.tensor[:, positions[positions < length]]
        ahead = clip.lookahead[positions[positions >= length] - length]
        return torch.cat([inside, to_tensor(ahead)], dim=1), {"stride": stride}


class ShuffleMotion(PseudoAnomaly):
    """Jerky: some frames change places in time.

    Strength maps onto the share of the frames that move. At 1 the whole clip is shuffled so that no
    two neighbours in time stay neighbours (as in the paper).

    Raises:
        InputError: a clip of fewer than 4 frames: no such order of 2 or 3 frames exists.
    """

    name = "shuffle"

    def _change(self, clip: Clip, strength: float, generator: Generator) -> Change:
        length = clip.tensor.shape[1]
        message = f"ShuffleMotion needs clips of at least 4 frames, not {length}"
        require(length >= 4, message, "too-few", field="ClipConfig.length")
        count = round(strength * length)
        order = torch.arange(length)
        if count == length:
            while (order.diff().abs() == 1).any():  # about e^-2 of all orders will do
                order = torch.randperm(length, generator=generator)
        elif count >= 2:
            positions = torch.randperm(length, generator=generator)[:count]
            # One cycle through these frames: each of them moves.
            order[positions] = order[positions.roll(1)]
        return clip.tensor[:, order], {"order": order.tolist()}


class AddNoise(PseudoAnomaly):
    """Broken picture: Gaussian noise over the whole clip.

    Strength maps onto sigma as a share of the clip's own standard deviation, up to the paper's 0.81
    (sigma 0.9^2 on z-scored frames). Values beyond [-1, 1] are reflected at the border, so no
    pile-up there gives the clip away.

    Args:
        strength: see `PseudoAnomaly`.
        grain: 1 is noise of each pixel; more pixels give soft blotches of about that size, of the
            same sigma.
    """

    name = "noise"
    options = ("grain",)

    def __init__(self, strength: Strength | None = None, grain: int = 1):
        super().__init__(strength)
        message = f"AddNoise.grain = {grain}; expected a whole number of pixels, at least 1"
        require(grain in range(1, 10**6), message, "out-of-range", field="AddNoise.grain")
        self.grain = grain

    def _change(self, clip: Clip, strength: float, generator: Generator) -> Change:
        sigma = 0.81 * strength * float(clip.tensor.std())
        tensor = clip.tensor
        if sigma > 0:
            tensor = _reflect(tensor + sigma * _gaussian(tensor.shape, self.grain, generator))
        return tensor, {"sigma": sigma, "grain": self.grain}


class PasteObjects(PseudoAnomaly):
    """A foreign thing: blends a picture into the box of a person and moves it along.

    Strength maps onto the patch's opacity (0 to 1 at its centre) and size (half to all of the box);
    a patch smaller than its box lies anywhere in it. The clip's own noise is added to the picture,
    which would otherwise be too clean for the camera. The boxes come from the dataset or from
    `find_boxes`; None if the clip holds no box, so that it stays normal.

    Args:
        patches: where the pictures come from: "builtin", "sprites", "cifar100", or a folder of
            class folders of images.
        strength: see `PseudoAnomaly`.
    """

    name = "object"
    options = ("patches",)
    default_strength = (0.5, 1.0)

    def __init__(self, patches: str | Patches = "builtin", strength: Strength | None = None):
        super().__init__(strength)
        self.pictures = load_patches(patches) if isinstance(patches, str) else patches
        self.patches = self.pictures.source

    def _change(self, clip: Clip, strength: float, generator: Generator) -> Change | None:
        track = follow_box(clip.boxes, clip.tensor.shape[2:], generator)
        if track is None:
            return None
        size = 0.5 + 0.5 * strength
        room = (1 - size) * (track[:, 2:] - track[:, :2])[0]
        track = track + np.tile(room * (torch.rand(2, generator=generator).numpy() - 0.5), 2)
        patch = self.pictures.draw(generator)
        noise = noise_level(clip.tensor)
        pasted, weight = paste_patch(clip.tensor, patch, track, strength, size)
        # Blending left (1 - weight) of the camera's noise; this much more restores its variance.
        missing = noise * (1 - (1 - weight) ** 2).sqrt()
        noisy = _reflect(pasted + missing * torch.randn(pasted.shape, generator=generator))
        params: Params = {"opacity": strength, "size": size, "track": track, "patch": patch}
        return torch.where(weight > 0, noisy, clip.tensor), params | {"noise": noise}


def _gaussian(shape: torch.Size, grain: int, generator: Generator) -> Tensor:
    """Draw Gaussian noise of deviation 1 (C, T, H, W), new in every frame and channel; nearly
    independent in space from 2 `grain` pixels on.
    """
    if grain == 1:
        return torch.randn(shape, generator=generator)
    height, width = shape[2:]
    coarse = (*shape[:2], -(-height // grain) + 1, -(-width // grain) + 1)
    noise = torch.randn(coarse, generator=generator)
    noise = nn.functional.interpolate(noise, scale_factor=grain, mode="bicubic")
    noise = noise[..., :height, :width]
    return noise / noise.std()  # interpolation makes it smaller


def _reflect(values: Tensor) -> Tensor:
    """Fold values into [-1, 1] by reflection at the borders, as often as needed."""
    return 1 - (torch.remainder(values + 1, 4) - 2).abs()


def noise_level(clip: Tensor) -> float:
    """Estimate the standard deviation of the camera's noise in a clip (C, T, H, W).

    It is measured where the clip changes least from frame to frame: in the stillest tenth of the
    pixels, since a window around moving people may show little else.
    """
    return _least_change(clip) / _least_change_of_noise(*clip.shape[:2])


def _least_change(clip: Tensor) -> float:
    return float(clip.diff(dim=1).abs().mean(dim=(0, 1)).flatten().quantile(0.1))


@cache
def _least_change_of_noise(channels: int, frames: int) -> float:
    """Return `_least_change` of noise of deviation 1, where some pixels are still by chance."""
    generator = torch.Generator().manual_seed(0)
    return _least_change(torch.randn(channels, frames, 128, 128, generator=generator))


def follow_box(boxes: Boxes | None, size: Sequence[int], rng: Generator) -> np.ndarray | None:
    """Draw one box of the middle frame and follow it through the clip by overlap (IoU).

    If the box is lost, it goes on at its last speed. The width and height are the track's medians
    and the centres are smoothed: detections jitter, and a patch that jitters or flickers would give
    itself away.

    Args:
        boxes: T arrays (N, 4) float32: x0, y0, x1, y1; None if no detector ran.
        size: (height, width) of the clip; only boxes whose centre is inside are drawn.
        rng: draws the box.

    Returns:
        float32 (T, 4), or None if no box qualifies.
    """
    boxes = boxes or [np.zeros((0, 4), np.float32)]
    middle = len(boxes) // 2
    centres = boxes[middle].reshape(-1, 2, 2).mean(1)
    candidates = boxes[middle][((centres >= 0) & (centres < size[::-1])).all(1)]
    if not len(candidates):
        return None
    first = candidates[int(torch.randint(len(candidates), (1,), generator=rng))]
    earlier = _walk(first, boxes[:middle][::-1])
    track = np.array([*earlier[::-1], first, *_walk(first, boxes[middle + 1 :])], np.float32)
    half = np.median(track[:, 2:] - track[:, :2], axis=0) / 2
    centres = track.reshape(-1, 2, 2).mean(1)
    padded = np.pad(centres, ((2, 2), (0, 0)), mode="reflect", reflect_type="odd")
    centres = np.stack([np.convolve(axis, np.ones(5) / 5, mode="valid") for axis in padded.T], 1)
    return np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)


def _walk(box: np.ndarray, frames: Boxes) -> list[np.ndarray]:
    """Follow a box through frames; return one box for each frame."""
    from torchvision.ops import box_iou  # here, since importing torchvision takes seconds

    track: list[np.ndarray] = []
    speed = np.zeros(2, np.float32)
    for candidates in frames:
        following = box + np.tile(speed, 2)
        if len(candidates):
            overlaps = box_iou(torch.from_numpy(box[None]), torch.from_numpy(candidates))[0]
            best = candidates[int(overlaps.argmax())]
            area, best_area = ((b[2:] - b[:2]).prod() for b in (box, best))
            # Blobs merge and split: boxes of one person may overlap little from frame to frame, and
            # the centre of a merged blob, of twice the area, says nothing about one person.
            if overlaps.max() >= 0.1 and abs(best_area - area) < area:
                step = (best - box).reshape(2, 2).mean(0)
                speed = 0.5 * speed + 0.5 * step if track else step
                following = best
        box = following
        track.append(box)
    return track


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
    sides = np.maximum((track[0, 2:] - track[0, :2]) * size, 3)  # of 2 pixels, both were border
    if patch.shape[2] == 4:
        proportions = np.array(patch.shape[1::-1])
        sides = proportions * (sides.prod() / proportions.prod()) ** 0.5
    wide, tall = (max(1, round(float(side))) for side in sides)
    patch = resize_frame(patch, (tall, wide))
    # 1 over the inner half of an ellipse, then falling to 0
    y, x = np.mgrid[-1 : 1 : tall * 1j, -1 : 1 : wide * 1j]
    alpha = patch[..., 3] / 255 if patch.shape[2] == 4 else np.clip(2 * (1 - np.hypot(x, y)), 0, 1)
    alpha = (opacity * alpha).astype(np.float32)
    if len(clip) == 1:
        patch = cv2.cvtColor(np.ascontiguousarray(patch[..., :3]), cv2.COLOR_RGB2GRAY)[..., None]
    picture = to_tensor(patch[None, ..., :3])[:, 0].permute(1, 2, 0).float().numpy()
    changed = clip.clone()
    weights = torch.zeros(clip.shape[1:])
    shape = clip.shape[:1:-1]  # (W, H), as OpenCV takes it
    for t, (x, y) in enumerate(track.reshape(-1, 2, 2).mean(1)):
        # Shifting by fractions of a pixel keeps the motion as smooth as the person's; whole pixels
        # would make it jump.
        shift = np.array([[1, 0, x - wide / 2], [0, 1, y - tall / 2]], np.float32)
        weights[t] = torch.from_numpy(cv2.warpAffine(alpha, shift, shape))
        moved = cv2.warpAffine(picture, shift, shape, borderMode=cv2.BORDER_REPLICATE)
        layer = torch.from_numpy(moved.reshape(*clip.shape[2:], len(clip))).permute(2, 0, 1)
        changed[:, t] = torch.lerp(clip[:, t], layer, weights[t])
    return changed.clamp_(-1, 1), weights
