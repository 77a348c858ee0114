"""A scored video to be watched: where it is abnormal, how much, and when that is an alarm."""

from __future__ import annotations

import cv2
import numpy as np
from matplotlib.colors import to_rgb

from vadlib.data.video import Video
from vadlib.output.figure import BLUE, ORANGE, video_tag

SMALLEST_SIDE = 240  # pixels: smaller pictures are enlarged, so that texts can be read
TEXT, WIDEST_TIME, ALARM = cv2.FONT_HERSHEY_SIMPLEX, "00:00:00", "ALARM"


def annotate(
    frame: np.ndarray, score_map: np.ndarray, score: float, threshold: float, seconds: float
) -> np.ndarray:
    """One frame as it is shown: a heat map over what is above the threshold, outlined; below it the
    time and a bar of the score.

    The bar ends at the threshold plus twice its size; a white mark stands at the threshold. Above
    it the bar is orange and hatched, the picture has a white frame, and the word ALARM appears.

    Args:
        frame: uint8 (H, W, C), RGB, or grey with C = 1.
        score_map: (H', W') of any size; it is stretched over the frame.
        score: of the frame.
        threshold: above it a score, or a place in the map, is abnormal.
        seconds: since the first frame.

    Returns:
        uint8 (H'', W'', 3) of even sides, the picture on top: all frames of one size give one size.
    """
    enlarged = max(1, SMALLEST_SIDE / min(frame.shape[:2]))
    height, width = (round(side * enlarged / 2) * 2 for side in frame.shape[:2])
    picture = cv2.resize(
        np.broadcast_to(frame, (*frame.shape[:2], 3)).copy(),
        (width, height),
        interpolation=cv2.INTER_AREA,
    )
    least, most = min(0.0, threshold - 1), threshold + 2 * max(threshold, 1)
    hot = cv2.resize(
        (score_map > threshold).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
    )
    if hot.any():
        shares = np.clip((score_map - threshold) / (most - threshold), 0, 1)
        heat = cv2.resize((255 * shares).astype(np.uint8), (width, height))
        colours = cv2.applyColorMap(heat, cv2.COLORMAP_VIRIDIS)[..., ::-1]
        picture = np.where(
            hot[..., None] > 0, cv2.addWeighted(picture, 0.5, colours, 0.5, 0), picture
        )
        outlines = cv2.findContours(hot, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        for colour, thickness in ((0, 3), (255, 1)):  # white on black: seen on every ground
            cv2.drawContours(picture, outlines, -1, (colour,) * 3, thickness)
    alarm = score > threshold
    if alarm:
        cv2.rectangle(picture, (0, 0), (width - 1, height - 1), (255, 255, 255), 5)
    share, mark = ((value - least) / (most - least) for value in (score, threshold))
    return np.concatenate([picture, _bar(width, height, share, mark, alarm, seconds)])


def show_annotated(video: Video, score_map: np.ndarray, threshold: float, text: str) -> None:
    """Play a scored video in a notebook, each frame annotated; see `annotate`.

    Args:
        video: to show.
        score_map: (T, H', W') of at least 0; the largest value of a frame is its score.
        threshold: above it a frame is an alarm.
        text: what the video shows, for those who cannot see it: at least five words.
    """
    shares = score_map / threshold
    scored = zip(video.frames, shares, video.seconds, strict=True)
    frames = (
        annotate(frame, share, float(share.max()), 1.0, seconds) for frame, share, seconds in scored
    )
    from IPython.display import HTML, display  # an extra, vadlib[notebooks]

    display(HTML(video_tag(frames, video.fps, text)))


def _bar(
    width: int, height: int, share: float, mark: float, alarm: bool, seconds: float
) -> np.ndarray:
    """uint8 (h, width, 3): time, the score's share of the bar, a mark at the threshold's, and the
    word.
    """
    # a narrow picture has room for small texts only
    tall = max(24, min(height // 24, width // 20) * 2)
    strip, size = np.full((tall, width, 3), 20, np.uint8), tall / 50
    clock = _clock(seconds)
    # A time-lapse may last longer than `WIDEST_TIME`.
    widths = {
        text: cv2.getTextSize(text, TEXT, size, 1)[0][0] for text in (clock, WIDEST_TIME, ALARM)
    }
    left = max(widths[clock], widths[WIDEST_TIME]) + tall // 2
    right = widths[ALARM] + tall // 2
    base, white = tall // 2 + round(11 * size), (255, 255, 255)
    cv2.putText(strip, clock, (tall // 4, base), TEXT, size, white, 1, cv2.LINE_AA)
    long, top, bottom = width - left - right, tall // 4, tall - tall // 4
    strip[top:bottom, left : left + long] = 60
    end = left + round(long * float(np.clip(share, 0, 1)))
    strip[top:bottom, left:end] = [round(255 * part) for part in to_rgb(ORANGE if alarm else BLUE)]
    if alarm:
        y, x = np.mgrid[top:bottom, left:end]
        strip[top:bottom, left:end][(x + y) % 8 < 2] = white
        cv2.putText(
            strip, ALARM, (width - right + tall // 4, base), TEXT, size, white, 1, cv2.LINE_AA
        )
    at = left + round(long * mark)
    strip[2 : tall - 2, at - 1 : at + 1] = white
    return strip


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds; from 100 hours on days, hours and minutes."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours < 100:
        return f"{hours:02d}:{minute:02d}:{second:02d}"
    return f"{hours // 24}d {hours % 24:02d}:{minute:02d}"
