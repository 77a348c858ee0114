"""A rendered street scene seen by one fixed camera, with ground truth that is exact by
construction.

People walk to the right along a pedestrian street, sometimes few and sometimes many. A display on
the house flickers in random spells, and a tree sways in the wind. Training clips (8, 1,520 frames)
hold nothing else. In test clips (8, 1,530 frames) somebody walks the wrong way, loiters, rides a
bicycle, drives a cart or leaves a bag, or a child runs by. Frame t of a clip is a pure function of
(seed, split, clip, t); nothing is on disk.

The scene was designed so that the amount of motion does not give the anomalies away: the display
changes more pixels than any anomaly, the crowd varies, and three kinds of anomaly are of a walker's
size and speed. It was also designed so that normal people look and move alike, and keep their
distance: otherwise two of them side by side have a larger error than one anomaly.

The world is in metres: X to the right, height upwards, Z away from the camera.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace

import cv2
import numpy as np

from vadlib.data.figures import Shape, bag, cart, child, cyclist, draw_look, person
from vadlib.data.video import LazyStack, Video
from vadlib.errors import InputError

# raise it whenever a pixel changes: stores of rendered frames are keyed by it
RENDERER_VERSION = 10
HEIGHT, WIDTH, FPS = 240, 320, 10.0
NOISE_SIGMA = 2.0  # sensor noise, grey levels
LIGHT_DRIFT = 0.05  # the light rises and falls by this share, within 15 to 35 seconds
MIN_PIXELS = 20  # a frame is abnormal when at least so many pixels of the anomaly are visible
# A pinhole camera CAMERA_HEIGHT metres above the street: sizes and pixel speeds are proportional to
# FOCAL / Z.
FOCAL, CAMERA_HEIGHT, HORIZON = 500.0, 6.25, 20.0
FACADE, KERB = 26.0, 23.0  # Z of the house and of the pedestrian street's border
WALKWAY = (18.8, 20.2)  # Z between which everybody walks
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
WALK = (1.3, 1.4)  # m/s
# metres that people who walk keep from each other, so that nobody overtakes or walks beside
# somebody
APART = 1.5
# anomalies that pass: figure, speeds in m/s, +1 to go to the right as everybody does, -1 to the
# left
PASSERS_BY = {
    "wrong way": (person, WALK, -1),
    "cyclist": (cyclist, (2.8, 3.4), +1),
    "running child": (child, (4.0, 4.4), +1),
    "cart": (cart, (1.7, 2.2), +1),
}
KINDS = (*PASSERS_BY, "loitering", "abandoned bag")
GAPS = (11.0, 40.0)  # mean number of frames between two people, drawn for each clip
DARK, BRIGHT = (58, 54, 56), (180, 168, 130)  # of the display; RGB
WOOD = (70, 54, 40)


class Layer:
    """One thing in one frame. `low`, `high`: the corners (x, y) of its box, in pixels.

    `kind`: "" for people, the name of an anomaly, None for the tree and the display.
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
        # scale: pixels a metre
        self.shapes, self.z, self.kind, self.scale = shapes, z, kind, size * FOCAL / z
        self.foot = np.array([WIDTH / 2 + x * FOCAL / z, HORIZON + CAMERA_HEIGHT * FOCAL / z])
        self.points = (
            np.concatenate([shape.points for shape in shapes]) * (heading * self.scale, -self.scale)
            + self.foot
        )
        radii = np.repeat(
            [shape.width * self.scale / 2 for shape in shapes],
            [len(shape.points) for shape in shapes],
        )[:, None]
        self.low, self.high = (
            np.floor((self.points - radii).min(0)).astype(int),
            np.ceil((self.points + radii).max(0)).astype(int),
        )

    def draw(self) -> tuple[np.ndarray, int, int]:
        """uint8 (h, w, 4), RGB times alpha, and alpha; and the place of its first pixel in the
        picture, left and top.
        """
        width, height = (self.high - self.low).tolist()
        canvas, unit, start = (
            np.zeros((height * ZOOM, width * ZOOM, 4), np.uint8),
            ZOOM * 2**SHIFT,
            0,
        )
        # OpenCV counts from pixel centres
        points = np.rint((self.points - self.low) * unit - 2 ** (SHIFT - 1)).astype(np.int32)
        for (r, g, b), corners, stroke in self.shapes:
            corners, start, colour = (
                points[start : start + len(corners)],
                start + len(corners),
                (float(r), float(g), float(b), 255.0),
            )
            if stroke:  # its ends are round, so that a closed stroke of one point is a disc
                thick = max(1, round(stroke * self.scale * ZOOM))
                cv2.polylines(
                    canvas, [corners], len(corners) == 1, colour, thick, cv2.LINE_AA, SHIFT
                )
            else:
                cv2.fillPoly(canvas, [corners], colour, cv2.LINE_AA, SHIFT)
        return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), *self.low.tolist()


class Actor:
    """Somebody, or something, that follows a path: at frame `times[i]` it is at X = `places[i]`.

    `abnormal` (first, last) are the times between which it is an anomaly of its `kind`.
    """

    def __init__(
        self,
        kind: str,
        figure: Callable,
        z: tuple[float, float],
        times,
        places,
        rng: np.random.Generator,
    ):
        self.kind, self.figure, self.z = kind, figure, z
        self.times, self.places = np.array(times, float), np.array(places, float)
        self.look = draw_look(rng)
        self.start = rng.uniform(0, 10)  # metres covered before: people do not walk in step
        self.abnormal = (self.times[0], self.times[-1]) if kind else None

    def is_here(self, t: float) -> bool:
        return self.times[0] <= t <= self.times[-1]

    def shift(self, frames: float) -> None:
        """Let everything happen so many frames later."""
        self.times = self.times + frames
        if self.abnormal:
            self.abnormal = (self.abnormal[0] + frames, self.abnormal[1] + frames)

    def where(self, t):
        """World position (X, Z) in metres at frame t, a number or an array."""
        done = (t - self.times[0]) / (self.times[-1] - self.times[0])
        return np.interp(t, self.times, self.places), self.z[0] + (self.z[1] - self.z[0]) * done

    def kind_at(self, t: float) -> str:
        return self.kind if self.abnormal and self.abnormal[0] <= t <= self.abnormal[1] else ""

    def heading(self, t: float) -> int:
        """+1 to the right, -1 to the left; somebody who stands keeps looking where he went."""
        moved = np.diff(self.places[: np.searchsorted(self.times, t, side="right") + 1])
        moved = moved[moved != 0]
        return int(np.sign(moved[-1])) if len(moved) else 1

    def shapes(self, t: float) -> list[Shape]:
        covered = np.concatenate([[0], np.cumsum(np.abs(np.diff(self.places)))])
        return self.figure(self.look, self.start + np.interp(t, self.times, covered))

    def layer(self, t: int) -> Layer:
        return Layer(
            self.shapes(t), *self.where(t), self.kind_at(t), self.heading(t), self.look.size
        )

    def is_abnormal(self, times: np.ndarray) -> np.ndarray:
        """Whether it is an anomaly at each of some times, bool."""
        if self.abnormal is None:
            return np.zeros(len(times), bool)
        return (self.abnormal[0] <= times) & (times <= self.abnormal[1])

    def collides(self, other: Actor) -> bool:
        """Whether the two ever come too near: within APART while both only walk, else within 0.6 m
        across and 0.45 m in depth.
        """
        times = np.arange(max(self.times[0], other.times[0]), min(self.times[-1], other.times[-1]))
        (x, z), (other_x, other_z) = self.where(times), other.where(times)
        both_walk = ~self.is_abnormal(times) & ~other.is_abnormal(times)
        touching = (abs(x - other_x) < 0.6) & (abs(z - other_z) < 0.45)
        return bool(np.any(np.where(both_walk, abs(x - other_x) < APART, touching)))


class BagOwner(Actor):
    """Somebody who stops, puts the backpack down and goes on without it. `stop` (first, last) are
    the frames of the stop.
    """

    def shapes(self, t: float) -> list[Shape]:
        first, last = self.abnormal
        stoop = max(0.0, 1 - abs(2 * (t - first) / (last - first) - 1))
        covered = np.interp(t, self.times, self.places) - self.places[0]
        look = SimpleNamespace(**vars(self.look) | {"backpack": bool(t < (first + last) / 2)})
        return person(look, self.start + covered, stoop=stoop)


def draw_depths(rng: np.random.Generator) -> tuple[float, float]:
    """Z at the beginning and at the end of a way: people keep nearly parallel to the kerb."""
    start, aim = rng.uniform(*WALKWAY, 2)
    return start, start + 0.2 * (aim - start)


def border(z: tuple[float, float]) -> float:
    """Metres from the middle to just outside the picture."""
    return max(z) * WIDTH / 2 / FOCAL + 1.3


def walker(rng: np.random.Generator) -> Actor:
    """Somebody who walks from the left border to the right one, from frame 0 on."""
    return passer_by("", person, WALK, +1, rng)


def passer_by(
    kind: str, figure: Callable, speeds: tuple[float, float], heading: int, rng: np.random.Generator
) -> Actor:
    z, speed = draw_depths(rng), rng.uniform(*speeds) / FPS
    half = heading * border(z)
    return Actor(kind, figure, z, [0, 2 * abs(half) / speed], [-half, half], rng)


def loiterer(rng: np.random.Generator) -> Actor:
    """Somebody who walks to and fro in the middle of the street before going on; abnormal from the
    first turn to the last.
    """
    z, speed = draw_depths(rng), rng.uniform(*WALK) / FPS
    half, left = border(z), rng.uniform(-2.5, -0.5)
    times, places = [0.0], [-half]

    def go(place: float):
        times.append(times[-1] + max(abs(place - places[-1]) / speed, 1))
        places.append(place)

    for turn in range(4):
        go(left + rng.uniform(1.0, 1.4))
        if turn == 0:
            first = times[-1]
        go(left + rng.uniform(-0.2, 0.2))
    last = times[-1]
    go(half)
    actor = Actor("loitering", person, z, times, places, rng)
    actor.abnormal = (first, last)
    return actor


def abandoned_bag(rng: np.random.Generator) -> list[Actor]:
    """Somebody who puts a bag down, and the bag, which stays."""
    z, speed = draw_depths(rng), rng.uniform(*WALK) / FPS
    half, place = border(z), rng.uniform(-2.0, 0.0)
    stop = (place + half) / speed
    times = [0, stop, stop + 12, stop + 12 + (half - place) / speed]
    owner = BagOwner("abandoned bag", person, z, times, [-half, place, place, half], rng)
    owner.abnormal = (stop, stop + 12)
    depth = owner.where(stop)[1] - 0.15  # nearer than the owner
    left = Actor(
        "abandoned bag", bag, (depth, depth), [stop + 6, 1e4], [place + 0.3, place + 0.3], rng
    )
    left.look = owner.look
    return [owner, left]


def event(kind: str, rng: np.random.Generator) -> tuple[list[Actor], float]:
    """The actors of an anomaly that begins at frame 0, and its duration in frames."""
    if kind == "loitering":
        actor = loiterer(rng)
        return [actor], actor.abnormal[1]
    if kind == "abandoned bag":
        actors = abandoned_bag(rng)
        return actors, actors[0].abnormal[1] + 30
    actor = passer_by(kind, *PASSERS_BY[kind], rng)
    return [actor], actor.times[-1]


class Wind:
    """The gusts of one clip, and the tree that sways in them."""

    def __init__(self, rng: np.random.Generator):
        (self.phase, self.gust_phase), self.gust_rate = (
            rng.uniform(0, 2 * np.pi, 2),
            rng.uniform(0.06, 0.1),
        )
        leaves = np.random.default_rng(7)  # the same in all clips
        angle, r, shade, self.widths = leaves.uniform(
            [[0], [0], [0.55], [0.24]], [[2 * np.pi], [1], [1.3], [0.44]], (4, 50)
        )
        self.u, self.v = r**0.5 * np.cos(angle), r**0.5 * np.sin(angle)
        self.greens = (shade * (1.05 + 0.3 * self.v))[:, None] * (84, 98, 66)

    def sway(self, t: int, rate: float, ahead: np.ndarray) -> np.ndarray:
        """Displacement within -1..1 of things that swing by `rate` radians a frame, `ahead` radians
        ahead.
        """
        gust = 0.75 + 0.25 * np.sin(self.gust_rate * t + self.gust_phase)
        return gust * (
            0.75 * np.sin(rate * t + self.phase + ahead)
            + 0.25 * np.sin(1.7 * rate * t + 2 * self.phase + 1.3 * ahead)
        )

    def tree(self, t: int, x: float, z: float, stem: float, radius: float) -> Layer:
        """A tree on a stem of that many metres, and radius."""
        up = stem + 0.9 * radius * (1 + self.v)
        bend = 0.18 * (0.3 + up / up.max()) * self.sway(t, 0.55, 0.6 * self.u) + 0.06 * self.sway(
            t, 1.3, 9 * self.u + 7 * self.v
        )
        tips = np.stack([radius * (1.15 * self.u + bend), up - 0.3 * radius * abs(bend)], 1)
        trunk = Shape(WOOD, [(0, 0), (0, stem + radius)], 0.22)
        return Layer([trunk, *map(Shape, self.greens, tips[:, None], self.widths * radius)], x, z)


class Bouts:
    """Random spells in which something happens: on for `on` frames, off for `off` frames, both
    drawn uniformly.
    """

    def __init__(
        self,
        on: tuple[float, float],
        off: tuple[float, float],
        length: int,
        rng: np.random.Generator,
    ):
        self.spells = []
        start = -rng.uniform(0, off[1])
        while start < length:
            stop = start + rng.uniform(*on)
            self.spells.append((start, stop))
            start = stop + rng.uniform(*off)

    def active(self, t: float) -> bool:
        return any(start <= t < stop for start, stop in self.spells)


class Display:
    """An advertising display on the house: dark or lit, and in some spells it flickers."""

    def __init__(self, length: int, rng: np.random.Generator):
        self.flicker = Bouts((10, 30), (10, 30), length, rng)
        # a new brightness every 3 frames
        self.lit = np.repeat(rng.random(length // 3 + 1), 3)[:length]

    def layer(self, t: int) -> Layer:
        lit = self.lit[t] if self.flicker.active(t) else 0.3
        panel = [(-1.9, 1.9), (1.9, 1.9), (1.9, 4.3), (-1.9, 4.3)]
        return Layer([Shape(np.array(DARK) + lit * (np.array(BRIGHT) - DARK), panel)], 4.2, FACADE)


@lru_cache(1)
def empty_street() -> np.ndarray:
    """The background, float32 (H, W, 3) in 0..255. One place for all seeds: seeds draw the people
    and the weather.
    """
    rng, fine = np.random.default_rng(7), 3
    y, x = np.mgrid[0 : HEIGHT * fine, 0 : WIDTH * fine].astype(np.float32) / fine
    z = FOCAL * CAMERA_HEIGHT / np.maximum(y - HORIZON, 1)
    # metres
    across, up = (
        (x - WIDTH / 2) * np.minimum(z, FACADE) / FOCAL,
        CAMERA_HEIGHT - (y - HORIZON) * FACADE / FOCAL,
    )
    wall, paved, window = z > FACADE, z < KERB, (z > FACADE) & (abs(up - 6.3) < 0.6)
    layout = [
        (paved, (150, 146, 138)),  # then the joints of its stones, kerb
        (
            paved & ((z % 0.8 < 0.035) | ((across + 0.4 * (z // 0.8 % 2)) % 0.8 < 0.04)),
            (128, 124, 118),
        ),
        (abs(z - KERB - 0.12) < 0.12, (184, 182, 176)),
        (wall, (150, 112, 96)),  # then the joints of its bricks, window frames, panes
        (
            wall & ((up % 0.22 < 0.05) | ((across + 0.3 * (up // 0.22 % 2)) % 0.6 < 0.06)),
            (142, 107, 92),
        ),
        (window & (across % 3.1 < 1.5), (206, 200, 188)),
        (
            window & (abs(up - 6.3) < 0.5) & (abs(abs(across % 3.1 - 0.75) - 0.34) < 0.29),
            (66, 76, 86),
        ),
    ]
    picture = np.full((*x.shape, 3), (104, 105, 108), np.float32)  # asphalt
    for where, colour in layout:
        picture[where] = colour
    for cell, sigma in (3, 4.0), (6, 3.0), (24, 3.0):
        grain = rng.normal(0, sigma, (HEIGHT * fine // cell, WIDTH * fine // cell)).astype(
            np.float32
        )
        picture += cv2.resize(grain, x.shape[::-1], interpolation=cv2.INTER_CUBIC)[..., None]
    return np.clip(cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), 0, 255)


@lru_cache(1)
def noise_field() -> np.ndarray:
    """Sensor noise, float32, larger than a frame: each frame takes a part of it that begins
    elsewhere.
    """
    rng = np.random.Generator(np.random.SFC64(7))
    return np.float32(NOISE_SIGMA) * rng.standard_normal((HEIGHT + 128, WIDTH + 128, 3), np.float32)


def overlap(pixels: np.ndarray, left: int, top: int, picture: np.ndarray):
    """The parts of `pixels`, whose first one lies at (left, top), and of the picture that lie on
    each other, as views.
    """
    x, y = max(left, 0), max(top, 0)
    under = picture[y : max(top + pixels.shape[0], y), x : max(left + pixels.shape[1], x)]
    return pixels[y - top :, x - left :][: under.shape[0], : under.shape[1]], under


def cast_shadow(picture: np.ndarray, layer: Layer, pixels: np.ndarray, left: int, top: int):
    """Darken the ground where the figure's outline falls, to the right and towards the viewer: the
    sun is behind the house.
    """
    # pixels of shadow for each pixel of height; the foot's row
    right, down, foot = 0.35, 0.2, layer.foot[1] - top
    matrix = np.float32([[1, -right, right * foot], [0, -down, down * foot + 1]])
    outline = cv2.warpAffine(
        pixels[..., 3], matrix, (pixels.shape[1] + int(right * foot) + 2, int(down * foot) + 4)
    )
    shadow, ground = overlap(cv2.blur(outline, (3, 3)), left, top + int(foot) - 3, picture)
    ground *= 1 - np.float32(0.3 / 255) * shadow[..., None]


class StreetClip:
    """Who passes when in one clip, the wind and the light; from these, each frame, its mask and its
    boxes.
    """

    def __init__(self, seed: int, split: str, number: int):
        self.length, self.entropy = (
            LENGTHS[split][number],
            (seed, list(LENGTHS).index(split), number),
        )
        rng = np.random.default_rng(np.random.SeedSequence(self.entropy))
        self.light_phase, self.light_rate = (
            rng.uniform(0, 2 * np.pi),
            2 * np.pi / FPS / rng.uniform(15, 35),
        )
        self.wind, self.display = Wind(rng), Display(self.length, rng)
        self.actors = self._script(TEST_SCRIPT[number], rng) if split == "test" else []
        self._add_walkers(rng)

    def _script(self, kinds: list[str], rng: np.random.Generator) -> list[Actor]:
        """The anomalies, one after the other, with normal time before, between and after them."""
        events = [event(kind, rng) for kind in kinds]
        normal = max(self.length - sum(duration for _, duration in events), 0.0)
        waits, end = normal * rng.dirichlet([3.0] * (len(events) + 1)), 0.0
        for (actors, duration), wait in zip(events, waits[:-1], strict=True):
            for actor in actors:
                actor.shift(end + wait)
            end += wait + duration
        return [actor for actors, _ in events for actor in actors]

    def _add_walkers(self, rng: np.random.Generator) -> None:
        """Normal people: a mean gap for the clip, and more or fewer of them as time passes."""
        gap, phase, rate = (
            np.exp(rng.uniform(*np.log(GAPS))),
            rng.uniform(0, 2 * np.pi),
            2 * np.pi / rng.uniform(120, 240),
        )
        enter = -180.0  # so that the picture is full of people from the first frame on
        while enter < self.length:
            enter += gap * rng.uniform(0.3, 1.7) * np.exp(0.8 * np.sin(rate * enter + phase))
            somebody = walker(rng)
            somebody.shift(enter)
            if not any(somebody.collides(other) for other in self.actors):
                self.actors.append(somebody)

    def layers(self, t: int) -> list[Layer]:
        """Everything that moves and is in the picture, far to near."""
        things = [self.wind.tree(t, -6.0, 22.4, 2.2, 0.9), self.display.layer(t)]
        things += [actor.layer(t) for actor in self.actors if actor.is_here(t)]
        return sorted(
            (thing for thing in things if thing.low[0] < WIDTH and thing.high[0] > 0),
            key=lambda thing: -thing.z,
        )

    def frame(self, t: int) -> np.ndarray:
        """uint8 (H, W, 3)."""
        picture = empty_street().copy()
        for layer in self.layers(t):
            pixels = layer.draw()
            if layer.z < FACADE:
                cast_shadow(picture, layer, *pixels)
            figure, under = overlap(*pixels, picture)
            under *= 1 - np.float32(1 / 255) * figure[..., 3:]
            under += figure[..., :3]
        picture *= 1 + LIGHT_DRIFT * np.sin(self.light_rate * t + self.light_phase)
        # t + 1: it does not see a trailing 0
        offsets = np.random.SeedSequence((*self.entropy, t + 1)).generate_state(2) % 128
        picture += noise_field()[offsets[0] :, offsets[1] :][:HEIGHT, :WIDTH]
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8)

    def mask(self, t: int) -> np.ndarray:
        """bool (H, W): where the anomaly covers more than half of a pixel, less what stands in
        front of it.

        Empty when fewer than MIN_PIXELS are left.
        """
        mask = np.zeros((HEIGHT, WIDTH), bool)
        for layer in self.layers(t):
            if layer.kind or mask.any():
                figure, under = overlap(*layer.draw(), mask)
                under[figure[..., 3] > 127] = bool(layer.kind)
        return mask if mask.sum() >= MIN_PIXELS else np.zeros_like(mask)

    def boxes(self, t: int) -> np.ndarray:
        """float32 (N, 4), x0, y0, x1, y1 in whole pixels, ends exclusive, of everybody in the
        picture, even behind somebody else.
        """
        corners = [[*layer.low, *layer.high] for layer in self.layers(t) if layer.kind is not None]
        return np.clip(np.float32(corners).reshape(-1, 4), 0, (WIDTH, HEIGHT) * 2).astype(
            np.float32
        )

    def kind(self, t: int) -> str:
        """The kind of anomaly, "" when fewer than MIN_PIXELS of it can be seen."""
        here = [actor.kind_at(t) for actor in self.actors if actor.is_here(t)]
        here = [kind for kind in here if kind]
        return here[0] if here and self.mask(t).any() else ""


class StreetStack(LazyStack):
    """Frames or masks of a clip, made by `read(t)` when asked for."""

    def __init__(self, clip: StreetClip, read: Callable[[int], np.ndarray], *shape: int):
        self.clip, self.read, self.shape = clip, read, (clip.length, *shape)

    def _read(self, i: int) -> np.ndarray:
        return self.read(i)

    def identity(self) -> list:
        return [
            "synthetic",
            RENDERER_VERSION,
            cv2.__version__,
            *self.clip.entropy,
            list(self.shape),
        ]


class StreetBoxes(StreetStack):
    """T arrays (N, 4); a slice is a list, since N varies."""

    def __getitem__(self, index):
        return (
            [self.read(t) for t in range(len(self))[index]]
            if isinstance(index, slice)
            else super().__getitem__(index)
        )


def load_synthetic(split: str, root=None, seed: int = 0) -> list[Video]:
    """Load one split, RGB (C = 3), 240 x 320 pixels, with labels, masks, boxes and kinds.

    Args:
        split: "train" or "test": different people of the same population. Anything else raises an
            `InputError`.
        root: ignored; there is nothing to read.
        seed: a number >= 0; the same one gives the same bytes.
    """
    if split not in LENGTHS:
        raise InputError(
            f"synthetic: there is no split {split!r}; expected one of {', '.join(LENGTHS)}",
            "unknown-name",
            field="split",
        )
    videos = []
    for clip in [StreetClip(seed, split, number) for number in range(len(LENGTHS[split]))]:
        kinds = [clip.kind(t) for t in range(clip.length)]
        frames, masks = (
            StreetStack(clip, clip.frame, HEIGHT, WIDTH, 3),
            StreetStack(clip, clip.mask, HEIGHT, WIDTH),
        )
        boxes, labels = (
            StreetBoxes(clip, clip.boxes),
            np.array([kind != "" for kind in kinds], np.uint8),
        )
        videos.append(
            Video(
                f"{clip.entropy[2] + 1:02d}",
                frames,
                FPS,
                "street",
                labels,
                masks,
                boxes,
                kinds,
                "scripted",
            )
        )
    return videos
