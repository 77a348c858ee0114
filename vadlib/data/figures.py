"""The figures of the rendered street, as flat shapes in metres: people, a bicycle, a cart, a bag, a tram.

A figure faces +X. Its origin lies on the ground, below the hips. `distance` is the way covered so far, in metres: it turns
wheels and moves legs, so that feet do not slide.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

PALETTES = {  # RGB, 0..255
    "shirt": ((126, 58, 52), (58, 70, 104), (112, 92, 54), (56, 58, 66), (56, 86, 66), (84, 98, 116), (100, 66, 96), (92, 82, 74)),
    "trousers": ((34, 38, 52), (52, 66, 104), (88, 76, 62), (28, 28, 30)),
    "skin": ((232, 190, 160), (198, 148, 112), (134, 92, 66), (92, 62, 46)),
    "hair": ((36, 26, 20), (92, 62, 34), (120, 96, 62), (84, 84, 84)),
    "vehicle": ((124, 62, 54), (62, 88, 118), (126, 116, 98), (66, 96, 74)),  # a bicycle's frame, a cart's body
    "bag": ((176, 60, 44), (40, 92, 150), (190, 150, 50), (60, 120, 70)),
}
TYRE, METAL, CREAM = (44, 44, 46), (122, 124, 126), (178, 172, 158)
TRAM, TRAM_GLASS = (118, 112, 92), (74, 80, 84)


class Shape(NamedTuple):
    """A piece of a figure: a disc (one point), a stroke `width` wide, or a filled polygon (width 0). Metres; RGB 0..255."""

    colour: Sequence[float]
    points: Sequence[tuple[float, float]]
    width: float = 0.0


def draw_look(rng: np.random.Generator) -> SimpleNamespace:
    """What somebody looks like: a colour from each palette, size (1 = 1.75 m), and whether with a backpack, a coat, a bag in hand."""
    look = SimpleNamespace()
    for name, palette in PALETTES.items():
        colour = palette[rng.integers(len(palette))]
        setattr(look, name, np.clip(colour + rng.normal(0, 8, 3), 8, 247))
    look.size = rng.uniform(0.92, 1.08)
    look.backpack, look.coat, look.carries = (bool(drawn < share) for drawn, share in zip(rng.random(3), (0.3, 0.25, 0.25), strict=True))
    return look


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


def person(look, distance: float, running: bool = False, stoop: float = 0.0, carries: bool | None = None) -> list[Shape]:
    """A person on foot after `distance` metres. A foot that stands stays where it is on the ground.

    Args:
        stoop: 0 upright, 1 bent down to the ground.
        carries: a bag in the hand; None: as the look says.
    """
    carries = look.carries if carries is None else carries
    stride, duty, lean, swing, hip_height = (2.4, 0.36, 0.24, 0.95, 0.93) if running else (1.35, 0.6, 0.05, 0.5, 0.945)
    cycle = distance / look.size / stride
    hip = (-0.15 * stoop, hip_height - 0.25 * stoop - (0.045 if running else 0.02) * np.cos(4 * np.pi * (cycle - 0.05)))
    body, shoulder = upper_body(look, hip, lean + 1.1 * stoop)
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
        back = -swing * np.cos(2 * np.pi * (phase - 0.05)) * (1 - stoop)  # arms swing against the legs
        held = carries and light == 1.0
        elbow = hang(shoulder, 0.3 * back if held else back - 0.15 * running, 0.29)
        hand = hang(elbow, 0.3 * back if held else back + (1.5 if running else 0.3 + 0.25 * back), 0.27)
        arms.append(arm(look, light, shoulder, elbow, hand) + (bag(look, at=(hand[0], hand[1] - 0.36)) if held else []))
    return arms[0] + legs + body + arms[1]


def child(look, distance: float) -> list[Shape]:
    """A child that runs, 1.15 m tall; a step is as short as the legs."""
    scale = 0.66
    shapes = person(look, distance / scale, running=True, carries=False)
    return [Shape(s.colour, [(scale * x, scale * y) for x, y in s.points], scale * s.width) for s in shapes]


def bag(look, distance: float = 0.0, at=(0.0, 0.0)) -> list[Shape]:
    """A holdall, 0.55 m long, that stands on the ground or hangs from a hand."""
    x, y = at
    body = [(x - 0.27, y + 0.02), (x + 0.27, y + 0.02), (x + 0.25, y + 0.3), (x - 0.25, y + 0.3)]
    handle = [(x - 0.13, y + 0.28), (x, y + 0.38), (x + 0.13, y + 0.28)]
    return [
        Shape(0.6 * look.bag, handle, 0.04),
        Shape(look.bag, body),
        Shape(0.6 * look.bag, [(x - 0.27, y + 0.17), (x + 0.27, y + 0.17)], 0.03),
    ]


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


def tram(look, distance: float) -> list[Shape]:
    """A tram, 12 m long and 3 m tall, the same whichever way it goes."""
    shapes = [Shape(TYRE, [(x, 0.3)], 0.6) for x in (-4.2, -3.2, 3.2, 4.2)]
    shapes.append(Shape(TRAM, [(-6, 0.35), (6, 0.35), (5.6, 2.9), (-5.6, 2.9)]))
    for left in np.arange(-5.2, 5, 2.15):
        shapes.append(Shape(TRAM_GLASS, [(left, 1.4), (left + 1.7, 1.4), (left + 1.7, 2.4), (left, 2.4)]))
    return shapes
