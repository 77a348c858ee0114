"""Pairs of abnormal and normal windows: the same place of the same scene, and truly normal."""

import numpy as np
import pytest
from refusals import refused

from vadlib.config import ClipConfig
from vadlib.course.inspection.paired_windows import paired_windows
from vadlib.data.clips import ClipDataset

LENGTH = 8


@pytest.fixture(scope="module")
def videos(array_video, walker):
    """A walker in two scenes; in the middle third a block of pixels, over which it walks, counts as
    abnormal.
    """
    made = []
    for k in range(4):
        frames, _ = walker(120, seed=k)
        masks = np.zeros((120, 48, 64), bool)
        masks[40:80, 16:32, 20:44] = True
        made.append(
            array_video(
                frames,
                f"{k}",
                masks=masks,
                labels=masks.any((1, 2)).astype(np.uint8),
                scene="ab"[k % 2],
            )
        )
    return made


@pytest.mark.parametrize("step", [1, 2])
def test_partners_are_normal_in_every_frame_and_lie_at_the_same_place(videos, step):
    clips = ClipDataset(
        videos,
        ClipConfig(length=LENGTH, crop=(16, 16), clip_step=3, frame_step=step),
        progress=False,
    )
    pairs = paired_windows(clips, most=30, share=0.4)
    assert {len(group) for group in pairs.values()} == {30}
    by_name = {video.name: video for video in videos}

    def area(clip):
        (y, x), numbers = clip.corner, clip.start + step * np.arange(LENGTH)
        return by_name[clip.video].masks[numbers, y : y + 16, x : x + 16]

    assert all(area(clip)[LENGTH // 2].mean() > 0.4 for clip in pairs["abnormal"])
    for name in ("normal", "normal again", "elsewhere"):
        assert not any(area(clip).any() for clip in pairs[name])
    for abnormal, normal, again in zip(
        pairs["abnormal"], pairs["normal"], pairs["normal again"], strict=True
    ):
        assert abnormal.corner == normal.corner == again.corner
        assert (
            by_name[abnormal.video].scene
            == by_name[normal.video].scene
            == by_name[again.video].scene
        )
        assert (normal.video, normal.start) != (again.video, again.start)
    assert {clip.corner for clip in pairs["elsewhere"]} - {
        clip.corner for clip in pairs["abnormal"]
    }


def test_masks_follow_frames_that_are_resized(videos):
    """Shrunk to half, the abnormal block is rows 8 to 16 and columns 10 to 22."""
    clips = ClipDataset(
        videos, ClipConfig(length=LENGTH, size=(24, 32), crop=(8, 8), clip_step=3), progress=False
    )
    found = paired_windows(clips, share=0.7)["abnormal"]
    assert found
    for clip in found:
        top, left = clip.corner
        inside = max(0, min(top + 8, 16) - max(top, 8)) * max(0, min(left + 8, 22) - max(left, 10))
        assert inside > 0.7 * 64


def test_windows_without_partners_or_masks_are_refused(videos, array_video):
    clips = ClipDataset(
        videos, ClipConfig(length=LENGTH, crop=(16, 16), clip_step=3), progress=False
    )
    with refused("nothing-to-do", field="share"):
        paired_windows(clips, share=1.0)
    unlabelled = array_video(videos[0].frames[:], "x")
    with refused("missing-labels", field="masks"):
        paired_windows(
            ClipDataset([unlabelled], ClipConfig(length=LENGTH, crop=(16, 16)), progress=False)
        )
