"""Annotate a scored video: where it is abnormal, how much, and when that is an alarm."""

import cv2
import numpy as np
from matplotlib.colors import to_rgb

from vadlib.output.figure import BLUE, ORANGE

SMALLEST_SIDE = 240  # pixels: smaller pictures are enlarged, so that texts can be read
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
    enlargement = max(1, SMALLEST_SIDE / min(frame.shape[:2]))
    height = round(frame.shape[0] * enlargement / 2) * 2
    width = round(frame.shape[1] * enlargement / 2) * 2
    colour = np.broadcast_to(frame, (*frame.shape[:2], 3)).copy()
    picture = cv2.resize(colour, (width, height), interpolation=cv2.INTER_AREA)
    low = min(0.0, threshold - 1)  # the ends of the bar
    high = threshold + 2 * max(threshold, 1)
    picture = _heated(picture, score_map - threshold, high - threshold)
    if score > threshold:
        cv2.rectangle(picture, (0, 0), (width - 1, height - 1), WHITE, 5)
    shares = [(value - low) / (high - low) for value in (score, threshold)]
    return np.concatenate([picture, _bar(width, height, shares, score > threshold, seconds)])


def _heated(picture: np.ndarray, excess: np.ndarray, highest: float) -> np.ndarray:
    """Blend a map over the picture where it is above 0, and outline these places."""
    size = (picture.shape[1], picture.shape[0])
    above = cv2.resize((excess > 0).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    if not above.any():
        return picture
    heat = cv2.resize((255 * np.clip(excess / highest, 0, 1)).astype(np.uint8), size)
    colours = cv2.applyColorMap(heat, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    blended = cv2.addWeighted(picture, 0.5, colours, 0.5, 0)
    picture = np.where(above[..., None] > 0, blended, picture)
    outlines = cv2.findContours(above, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    # white on black is visible on every ground
    cv2.drawContours(picture, outlines, -1, (0, 0, 0), 3)
    cv2.drawContours(picture, outlines, -1, WHITE, 1)
    return picture


def _bar(width: int, height: int, shares: list[float], alarm: bool, seconds: float) -> np.ndarray:
    """Draw uint8 (h, width, 3): the time, the bar, filled by the score's share, a mark at the
    threshold's share, and the word ALARM.
    """
    tall = max(24, min(height // 24, width // 20) * 2)  # small in a narrow picture
    size = tall / 50
    strip = np.full((tall, width, 3), 20, np.uint8)
    minutes, second = divmod(int(seconds), 60)
    clock = f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}"
    # the bar begins after the widest time, which a time-lapse may exceed, and ends before the word
    widths = [cv2.getTextSize(text, FONT, size, 1)[0][0] for text in (clock, "00:00:00", "ALARM")]
    margin = tall // 4
    start = max(widths[:2]) + tall // 2
    stop = width - widths[2] - tall // 2
    ends = start + np.rint((stop - start) * np.clip(shares, 0, 1)).astype(int)
    bar = strip[margin : tall - margin]
    bar[:, start:stop] = 60
    filled = bar[:, start : ends[0]]
    filled[:] = np.rint(255 * np.array(to_rgb(ORANGE if alarm else BLUE)))
    texts = {clock: margin}
    if alarm:
        y, x = np.indices(filled.shape[:2])
        filled[(x + y + margin + start) % 8 < 2] = WHITE
        texts["ALARM"] = stop + margin
    for text, x in texts.items():
        place = (x, tall // 2 + round(11 * size))
        cv2.putText(strip, text, place, FONT, size, WHITE, 1, cv2.LINE_AA)
    strip[2 : tall - 2, ends[1] - 1 : ends[1] + 1] = WHITE
    return strip
