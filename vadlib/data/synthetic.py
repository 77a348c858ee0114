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
from dataclasses import replace
from functools import lru_cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from vadlib.data.figures import Look, Shape, bag, cart, child, cyclist, draw_look, person
from vadlib.data.video import LazyStack, Video
from vadlib.errors import require_known

# raise it whenever a pixel changes: stores of rendered frames are keyed by it
RENDERER_VERSION = 10
HEIGHT, WIDTH = 240, 320
FPS = 10.0
NOISE_SIGMA = 2.0  # sensor noise, grey levels
LIGHT_DRIFT = 0.05  # the light rises and falls by this share, within 15 to 35 seconds
LEAST_VISIBLE = 20  # pixels of an anomaly that make a frame abnormal
# A pinhole camera CAMERA_HEIGHT metres above the street: sizes and pixel speeds are proportional to
# FOCAL / Z.
FOCAL = 500.0
CAMERA_HEIGHT, HORIZON = 6.25, 20.0
FACADE, KERB = 26.0, 23.0  # Z of the house and of the pedestrian street's border
WALKWAY = (18.8, 20.2)  # Z between which everyone walks
# figures are drawn at 3x with 4 fractional bits: they glide instead of jumping by whole pixels
ZOOM, SHIFT = 3, 4
LENGTHS = {
    "train": (200, 180, 190, 200, 180, 190, 200, 180),
    "test": (190, 200, 180, 200, 180, 180, 200, 200),
}
# What happens in each test clip, one after the other.
TEST_SCRIPT = (
    ["wrong way"],
    ["cyclist", "loitering"],
    ["cart"],
    ["running child", "running child"],
    ["loitering"],
    ["wrong way"],
    ["cyclist", "abandoned bag"],
    ["running child", "cart"],
)
WALKING_SPEED = (1.3, 1.4)  # m/s
# metres that walkers keep from each other, so that no one overtakes or walks beside someone else
APART = 1.5
GAPS = (11.0, 40.0)  # mean number of frames between two people, drawn for each clip
DARK, BRIGHT = (58, 54, 56), (180, 168, 130)  # of the display; RGB
WOOD, LEAF = (70, 54, 40), (84, 98, 66)
TREE_X, TREE_Z = -6.0, 22.4
STEM, CROWN = 2.2, 0.9  # height and radius of the tree, metres
NEVER = (np.inf, -np.inf)

Figure = Callable[[Look, float], list[Shape]]
Interval = tuple[float, float]  # first and last frame, or least and most


class Passing(NamedTuple):
    """A way to cross the picture; `heading` is +1 to the right, -1 to the left."""

    figure: Figure
    speed: Interval  # m/s
    heading: int


PASSING = {
    "": Passing(person, WALKING_SPEED, +1),
    "wrong way": Passing(person, WALKING_SPEED, -1),
    "cyclist": Passing(cyclist, (2.8, 3.4), +1),
    "running child": Passing(child, (4.0, 4.4), +1),
    "cart": Passing(cart, (1.7, 2.2), +1),
}


class Sprite(NamedTuple):
    """A drawn figure: uint8 (h, w, 4), RGB times alpha, and alpha; its first pixel's place."""

    pixels: np.ndarray
    x: int
    y: int


class Layer:
    """One thing in one frame.

    Attributes:
        kind: "" for people, the name of an anomaly, None for the tree and the display.
        scale: pixels in a metre.
        foot: the place of its origin in the picture, x and y.
        low: top left corner of its box, x and y in whole pixels.
        high: bottom right corner of its box.
    """

    def __init__(
        self,
        shapes: list[Shape],
        x: float,
        z: float,
        kind: str | None = None,
        heading: int = 1,
        size: float = 1.0,
    ):
        self.shapes, self.kind = shapes, kind
        self.z = z
        self.scale = size * FOCAL / z
        self.foot = np.array([WIDTH / 2 + x * FOCAL / z, HORIZON + CAMERA_HEIGHT * FOCAL / z])
        points = np.concatenate([shape.points for shape in shapes])
        self.points = points * (heading * self.scale, -self.scale) + self.foot
        radii = np.array([shape.width * self.scale / 2 for shape in shapes])
        radii = np.repeat(radii, [len(shape.points) for shape in shapes])[:, None]
        self.low = np.floor((self.points - radii).min(0)).astype(int)
        self.high = np.ceil((self.points + radii).max(0)).astype(int)

    def draw(self) -> Sprite:
        """Draw it enlarged, and shrink the result: edges are smooth."""
        width, height = (self.high - self.low).tolist()
        canvas = np.zeros((height * ZOOM, width * ZOOM, 4), np.uint8)
        # OpenCV counts from pixel centres.
        corners = (self.points - self.low) * (ZOOM * 2**SHIFT) - 2 ** (SHIFT - 1)
        corners = np.rint(corners).astype(np.int32)
        start = 0
        for shape in self.shapes:
            own = corners[start : start + len(shape.points)]
            start += len(shape.points)
            colour = [*map(float, shape.colour), 255.0]
            if shape.width:  # its ends are round, so that a closed stroke of one point is a disc
                thick = max(1, round(shape.width * self.scale * ZOOM))
                cv2.polylines(canvas, [own], len(own) == 1, colour, thick, cv2.LINE_AA, SHIFT)
            else:
                cv2.fillPoly(canvas, [own], colour, cv2.LINE_AA, SHIFT)
        pixels = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
        return Sprite(pixels, *self.low.tolist())


class Actor:
    """A person, or a thing, that follows a path: at frame `times[i]` it is at X = `places[i]`.

    `abnormal` (first, last) are the times between which it is an anomaly of its `kind`, "" for
    normal people. `depths` are Z at the beginning and at the end.
    """

    def __init__(
        self,
        kind: str,
        figure: Figure,
        depths: Interval,
        times: Sequence[float],
        places: Sequence[float],
        rng: np.random.Generator,
    ):
        self.kind, self.figure = kind, figure
        self.depths = depths
        self.times, self.places = np.array(times, float), np.array(places, float)
        self.look = draw_look(rng)
        self.start = rng.uniform(0, 10)  # metres covered before: people do not walk in step
        self.abnormal = (times[0], times[-1]) if kind else NEVER

    def is_here(self, t: float) -> bool:
        return bool(self.times[0] <= t <= self.times[-1])

    def delay(self, frames: float) -> None:
        """Let everything happen that many frames later."""
        self.times = self.times + frames
        self.abnormal = (self.abnormal[0] + frames, self.abnormal[1] + frames)

    def x(self, t: np.ndarray | float) -> np.ndarray:
        """Return the place across the picture at frame t, in metres."""
        place: np.ndarray = np.interp(t, self.times, self.places)
        return place

    def z(self, t: np.ndarray | float) -> np.ndarray:
        """Return the distance from the camera at frame t, in metres."""
        done = (t - self.times[0]) / (self.times[-1] - self.times[0])
        first, last = self.depths
        return np.asarray(first + (last - first) * done)

    def is_abnormal(self, t: np.ndarray | float) -> np.ndarray:
        first, last = self.abnormal
        return np.logical_and(first <= t, t <= last)

    def kind_at(self, t: float) -> str:
        return self.kind if self.is_abnormal(t) else ""

    def heading(self, t: float) -> int:
        """+1 to the right, -1 to the left; a person who stands still looks ahead as before."""
        steps = np.diff(self.places[: np.searchsorted(self.times, t, side="right") + 1])
        steps = steps[steps != 0]
        return int(np.sign(steps[-1])) if len(steps) else 1

    def shapes(self, t: float) -> list[Shape]:
        covered = np.concatenate([[0], np.cumsum(np.abs(np.diff(self.places)))])
        return self.figure(self.look, self.start + float(np.interp(t, self.times, covered)))

    def layer(self, t: int) -> Layer:
        x, z = float(self.x(t)), float(self.z(t))
        return Layer(self.shapes(t), x, z, self.kind_at(t), self.heading(t), self.look.size)

    def collides(self, other: Actor) -> bool:
        """Return True if the two ever come too near.

        That is within APART while both only walk, else within 0.6 m across and 0.45 m in depth.
        """
        first, last = max(self.times[0], other.times[0]), min(self.times[-1], other.times[-1])
        times = np.arange(first, last)
        across, deep = abs(self.x(times) - other.x(times)), abs(self.z(times) - other.z(times))
        both_walk = ~self.is_abnormal(times) & ~other.is_abnormal(times)
        touching = (across < 0.6) & (deep < 0.45)
        return bool(np.where(both_walk, across < APART, touching).any())


class BagOwner(Actor):
    """A person who stops while `abnormal`, puts the backpack down and walks on without it."""

    def shapes(self, t: float) -> list[Shape]:
        first, last = self.abnormal
        stoop = max(0.0, 1 - abs(2 * (t - first) / (last - first) - 1))
        look = replace(self.look, backpack=t < (first + last) / 2)
        return person(look, self.start + float(self.x(t) - self.places[0]), stoop=stoop)


def draw_depths(rng: np.random.Generator) -> Interval:
    """Return Z at the beginning and at the end: people keep nearly parallel to the kerb."""
    start, aim = rng.uniform(*WALKWAY, 2).tolist()
    return start, start + 0.2 * (aim - start)


def border(depths: Interval) -> float:
    """Return the metres from the middle to just outside the picture."""
    return max(depths) * WIDTH / 2 / FOCAL + 1.3


def passer_by(kind: str, rng: np.random.Generator) -> Actor:
    """Return an actor that crosses the picture from frame 0 on; "" is a normal walker."""
    passing = PASSING[kind]
    depths = draw_depths(rng)
    speed = rng.uniform(*passing.speed) / FPS
    half = border(depths)
    places = [-passing.heading * half, passing.heading * half]
    return Actor(kind, passing.figure, depths, [0, 2 * half / speed], places, rng)


def loiterer(rng: np.random.Generator) -> Actor:
    """Return a person who walks to and fro in the middle of the street before walking on.

    They are abnormal from the first turn to the last.
    """
    depths = draw_depths(rng)
    speed = rng.uniform(*WALKING_SPEED) / FPS
    half, turn = border(depths), rng.uniform(-2.5, -0.5)
    places = [-half]
    for _ in range(4):
        places.append(turn + rng.uniform(1.0, 1.4))
        places.append(turn + rng.uniform(-0.2, 0.2))
    places.append(half)
    times = [0.0]
    for before, place in pairwise(places):
        times.append(times[-1] + max(abs(place - before) / speed, 1))
    actor = Actor("loitering", person, depths, times, places, rng)
    actor.abnormal = (times[1], times[-2])
    return actor


def abandoned_bag(rng: np.random.Generator) -> list[Actor]:
    """Return a person who puts a bag down, and the bag, which stays."""
    kind = "abandoned bag"
    depths = draw_depths(rng)
    speed = rng.uniform(*WALKING_SPEED) / FPS
    half, place = border(depths), rng.uniform(-2.0, 0.0)
    stop = (place + half) / speed
    times = [0, stop, stop + 12, stop + 12 + (half - place) / speed]
    owner = BagOwner(kind, person, depths, times, [-half, place, place, half], rng)
    owner.abnormal = (stop, stop + 12)
    depth = float(owner.z(stop)) - 0.15  # nearer than the owner
    beside = place + 0.3
    thing = Actor(kind, bag, (depth, depth), [stop + 6, 1e4], [beside, beside], rng)
    thing.look = owner.look
    return [owner, thing]


def stage(kind: str, rng: np.random.Generator) -> list[Actor]:
    """Return the actors of an anomaly that begins at frame 0."""
    if kind == "loitering":
        return [loiterer(rng)]
    if kind == "abandoned bag":
        return abandoned_bag(rng)
    return [passer_by(kind, rng)]


class Tree:
    """The tree beside the street, which sways in the gusts of one clip."""

    def __init__(self, rng: np.random.Generator):
        self.phase, self.gust_phase = rng.uniform(0, 2 * np.pi, 2)
        self.gust_rate = rng.uniform(0.06, 0.1)
        leaves = np.random.default_rng(7)  # the same in all clips
        angle, radius = leaves.uniform([[0.0], [0.0]], [[2 * np.pi], [1.0]], (2, 50))
        shade, self.widths = leaves.uniform([[0.55], [0.24]], [[1.3], [0.44]], (2, 50))
        self.u, self.v = radius**0.5 * np.cos(angle), radius**0.5 * np.sin(angle)
        self.greens = (shade * (1.05 + 0.3 * self.v))[:, None] * LEAF

    def sway(self, t: int, rate: float, ahead: np.ndarray) -> np.ndarray:
        """Return the displacement, within -1..1, of leaves that swing by `rate` radians a frame.

        Their swing is `ahead` radians ahead of the trunk's.
        """
        slow = 0.75 * np.sin(rate * t + self.phase + ahead)
        quick = 0.25 * np.sin(1.7 * rate * t + 2 * self.phase + 1.3 * ahead)
        gust = 0.75 + 0.25 * np.sin(self.gust_rate * t + self.gust_phase)
        return np.asarray(gust * (slow + quick))

    def layer(self, t: int) -> Layer:
        up = STEM + 0.9 * CROWN * (1 + self.v)
        branches = 0.18 * (0.3 + up / up.max()) * self.sway(t, 0.55, 0.6 * self.u)
        bend = branches + 0.06 * self.sway(t, 1.3, 9 * self.u + 7 * self.v)
        across = CROWN * (1.15 * self.u + bend)
        tips = np.stack([across, up - 0.3 * CROWN * abs(bend)], 1)
        shapes = [Shape(WOOD, [(0, 0), (0, STEM + CROWN)], 0.22)]
        for green, tip, width in zip(self.greens, tips, self.widths * CROWN, strict=True):
            shapes.append(Shape(green, tip[None], width))
        return Layer(shapes, TREE_X, TREE_Z)


class Display:
    """An advertising display on the house: dark or lit, and in random spells it flickers."""

    def __init__(self, length: int, rng: np.random.Generator):
        self.spells = []  # (start, stop) in frames
        start = -rng.uniform(0, 30)
        while start < length:
            stop = start + rng.uniform(10, 30)
            self.spells.append((start, stop))
            start = stop + rng.uniform(10, 30)
        # a new brightness every 3 frames
        self.lit = np.repeat(rng.random(length // 3 + 1), 3)[:length]

    def layer(self, t: int) -> Layer:
        flickers = any(start <= t < stop for start, stop in self.spells)
        lit = self.lit[t] if flickers else 0.3
        colour = np.array(DARK) + lit * (np.array(BRIGHT) - DARK)
        panel = [(-1.9, 1.9), (1.9, 1.9), (1.9, 4.3), (-1.9, 4.3)]
        return Layer([Shape(colour, panel)], 4.2, FACADE)


def joints(
    rows: np.ndarray, columns: np.ndarray, size: tuple[float, float], gap: tuple[float, float]
) -> np.ndarray:
    """Return the pixels between stones: `size` and `gap` (height, width) in metres.

    Every second row is shifted by half a stone.
    """
    height, width = size
    shifted = columns + width / 2 * (rows // height % 2)
    return (rows % height < gap[0]) | (shifted % width < gap[1])


@lru_cache(1)
def empty_street() -> np.ndarray:
    """Return the background, float32 (H, W, 3) in 0..255.

    It is one place for all seeds: seeds draw the people and the weather.
    """
    rng, fine = np.random.default_rng(7), 3
    y, x = np.mgrid[0 : HEIGHT * fine, 0 : WIDTH * fine].astype(np.float32) / fine
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
        grain = rng.normal(0, sigma, (HEIGHT * fine // cell, WIDTH * fine // cell))
        grain = grain.astype(np.float32)
        size = (WIDTH * fine, HEIGHT * fine)
        picture += cv2.resize(grain, size, interpolation=cv2.INTER_CUBIC)[..., None]
    street = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.clip(street, 0, 255)


@lru_cache(1)
def noise_field() -> np.ndarray:
    """Return sensor noise, float32, larger than a frame: each frame takes another part of it."""
    rng = np.random.Generator(np.random.SFC64(7))
    return np.float32(NOISE_SIGMA) * rng.standard_normal((HEIGHT + 128, WIDTH + 128, 3), np.float32)


def overlap(sprite: Sprite, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of a sprite and of the picture that lie on each other, as views."""
    height, width = sprite.pixels.shape[:2]
    x, y = max(sprite.x, 0), max(sprite.y, 0)
    under = picture[y : max(sprite.y + height, y), x : max(sprite.x + width, x)]
    over = sprite.pixels[y - sprite.y :, x - sprite.x :]
    return over[: under.shape[0], : under.shape[1]], under


def cast_shadow(picture: np.ndarray, layer: Layer, sprite: Sprite) -> None:
    """Darken the ground to the right of the figure and in front of it: the sun is behind the
    house.
    """
    # pixels of shadow for each pixel of height; the foot's row
    right, down = 0.35, 0.2
    foot = layer.foot[1] - sprite.y
    matrix = np.array([[1, -right, right * foot], [0, -down, down * foot + 1]], np.float32)
    size = (sprite.pixels.shape[1] + int(right * foot) + 2, int(down * foot) + 4)
    outline = cv2.blur(cv2.warpAffine(sprite.pixels[..., 3], matrix, size), (3, 3))
    shadow, ground = overlap(Sprite(outline, sprite.x, sprite.y + int(foot) - 3), picture)
    ground *= 1 - np.float32(0.3 / 255) * shadow[..., None]


class StreetClip:
    """The people, the wind and the light of one clip: they give each frame, its mask and boxes."""

    def __init__(self, seed: int, split: str, number: int):
        self.length = LENGTHS[split][number]
        self.entropy = (seed, list(LENGTHS).index(split), number)
        rng = np.random.default_rng(np.random.SeedSequence(self.entropy))
        self.light_phase = rng.uniform(0, 2 * np.pi)
        self.light_rate = 2 * np.pi / FPS / rng.uniform(15, 35)
        self.tree = Tree(rng)
        self.display = Display(self.length, rng)
        self.actors = self._script(TEST_SCRIPT[number], rng) if split == "test" else []
        self._add_walkers(rng)

    def _script(self, kinds: list[str], rng: np.random.Generator) -> list[Actor]:
        """Stage the anomalies, one after the other, with normal time around each."""
        events = [stage(kind, rng) for kind in kinds]
        durations = [actors[0].abnormal[1] for actors in events]
        if kinds[-1] == "abandoned bag":
            durations[-1] += 30  # in which it lies there alone
        normal = max(self.length - sum(durations), 0.0)
        waits = normal * rng.dirichlet(np.full(len(events) + 1, 3.0))
        end = 0.0
        for actors, duration, wait in zip(events, durations, waits[:-1], strict=True):
            for actor in actors:
                actor.delay(end + wait)
            end += wait + duration
        return list(chain(*events))

    def _add_walkers(self, rng: np.random.Generator) -> None:
        """Add normal people: a mean gap for the clip, and more or fewer of them as time passes."""
        gap = np.exp(rng.uniform(*np.log(GAPS)))
        phase = rng.uniform(0, 2 * np.pi)
        rate = 2 * np.pi / rng.uniform(120, 240)
        enter = -180.0  # so that the picture is full of people from the first frame on
        while enter < self.length:
            enter += gap * rng.uniform(0.3, 1.7) * np.exp(0.8 * np.sin(rate * enter + phase))
            walker = passer_by("", rng)
            walker.delay(enter)
            if not any(walker.collides(other) for other in self.actors):
                self.actors.append(walker)

    def layers(self, t: int) -> list[Layer]:
        """Return everything that moves and is in the picture, far to near."""
        things = [self.tree.layer(t), self.display.layer(t)]
        things += [actor.layer(t) for actor in self.actors if actor.is_here(t)]
        visible = [thing for thing in things if thing.low[0] < WIDTH and thing.high[0] > 0]
        return sorted(visible, key=lambda thing: -thing.z)

    def frame(self, t: int) -> np.ndarray:
        """Render frame t, uint8 (H, W, 3)."""
        picture = empty_street().copy()
        for layer in self.layers(t):
            sprite = layer.draw()
            if layer.z < FACADE:
                cast_shadow(picture, layer, sprite)
            figure, under = overlap(sprite, picture)
            under *= 1 - np.float32(1 / 255) * figure[..., 3:]
            under += figure[..., :3]
        picture *= 1 + LIGHT_DRIFT * np.sin(self.light_rate * t + self.light_phase)
        # t + 1: it does not see a trailing 0
        entropy = np.random.SeedSequence((*self.entropy, t + 1))
        row, column = entropy.generate_state(2) % 128
        picture += noise_field()[row:, column:][:HEIGHT, :WIDTH]
        pixels: np.ndarray = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        return pixels

    def mask(self, t: int) -> np.ndarray:
        """Return bool (H, W): where the anomaly covers more than half of a pixel and is visible.

        Empty when fewer than LEAST_VISIBLE pixels are left.
        """
        mask = np.zeros((HEIGHT, WIDTH), bool)
        for layer in self.layers(t):
            if layer.kind or mask.any():
                figure, under = overlap(layer.draw(), mask)
                under[figure[..., 3] > 127] = bool(layer.kind)
        return mask if mask.sum() >= LEAST_VISIBLE else np.zeros_like(mask)

    def boxes(self, t: int) -> np.ndarray:
        """Return float32 (N, 4): x0, y0, x1, y1 in whole pixels, ends exclusive, of everyone in
        the picture, even behind someone else.
        """
        figures = [layer for layer in self.layers(t) if layer.kind is not None]
        corners = [[*layer.low, *layer.high] for layer in figures]
        inside = np.clip(np.array(corners).reshape(-1, 4), 0, (WIDTH, HEIGHT) * 2)
        return inside.astype(np.float32)

    def kind(self, t: int) -> str:
        """Return the kind of anomaly, "" when too few pixels of it are visible."""
        for actor in self.actors:
            if actor.is_here(t) and actor.kind_at(t):
                return actor.kind if self.mask(t).any() else ""
        return ""


class StreetStack(LazyStack):
    """Frames or masks of a clip, rendered by `render(t)` when asked for."""

    def __init__(self, clip: StreetClip, render: Callable[[int], np.ndarray], *shape: int):
        self.clip, self.render = clip, render
        self.shape = (clip.length, *shape)

    def _read(self, i: int) -> np.ndarray:
        return self.render(i)

    def identity(self) -> list[object]:
        source = ["synthetic", RENDERER_VERSION, cv2.__version__]
        return [*source, *self.clip.entropy, list(self.shape)]


class StreetBoxes(Sequence[np.ndarray]):
    """The boxes of each frame, T arrays (N, 4)."""

    def __init__(self, clip: StreetClip):
        self.clip = clip

    def __len__(self) -> int:
        return self.clip.length

    def __getitem__(self, index: Any) -> Any:  # a slice gives a list, since N varies
        times = range(len(self))[index]
        if isinstance(times, int):
            return self.clip.boxes(times)
        return [self.clip.boxes(t) for t in times]


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
        kinds = [clip.kind(t) for t in range(clip.length)]
        video = Video(
            name=f"{number + 1:02d}",
            frames=StreetStack(clip, clip.frame, HEIGHT, WIDTH, 3),
            clock=FPS,
            scene="street",
            labels=np.array([kind != "" for kind in kinds], np.uint8),
            masks=StreetStack(clip, clip.mask, HEIGHT, WIDTH),
            boxes=StreetBoxes(clip),
            kinds=kinds,
            ground_truth="scripted",
        )
        videos.append(video)
    return videos
