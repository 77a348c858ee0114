"""The figures of the rendered street, as flat shapes in metres: people, a bicycle, a cart, a bag.

A figure faces +X. Its origin lies on the ground, below the hips. `distance` is the way covered so
far, in metres: it turns wheels and moves legs, so that feet do not slide.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

PALETTES = {  # RGB, 0..255
    "shirt": ((112, 70, 60), (66, 78, 106), (96, 80, 58), (64, 86, 68)),
    "trousers": ((40, 44, 56), (52, 46, 42)),
    "skin": ((206, 164, 134), (150, 108, 82)),
    "hair": ((40, 32, 26), (72, 54, 38)),
    # a bicycle's frame, a cart's body
    "vehicle": ((124, 62, 54), (62, 88, 118), (126, 116, 98), (66, 96, 74)),
    "bag": ((176, 60, 44), (40, 92, 150), (190, 150, 50), (60, 120, 70)),
}
TYRE, METAL, CREAM = (44, 44, 46), (122, 124, 126), (178, 172, 158)


class Shape(NamedTuple):
    """A piece of a figure: a disc (one point), a stroke `width` wide, or a filled polygon (width
    0). Metres; RGB 0..255.
    """

    colour: Sequence[float]
    points: Sequence[tuple[float, float]]
    width: float = 0.0


def draw_look(rng: np.random.Generator) -> SimpleNamespace:
    """What somebody looks like: a colour from each palette, size (1 = 1.75 m), and whether with a
    backpack.
    """
    look = SimpleNamespace()
    for name, palette in PALETTES.items():
        colour = palette[rng.integers(len(palette))]
        setattr(look, name, np.clip(colour + rng.normal(0, 4, 3), 8, 247))
    look.size = rng.uniform(0.96, 1.04)
    look.backpack = bool(rng.random() < 0.25)
    return look


def joint(root, tip, first: float, second: float, bend: int):
    """Knee or elbow of two bones from `root` to `tip`, bent forwards (+1) or backwards (-1); and
    the tip, moved within reach.
    """
    dx, dy = tip[0] - root[0], tip[1] - root[1]
    distance = (dx * dx + dy * dy) ** 0.5
    dx, dy, reach = dx / distance, dy / distance, min(distance, 0.999 * (first + second))
    along = (first**2 - second**2 + reach**2) / (2 * reach)
    off = bend * max(first**2 - along**2, 0.0) ** 0.5
    return (root[0] + along * dx - off * dy, root[1] + along * dy + off * dx), (
        root[0] + reach * dx,
        root[1] + reach * dy,
    )


def hang(root, angle: float, length: float):
    """The end of a bone that hangs down at angle 0 and points forwards at pi / 2."""
    return root[0] + length * np.sin(angle), root[1] - length * np.cos(angle)


def leg(colour: np.ndarray, hip, ankle, pitch: float) -> list[Shape]:
    knee, ankle = joint(hip, ankle, 0.47, 0.46, +1)
    toe = hang((ankle[0], ankle[1] - 0.03), np.pi / 2 + pitch, 0.19)
    return [
        Shape(colour, [hip, knee], 0.17),
        Shape(colour, [knee, ankle], 0.125),
        Shape(0.35 * colour, [ankle, toe], 0.1),
    ]


def arm(look, light: float, shoulder, elbow, hand) -> list[Shape]:
    return [
        Shape(light * look.shirt, [shoulder, elbow, hand], 0.105),
        Shape(light * look.skin, [hand], 0.11),
    ]


def upper_body(look, hip, lean: float):
    """Shapes of torso and head, and the shoulder. Nose in front, hair and backpack behind: they
    show the direction.
    """
    sin, cos = np.sin(lean), np.cos(lean)

    def at(forward: float, up: float):
        return hip[0] + forward * cos + up * sin, hip[1] - forward * sin + up * cos

    shapes = [Shape(look.bag, [at(-0.2, 0.22), at(-0.2, 0.4)], 0.2)] * look.backpack
    shapes += [
        Shape(look.shirt, [at(0, 0.05), at(0, 0.4)], 0.3),
        Shape(look.skin, [at(0.02, 0.5), at(0.04, 0.6)], 0.12),
    ]
    shapes += [Shape(look.hair, [at(0.01, 0.725)], 0.26), Shape(look.skin, [at(0.07, 0.69)], 0.19)]
    return [*shapes, Shape(look.skin, [at(0.15, 0.68)], 0.06)], at(0, 0.47)


def person(look, distance: float, running: bool = False, stoop: float = 0.0) -> list[Shape]:
    """A person on foot after `distance` metres. A foot that stands stays where it is on the ground.

    Args:
        stoop: 0 upright, 1 bent down to the ground.
    """
    stride, duty, lean, swing, hip_height = (
        (2.4, 0.36, 0.24, 0.95, 0.93) if running else (1.35, 0.6, 0.05, 0.5, 0.945)
    )
    cycle = distance / look.size / stride
    hip = (
        -0.15 * stoop,
        hip_height
        - 0.25 * stoop
        - (0.045 if running else 0.02) * np.cos(4 * np.pi * (cycle - 0.05)),
    )
    body, shoulder = upper_body(look, hip, lean + 1.1 * stoop)
    legs, arms = [], []
    # the far side is darker and drawn first
    for phase, light in ((cycle + 0.5) % 1, 0.68), (cycle % 1, 1.0):
        # the share of the cycle that a foot stands, late on its toes, while the body moves on over
        # it
        if phase < duty:
            done = phase / duty
            x, y = 1 - 2 * done, 0.09 + 0.17 * max(0.0, done - 0.6)
        else:  # it swings forwards; a runner's heel comes up high
            done = (phase - duty) / (1 - duty)
            lift = 0.5 * np.sin(np.pi * done**0.7) if running else 0.06 * np.sin(np.pi * done)
            x, y = -np.cos(np.pi * done), 0.09 + 0.07 * (1 - done) + lift
        pitch = max((-2.5 if running else -7.0) * (y - 0.09) + 0.3 * (phase > 0.9), -1.3)
        # a runner pushes off behind
        legs += leg(light * look.trousers, hip, (x * duty * stride / 2 - 0.1 * running, y), pitch)
        # arms swing against the legs
        back = -swing * np.cos(2 * np.pi * (phase - 0.05)) * (1 - stoop)
        elbow = hang(shoulder, back - 0.15 * running, 0.29)
        arms.append(
            arm(
                look,
                light,
                shoulder,
                elbow,
                hang(elbow, back + (1.5 if running else 0.3 + 0.25 * back), 0.27),
            )
        )
    return arms[0] + legs + body + arms[1]


def child(look, distance: float) -> list[Shape]:
    """A child that runs, 1.25 m tall; a step is as short as the legs."""
    scale = 0.72
    shapes = person(look, distance / scale, running=True)
    return [
        Shape(s.colour, [(scale * x, scale * y) for x, y in s.points], scale * s.width)
        for s in shapes
    ]


def bag(look, distance: float = 0.0) -> list[Shape]:
    """A backpack that stands on the ground."""
    strap = [(-0.1, 0.42), (0.0, 0.5), (0.1, 0.42)]
    pocket = [(-0.1, 0.12), (0.1, 0.12)]
    return [
        Shape(0.6 * look.bag, strap, 0.04),
        Shape(look.bag, [(0, 0.13), (0, 0.32)], 0.26),
        Shape(0.7 * look.bag, pocket, 0.06),
    ]


def cyclist(look, distance: float) -> list[Shape]:
    radius, rear, front, crank, seat = (
        0.35,
        (-0.53, 0.35),
        (0.55, 0.35),
        (-0.06, 0.3),
        (-0.22, 0.84),
    )
    head, bar, hip, rim = (0.38, 0.84), (0.42, 1.0), (-0.22, 0.98), np.linspace(0, 2 * np.pi, 17)
    wheels, legs, spokes = [], [], np.arange(3) * np.pi / 3 - distance / radius
    for hub in rear, front:
        wheels.append(Shape(TYRE, np.stack([np.cos(rim), np.sin(rim)], 1) * radius + hub, 0.075))
        wheels += [
            Shape(METAL, [hang(hub, spoke, radius), hang(hub, spoke, -radius)], 0.02)
            for spoke in spokes
        ]
    tubes = (
        [rear, crank, head],
        [rear, seat],
        [crank, seat],
        [seat, head],
        [front, head, bar, (0.52, 1.02)],
    )
    frame = [Shape(look.vehicle, tube, 0.06) for tube in tubes] + [
        Shape(TYRE, [(-0.34, 0.89), (-0.12, 0.89)], 0.08)
    ]
    body, shoulder = upper_body(look, hip, 0.5)
    for side, light in (np.pi, 0.68), (0.0, 1.0):
        # one turn of the pedals every 4.2 m
        pedal = hang(crank, side - 2 * np.pi * distance / 4.2, 0.17)
        legs.append(leg(light * look.trousers, hip, (pedal[0] - 0.05, pedal[1] + 0.09), -0.2))
    return (
        legs[0]
        + wheels
        + frame
        + legs[1]
        + body
        + arm(look, 1.0, shoulder, *joint(shoulder, (0.5, 1.04), 0.31, 0.3, -1))
    )


def cart(look, distance: float) -> list[Shape]:
    body = [
        (-1.2, 0.3),
        (1.2, 0.3),
        (1.25, 0.62),
        (1.0, 0.86),
        (0.62, 0.9),
        (0.5, 0.5),
        (-0.3, 0.5),
        (-0.3, 1.12),
        (-1.2, 1.12),
    ]
    driver, shoulder = upper_body(look, (0.0, 0.62), 0.1)
    shapes = [
        Shape(0.68 * look.trousers, [(0.0, 0.6), (0.4, 0.62), (0.45, 0.4)], 0.16),
        *driver,
        Shape(look.vehicle, body),
    ]
    posts = [(0.62, 0.88), (0.5, 1.78), (-0.32, 1.78), (-0.32, 1.1)]
    shapes += [
        Shape(METAL, posts, 0.06),
        Shape(CREAM, [(-0.5, 1.8), (0.72, 1.8)], 0.12),
        Shape(CREAM, [(1.18, 0.62)], 0.14),
    ]
    shapes += arm(look, 1.0, shoulder, *joint(shoulder, (0.52, 1.0), 0.3, 0.28, -1))
    for hub in (-0.72, 0.27), (0.78, 0.27):
        shapes += [
            Shape(TYRE, [hub], 0.54),
            Shape(METAL, [hub], 0.26),
            Shape(TYRE, [hang(hub, -distance / 0.27, 0.07)], 0.1),
        ]
    return shapes
