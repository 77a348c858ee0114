"""The figures of the rendered street, as flat shapes in metres: people, a bicycle, a cart, a bag.

A figure faces +X. Its origin lies on the ground, below the hips; a point is a complex number,
forwards + upwards * 1j. `distance` is the path length
covered so far, in metres: it turns wheels and moves legs, so that feet do not slide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

PALETTES = {
    "shirt": ((112, 70, 60), (66, 78, 106), (96, 80, 58), (64, 86, 68)),
    "trousers": ((40, 44, 56), (52, 46, 42)),
    "skin": ((206, 164, 134), (150, 108, 82)),
    "hair": ((40, 32, 26), (72, 54, 38)),
    "vehicle": ((124, 62, 54), (62, 88, 118), (126, 116, 98), (66, 96, 74)),
    "bag": ((176, 60, 44), (40, 92, 150), (190, 150, 50), (60, 120, 70)),
}
TYRE, METAL = (44, 44, 46), (122, 124, 126)
CREAM = (178, 172, 158)
SHADED = 0.68  # the far side of a figure is darker by this factor
ANKLE_HEIGHT = 0.09


class Shape(NamedTuple):
    """A piece of a figure: a disc (one point), a stroke `width` metres wide, or a filled polygon
    (width 0). Colours are RGB, 0..255.
    """

    colour: Sequence[float] | np.ndarray
    points: Sequence[complex] | np.ndarray
    width: float = 0.0


class Look(NamedTuple):
    """What tells people apart: the colours of `PALETTES`, their size (1 = 1.75 m), and the metres
    they covered before they come: people do not walk in step.
    """

    colours: dict[str, np.ndarray]
    size: float
    backpack: bool
    start: float


class Gait(NamedTuple):
    """The movement of a person on foot, in metres and radians.

    A cycle is two steps. `duty` is the share of it during which a foot stands on the ground.
    """

    stride: float  # length of a cycle
    duty: float
    lean: float  # of the upper body
    hip_height: float
    bounce: float  # of the hips
    push_off: float  # shift of the feet to the back
    heel_lift: float  # of a foot that swings forwards
    heel_delay: float  # 1: the lift is highest in the middle of the swing; less: earlier
    pitch: float  # of a foot, for each metre that the ankle is lifted
    arm_swing: float
    arm_back: float  # shift of the elbows to the back
    elbow: float  # its bend
    elbow_swing: float  # further bend while the arm is in front


WALK = Gait(1.35, 0.6, 0.05, 0.945, 0.02, 0.0, 0.06, 1.0, -7.0, 0.5, 0.0, 0.3, 0.25)
RUN = Gait(2.4, 0.36, 0.24, 0.93, 0.045, 0.1, 0.5, 0.7, -2.5, 0.95, 0.15, 1.5, 0.0)


def draw_look(rng: np.random.Generator, size: float = 1.0) -> Look:
    """Draw how a person looks whose size is about `size`."""
    colours = {}
    for name, palette in PALETTES.items():
        colours[name] = np.clip(rng.choice(palette) + rng.normal(0, 4, 3), 8, 247)
    return Look(colours, size * rng.uniform(0.96, 1.04), rng.random() < 0.25, rng.uniform(0, 10))


def joint(root: complex, tip: complex, first: float, second: float, bend: int) -> list[complex]:
    """Return the knee or elbow of two bones from `root` to `tip`, bent forwards (+1) or backwards
    (-1), and the tip, moved within reach.
    """
    direction = (tip - root) / abs(tip - root)
    reach = min(abs(tip - root), 0.999 * (first + second))
    along = (first**2 - second**2 + reach**2) / (2 * reach)
    off = bend * max(first**2 - along**2, 0.0) ** 0.5
    return [root + direction * (along + off * 1j), root + direction * reach]


def hang(root: complex, angle: float, length: float) -> complex:
    """Return the end of a bone that hangs down at angle 0 and points forwards at pi / 2."""
    return complex(root - length * 1j * np.exp(1j * angle))


def leg(look: Look, light: float, hip: complex, ankle: complex, pitch: float) -> list[Shape]:
    colour = light * look.colours["trousers"]
    knee, ankle = joint(hip, ankle, 0.47, 0.46, +1)
    toe = hang(ankle - 0.03j, np.pi / 2 + pitch, 0.19)
    shapes = [Shape(colour, [hip, knee], 0.17), Shape(colour, [knee, ankle], 0.125)]
    return [*shapes, Shape(0.35 * colour, [ankle, toe], 0.1)]


def arm(look: Look, light: float, bones: list[complex]) -> list[Shape]:
    """Return an arm: its bones end at the shoulder, the elbow and the hand."""
    sleeve = Shape(light * look.colours["shirt"], bones, 0.105)
    return [sleeve, Shape(light * look.colours["skin"], bones[-1:], 0.11)]


def upper_body(look: Look, hip: complex, lean: float) -> tuple[list[Shape], complex]:
    """Return the shapes of torso and head, and the shoulder.

    Nose in front, hair and backpack behind: they show the direction.
    """

    def at(forward: float, up: float) -> complex:
        return complex(hip + (forward + up * 1j) * np.exp(-1j * lean))

    colours = look.colours
    torso = [Shape(colours["bag"], [at(-0.2, 0.22), at(-0.2, 0.4)], 0.2)] if look.backpack else []
    torso.append(Shape(colours["shirt"], [at(0, 0.05), at(0, 0.4)], 0.3))
    neck = Shape(colours["skin"], [at(0.02, 0.5), at(0.04, 0.6)], 0.12)
    hair = Shape(colours["hair"], [at(0.01, 0.725)], 0.26)
    face = Shape(colours["skin"], [at(0.07, 0.69)], 0.19)
    nose = Shape(colours["skin"], [at(0.15, 0.68)], 0.06)
    return [*torso, neck, hair, face, nose], at(0, 0.47)


def place_ankle(gait: Gait, phase: float) -> complex:
    """Return the ankle's place: forwards of the body, in half steps, and height in metres."""
    if phase < gait.duty:  # it stands, late on its toes, while the body moves on over it
        done = phase / gait.duty
        return complex(1 - 2 * done, ANKLE_HEIGHT + 0.17 * max(0.0, done - 0.6))
    # It swings forwards; the heel of a runner comes up high.
    done = (phase - gait.duty) / (1 - gait.duty)
    lift = gait.heel_lift * np.sin(np.pi * done**gait.heel_delay)
    return complex(-np.cos(np.pi * done), ANKLE_HEIGHT + 0.07 * (1 - done) + lift)


def person(look: Look, distance: float, gait: Gait = WALK, stoop: float = 0.0) -> list[Shape]:
    """Return a person on foot; a foot that stands stays in its place on the ground.

    Args:
        look: colours and size.
        distance: metres covered.
        gait: `WALK` or `RUN`.
        stoop: 0 upright, 1 bent down to the ground.
    """
    cycle = distance / look.size / gait.stride
    bounce = gait.bounce * np.cos(4 * np.pi * (cycle - 0.05))
    hip = -0.15 * stoop + 1j * (gait.hip_height - 0.25 * stoop - bounce)
    body, shoulder = upper_body(look, hip, gait.lean + 1.1 * stoop)
    legs, arms = [], []
    for phase, light in ((cycle + 0.5) % 1, SHADED), (cycle % 1, 1.0):  # the far side first
        step = place_ankle(gait, phase)
        ankle = step.real * gait.duty * gait.stride / 2 - gait.push_off + step.imag * 1j
        pitch = gait.pitch * (step.imag - ANKLE_HEIGHT) + (0.3 if phase > 0.9 else 0.0)
        legs += leg(look, light, hip, ankle, max(pitch, -1.3))
        # Arms swing against the legs.
        swing = -gait.arm_swing * np.cos(2 * np.pi * (phase - 0.05)) * (1 - stoop)
        elbow = hang(shoulder, swing - gait.arm_back, 0.29)
        hand = hang(elbow, swing + (gait.elbow + gait.elbow_swing * swing), 0.27)
        arms.append(arm(look, light, [shoulder, elbow, hand]))
    return arms[0] + legs + body + arms[1]


def bag(look: Look, distance: float = 0.0) -> list[Shape]:
    """Return a backpack that stands on the ground."""
    colour = look.colours["bag"]
    strap = Shape(0.6 * colour, [-0.1 + 0.42j, 0.5j, 0.1 + 0.42j], 0.04)
    pocket = Shape(0.7 * colour, [-0.1 + 0.12j, 0.1 + 0.12j], 0.06)
    return [strap, Shape(colour, [0.13j, 0.32j], 0.26), pocket]


def wheel(hub: complex, distance: float) -> list[Shape]:
    """Return a bicycle's wheel: the tyre and three spokes from rim to rim."""
    radius, angles = 0.35, np.linspace(0, 2 * np.pi, 17)
    shapes = [Shape(TYRE, hub + radius * np.exp(1j * angles), 0.075)]
    for angle in np.arange(3) * np.pi / 3 - distance / radius:
        shapes.append(Shape(METAL, [hang(hub, angle, radius), hang(hub, angle, -radius)], 0.02))
    return shapes


def cyclist(look: Look, distance: float) -> list[Shape]:
    """Return a person on a bicycle."""
    rear, front = -0.53 + 0.35j, 0.55 + 0.35j  # hubs
    crank, seat = -0.06 + 0.3j, -0.22 + 0.84j
    head, hip = 0.38 + 0.84j, -0.22 + 0.98j
    fork = [front, head, 0.42 + 1j, 0.52 + 1.02j]
    bicycle = wheel(rear, distance) + wheel(front, distance)
    for tube in ([rear, crank, head], [rear, seat], [crank, seat], [seat, head], fork):
        bicycle.append(Shape(look.colours["vehicle"], tube, 0.06))
    bicycle.append(Shape(TYRE, [-0.34 + 0.89j, -0.12 + 0.89j], 0.08))  # saddle
    body, shoulder = upper_body(look, hip, 0.5)
    legs = []
    for side, light in (np.pi, SHADED), (0.0, 1.0):
        # One turn of the pedals every 4.2 m.
        pedal = hang(crank, side - 2 * np.pi * distance / 4.2, 0.17)
        legs.append(leg(look, light, hip, pedal - 0.05 + 0.09j, -0.2))
    bones = [shoulder, *joint(shoulder, 0.5 + 1.04j, 0.31, 0.3, -1)]
    return legs[0] + bicycle + legs[1] + body + arm(look, 1.0, bones)


def cart(look: Look, distance: float) -> list[Shape]:
    """Return an open cart with a roof, and its driver."""
    driver, shoulder = upper_body(look, 0.62j, 0.1)
    shapes = [Shape(SHADED * look.colours["trousers"], [0.6j, 0.4 + 0.62j, 0.45 + 0.4j], 0.16)]
    bonnet = [-1.2 + 0.3j, 1.2 + 0.3j, 1.25 + 0.62j, 1 + 0.86j, 0.62 + 0.9j, 0.5 + 0.5j]
    bench = [-0.3 + 0.5j, -0.3 + 1.12j, -1.2 + 1.12j]
    posts = [0.62 + 0.88j, 0.5 + 1.78j, -0.32 + 1.78j, -0.32 + 1.1j]
    shapes += [*driver, Shape(look.colours["vehicle"], bonnet + bench), Shape(METAL, posts, 0.06)]
    # the roof and a lamp
    shapes += [Shape(CREAM, [-0.5 + 1.8j, 0.72 + 1.8j], 0.12), Shape(CREAM, [1.18 + 0.62j], 0.14)]
    shapes += arm(look, 1.0, [shoulder, *joint(shoulder, 0.52 + 1j, 0.3, 0.28, -1)])
    for hub in (-0.72 + 0.27j, 0.78 + 0.27j):
        shapes += [Shape(TYRE, [hub], 0.54), Shape(METAL, [hub], 0.26)]
        shapes.append(Shape(TYRE, [hang(hub, -distance / 0.27, 0.07)], 0.1))  # it turns
    return shapes
