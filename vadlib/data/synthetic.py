"""A rendered street scene seen by one fixed camera, with ground truth that is exact by
construction.

People walk to the right along a pedestrian street, sometimes few and sometimes many. A display on
the house flickers in random spells, and a tree sways in the wind. Training clips (8, 1,520 frames)
hold nothing else. In test clips (8, 1,530 frames) someone walks the wrong way, loiters, rides a
bicycle, drives a cart or leaves a bag, or a child runs by. Frame t of a clip is a pure function of
(seed, split, clip, t); nothing is on disk.

The scene was designed so that the amount of motion does not give the anomalies away: the display
changes more pixels than any anomaly, the crowd varies, and three kinds of anomaly are of a walker's
size and speed. It was also designed so that normal people look and move alike, and keep their
distance: otherwise two of them side by side have a larger error than one anomaly.

The world is in metres: X to the right, height upwards, Z away from the camera.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from vadlib.data.figures import RUN, Look, Shape, bag, cart, cyclist, draw_look, person
from vadlib.data.video import LazyStack, Video
from vadlib.errors import require_known

# raise it whenever a pixel changes: stores of rendered frames are keyed by it
RENDERER_VERSION = 10
HEIGHT, WIDTH = 240, 320
FPS = 10.0
# A pinhole camera CAMERA_HEIGHT metres above the street: sizes and pixel speeds are proportional to
# FOCAL / Z.
FOCAL = 500.0
CAMERA_HEIGHT, HORIZON = 6.25, 20.0
FACADE, KERB = 26.0, 23.0  # Z of the house and of the pedestrian street's border
# figures are drawn at 3x with 4 fractional bits: they glide instead of jumping by whole pixels
ZOOM, SHIFT = 3, 4
LENGTHS = {"train": (200, 180, 190, 200, 180, 190, 200, 180)}
LENGTHS["test"] = (190, 200, 180, 200, 180, 180, 200, 200)
# What happens in each test clip, one after the other.
SCRIPT = [["wrong way"], ["cyclist", "loitering"], ["cart"], ["running child"] * 2]
SCRIPT += [["loitering"], ["wrong way"], ["cyclist", "abandoned bag"], ["running child", "cart"]]

Array = np.ndarray


class Kind(NamedTuple):
    """How people of one kind cross the picture: `heading` is +1 to the right, -1 to the left."""

    figure: Callable[[Look, float], list[Shape]] = person
    speed: tuple[float, float] = (1.3, 1.4)  # m/s, least and most
    heading: int = 1
    size: float = 1.0


# The others are on foot.
KINDS = {"wrong way": Kind(heading=-1), "cyclist": Kind(cyclist, (2.8, 3.4))}
KINDS["running child"] = Kind(partial(person, gait=RUN), (4.0, 4.4), size=0.72)
KINDS["cart"] = Kind(cart, (1.7, 2.2))


class Layer:
    """One thing in one frame.

    Attributes:
        kind: the name of an anomaly, else "".
        scale: pixels in a metre.
        foot: the place of its origin in the picture, x and y.
        low: top left corner of its box, x and y in whole pixels.
        high: bottom right corner of its box.

    Args:
        size: negative for a figure that looks to the left.
    """

    def __init__(self, shapes: list[Shape], x: float, z: float, kind: str = "", size: float = 1.0):
        self.shapes, self.kind = shapes, kind
        self.z, self.scale = z, abs(size) * FOCAL / z
        self.foot = np.array([WIDTH / 2 + x * FOCAL / z, HORIZON + CAMERA_HEIGHT * FOCAL / z])
        points = np.concatenate([shape.points for shape in shapes])
        across, up = np.copysign(self.scale, size) * points.real, self.scale * points.imag
        self.points = np.stack([across, -up], 1) + self.foot
        radii = [[shape.width * self.scale / 2] for shape in shapes for _ in shape.points]
        self.low = np.floor((self.points - radii).min(0)).astype(int)
        self.high = np.ceil((self.points + radii).max(0)).astype(int)

    def draw(self) -> Array:
        """Return uint8 (h, w, 4) from `low` to `high`: RGB times alpha, and alpha.

        It is drawn enlarged and then shrunk: edges are smooth.
        """
        width, height = (self.high - self.low).tolist()
        canvas = np.zeros((height * ZOOM, width * ZOOM, 4), np.uint8)
        # OpenCV counts from pixel centres.
        corners = (self.points - self.low) * (ZOOM * 2**SHIFT) - 2 ** (SHIFT - 1)
        rest = np.rint(corners).astype(np.int32)
        for shape in self.shapes:
            own, rest = np.split(rest, [len(shape.points)])
            colour = [*map(float, shape.colour), 255.0]
            if shape.width:  # its ends are round, so that a closed stroke of one point is a disc
                thick = max(1, round(shape.width * self.scale * ZOOM))
                cv2.polylines(canvas, [own], len(own) == 1, colour, thick, cv2.LINE_AA, SHIFT)
            else:
                cv2.fillPoly(canvas, [own], colour, cv2.LINE_AA, SHIFT)
        return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


class Actor:
    """A person, or a thing, that crosses the picture from frame 0 on; "" is a normal walker.

    Attributes:
        kind: the name of the anomaly.
        depths: Z at the beginning and at the end.
        times: frames, float; it is at X = `places[i]` (metres) at frame `times[i]`.
    """

    def __init__(self, kind: str, rng: np.random.Generator):
        motion = KINDS.get(kind, Kind())
        self.kind, self.figure = kind, motion.figure
        start, aim = rng.uniform(18.8, 20.2, 2)
        self.depths = [start, start + 0.2 * (aim - start)]  # nearly parallel to the kerb
        speed = rng.uniform(*motion.speed) / FPS
        half = max(self.depths) * WIDTH / 2 / FOCAL + 1.3  # from the middle to outside the picture
        stops = np.zeros(0)  # where they stop or turn, X; twice the same place is a pause
        if kind == "abandoned bag":
            stops = np.full(2, rng.uniform(-2.0, 0.0))
        elif kind == "loitering":  # to and fro in the middle of the street
            stops = rng.uniform(-2.5, -0.5) + rng.uniform([1.0, -0.2] * 4, [1.4, 0.2] * 4)
        self.places = motion.heading * np.array([-half, *stops, half])
        distances = abs(np.diff(self.places))
        durations = np.where(distances > 0, distances / speed, 12.0)  # 12 frames for a pause
        self.times = np.concatenate([[0.0], np.cumsum(durations)])
        self.look = draw_look(rng, motion.size)

    @property
    def abnormal(self) -> Array:
        """The first and last frame of its anomaly; from the first stop to the last if it stops."""
        return np.asarray(self.times[[1, -2]] if len(self.times) > 2 else self.times)

    def is_abnormal(self, t: Array | float) -> Array:
        first, last = self.abnormal
        return np.asarray((first <= t) & (t <= last) & (self.kind != ""))

    def place(self, t: Array | float) -> Array:
        """Return X and Z at frame t, in metres."""
        z = np.interp(t, self.times[[0, -1]], self.depths)
        return np.array([np.interp(t, self.times, self.places), z])

    def layer(self, t: int) -> Layer:
        covered = np.cumsum(abs(np.diff(self.places, prepend=self.places[0])))
        distance = self.look.start + float(np.interp(t, self.times, covered))
        shapes = self.figure(self.look, distance)
        if self.kind == "abandoned bag" and self.figure is person:
            # They stop, put the backpack down and walk on without it.
            first, last = self.abnormal
            done = (t - first) / (last - first)
            look = self.look._replace(backpack=done < 0.5)
            shapes = person(look, distance, stoop=max(0.0, 1 - abs(2 * done - 1)))
        step = np.diff(self.places)[np.searchsorted(self.times[1:-1], t, side="right")]
        x, z = self.place(t).tolist()
        kind = self.kind if self.is_abnormal(t) else ""
        return Layer(shapes, x, z, kind, float(np.copysign(self.look.size, step)))

    def collides(self, other: Actor) -> bool:
        """Return True if the two ever come too near.

        That is within 1.5 m across while both only walk, so that no one overtakes or walks beside
        someone else; otherwise within 0.6 m across and 0.45 m in depth.
        """
        times = np.arange(max(self.times[0], other.times[0]), min(self.times[-1], other.times[-1]))
        across, deep = abs(self.place(times) - other.place(times))
        both_walk = ~self.is_abnormal(times) & ~other.is_abnormal(times)
        touching = (across < 0.6) & (deep < 0.45)
        return bool(np.where(both_walk, across < 1.5, touching).any())


def stage(kind: str, rng: np.random.Generator) -> list[Actor]:
    """Return the actors of an anomaly that begins at frame 0; a bag stays when its owner leaves."""
    actor = Actor(kind, rng)
    if kind != "abandoned bag":
        return [actor]
    thing = copy(actor)
    draw_look(rng)  # not used; without it later draws would be others
    x, z = actor.place(actor.times[1])
    thing.figure, thing.depths = bag, [z - 0.15] * 2  # nearer than the owner
    thing.times, thing.places = np.array([actor.times[1] + 6, 1e4]), np.full(2, x + 0.3)
    return [actor, thing]


def tree(t: int, phase: float, gust_phase: float, gust_rate: float) -> Layer:
    """Return the tree beside the street, which sways in the gusts of a clip."""
    stem, crown = 2.2, 0.9  # height and radius, metres
    leaves = np.random.default_rng(7)  # the same in all clips
    angle, radius = leaves.uniform([[0.0], [0.0]], [[2 * np.pi], [1.0]], (2, 50))
    shades, widths = leaves.uniform([[0.55], [0.24]], [[1.3], [0.44]], (2, 50))
    u, v = radius**0.5 * np.cos(angle), radius**0.5 * np.sin(angle)
    gust = 0.75 + 0.25 * np.sin(gust_rate * t + gust_phase)

    def sway(rate: float, ahead: Array) -> Array:
        # the displacement, within -1..1, of leaves that swing by `rate` radians a frame, `ahead`
        # radians ahead of the trunk
        slow = 0.75 * np.sin(rate * t + phase + ahead)
        quick = 0.25 * np.sin(1.7 * rate * t + 2 * phase + 1.3 * ahead)
        return np.asarray(gust * (slow + quick))

    up = stem + 0.9 * crown * (1 + v)
    branches = 0.18 * (0.3 + up / up.max()) * sway(0.55, 0.6 * u)
    bend = branches + 0.06 * sway(1.3, 9 * u + 7 * v)
    tips = crown * (1.15 * u + bend) + 1j * (up - 0.3 * crown * abs(bend))
    greens = (shades * (1.05 + 0.3 * v))[:, None] * (84, 98, 66)
    trunk = Shape((70, 54, 40), [0, (stem + crown) * 1j], 0.22)
    return Layer([trunk, *map(Shape, greens, tips[:, None], widths * crown)], -6.0, 22.4)


def draw_brightness(length: int, rng: np.random.Generator) -> Array:
    """Return how bright the display on the house is in each frame, 0..1: it flickers in spells."""
    times, flickers = np.arange(length), np.zeros(length, bool)
    start = -rng.uniform(0, 30)
    while start < length:
        stop = start + rng.uniform(10, 30)
        flickers |= (start <= times) & (times < stop)
        start = stop + rng.uniform(10, 30)
    # a new brightness every 3 frames
    return np.where(flickers, np.repeat(rng.random(length // 3 + 1), 3)[:length], 0.3)


def joints(rows: Array, columns: Array, stone: Sequence[float], gap: Sequence[float]) -> Array:
    """Return the pixels between stones: `stone` and `gap` (height, width) in metres.

    Every second row is shifted by half a stone.
    """
    shifted = columns + stone[1] / 2 * (rows // stone[0] % 2)
    return (rows % stone[0] < gap[0]) | (shifted % stone[1] < gap[1])


@lru_cache(1)
def empty_street() -> Array:
    """Return the background, float32 (H, W, 3) in 0..255.

    It is one place for all seeds: seeds draw the people and the weather.
    """
    rng, fine = np.random.default_rng(7), 3
    height, width = HEIGHT * fine, WIDTH * fine
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / fine
    # where each pixel lies, in metres
    z = FOCAL * CAMERA_HEIGHT / np.maximum(y - HORIZON, 1)
    across = (x - WIDTH / 2) * np.minimum(z, FACADE) / FOCAL
    up = CAMERA_HEIGHT - (y - HORIZON) * FACADE / FOCAL
    picture = np.full((*x.shape, 3), (104, 105, 108), np.float32)  # asphalt
    paved = z < KERB
    picture[paved] = (150, 146, 138)
    picture[paved & joints(z, across, (0.8, 0.8), (0.035, 0.04))] = (128, 124, 118)
    picture[abs(z - KERB - 0.12) < 0.12] = (184, 182, 176)  # kerb
    wall = z > FACADE
    picture[wall] = (150, 112, 96)
    picture[wall & joints(up, across, (0.22, 0.6), (0.05, 0.06))] = (142, 107, 92)
    window = wall & (abs(up - 6.3) < 0.6)
    picture[window & (across % 3.1 < 1.5)] = (206, 200, 188)  # frames
    pane = abs(abs(across % 3.1 - 0.75) - 0.34) < 0.29
    picture[window & (abs(up - 6.3) < 0.5) & pane] = (66, 76, 86)
    for cell, sigma in (3, 4.0), (6, 3.0), (24, 3.0):
        grain = rng.normal(0, sigma, (height // cell, width // cell)).astype(np.float32)
        picture += cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    street = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.clip(street, 0, 255)


@lru_cache(1)
def noise_field() -> Array:
    """Return sensor noise, float32, larger than a frame: each frame takes another part of it."""
    rng = np.random.Generator(np.random.SFC64(7))
    return np.float32(2) * rng.standard_normal((HEIGHT + 128, WIDTH + 128, 3), np.float32)


def overlap(sprite: Array, corner: Array, picture: Array) -> tuple[Array, Array]:
    """Return the parts of a sprite, whose top left pixel is at `corner` (x, y), and of the picture
    that lie on each other, as views.
    """
    (x, y), (right, bottom) = corner, corner + sprite.shape[1::-1]
    under = picture[max(y, 0) : max(bottom, 0), max(x, 0) : max(right, 0)]
    over = sprite[max(-y, 0) :, max(-x, 0) :]
    return over[: under.shape[0], : under.shape[1]], under


def cast_shadow(picture: Array, layer: Layer, sprite: Array) -> None:
    """Darken the ground to the right of the figure and in front of it: the sun is behind the
    house.
    """
    # pixels of shadow for each pixel of height; the foot's row
    right, down = 0.35, 0.2
    foot = layer.foot[1] - layer.low[1]
    matrix = np.array([[1, -right, right * foot], [0, -down, down * foot + 1]], np.float32)
    size = (sprite.shape[1] + int(right * foot) + 2, int(down * foot) + 4)
    outline = cv2.blur(cv2.warpAffine(sprite[..., 3], matrix, size), (3, 3))
    shadow, ground = overlap(outline, layer.low + np.array([0, int(foot) - 3]), picture)
    ground *= 1 - np.float32(0.3 / 255) * shadow[..., None]


class StreetClip:
    """The people, the wind and the light of one clip: they give each frame, its mask and boxes."""

    def __init__(self, seed: int, split: str, number: int):
        self.length = LENGTHS[split][number]
        self.entropy = (seed, list(LENGTHS).index(split), number)
        rng = np.random.default_rng(np.random.SeedSequence(self.entropy))
        self.light_phase = rng.uniform(0, 2 * np.pi)
        self.light_rate = 2 * np.pi / FPS / rng.uniform(15, 35)
        self.wind = [*rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.06, 0.1)]
        self.brightness = draw_brightness(self.length, rng)
        self.actors: list[Actor] = []
        if split == "test":  # the anomalies, one after the other, with normal time around each
            events = [stage(kind, rng) for kind in SCRIPT[number]]
            spans = np.array([actors[0].abnormal[1] for actors in events])
            if SCRIPT[number][-1] == "abandoned bag":
                spans[-1] += 30  # in which it lies there alone
            waits = rng.dirichlet(np.full(len(events) + 1, 3.0)) * max(self.length - spans.sum(), 0)
            begins = np.cumsum(waits[:-1]) + np.cumsum(spans) - spans
            for actors, begin in zip(events, begins, strict=True):
                for actor in actors:
                    actor.times += begin
                self.actors += actors
        # Normal people: a mean gap for the clip, and more or fewer of them as time passes.
        gap = np.exp(rng.uniform(*np.log((11.0, 40.0))))  # frames between two people
        phase, rate = rng.uniform(0, 2 * np.pi), 2 * np.pi / rng.uniform(120, 240)
        enter = -180.0  # so that the picture is full of people from the first frame on
        while enter < self.length:
            enter += gap * rng.uniform(0.3, 1.7) * np.exp(0.8 * np.sin(rate * enter + phase))
            walker = Actor("", rng)
            walker.times += enter
            if not any(walker.collides(other) for other in self.actors):
                self.actors.append(walker)

    def people(self, t: int) -> list[Layer]:
        """Return everyone and everything on the street and in the picture, far to near."""
        layers = [a.layer(t) for a in self.actors if a.times[0] <= t <= a.times[-1]]
        visible = [layer for layer in layers if layer.low[0] < WIDTH and layer.high[0] > 0]
        return sorted(visible, key=lambda layer: -layer.z)

    def frame(self, t: int) -> Array:
        """Render frame t, uint8 (H, W, 3)."""
        picture = empty_street().copy()
        colour = np.array([58, 54, 56]) + self.brightness[t] * np.array([122, 114, 74])
        display = Shape(colour, [-1.9 + 1.9j, 1.9 + 1.9j, 1.9 + 4.3j, -1.9 + 4.3j])
        for layer in [Layer([display], 4.2, FACADE), tree(t, *self.wind), *self.people(t)]:
            sprite = layer.draw()
            if layer.z < FACADE:
                cast_shadow(picture, layer, sprite)
            figure, under = overlap(sprite, layer.low, picture)
            under *= 1 - np.float32(1 / 255) * figure[..., 3:]
            under += figure[..., :3]
        # The light rises and falls by 5%, within 15 to 35 seconds.
        picture *= 1 + 0.05 * np.sin(self.light_rate * t + self.light_phase)
        # t + 1: it does not see a trailing 0
        row, column = np.random.SeedSequence((*self.entropy, t + 1)).generate_state(2) % 128
        picture += noise_field()[row:, column:][:HEIGHT, :WIDTH]
        return np.asarray(np.rint(picture).clip(0, 255), np.uint8)

    def mask(self, t: int) -> Array:
        """Return bool (H, W): where the anomaly covers more than half of a pixel and is visible.

        Empty when fewer than 20 pixels are left.
        """
        mask = np.zeros((HEIGHT, WIDTH), bool)
        for layer in self.people(t):
            if layer.kind or mask.any():
                figure, under = overlap(layer.draw(), layer.low, mask)
                under[figure[..., 3] > 127] = bool(layer.kind)
        return mask if mask.sum() >= 20 else np.zeros_like(mask)

    def boxes(self, t: int) -> Array:
        """Return float32 (N, 4): x0, y0, x1, y1 in whole pixels, ends exclusive, of everyone in
        the picture, even behind someone else.
        """
        corners = [[*layer.low, *layer.high] for layer in self.people(t)]
        return np.clip(np.reshape(corners, (-1, 4)), 0, (WIDTH, HEIGHT) * 2).astype(np.float32)

    def kind(self, t: int) -> str:
        """Return the kind of anomaly, "" when too few pixels of it are visible."""
        kinds = [actor.kind for actor in self.actors if actor.is_abnormal(t)]
        return kinds[0] if kinds and self.mask(t).any() else ""


class LazyBoxes(LazyStack):
    """The boxes of each frame; a slice gets a list, since their number differs."""

    def __getitem__(self, index: Any) -> Any:
        numbers = range(len(self))[index]
        return self._read(numbers) if isinstance(numbers, int) else list(map(self._read, numbers))


def load_synthetic(split: str, root: Path | None = None, seed: int = 0) -> list[Video]:
    """Load one split, RGB (C = 3), 240 x 320 pixels, with labels, masks, boxes and kinds.

    Args:
        split: "train" or "test": different people of the same population.
        root: ignored; there is nothing to read.
        seed: a number >= 0; the same one gives the same bytes.

    Raises:
        InputError: another split.
    """
    require_known(split, LENGTHS, "split")
    videos = []
    for number in range(len(LENGTHS[split])):
        clip = StreetClip(seed, split, number)
        source = ["synthetic", RENDERER_VERSION, cv2.__version__, *clip.entropy]
        frames = LazyStack((clip.length, HEIGHT, WIDTH, 3), clip.frame, source)
        masks = LazyStack((clip.length, HEIGHT, WIDTH), clip.mask)
        boxes = LazyBoxes((clip.length,), clip.boxes)
        kinds = list(map(clip.kind, range(clip.length)))
        labels = (np.array(kinds) != "").astype(np.uint8)
        name, origin = f"{number + 1:02d}", "scripted"
        videos.append(Video(name, frames, FPS, "street", labels, masks, boxes, kinds, origin))
    return videos
