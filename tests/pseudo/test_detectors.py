"""People are found once, and their boxes kept; weights are found; ultralytics changes nothing."""

import hashlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refused
from servers import PAYLOAD, status, well
from torchvision.ops import box_iou
from tqdm.auto import tqdm

from vadlib.course.pseudo_measures import coverage
from vadlib.data.catalog import load_videos
from vadlib.pseudo import detectors
from vadlib.pseudo.detectors import DarknetDetector, PersonDetector, find_boxes, find_weights
from vadlib.pseudo.yolov3 import YOLOv3Detector, unchanged_process


def iou(box, others):
    return box_iou(torch.as_tensor(box)[None], torch.as_tensor(others))[0].numpy()


class Counting:
    """Finds in frame t of video v t % 3 boxes that tell v and t."""

    def __init__(self, version=1, per_scene=True):
        self.version, self.per_scene = version, per_scene
        self.scenes = 0

    def identity(self):
        return ["counting", self.version]

    def detect(self, videos, bar):
        self.scenes += 1
        boxes = []
        for v, video in enumerate(videos):
            boxes.append([np.full((t % 3, 4), 100 * v + t, np.float32) for t in range(len(video))])
        return boxes


@pytest.fixture
def videos(array_video, walker):
    """Three videos of two scenes."""
    scenes = {"a": "one", "b": "two", "c": "one"}
    frames = [walker(20 + n, seed=n)[0] for n in range(3)]
    return [array_video(frames[n], name, scene=scenes[name]) for n, name in enumerate(scenes)]


def flat(boxes):
    return {name: list(map(np.ndarray.tolist, frames)) for name, frames in boxes.items()}


@pytest.mark.parametrize(("per_scene", "asked"), [(True, 2), (False, 3)])
def test_defect_08_boxes_are_found_once_and_keep_their_places(cache, videos, per_scene, asked):
    detector = Counting(per_scene=per_scene)
    boxes = find_boxes(videos, detector, progress=False)
    assert {name: len(frames) for name, frames in boxes.items()} == {"a": 20, "b": 21, "c": 22}
    for name in "abc":
        place = int(name == "c" and per_scene)  # the second of scene "one"
        for t, frame in enumerate(boxes[name]):
            assert np.array_equal(frame, np.full((t % 3, 4), 100 * place + t))
    assert flat(find_boxes(videos, detector, progress=False)) == flat(boxes)
    assert detector.scenes == asked


def test_another_detector_or_other_frames_are_looked_at_again(cache, videos, array_video, capfd):
    find_boxes(videos, Counting(), progress=False)
    other, again = Counting(version=2), Counting()
    find_boxes(videos, other, progress=False)
    assert other.scenes == 2
    changed = array_video(255 - videos[0].frames.frames, "a", scene="one")
    find_boxes([changed, *videos[1:]], again, progress=False)
    assert again.scenes == 1  # only the scene that changed
    assert capfd.readouterr().err == ""  # no bar


def test_the_datasets_own_boxes_and_refusals(array_video, walker, videos):
    for name in ("yolo9000", "", "Motion", "motion:x", "boxes:x", "yolov3u.pt"):
        with refused("unknown-name", field="detector"):
            find_boxes(videos, name, progress=False)
    frames, truth = walker(20)
    boxes = find_boxes([array_video(frames, boxes=truth)], "boxes", progress=False)
    assert flat(boxes) == flat({"a": truth})
    with refused("conflict", field="detector"):
        find_boxes(videos, "boxes", progress=False)
    with refused("duplicate-name", field="videos"):
        find_boxes([videos[0], videos[0]], "motion", progress=False)


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
    assert {frame.shape for frame in alone["still"]} == {(0, 4)}


class BrightThings(PersonDetector):
    """Finds the bounding box of what is bright, and keeps the shapes that it was shown."""

    def __init__(self, shorter_side):
        self.shorter_side, self.batch = shorter_side, 2
        self.shapes = []

    def find(self, images):
        self.shapes.append(images.shape)
        result = []
        for image in images:
            y, x = np.nonzero(image.min(-1) > 150)
            result.append(np.float32([[x.min(), y.min(), x.max() + 1, y.max() + 1]]))
        return result


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("side", "size"), [(192, (192, 256)), (64, (64, 96))])
def test_frames_are_resized_for_a_network_and_boxes_scaled_back(array_video, channels, side, size):
    frames = np.zeros((5, 48, 64, channels), np.uint8)
    for t in range(5):
        frames[t, 8:32, 10 + 4 * t : 22 + 4 * t] = 255
    detector = BrightThings(side)
    [result] = detector.detect([array_video(frames)], tqdm(disable=True))
    # in batches, RGB, sides multiples of 32
    assert detector.shapes == [(2, *size, 3), (2, *size, 3), (1, *size, 3)]
    for t in range(5):
        assert np.abs(result[t][0] - [10 + 4 * t, 8, 22 + 4 * t, 32]).max() <= 1.0


def test_coverage_by_hand():
    whole, none = np.float32([[0, 0, 10, 10]]), np.zeros((0, 4), np.float32)
    moving = [np.float32([[0, 0, 10, 10], [20, 0, 30, 10]]), whole, none]
    assert coverage([whole, none, none], moving) == pytest.approx(1 / 3)
    west, east = np.float32([[0, 0, 3, 10]]), np.float32([[7, 0, 12, 10]])
    for boxes, share in (([west], 0), ([west, east], 1 / 3), ([west, west], 0)):
        assert coverage([none, np.concatenate(boxes), none], moving) == pytest.approx(share)
    assert np.isnan(coverage([whole], [none]))


def test_darknet_by_name_finds_its_files_and_another_cfg_is_another_detector(
    real_data, cache, monkeypatch, array_video, tmp_path
):
    monkeypatch.setenv("VADLIB_DATA", str(real_data))
    video = array_video(load_videos("ped2", "train", real_data)[0].frames[:2])
    by_name = find_boxes([video], "darknet", progress=False)
    path = real_data / "weights" / DarknetDetector.default
    assert flat(find_boxes([video], f"darknet:{path}", progress=False)) == flat(by_name)
    assert len(by_name["a"][0]) >= 5
    (tmp_path / "net.weights").symlink_to(path)
    text = path.with_suffix(".cfg").read_text()
    identities = []
    for cfg in (text, text.replace("anchors = 12, 18", "anchors = 13, 18")):
        (tmp_path / "net.cfg").write_text(cfg)
        identities.append(DarknetDetector(str(tmp_path / "net.weights"), "cpu").identity())
    assert identities[0] != identities[1]
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    assert checksum == detectors.CHECKSUMS[path.name] == identities[0][2]


@pytest.fixture
def weights(host, cache, tmp_path, monkeypatch):
    """The server has one known file, of no known SHA-256, and one of a wrong one."""
    monkeypatch.setenv("VADLIB_DATA", str(tmp_path))
    monkeypatch.setattr(detectors, "KNOWN", dict.fromkeys(("net.pt", "bad.pt"), f"{host.url}/"))
    monkeypatch.setattr(detectors, "CHECKSUMS", {"bad.pt": "0" * 64})
    return cache / "weights"


def test_a_known_file_is_downloaded_once_and_verified(weights, host, tmp_path):
    host.answers = [status(404)]
    with refused("download", file=weights / "net.pt") as caught:
        find_weights("net.pt")
    assert "'motion'" in str(caught.error)  # another detector, which needs no weights
    host.answers = [well]
    host.asked.clear()
    for _ in range(2):
        assert find_weights("net.pt").read_bytes() == PAYLOAD
    assert len(host.asked) == 1
    with refused("download", file=weights / "bad.pt"):
        find_weights("bad.pt")
    assert [path.name for path in weights.iterdir()] == ["net.pt"]
    for path in (tmp_path / "weights" / "bad.pt", weights / "bad.pt"):  # needs no network
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert find_weights("bad.pt") == path
    with refused("missing-file", file="yolov9.pt", field="weights") as caught:
        find_weights("yolov9.pt")
    assert "net.pt" in str(caught.error)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained yolov3-tiny, as narrow as it gets, of ultralytics' own making."""
    folder = tmp_path_factory.mktemp("yolo")
    with unchanged_process():
        import ultralytics

        recipe = Path(ultralytics.__file__).parent / "cfg" / "models" / "v3" / "yolov3-tiny.yaml"
        narrow = folder / "yolov3-tiny.yaml"
        text = recipe.read_text().replace("width_multiple: 1.0", "width_multiple: 0.125")
        narrow.write_text(text)
        torch.manual_seed(0)
        ultralytics.YOLO(str(narrow)).save(str(folder / "tiny.pt"))
        stored = torch.load(folder / "tiny.pt", weights_only=False)
        stored["model"].names = dict.fromkeys(range(80), "") | {0: "person"}
        torch.save(stored, folder / "tiny.pt")
    return folder / "tiny.pt"


def test_it_sees_what_ultralytics_sees(checkpoint, monkeypatch):
    """Against the network called directly, without its predictor: same picture, same boxes."""
    monkeypatch.setattr("vadlib.pseudo.yolov3.CONFIDENCE", 1e-9)
    image = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    detector = YOLOv3Detector(str(checkpoint), "cpu")
    [boxes] = detector.find(image[None])
    batch = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        # (4 + classes, anchors): centre, size, scores
        raw = detector.model.model.eval()(batch)[0][0]
    people = raw[:, raw[4:].argmax(0) == 0]
    assert people.shape[1] > 0
    centre, size = people[:2].T, people[2:4].T
    corners = torch.cat([centre - size / 2, centre + size / 2], 1).clamp(min=0)
    corners = corners.minimum(torch.tensor([96.0, 64.0, 96.0, 64.0]))
    # Untrained, it is sure of nothing. The surest box is kept, and comes first.
    assert np.abs(boxes[0] - corners[people[4].argmax()].numpy()).max() < 0.05


@pytest.mark.slow
def test_the_process_keeps_its_threads_environment_and_functions(checkpoint, tmp_path):
    """In a process of its own, where ultralytics was not imported before."""
    code = f"""
        import os, cv2, numpy as np, PIL.Image, torch
        torch.set_num_threads(2); cv2.setNumThreads(2)
        def state():
            printed = str(torch.tensor([1.5, 2.25])) + str(np.array([1.5, 2.25]))
            functions = [torch.save, torch.load, PIL.Image.open, cv2.imread, cv2.imshow]
            threads = torch.get_num_threads(), cv2.getNumThreads()
            return threads, dict(os.environ), functions, printed
        before = state()
        from vadlib.pseudo.detectors import load_detector
        detector = load_detector({f"yolov3:{checkpoint}"!r}, "cpu")
        detector.find(np.zeros((1, 64, 64, 3), np.uint8))
        assert state() == before, [pair for pair in zip(state(), before) if pair[0] != pair[1]]
        from ultralytics import utils
        assert utils.SAFE_LOAD and not utils.AUTOINSTALL and not utils.ONLINE
    """
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    home = str(tmp_path / "home")
    environment |= {"VADLIB_CACHE": str(tmp_path / "cache"), "HOME": home, "XDG_CONFIG_HOME": home}
    work = tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-c", textwrap.dedent(code)]
    subprocess.run(command, check=True, env=environment, cwd=work, timeout=300)
    assert list(work.iterdir()) == []  # nothing is left where the user works
    assert not (tmp_path / "home").exists()


def test_a_pointer_or_a_page_in_place_of_weights_is_refused(cache, tmp_path):
    path = tmp_path / "net.weights"
    for text in (b"version https://git-lfs.github.com/spec/v1", b"<!DOCTYPE html>"):
        path.write_bytes(text)
        with refused("wrong-kind-of-file", file=path):
            DarknetDetector(str(path), "cpu")


@pytest.mark.parametrize("length", [0, 20, -1000])
def test_cut_weights_are_refused_by_name(cache, checkpoint, tmp_path, length):
    (tmp_path / "cut.pt").write_bytes(checkpoint.read_bytes()[:length])
    with refused("wrong-kind-of-file", file=tmp_path / "cut.pt"):
        YOLOv3Detector(str(tmp_path / "cut.pt"), "cpu")
    stored = torch.load(checkpoint, weights_only=False)
    stored["model"].names = {0: "ship"}
    torch.save(stored, tmp_path / "ships.pt")
    with refused("wrong-kind-of-file", file=tmp_path / "ships.pt"):
        YOLOv3Detector(str(tmp_path / "ships.pt"), "cpu")


class Hostile:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_hostile_pickle_is_not_run(cache, tmp_path):
    torch.save({"model": Hostile(tmp_path / "ran")}, tmp_path / "hostile.pt")
    with refused("wrong-kind-of-file", file=tmp_path / "hostile.pt"):
        YOLOv3Detector(str(tmp_path / "hostile.pt"), "cpu")
    assert not (tmp_path / "ran").exists()
