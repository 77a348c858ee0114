"""A rendered street scene seen by one fixed camera, with ground truth that is exact by construction.

Everybody walks to the right, on the far footpath or on the road. A tree sways in the wind, and a shop window
glows and fades. Training clips (8, 1,520 frames) hold nothing else; in test clips (8, 1,530 frames) a cyclist, a cart, a runner
or somebody who walks the wrong way passes. Frame t of a clip is a pure function of (seed, split, clip, t); nothing is on disk.

The world is in metres: X to the right, height upwards, Z away from the camera. Figures face +X, with the origin below their hips.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import NamedTuple

import cv2
import numpy as np

from vadlib.data.video import LazyStack, Video
from vadlib.errors import InputError

RENDERER_VERSION = 9  # raise it whenever a pixel changes: stores of rendered frames are keyed by it
HEIGHT, WIDTH, FPS = 160, 240, 10.0
NOISE_SIGMA = 2.0  # sensor noise, grey levels
LIGHT_DRIFT = 0.05  # the light rises and falls by this share, within 15 to 35 seconds
MIN_PIXELS = 10  # a frame is abnormal when at least so many pixels of the anomalous figure are visible
# A pinhole camera CAMERA_HEIGHT metres above the street: sizes and pixel speeds are proportional to FOCAL / Z.
FOCAL, CAMERA_HEIGHT, HORIZON = 300.0, 6.25, -33.0
FACADE, FAR_KERB, NEAR_KERB = 23.0, 19.0, 12.2  # Z of the house and of the borders between pavement and road
ZOOM, SHIFT = 3, 4  # figures are drawn at 3x with 4 fractional bits: they glide instead of jumping by whole pixels
# Nearest and farthest Z, mean number of frames between arrivals.
LANES = {"far": (19.6, 20.8, 40.0), "road": (16.2, 18.2, 45.0)}
LENGTHS = {"train": (200, 180, 190, 200, 180, 190, 200, 180), "test": (190, 200, 180, 200, 180, 180, 200, 200)}
# Who misbehaves where, clip by clip, one after the other. Many do so far away: the amount of motion must not give them away.
TEST_SCRIPT = (
    [("wrong way", "far")],
    [("cyclist", "far"), ("cyclist", "road")],
    [("cart", "far")],
    [("runner", "road"), ("runner", "road")],
    [("cyclist", "road")],
    [("wrong way", "road")],
    [("cart", "road")],
    [("runner", "road"), ("cart", "road")],
)
PALETTES = {  # RGB, 0..255
    "shirt": ((150, 62, 54), (70, 84, 128), (148, 122, 66), (60, 62, 70), (70, 110, 82), (112, 134, 156), (124, 84, 120), (124, 114, 104)),
    "trousers": ((34, 38, 52), (52, 66, 104), (88, 76, 62), (28, 28, 30)),
    "skin": ((232, 190, 160), (198, 148, 112), (134, 92, 66), (92, 62, 46)),
    "hair": ((36, 26, 20), (92, 62, 34), (190, 160, 100), (120, 120, 120)),
    "vehicle": ((180, 60, 50), (60, 110, 170), (200, 190, 170), (70, 130, 90)),  # a bicycle's frame, a cart's body
}
TYRE, METAL, WOOD, CREAM = (24, 24, 26), (150, 152, 156), (70, 54, 40), (238, 234, 222)
GLOW_PERIOD, DARK, BRIGHT = 6.0, (60, 50, 45), (230, 190, 115)  # frames; RGB


class Shape(NamedTuple):
    """A piece of a figure: a disc (one point), a stroke `width` wide, or a filled polygon (width 0). Metres; RGB 0..255."""

    colour: Sequence[float]
    points: Sequence[tuple[float, float]]
    width: float = 0.0


def draw_look(rng: np.random.Generator) -> SimpleNamespace:
    """What somebody looks like: a colour from each palette, size (1 = 1.75 m), backpack or not, coat or not."""
    colours = {name: np.clip(p[rng.integers(len(p))] + rng.normal(0, 8, 3), 8, 247) for name, p in PALETTES.items()}
    return SimpleNamespace(**colours, size=rng.uniform(0.92, 1.08), backpack=rng.random() < 0.3, coat=rng.random() < 0.25)


def joint(root, tip, first: float, second: float, bend: int):
    """Knee or elbow of two bones from `root` to `tip`, bent forwards (+1) or backwards (-1); and the tip, moved within reach."""
    dx, dy = tip[0] - root[0], tip[1] - root[1]
    distance = (dx * dx + dy * dy) ** 0.5
    dx, dy, reach = dx / distance, dy / distance, min(distance, 0.999 * (first + second))
    along = (first**2 - second**2 + reach**2) / (2 * reach)
    off = bend * max(first**2 - along**2, 0.0) ** 0.5
    return (root[0] + along * dx - off * dy, root[1] + along * dy + off * dx), (root[0] + reach * dx, root[1] + reach * dy)


def hang(root, angle: float, length: float):
    """The end of a bone that hangs down at angle 0 and points forwards at pi / 2."""
    return root[0] + length * np.sin(angle), root[1] - length * np.cos(angle)


def leg(colour: np.ndarray, hip, ankle, pitch: float) -> list[Shape]:
    knee, ankle = joint(hip, ankle, 0.47, 0.46, +1)
    toe = hang((ankle[0], ankle[1] - 0.03), np.pi / 2 + pitch, 0.19)
    return [Shape(colour, [hip, knee], 0.17), Shape(colour, [knee, ankle], 0.125), Shape(0.35 * colour, [ankle, toe], 0.1)]


def arm(look, light: float, shoulder, elbow, hand) -> list[Shape]:
    return [Shape(light * look.shirt, [shoulder, elbow, hand], 0.105), Shape(light * look.skin, [hand], 0.11)]


def upper_body(look, hip, lean: float):
    """Shapes of torso and head, and the shoulder. Nose in front, hair and backpack behind: they show the direction."""
    sin, cos = np.sin(lean), np.cos(lean)

    def at(forward: float, up: float):
        return hip[0] + forward * cos + up * sin, hip[1] - forward * sin + up * cos

    shapes = [Shape(0.45 * look.shirt + 30, [at(-0.2, 0.22), at(-0.2, 0.4)], 0.2)] * look.backpack
    shapes += [Shape(look.shirt, [at(-0.17, 0.05), at(0.15, 0.05), at(0.2, -0.33), at(-0.24, -0.33)])] * look.coat
    shapes += [Shape(look.shirt, [at(0, 0.05), at(0, 0.4)], 0.3), Shape(look.skin, [at(0.02, 0.5), at(0.04, 0.6)], 0.12)]
    shapes += [Shape(look.hair, [at(0.01, 0.725)], 0.26), Shape(look.skin, [at(0.07, 0.69)], 0.19)]
    return [*shapes, Shape(look.skin, [at(0.15, 0.68)], 0.06)], at(0, 0.47)


def on_foot(look, distance: float, running: bool = False) -> list[Shape]:
    """A person on foot after `distance` metres. A foot that stands stays where it is on the ground: feet do not slide."""
    stride, duty, lean, swing, hip_height = (2.4, 0.36, 0.24, 0.95, 0.93) if running else (1.35, 0.6, 0.05, 0.5, 0.945)
    cycle = distance / look.size / stride
    hip = (0.0, hip_height - (0.045 if running else 0.02) * np.cos(4 * np.pi * (cycle - 0.05)))
    body, shoulder = upper_body(look, hip, lean)
    legs, arms = [], []
    for phase, light in ((cycle + 0.5) % 1, 0.68), (cycle % 1, 1.0):  # the far side is darker and drawn first
        if phase < duty:  # the share of the cycle that a foot stands, late on its toes, while the body moves on over it
            done = phase / duty
            x, y = 1 - 2 * done, 0.09 + 0.17 * max(0.0, done - 0.6)
        else:  # it swings forwards; a runner's heel comes up high
            done = (phase - duty) / (1 - duty)
            lift = 0.5 * np.sin(np.pi * done**0.7) if running else 0.06 * np.sin(np.pi * done)
            x, y = -np.cos(np.pi * done), 0.09 + 0.07 * (1 - done) + lift
        pitch = max((-2.5 if running else -7.0) * (y - 0.09) + 0.3 * (phase > 0.9), -1.3)
        legs += leg(light * look.trousers, hip, (x * duty * stride / 2 - 0.1 * running, y), pitch)  # a runner pushes off behind
        back = -swing * np.cos(2 * np.pi * (phase - 0.05))  # arms swing against the legs
        elbow = hang(shoulder, back - 0.15 * running, 0.29)
        arms.append(arm(look, light, shoulder, elbow, hang(elbow, back + (1.5 if running else 0.3 + 0.25 * back), 0.27)))
    return arms[0] + legs + body + arms[1]


def cyclist(look, distance: float) -> list[Shape]:
    radius, rear, front, crank, seat = 0.35, (-0.53, 0.35), (0.55, 0.35), (-0.06, 0.3), (-0.22, 0.84)
    head, bar, hip, rim = (0.38, 0.84), (0.42, 1.0), (-0.22, 0.98), np.linspace(0, 2 * np.pi, 17)
    wheels, legs, spokes = [], [], np.arange(3) * np.pi / 3 - distance / radius
    for hub in rear, front:
        wheels.append(Shape(TYRE, np.stack([np.cos(rim), np.sin(rim)], 1) * radius + hub, 0.075))
        wheels += [Shape(METAL, [hang(hub, spoke, radius), hang(hub, spoke, -radius)], 0.02) for spoke in spokes]
    tubes = [rear, crank, head], [rear, seat], [crank, seat], [seat, head], [front, head, bar, (0.52, 1.02)]
    frame = [Shape(look.vehicle, tube, 0.06) for tube in tubes] + [Shape(TYRE, [(-0.34, 0.89), (-0.12, 0.89)], 0.08)]
    body, shoulder = upper_body(look, hip, 0.5)
    for side, light in (np.pi, 0.68), (0.0, 1.0):
        pedal = hang(crank, side - 2 * np.pi * distance / 4.2, 0.17)  # one turn of the pedals every 4.2 m
        legs.append(leg(light * look.trousers, hip, (pedal[0] - 0.05, pedal[1] + 0.09), -0.2))
    return legs[0] + wheels + frame + legs[1] + body + arm(look, 1.0, shoulder, *joint(shoulder, (0.5, 1.04), 0.31, 0.3, -1))


def cart(look, distance: float) -> list[Shape]:
    body = [(-1.2, 0.3), (1.2, 0.3), (1.25, 0.62), (1.0, 0.86), (0.62, 0.9), (0.5, 0.5), (-0.3, 0.5), (-0.3, 1.12), (-1.2, 1.12)]
    driver, shoulder = upper_body(look, (0.0, 0.62), 0.1)
    shapes = [Shape(0.68 * look.trousers, [(0.0, 0.6), (0.4, 0.62), (0.45, 0.4)], 0.16), *driver, Shape(look.vehicle, body)]
    posts = [(0.62, 0.88), (0.5, 1.78), (-0.32, 1.78), (-0.32, 1.1)]
    shapes += [Shape(METAL, posts, 0.06), Shape(CREAM, [(-0.5, 1.8), (0.72, 1.8)], 0.12), Shape(CREAM, [(1.18, 0.62)], 0.14)]
    shapes += arm(look, 1.0, shoulder, *joint(shoulder, (0.52, 1.0), 0.3, 0.28, -1))
    for hub in (-0.72, 0.27), (0.78, 0.27):
        shapes += [Shape(TYRE, [hub], 0.54), Shape(METAL, [hub], 0.26), Shape(TYRE, [hang(hub, -distance / 0.27, 0.07)], 0.1)]
    return shapes


# The figure, given a look and the metres covered; speeds in m/s; +1 to go to the right as everybody does, -1 to the left.
KINDS = {  # "" is normal. To add a kind: a figure, a row here, and its clips in TEST_SCRIPT.
    "": (on_foot, (1.2, 1.5), +1),
    "cyclist": (cyclist, (2.8, 3.4), +1),
    "cart": (cart, (1.7, 2.2), +1),
    "runner": (partial(on_foot, running=True), (3.3, 3.7), +1),
    "wrong way": (on_foot, (1.2, 1.5), -1),
}


class Layer:
    """One thing in one frame. `low`, `high`: the corners (x, y) of its box, in pixels. `kind` is None for the tree and the window."""

    def __init__(self, shapes: list[Shape], x: float, z: float, kind: str | None = None, heading: int = 1, size: float = 1.0):
        self.shapes, self.z, self.kind, self.scale = shapes, z, kind, size * FOCAL / z  # scale: pixels a metre
        self.foot = np.array([WIDTH / 2 + x * FOCAL / z, HORIZON + CAMERA_HEIGHT * FOCAL / z])
        self.points = np.concatenate([shape.points for shape in shapes]) * (heading * self.scale, -self.scale) + self.foot
        radii = np.repeat([shape.width * self.scale / 2 for shape in shapes], [len(shape.points) for shape in shapes])[:, None]
        self.low, self.high = np.floor((self.points - radii).min(0)).astype(int), np.ceil((self.points + radii).max(0)).astype(int)

    def draw(self) -> tuple[np.ndarray, int, int]:
        """uint8 (h, w, 4), RGB times alpha, and alpha; and the place of its first pixel in the picture, left and top."""
        width, height = (self.high - self.low).tolist()
        canvas, unit, start = np.zeros((height * ZOOM, width * ZOOM, 4), np.uint8), ZOOM * 2**SHIFT, 0
        points = np.rint((self.points - self.low) * unit - 2 ** (SHIFT - 1)).astype(np.int32)  # OpenCV counts from pixel centres
        for (r, g, b), corners, stroke in self.shapes:
            corners, start, colour = points[start : start + len(corners)], start + len(corners), (float(r), float(g), float(b), 255.0)
            if stroke:  # its ends are round, so that a closed stroke of one point is a disc
                thick = max(1, round(stroke * self.scale * ZOOM))
                cv2.polylines(canvas, [corners], len(corners) == 1, colour, thick, cv2.LINE_AA, SHIFT)
            else:
                cv2.fillPoly(canvas, [corners], colour, cv2.LINE_AA, SHIFT)
        return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), *self.low.tolist()


class Actor:
    """Somebody who passes from one border of the picture to the other at a constant speed, from frame `enter` (may be < 0) on."""

    def __init__(self, kind: str, lane: str, enter: float, rng: np.random.Generator):
        (near, far, _), (self.figure, speeds, self.heading) = LANES[lane], KINDS[kind]
        self.kind, self.enter, self.look, self.speed = kind, enter, draw_look(rng), rng.uniform(*speeds) / FPS  # metres a frame
        self.z0, aim = rng.uniform(near, far, 2)
        self.z1 = self.z0 + 0.2 * (aim - self.z0)  # people keep nearly parallel to the kerb
        self.half = max(self.z0, self.z1) * WIDTH / 2 / FOCAL + 1.3  # metres from the middle to just outside the picture
        self.duration, self.covered = 2 * self.half / self.speed, rng.uniform(0, 10)  # frames; metres before entering: not in step

    def where(self, t):
        """World position (X, Z) in metres at frame t, a number or an array."""
        done = (t - self.enter) / self.duration
        return self.heading * self.half * (2 * done - 1), self.z0 + (self.z1 - self.z0) * done

    def layer(self, t: int) -> Layer:
        shapes = self.figure(self.look, self.covered + self.speed * (t - self.enter))
        return Layer(shapes, *self.where(t), self.kind, self.heading, self.look.size)

    def collides(self, other: Actor) -> bool:
        """Whether the two ever come within 0.6 m across and 0.45 m in depth of each other."""
        times = np.arange(max(self.enter, other.enter), min(self.enter + self.duration, other.enter + other.duration))
        (x, z), (other_x, other_z) = self.where(times), other.where(times)
        return bool(np.any((abs(x - other_x) < 0.6) & (abs(z - other_z) < 0.45)))


class Wind:
    """The gusts of one clip, and what moves in them, always at the same places."""

    def __init__(self, rng: np.random.Generator):
        (self.phase, self.gust_phase), self.gust_rate = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.06, 0.1)
        leaves = np.random.default_rng(7)  # the same in all clips
        angle, r, shade, self.widths = leaves.uniform([[0], [0], [0.55], [0.24]], [[2 * np.pi], [1], [1.3], [0.44]], (4, 50))
        self.u, self.v = r**0.5 * np.cos(angle), r**0.5 * np.sin(angle)
        self.greens = (shade * (1.05 + 0.3 * self.v))[:, None] * (66, 98, 48)

    def sway(self, t: int, rate: float, ahead: np.ndarray) -> np.ndarray:
        """Displacement within -1..1 of things that swing by `rate` radians a frame, `ahead` radians ahead."""
        gust = 0.75 + 0.25 * np.sin(self.gust_rate * t + self.gust_phase)
        return gust * (0.75 * np.sin(rate * t + self.phase + ahead) + 0.25 * np.sin(1.7 * rate * t + 2 * self.phase + 1.3 * ahead))

    def foliage(self, t: int, x: float, z: float, stem: float, radius: float) -> Layer:
        """A tree on a stem of that many metres, and radius."""
        up = stem + 0.9 * radius * (1 + self.v)
        bend = 0.18 * (0.3 + up / up.max()) * self.sway(t, 0.55, 0.6 * self.u) + 0.06 * self.sway(t, 1.3, 9 * self.u + 7 * self.v)
        tips = np.stack([radius * (1.15 * self.u + bend), up - 0.3 * radius * abs(bend)], 1)
        trunk = Shape(WOOD, [(0, 0), (0, stem + radius)], 0.22)
        return Layer([trunk, *map(Shape, self.greens, tips[:, None], self.widths * radius)], x, z)

    def shop_window(self, t: int) -> Layer:
        """A lit window of the house that glows and fades: much change, but always the same."""
        glow = 0.5 + 0.5 * np.sin(2 * np.pi * t / GLOW_PERIOD + self.phase)
        panel = [(-1.5, 0.9), (1.5, 0.9), (1.5, 3.4), (-1.5, 3.4)]
        return Layer([Shape(np.array(DARK) + glow * (np.array(BRIGHT) - DARK), panel)], 3.4, FACADE)


@lru_cache(1)
def empty_street() -> np.ndarray:
    """The background, float32 (H, W, 3) in 0..255. One place for all seeds: seeds draw the people and the weather."""
    rng, fine = np.random.default_rng(7), 3
    y, x = np.mgrid[0 : HEIGHT * fine, 0 : WIDTH * fine].astype(np.float32) / fine
    z = FOCAL * CAMERA_HEIGHT / (y - HORIZON)
    across, up = (x - WIDTH / 2) * np.minimum(z, FACADE) / FOCAL, CAMERA_HEIGHT - (y - HORIZON) * FACADE / FOCAL  # metres
    wall, pavement, window = z > FACADE, (z > FAR_KERB) | (z < NEAR_KERB), (z > FACADE) & (abs(up - 1.9) < 0.87)
    layout = [
        ((abs(z - 15.4) < 0.12) & (across % 3 < 1.6), (206, 204, 196)),  # a dashed line
        (pavement, (150, 146, 138)),  # then the joints of its stones, kerbs
        (pavement & ((z % 0.8 < 0.035) | ((across + 0.4 * (z // 0.8 % 2)) % 0.8 < 0.04)), (118, 114, 108)),
        (np.minimum(abs(z - FAR_KERB - 0.12), abs(z - NEAR_KERB - 0.12)) < 0.12, (184, 182, 176)),
        (wall, (150, 108, 90)),  # then the joints of its bricks, window frames, panes
        (wall & ((up % 0.22 < 0.05) | ((across + 0.3 * (up // 0.22 % 2)) % 0.6 < 0.06)), (134, 98, 84)),
        (window & (across % 3.1 < 1.5), (214, 208, 196)),
        (window & (abs(up - 1.9) < 0.75) & (abs(abs(across % 3.1 - 0.75) - 0.34) < 0.29), (58, 68, 80)),
    ]
    picture = np.full((*x.shape, 3), (96, 97, 101), np.float32)  # asphalt
    for where, colour in layout:
        picture[where] = colour
    for cell, sigma in (3, 4.0), (6, 3.0), (24, 3.0):
        grain = rng.normal(0, sigma, (HEIGHT * fine // cell, WIDTH * fine // cell)).astype(np.float32)
        picture += cv2.resize(grain, x.shape[::-1], interpolation=cv2.INTER_CUBIC)[..., None]
    picture *= sunlight(z)[..., None]
    return np.clip(cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), 0, 255)


def sunlight(z):
    """Brightness at depth z: 1 in the sun, 0.8 on the far footpath, which lies in the shadow of the house."""
    return 0.8 + 0.2 * np.clip((18.6 - z) / 0.6, 0, 1)


def overlap(pixels: np.ndarray, left: int, top: int, picture: np.ndarray):
    """The parts of `pixels`, whose first one lies at (left, top), and of the picture that lie on each other, as views."""
    x, y = max(left, 0), max(top, 0)
    under = picture[y : max(top + pixels.shape[0], y), x : max(left + pixels.shape[1], x)]
    return pixels[y - top :, x - left :][: under.shape[0], : under.shape[1]], under


def cast_shadow(picture: np.ndarray, layer: Layer, pixels: np.ndarray, left: int, top: int):
    """Darken the ground where the figure's outline falls, to the right and towards the viewer: the sun is behind the house."""
    right, down, foot = 0.45, 0.3, layer.foot[1] - top  # pixels of shadow for each pixel of height; the foot's row
    matrix = np.float32([[1, -right, right * foot], [0, -down, down * foot + 1]])
    outline = cv2.warpAffine(pixels[..., 3], matrix, (pixels.shape[1] + int(right * foot) + 2, int(down * foot) + 4))
    shadow, ground = overlap(cv2.blur(outline, (3, 3)), left, top + int(foot) - 3, picture)
    ground *= 1 - np.float32(0.48 if sunlight(layer.z) == 1 else 0.1) / 255 * shadow[..., None]


class StreetClip:
    """Who passes when in one clip, the wind and the light; from these, each frame, its mask and its boxes."""

    def __init__(self, seed: int, split: str, number: int):
        self.length, self.entropy = LENGTHS[split][number], (seed, list(LENGTHS).index(split), number)
        rng = np.random.default_rng(np.random.SeedSequence(self.entropy))
        self.light_phase, self.light_rate = rng.uniform(0, 2 * np.pi), 2 * np.pi / FPS / rng.uniform(15, 35)
        self.wind = Wind(rng)
        self.actors = [Actor(kind, lane, 0.0, rng) for kind, lane in TEST_SCRIPT[number]] if split == "test" else []
        normal, end = max(self.length - sum(actor.duration for actor in self.actors), 0.0), 0.0
        for actor, wait in zip(self.actors, normal * rng.dirichlet([3.0] * (len(self.actors) + 1)), strict=False):
            actor.enter = end + wait  # normal time before, between and after them
            end = actor.enter + actor.duration
        for lane, (_, _, gap) in LANES.items():
            enter = -180.0  # so that the picture is full of people from the first frame on
            while (enter := enter + gap * rng.uniform(0.4, 1.6)) < self.length:
                walker = Actor("", lane, enter, rng)
                if not any(walker.collides(other) for other in self.actors):
                    self.actors.append(walker)

    def layers(self, t: int) -> list[Layer]:
        """Everything that moves and is in the picture, far to near."""
        things = [self.wind.foliage(t, -6.6, 18.9, 2.3, 1.25), self.wind.shop_window(t)]
        things += [actor.layer(t) for actor in self.actors if 0 <= t - actor.enter <= actor.duration]
        return sorted((thing for thing in things if thing.low[0] < WIDTH and thing.high[0] > 0), key=lambda thing: -thing.z)

    def frame(self, t: int) -> np.ndarray:
        """uint8 (H, W, 3)."""
        picture = empty_street().copy()
        for layer in self.layers(t):
            pixels = layer.draw()
            cast_shadow(picture, layer, *pixels)
            figure, under = overlap(*pixels, picture)
            under *= 1 - np.float32(1 / 255) * figure[..., 3:]
            under += np.float32(sunlight(layer.z)) * figure[..., :3]
        picture *= 1 + LIGHT_DRIFT * np.sin(self.light_rate * t + self.light_phase)
        noise = np.random.SFC64(np.random.SeedSequence((*self.entropy, t + 1)))  # t + 1: SeedSequence does not see a trailing 0
        picture += np.float32(NOISE_SIGMA) * np.random.Generator(noise).standard_normal(picture.shape, np.float32)
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8)

    def mask(self, t: int) -> np.ndarray:
        """bool (H, W): where the anomalous figure covers more than half of a pixel, less what stands in front of it.

        Empty when fewer than MIN_PIXELS are left.
        """
        mask, found = np.zeros((HEIGHT, WIDTH), bool), None
        for layer in self.layers(t):
            if layer.kind or (found and (layer.low < found.high).all() and (layer.high > found.low).all()):
                figure, under = overlap(*layer.draw(), mask)
                under[figure[..., 3] > 127] = bool(layer.kind)
                found = found or layer
        return mask if mask.sum() >= MIN_PIXELS else np.zeros_like(mask)

    def boxes(self, t: int) -> np.ndarray:
        """float32 (N, 4), x0, y0, x1, y1 in whole pixels, ends exclusive, of everybody in the picture, even behind somebody else."""
        corners = [[*layer.low, *layer.high] for layer in self.layers(t) if layer.kind is not None]
        return np.clip(np.float32(corners).reshape(-1, 4), 0, (WIDTH, HEIGHT) * 2).astype(np.float32)

    def kind(self, t: int) -> str:
        """The kind of anomaly, "" when fewer than MIN_PIXELS of it can be seen."""
        here = [actor.kind for actor in self.actors if actor.kind and 0 <= t - actor.enter <= actor.duration]
        return here[0] if here and self.mask(t).any() else ""


class StreetStack(LazyStack):
    """Frames or masks of a clip, made by `read(t)` when asked for."""

    def __init__(self, clip: StreetClip, read: Callable[[int], np.ndarray], *shape: int):
        self.clip, self.read, self.shape = clip, read, (clip.length, *shape)

    def _read(self, i: int) -> np.ndarray:
        return self.read(i)

    def identity(self) -> list:
        return ["synthetic", RENDERER_VERSION, cv2.__version__, *self.clip.entropy, list(self.shape)]


class StreetBoxes(StreetStack):
    """T arrays (N, 4); a slice is a list, since N varies."""

    def __getitem__(self, index):
        return [self.read(t) for t in range(len(self))[index]] if isinstance(index, slice) else super().__getitem__(index)


def load_synthetic(split: str, root=None, seed: int = 0) -> list[Video]:
    """Load one split, RGB (C = 3), 160 x 240 pixels, with labels, masks, boxes and kinds.

    Args:
        split: "train" or "test": different people of the same population. Anything else raises an `InputError`.
        root: ignored; there is nothing to read.
        seed: a number >= 0; the same one gives the same bytes.
    """
    if split not in LENGTHS:
        raise InputError(f"synthetic: there is no split {split!r}; expected one of {', '.join(LENGTHS)}", "unknown-name", field="split")
    videos = []
    for clip in [StreetClip(seed, split, number) for number in range(len(LENGTHS[split]))]:
        kinds = [clip.kind(t) for t in range(clip.length)]
        frames, masks = StreetStack(clip, clip.frame, HEIGHT, WIDTH, 3), StreetStack(clip, clip.mask, HEIGHT, WIDTH)
        boxes, labels = StreetBoxes(clip, clip.boxes), np.array([kind != "" for kind in kinds], np.uint8)
        videos.append(Video(f"{clip.entropy[2] + 1:02d}", frames, FPS, "street", labels, masks, boxes, kinds, "scripted"))
    return videos
