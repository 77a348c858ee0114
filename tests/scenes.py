"""Small videos in memory for tests of training and scoring, also for tests that run in a process of
their own.
"""

import hashlib

import numpy as np

from vadlib.data.video import Video


class ArrayFrames:
    """Frames held in memory."""

    def __init__(self, frames):
        self.frames, self.shape = frames, frames.shape

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, index):
        return self.frames[index]

    def identity(self):
        content = np.ascontiguousarray(self.frames)
        return ["array", hashlib.sha256(content).hexdigest(), list(self.shape)]


def moving_videos(count, size=(48, 64), length=40, labelled=False, seed=0):
    """Grey videos in which a bright block walks over a noisy ground; labelled ones also hold a fast
    dark one for a third.
    """
    videos = []
    height, width = size
    for number in range(1, count + 1):
        rng = np.random.default_rng([seed, number])
        frames = 100 + rng.integers(0, 4, (length, height, width, 1), np.uint8)
        labels = np.zeros(length, np.uint8)
        top, first = rng.integers(2, height - 24), rng.integers(0, width // 2)
        speed = rng.choice([-1, 1])
        for t in range(length):
            x = (first + speed * t) % (width - 8)
            frames[t, top : top + 20, x : x + 8] = 220
            if labelled and length // 3 <= t < 2 * length // 3:
                x = (5 * t) % (width - 12)
                frames[t, top : top + 12, x : x + 12] = 5
                labels[t] = 1
        frames_and_rate = ArrayFrames(frames), 10.0
        videos.append(Video(f"{number:02}", *frames_and_rate, labels=labels if labelled else None))
    return videos
