"""Pairs of abnormal and normal windows: the same place of the same scene, and truly normal."""

import numpy as np
import pytest
from refusals import refused

from vadlib.config import ClipConfig
from vadlib.course.inspection.paired_windows import paired_windows
from vadlib.data.clips import ClipDataset

LENGTH = 8


def clips_of(videos, **changes):
    config = {"length": LENGTH, "crop": (16, 16), "clip_step": 3} | changes
    return ClipDataset(videos, ClipConfig(**config), progress=False)


@pytest.fixture(scope="module")
def videos(array_video, walker):
    """A walker in two scenes; in the middle third a block of pixels, over which it walks, counts as
    abnormal.
    """
    masks = np.zeros((120, 48, 64), bool)
    masks[40:80, 16:32, 20:44] = True
    truth = {"masks": masks, "labels": masks.any((1, 2)).astype(np.uint8)}
    frames = [walker(120, seed=k)[0] for k in range(4)]
    return [array_video(frames[k], f"{k}", scene="ab"[k % 2], **truth) for k in range(4)]


@pytest.mark.parametrize("step", [1, 2])
def test_partners_are_normal_in_every_frame_and_lie_at_the_same_place(videos, step):
    pairs = paired_windows(clips_of(videos, frame_step=step), most=30, share=0.4)
    assert {len(group) for group in pairs.values()} == {30}
    by_name = {video.name: video for video in videos}

    def area(clip):
        (y, x), numbers = clip.corner, clip.start + step * np.arange(LENGTH)
        return by_name[clip.video].masks[numbers, y : y + 16, x : x + 16]

    def place(clip):
        return by_name[clip.video].scene, clip.corner

    assert all(area(clip)[LENGTH // 2].mean() > 0.4 for clip in pairs["abnormal"])
    for name in ("normal", "normal again", "elsewhere"):
        assert not any(area(clip).any() for clip in pairs[name])
    abnormal, normal, again = (pairs[name] for name in ("abnormal", "normal", "normal again"))
    for k in range(30):
        assert place(abnormal[k]) == place(normal[k]) == place(again[k])
        assert (normal[k].video, normal[k].start) != (again[k].video, again[k].start)
    assert {clip.corner for clip in pairs["elsewhere"]} - {clip.corner for clip in abnormal}


def test_masks_follow_frames_that_are_resized(videos):
    """Shrunk to half, the abnormal block is rows 8 to 16 and columns 10 to 22."""
    clips = clips_of(videos, size=(24, 32), crop=(8, 8))
    abnormal = paired_windows(clips, share=0.7)["abnormal"]
    assert abnormal
    for clip in abnormal:
        top, left = clip.corner
        inside = max(0, min(top + 8, 16) - max(top, 8)) * max(0, min(left + 8, 22) - max(left, 10))
        assert inside > 0.7 * 64


def test_windows_without_partners_or_masks_are_refused(videos, array_video):
    with refused("nothing-to-do", field="share"):
        paired_windows(clips_of(videos), share=1.0)
    with refused("missing-labels", field="masks"):
        paired_windows(clips_of([array_video(videos[0].frames[:], "x")]))
