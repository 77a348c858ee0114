"""People are found once a dataset, and their boxes kept."""

import numpy as np
import pytest

from vadlib.data.catalog import load_videos
from vadlib.errors import InputError
from vadlib.pseudo.detectors import MotionDetector, find_boxes
from vadlib.pseudo.paste import iou


class Counting:
    """Finds, in frame t of video v, t % 3 boxes that tell v and t; counts how often it is asked."""

    def __init__(self, version=1):
        self.version, self.scenes = version, 0

    def identity(self):
        return ["counting", self.version]

    def detect(self, videos):
        self.scenes += 1
        return [[np.full((t % 3, 4), 100 * v + t, np.float32) for t in range(len(frames))] for v, frames in enumerate(videos)]


@pytest.fixture
def videos(array_video, walker):
    """Three videos of two scenes."""
    return [
        array_video(walker(20 + n, seed=n)[0], name, scene=scene)
        for n, (name, scene) in enumerate((("a", "one"), ("b", "two"), ("c", "one")))
    ]


def equal(one, other):
    same_shape = {name: len(boxes) for name, boxes in one.items()} == {name: len(boxes) for name, boxes in other.items()}
    return same_shape and all(np.array_equal(a, b) for name in one for a, b in zip(one[name], other[name], strict=True))


def test_boxes_of_each_video_and_frame_keep_their_places(cache, videos):
    found = find_boxes(videos, Counting(), progress=False)
    assert {name: len(boxes) for name, boxes in found.items()} == {"a": 20, "b": 21, "c": 22}
    for name, place in (("a", 0), ("b", 0), ("c", 1)):  # c is the second of scene "one"
        for t, boxes in enumerate(found[name]):
            assert np.array_equal(boxes, np.full((t % 3, 4), 100 * place + t))


def test_defect_08_the_detector_runs_once_a_scene_and_then_never_again(cache, videos):
    detector = Counting()
    first = find_boxes(videos, detector, progress=False)
    assert detector.scenes == 2
    assert equal(find_boxes(videos, detector, progress=False), first)
    assert equal(find_boxes(videos, Counting(), progress=False), first)
    assert detector.scenes == 2


def test_another_detector_or_other_frames_are_looked_at_anew(cache, videos, array_video):
    find_boxes(videos, Counting(), progress=False)
    other = Counting(version=2)
    find_boxes(videos, other, progress=False)
    assert other.scenes == 2
    again = Counting()
    changed = array_video(255 - videos[0].frames.frames, "a", scene="one")
    find_boxes([changed, *videos[1:]], again, progress=False)
    assert again.scenes == 1  # only the scene that changed


@pytest.mark.parametrize("keep", [0, 30, 200])
def test_a_damaged_cache_is_never_read_in_silence(cache, videos, keep):
    find_boxes(videos, Counting(), progress=False)
    for path in (cache / "boxes").iterdir():
        path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"\.npz: a damaged file.*remove it"):
        find_boxes(videos, Counting(), progress=False)


def test_bars_are_shown_only_if_wanted(cache, videos, capfd):
    find_boxes(videos, Counting(), progress=False)
    assert capfd.readouterr().err == ""


def test_an_error_half_way_leaves_nothing(cache, videos):
    class Broken(Counting):
        def detect(self, videos):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        find_boxes(videos, Broken(), progress=False)
    assert not (cache / "boxes").exists() or not list((cache / "boxes").iterdir())
    assert find_boxes(videos, Counting(), progress=False).keys() == {"a", "b", "c"}


@pytest.mark.parametrize("channels", [1, 3])
def test_the_motion_detector_finds_the_walker(cache, array_video, walker, channels):
    frames, truth = walker(160, channels)
    found = find_boxes([array_video(frames)], "motion", progress=False)["a"]
    assert len(found) == 160
    for t in range(160):
        best = iou(truth[t][0], found[t]).max(initial=0)
        # The blur widens a thing by a pixel on each side; closing joins it to the picture's border where that is near.
        assert best >= (0.75 if truth[t][0][0] >= 8 else 0.6) - 1e-6, t
    assert sum(map(len, found)) <= 170  # and nearly nothing else
    assert {boxes.dtype for boxes in found} == {np.dtype(np.float32)}


def test_a_walker_who_stands_in_one_video_is_found_with_another_of_the_scene(cache, array_video, walker):
    """The background is that of the scene: in the still video alone she would be part of it."""
    frames, truth = walker(160)
    still = np.repeat(frames[20:21], 40, axis=0)
    videos = [array_video(frames, "moving", scene="s"), array_video(still, "still", scene="s")]
    assert iou(truth[20][0], find_boxes(videos, "motion", progress=False)["still"][20]).max(initial=0) >= 0.75
    assert len(find_boxes([array_video(still, "still")], "motion", progress=False)["still"][20]) == 0


def test_an_empty_scene_has_no_boxes(cache, array_video):
    found = find_boxes([array_video(np.full((20, 48, 64, 1), 90))], progress=False)["a"]
    assert [boxes.shape for boxes in found] == [(0, 4)] * 20


def test_the_datasets_own_boxes_are_taken_as_they_are(array_video, walker):
    frames, truth = walker(20)
    found = find_boxes([array_video(frames, boxes=truth)], "boxes", progress=False)
    assert equal(found, {"a": truth})


def test_a_dataset_without_boxes_is_refused_by_video(videos):
    with pytest.raises(InputError, match="video a: the dataset brings no boxes; use the detector 'motion'"):
        find_boxes(videos, "boxes", progress=False)


@pytest.mark.parametrize("name", ["yolo9000", "", "Motion"])
def test_an_unknown_detector_is_refused(videos, name):
    with pytest.raises(InputError, match=rf"detector '{name}' is unknown; expected 'motion' or 'boxes'"):
        find_boxes(videos, name, progress=False)


def test_real_boxes_hold_what_moves(real_data):
    """On Ped2 somebody is always there; the boxes are of a person's height and inside the picture."""
    video = load_videos("ped2", "train", real_data)[0]
    [found] = MotionDetector().detect([np.asarray(video.frames)])
    counts = [len(boxes) for boxes in found]
    assert min(counts) >= 1
    boxes = np.concatenate(found)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= (360, 240)).all()
    heights = boxes[:, 3] - boxes[:, 1]
    assert 15 < np.median(heights) < 60


def test_boxes_of_large_frames_are_in_native_pixels(cache, array_video, walker):
    """The detector looks at frames of Ped2's height; what it finds is wanted where it is in the video."""
    frames, boxes = walker(40, channels=3)
    large = frames.repeat(12, axis=1).repeat(12, axis=2)  # 576 x 768
    found = find_boxes([array_video(large)], progress=False)["a"]
    # A figure that turns back never leaves the middle of its way, so compare where it stands apart from the background.
    overlaps = [iou(boxes[t][0] * 12, found[t]).max(initial=0) for t in range(40)]
    assert np.median(overlaps) > 0.7
