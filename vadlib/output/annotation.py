"""Annotate a scored video: where it is abnormal, how much, and when that is an alarm."""

import cv2
import numpy as np
from PIL.ImageColor import getrgb

from vadlib.output.figure import BLUE, ORANGE

FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE = (255, 255, 255)


def annotate(
    frame: np.ndarray, score_map: np.ndarray, score: float, threshold: float, seconds: float
) -> np.ndarray:
    """Draw a heat map over the places above the threshold, outlined, and below the frame the time
    and a bar of the score.

    The bar ends at the threshold plus twice its size, and a white mark shows the threshold. Above
    it the bar is orange and hatched, the picture has a white frame, and the word ALARM appears.

    Args:
        frame: uint8 (H, W, C), RGB, or grey with C = 1.
        score_map: (H', W') of any size; it is stretched over the frame.
        score: of the frame.
        threshold: above it a score, or a place in the map, is abnormal.
        seconds: since the first frame.

    Returns:
        uint8 (H'', W'', 3) of even sides, the picture on top. Frames of one size give pictures of
        one size.
    """
    sides = np.array(frame.shape[:2])
    enlargement = max(1, 240 / sides.min())  # so that texts can be read
    height, width = (2 * np.rint(sides * enlargement / 2).astype(int)).tolist()
    size = (width, height)
    colour = np.repeat(frame, 3 // frame.shape[2], axis=2)
    picture = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
    low = min(0.0, threshold - 1)  # the ends of the bar
    high = threshold + 2 * max(threshold, 1)
    excess = (score_map - threshold) / (high - threshold)
    levels = 255 * np.clip(excess, 0, 1)
    heat = cv2.resize(levels.astype(np.uint8), size)
    colours = cv2.applyColorMap(heat, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    places = (excess > 0).astype(np.uint8)
    above = cv2.resize(places, size, interpolation=cv2.INTER_NEAREST)
    blended = cv2.addWeighted(picture, 0.5, colours, 0.5, 0)
    picture = cv2.copyTo(blended, above, picture)
    outlines = cv2.findContours(above, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    # white on black is visible on every ground
    cv2.drawContours(picture, outlines, -1, 0, 3)
    cv2.drawContours(picture, outlines, -1, WHITE, 1)
    if score > threshold:
        cv2.rectangle(picture, (0, 0, width, height), WHITE, 5)
    shares = (np.array([score, threshold]) - low) / (high - low)
    bar = _bar(width, height, shares, score > threshold, seconds)
    return np.concatenate([picture, bar])


def _bar(width: int, height: int, shares: np.ndarray, alarm: bool, seconds: float) -> np.ndarray:
    """Draw uint8 (h, width, 3): the time, the bar, filled by the score's share, a mark at the
    threshold's share, and the word ALARM.
    """
    tall = max(24, min(height // 24, width // 20) * 2)  # small in a narrow picture
    size = tall / 50
    margin = tall // 4
    strip = np.full((tall, width, 3), 20, np.uint8)
    minutes, second = divmod(int(seconds), 60)
    hour, minute = divmod(minutes, 60)
    clock = f"{hour:02}:{minute:02}:{second:02}"
    # the bar begins after the time, whose digits have one width, and ends before the word
    start = cv2.getTextSize(clock, FONT, size, 1)[0][0] + tall // 2
    stop = width - cv2.getTextSize("ALARM", FONT, size, 1)[0][0] - tall // 2
    strip[margin:-margin, start:stop] = 60
    end, mark = start + np.rint((stop - start) * np.clip(shares, 0, 1)).astype(int)
    filled = strip[margin:-margin, start:end]
    filled[:] = getrgb(ORANGE if alarm else BLUE)
    baseline = tall // 2 + round(11 * size)
    cv2.putText(strip, clock, (margin, baseline), FONT, size, WHITE, 1, cv2.LINE_AA)
    if alarm:
        cv2.putText(strip, "ALARM", (stop + margin, baseline), FONT, size, WHITE, 1, cv2.LINE_AA)
        y, x = np.indices(filled.shape[:2])
        filled[(x + y + margin + start) % 8 < 2] = WHITE
    strip[2:-2, mark - 1 : mark + 1] = WHITE
    return strip
