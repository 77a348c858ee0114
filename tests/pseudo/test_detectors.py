"""People are found once a dataset, and their boxes kept."""

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused
from scenes import ArrayFrames
from torchvision.ops import box_iou
from tqdm.auto import tqdm

from vadlib.course.pseudo_measures import coverage
from vadlib.data.catalog import load_videos
from vadlib.data.video import Video
from vadlib.pseudo.darknet import find_objects
from vadlib.pseudo.detectors import DarknetDetector, MotionDetector, PersonDetector, find_boxes


def iou(box, others):
    return box_iou(torch.as_tensor(box)[None], torch.as_tensor(others))[0].numpy()


class Counting:
    """Finds, in frame t of video v, t % 3 boxes that tell v and t; counts how often it is asked."""

    def __init__(self, version=1, per_scene=True):
        self.version, self.per_scene, self.scenes = version, per_scene, 0

    def identity(self):
        return ["counting", self.version]

    def detect(self, videos, bar):
        self.scenes += 1
        bar.update(sum(map(len, videos)))
        boxes = []
        for v, video in enumerate(videos):
            boxes.append([np.full((t % 3, 4), 100 * v + t, np.float32) for t in range(len(video))])
        return boxes


@pytest.fixture
def videos(array_video, walker):
    """Three videos of two scenes."""
    return [
        array_video(walker(20 + n, seed=n)[0], name, scene=scene)
        for n, (name, scene) in enumerate((("a", "one"), ("b", "two"), ("c", "one")))
    ]


def equal(one, other):
    assert one.keys() == other.keys()
    for name, frames in one.items():
        for boxes, others in zip(frames, other[name], strict=True):
            assert np.array_equal(boxes, others)
    return True


def test_boxes_of_each_video_and_frame_keep_their_places(cache, videos):
    result = find_boxes(videos, Counting(), progress=False)
    assert {name: len(boxes) for name, boxes in result.items()} == {"a": 20, "b": 21, "c": 22}
    for name, place in (("a", 0), ("b", 0), ("c", 1)):  # c is the second of scene "one"
        for t, boxes in enumerate(result[name]):
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


def test_a_detector_of_single_frames_keeps_each_video_on_its_own(cache, videos):
    """So that a kill, or a new video, costs one video."""
    detector = Counting(per_scene=False)
    find_boxes(videos[:2], detector, progress=False)
    assert detector.scenes == 2
    result = find_boxes(videos, detector, progress=False)
    assert detector.scenes == 3
    assert list(result) == ["a", "b", "c"]
    assert all(np.array_equal(result[name][4], np.full((1, 4), 4)) for name in result)


@pytest.mark.parametrize("keep", [0, 30, 200])
def test_a_damaged_cache_is_never_read_in_silence(cache, videos, keep):
    find_boxes(videos, Counting(), progress=False)
    for path in (cache / "boxes").iterdir():
        path.write_bytes(path.read_bytes()[:keep])
    with refused("damaged-file") as caught:
        find_boxes(videos, Counting(), progress=False)
    assert caught.error.file in (cache / "boxes").iterdir()


def test_bars_are_shown_only_if_wanted(cache, videos, capfd):
    find_boxes(videos, Counting(), progress=False)
    assert capfd.readouterr().err == ""


def test_an_error_half_way_leaves_nothing(cache, videos, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Counting, "detect", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            find_boxes(videos, Counting(), progress=False)
    assert not (cache / "boxes").exists() or not list((cache / "boxes").iterdir())
    assert find_boxes(videos, Counting(), progress=False).keys() == {"a", "b", "c"}


@pytest.mark.parametrize("channels", [1, 3])
def test_the_motion_detector_finds_the_walker(cache, array_video, walker, channels):
    frames, truth = walker(160, channels)
    result = find_boxes([array_video(frames)], "motion", progress=False)["a"]
    assert len(result) == 160
    for t in range(160):
        best = iou(truth[t][0], result[t]).max(initial=0)
        # The blur widens a thing by a pixel on each side; closing joins it to the picture's border
        # where that is near.
        assert best >= (0.75 if truth[t][0][0] >= 8 else 0.6) - 1e-6, t
    assert sum(map(len, result)) <= 170  # and nearly nothing else
    assert {boxes.dtype for boxes in result} == {np.dtype(np.float32)}


def test_a_walker_who_stands_in_one_video_is_found_with_another_of_the_scene(
    cache, array_video, walker
):
    """The background is that of the scene: in the still video alone she would be part of it."""
    frames, truth = walker(160)
    still = np.repeat(frames[20:21], 40, axis=0)
    videos = [array_video(frames, "moving", scene="s"), array_video(still, "still", scene="s")]
    boxes = find_boxes(videos, "motion", progress=False)["still"][20]
    assert iou(truth[20][0], boxes).max(initial=0) >= 0.75
    alone = find_boxes([array_video(still, "still")], "motion", progress=False)
    assert len(alone["still"][20]) == 0


def test_an_empty_scene_has_no_boxes(cache, array_video):
    result = find_boxes([array_video(np.full((20, 48, 64, 1), 90))], progress=False)["a"]
    assert [boxes.shape for boxes in result] == [(0, 4)] * 20


def test_the_datasets_own_boxes_are_taken_as_they_are(array_video, walker):
    frames, truth = walker(20)
    result = find_boxes([array_video(frames, boxes=truth)], "boxes", progress=False)
    assert equal(result, {"a": truth})


def test_a_dataset_without_boxes_is_refused_by_video(videos):
    with refused("conflict", field="detector") as caught:
        find_boxes(videos, "boxes", progress=False)
    assert "video a:" in str(caught.error)


def test_two_videos_of_one_name_are_refused(array_video, walker):
    twice = [array_video(walker(20, seed=seed)[0], "same") for seed in (0, 1)]
    with refused("duplicate-name", field="videos") as caught:
        find_boxes(twice, "motion", progress=False)
    assert "'same'" in str(caught.error)


@pytest.mark.parametrize("name", ["yolo9000", "", "Motion", "motion:x", "boxes:x", "yolov3u.pt"])
def test_an_unknown_detector_is_refused(videos, name):
    with refused("unknown-name", field="detector"):
        find_boxes(videos, name, progress=False)


def test_real_boxes_hold_what_moves(real_data):
    """On Ped2 someone is always there; boxes are of a person's height and inside the picture."""
    video = load_videos("ped2", "train", real_data)[0]
    [result] = MotionDetector().detect([video], tqdm(disable=True))
    counts = [len(boxes) for boxes in result]
    assert min(counts) >= 1
    boxes = np.concatenate(result)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= (360, 240)).all()
    heights = boxes[:, 3] - boxes[:, 1]
    assert 15 < np.median(heights) < 60


def test_boxes_of_large_frames_are_in_native_pixels(cache, array_video, walker):
    """The detector looks at frames of Ped2's height; what it finds is wanted where it is in the
    video.
    """
    frames, boxes = walker(40, channels=3)
    large = frames.repeat(12, axis=1).repeat(12, axis=2)  # 576 x 768
    result = find_boxes([array_video(large)], progress=False)["a"]
    # A figure that turns back never leaves the middle of its way, so compare where it stands apart
    # from the background.
    overlaps = [iou(boxes[t][0] * 12, result[t]).max(initial=0) for t in range(40)]
    assert np.median(overlaps) > 0.7


# --- networks that find people in single frames


class BrightThings(PersonDetector):
    """Finds the bounding box of what is bright, and keeps what it was shown."""

    def __init__(self, shorter_side, batch):
        self.shorter_side, self.batch, self.shown = shorter_side, batch, []

    def find(self, images):
        self.shown.append(images.shape)
        result = []
        for image in images:
            y, x = np.nonzero(image.min(-1) > 150)
            box = [[x.min(), y.min(), x.max() + 1, y.max() + 1]] if len(x) else np.zeros((0, 4))
            result.append(np.array(box, np.float32))
        return result


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("shorter_side", "size"), [(96, (96, 128)), (192, (192, 256)), (64, (64, 96))]
)
def test_frames_are_resized_for_a_network_and_boxes_scaled_back(
    array_video, channels, shorter_side, size
):
    frames = np.zeros((5, 48, 64, channels), np.uint8)
    for t in range(5):
        frames[t, 8:32, 10 + 4 * t : 22 + 4 * t] = 255
    detector = BrightThings(shorter_side, batch=2)
    [result] = detector.detect([array_video(frames)], tqdm(disable=True))
    # in batches, RGB, sides multiples of 32
    assert detector.shown == [(2, *size, 3), (2, *size, 3), (1, *size, 3)]
    for t in range(5):
        assert np.abs(result[t][0] - [10 + 4 * t, 8, 22 + 4 * t, 32]).max() <= 1.0


def test_coverage_by_hand():
    whole, none = np.float32([[0, 0, 10, 10]]), np.zeros((0, 4), np.float32)
    moving = [np.float32([[0, 0, 10, 10], [20, 0, 30, 10]]), whole, none]
    assert coverage([whole, none, none], moving) == pytest.approx(1 / 3)
    assert coverage([moving[0], moving[1], whole], moving) == 1
    west, east = np.float32([[0, 0, 3, 10]]), np.float32([[7, 0, 12, 10]])
    assert coverage([none, west, none], moving) == 0  # 30 of 100 pixels
    # 60 of them
    assert coverage([none, np.concatenate([west, east]), none], moving) == pytest.approx(1 / 3)
    assert coverage([none, np.concatenate([west, west]), none], moving) == 0  # the same 30
    assert np.isnan(coverage([whole], [none]))


@pytest.fixture
def nano(real_data):
    return DarknetDetector(str(real_data / "weights" / DarknetDetector.default), "cpu")


def test_real_darknet_finds_the_person_at_the_same_place_through_the_detector(
    real_data, nano, array_video
):
    """Against the network asked directly, at the picture's own size."""
    picture = np.asarray(Image.open(real_data / "weights" / "person.jpg").convert("RGB"))
    [[boxes]] = nano.detect([array_video(picture[None])], tqdm(disable=True))
    assert len(boxes) == 1
    height, width = (side // 32 * 32 for side in picture.shape[:2])
    batch = torch.from_numpy(picture[:height, :width].copy()).permute(2, 0, 1)[None].float() / 255
    [direct] = find_objects(nano.model, batch, 0.3, 0.5)
    assert iou(boxes[0], direct[direct[:, 5] == 0, :4].numpy()).max() > 0.7


def test_real_darknet_covers_the_moving_people_of_ped2(real_data, nano):
    """On every 30th frame of three videos; benchmarks/README.md has the whole set."""
    train = load_videos("ped2", "train", real_data)[:12:4]
    moving = find_boxes(train, "motion", progress=False)
    result = {}
    for video in train:
        frames = video.frames[::30]
        thinned = Video(video.name, ArrayFrames(frames), 10.0)
        [result[video.name]] = nano.detect([thinned], tqdm(disable=True))
        assert len(result[video.name]) == len(frames)
    assert np.mean([coverage(result[v.name], moving[v.name][::30]) for v in train]) > 0.8


def test_real_darknet_is_asked_once(real_data, cache, nano, array_video, monkeypatch):
    video = array_video(load_videos("ped2", "train", real_data)[0].frames[:3])
    first = find_boxes([video], nano, progress=False)
    monkeypatch.setattr(nano, "find", None)
    assert equal(find_boxes([video], nano, progress=False), first)
    assert min(map(len, first["a"])) >= 5


def test_another_cfg_is_another_detector(real_data, tmp_path):
    for ending in ("cfg", "weights"):
        source = real_data / "weights" / f"MobileNetV2-YOLOv3-Nano-coco.{ending}"
        (tmp_path / f"net.{ending}").write_bytes(source.read_bytes())
    before = DarknetDetector(str(tmp_path / "net.weights"), "cpu").identity()
    assert DarknetDetector(str(tmp_path / "net.weights"), "cpu").identity() == before
    cfg = tmp_path / "net.cfg"
    cfg.write_text(cfg.read_text().replace("anchors = 12, 18", "anchors = 13, 18"))
    assert DarknetDetector(str(tmp_path / "net.weights"), "cpu").identity() != before


def test_darknet_by_name_finds_its_files_below_the_datasets_root(
    real_data, cache, monkeypatch, array_video
):
    monkeypatch.setenv("VADLIB_DATA", str(real_data))
    video = array_video(load_videos("avenue", "train", real_data)[0].frames[:1])
    path = real_data / "weights" / DarknetDetector.default
    by_name = find_boxes([video], "darknet", progress=False)
    by_path = find_boxes([video], f"darknet:{path}", progress=False)
    assert equal(by_name, by_path)
    assert len(by_name["a"][0]) >= 5
