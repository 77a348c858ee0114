"""The kinds of pseudo-anomaly: each turns a normal clip into one that looks or moves wrongly, and
says which pixels changed.

Every kind draws its parameters in `_draw`, from an explicit generator, and applies them in
`_apply`: the same generator state gives the same pseudo-anomaly, so a widget can replay it and a
test can fix it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from vadlib.config import PseudoConfig
from vadlib.data.clips import Clip, to_tensor
from vadlib.errors import require
from vadlib.pseudo.noise import noise_level
from vadlib.pseudo.paste import follow_box, paste_patch
from vadlib.pseudo.patches import Patches, load_patches

Params = dict[str, Any]  # name -> value; each kind has its own
Strength = float | tuple[float, float]


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

    def __init__(self, strength: Strength | None = None):
        strength = self.default_strength if strength is None else strength
        span = tuple(strength) if isinstance(strength, (tuple, list)) else (strength, strength)
        is_numbers = len(span) == 2 and all(isinstance(value, (int, float)) for value in span)
        fits = is_numbers and 0 <= span[0] <= span[1] <= 1
        kind = type(self).__name__
        expected = "expected a number in [0, 1], or (low, high) in it"
        message = f"{kind}: strength = {strength!r}; {expected}"
        require(fits, message, "out-of-range", field=f"{kind}.strength")
        self.strength = (float(span[0]), float(span[1]))

    @classmethod
    def from_config(cls, config: PseudoConfig, strength: Strength | None = None) -> Self:
        """Make the kind with the settings of a config; a kind that takes some overrides this."""
        return cls(strength)

    def settings(self) -> dict[str, object]:
        """Return what makes this kind what it is, as JSON: the range of its strength, and more if
        it takes more.

        A kind that takes more overrides this: `super().settings() | {"grain": self.grain}`. A run
        is resumed only with the same settings.
        """
        return {"strength": list(self.strength)}

    def __call__(self, clip: Clip, generator: Generator) -> PseudoClip | None:
        low, high = self.strength
        strength = low + (high - low) * float(torch.rand((), generator=generator))
        params = self._draw(clip, strength, generator)
        if params is None:
            return None
        tensor = self._apply(clip, params, generator)
        return PseudoClip(tensor, (tensor != clip.tensor).any(0), self.name, params)

    @abstractmethod
    def _draw(self, clip: Clip, strength: float, generator: Generator) -> Params | None:
        """Draw the physical parameters; None if this kind cannot be made of the clip."""

    @abstractmethod
    def _apply(self, clip: Clip, params: Params, generator: Generator) -> Tensor:
        """Return the changed clip, of the shape and range of `clip.tensor`."""


class SkipFrames(PseudoAnomaly):
    """Too fast: shows every `stride`-th frame of the video, looking ahead of the clip.

    Strength 0 to 1 maps onto strides 1 to 5 (the paper's stride 2 is 0.25). Near the end of a video
    the stride is the largest that the remaining frames allow; None if not even 2 fits.
    """

    name = "skip"

    def _draw(self, clip: Clip, strength: float, generator: Generator) -> Params | None:
        wanted = 1 + round(4 * strength)
        possible = 1 + len(clip.lookahead) // max(1, clip.tensor.shape[1] - 1)
        stride = min(wanted, possible)
        return None if stride == 1 < wanted else {"stride": stride}

    def _apply(self, clip: Clip, params: Params, generator: Generator) -> Tensor:
        length = clip.tensor.shape[1]
        positions = torch.arange(length) * params["stride"]
        inside = positions[positions < length]
        ahead = positions[positions >= length] - length
        return torch.cat([clip.tensor[:, inside], to_tensor(clip.lookahead[ahead])], dim=1)


class ShuffleMotion(PseudoAnomaly):
    """Jerky: some frames change places in time.

    Strength maps onto the share of the frames that move. At 1 the whole clip is shuffled so that no
    two neighbours in time stay neighbours (as in the paper).

    Raises:
        InputError: a clip of fewer than 4 frames: no such order of 2 or 3 frames exists.
    """

    name = "shuffle"

    def _draw(self, clip: Clip, strength: float, generator: Generator) -> Params:
        length = clip.tensor.shape[1]
        message = f"ShuffleMotion needs clips of at least 4 frames (got {length})"
        require(length >= 4, message, "too-few", field="ClipConfig.length")
        count = round(strength * length)
        order = torch.arange(length)
        if count == length:
            order = _without_neighbours(length, generator)
        elif count >= 2:
            positions = torch.randperm(length, generator=generator)[:count]
            # One cycle through these frames: each of them moves.
            order[positions] = order[positions.roll(1)]
        return {"order": order.tolist()}

    def _apply(self, clip: Clip, params: Params, generator: Generator) -> Tensor:
        return clip.tensor[:, params["order"]]


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
    paper_sigma: ClassVar[float] = 0.81

    def __init__(self, strength: Strength | None = None, grain: int = 1):
        super().__init__(strength)
        fits = isinstance(grain, int) and grain >= 1
        message = f"AddNoise: grain = {grain!r}; expected a whole number of pixels, at least 1"
        require(fits, message, "out-of-range", field="AddNoise.grain")
        self.grain = grain

    @classmethod
    def from_config(cls, config: PseudoConfig, strength: Strength | None = None) -> Self:
        return cls(strength, config.grain)

    def settings(self) -> dict[str, object]:
        return super().settings() | {"grain": self.grain}

    def _draw(self, clip: Clip, strength: float, generator: Generator) -> Params:
        sigma = self.paper_sigma * strength * float(clip.tensor.std())
        return {"sigma": sigma, "grain": self.grain}

    def _apply(self, clip: Clip, params: Params, generator: Generator) -> Tensor:
        if params["sigma"] == 0:
            return clip.tensor
        noise = _gaussian(clip.tensor.shape, params["grain"], generator)
        return _reflect(clip.tensor + params["sigma"] * noise)


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
    default_strength = (0.5, 1.0)

    def __init__(self, patches: str | Patches = "builtin", strength: Strength | None = None):
        super().__init__(strength)
        self.patches = load_patches(patches) if isinstance(patches, str) else patches

    @classmethod
    def from_config(cls, config: PseudoConfig, strength: Strength | None = None) -> Self:
        return cls(config.patches, strength)

    def settings(self) -> dict[str, object]:
        return super().settings() | {"patches": self.patches.source}

    def _draw(self, clip: Clip, strength: float, generator: Generator) -> Params | None:
        height, width = clip.tensor.shape[2:]
        track = follow_box(clip.boxes, (height, width), generator)
        if track is None:
            return None
        size = 0.5 + 0.5 * strength
        room = (1 - size) * (track[:, 2:] - track[:, :2])[0]
        offset = room * (torch.rand(2, generator=generator).numpy() - 0.5)
        return {
            "opacity": strength,
            "size": size,
            "track": track + np.tile(offset, 2),
            "patch": self.patches.draw(generator),
            "noise": noise_level(clip.tensor),
        }

    def _apply(self, clip: Clip, params: Params, generator: Generator) -> Tensor:
        if params["opacity"] == 0:
            return clip.tensor
        placement = (params["patch"], params["track"], params["opacity"], params["size"])
        pasted, weight = paste_patch(clip.tensor, *placement)
        # Blending left (1 - weight) of the camera's noise; this much more restores its variance.
        missing = params["noise"] * (1 - (1 - weight) ** 2).sqrt()
        noisy = _reflect(pasted + missing * torch.randn(pasted.shape, generator=generator))
        return torch.where(weight > 0, noisy, clip.tensor)


def _gaussian(shape: torch.Size, grain: int, generator: Generator) -> Tensor:
    """Draw Gaussian noise of deviation 1 (C, T, H, W), new in every frame and channel; nearly
    independent in space from 2 `grain` pixels on.
    """
    if grain == 1:
        return torch.randn(shape, generator=generator)
    height, width = shape[2:]
    coarse = (*shape[:2], -(-height // grain) + 1, -(-width // grain) + 1)
    noise = torch.randn(coarse, generator=generator)
    noise = F.interpolate(noise, scale_factor=grain, mode="bicubic")[..., :height, :width]
    return noise / noise.std()  # interpolation makes it smaller


def _reflect(values: Tensor) -> Tensor:
    """Fold values into [-1, 1] by reflection at the borders, as often as needed."""
    return 1 - (torch.remainder(values + 1, 4) - 2).abs()


def _without_neighbours(length: int, generator: Generator) -> Tensor:
    # About e^-2 of all orders qualify, so a few draws do; a fixed number of tries, as a loop must
    # end for every length.
    for _ in range(200):
        order = torch.randperm(length, generator=generator)
        if (order.diff().abs() != 1).all():
            return order
    return torch.from_numpy(np.r_[1:length:2, 0:length:2])  # odd numbers, then even ones: 1 3 0 2
