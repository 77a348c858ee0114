"""YOLOv3 by ultralytics, for real, on small checkpoints that ultralytics itself builds; and what it
must not do to this process.
"""

import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refused

from vadlib.pseudo.detectors import find_boxes, load_detector
from vadlib.pseudo.yolov3 import YOLOv3Detector, unchanged_process


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained yolov3-tiny, as narrow as it gets, of ultralytics' own making."""
    folder = tmp_path_factory.mktemp("yolo")
    with unchanged_process():
        import ultralytics

        recipe = Path(ultralytics.__file__).parent / "cfg" / "models" / "v3" / "yolov3-tiny.yaml"
        narrow = folder / "yolov3-tiny.yaml"
        narrow.write_text(
            recipe.read_text().replace("width_multiple: 1.0", "width_multiple: 0.125")
        )
        torch.manual_seed(0)
        ultralytics.YOLO(str(narrow)).save(str(folder / "tiny.pt"))
        names = dict.fromkeys(range(80), "") | {0: "person"}
        stored = torch.load(folder / "tiny.pt", weights_only=False)
        stored["model"].names = names
        torch.save(stored, folder / "tiny.pt")
    return folder / "tiny.pt"


def test_it_finds_boxes_for_real_and_in_the_frames_own_pixels(
    checkpoint, cache, array_video, monkeypatch
):
    """Untrained, it is sure of nothing; with every doubt allowed it must return boxes inside the
    picture.
    """
    monkeypatch.setattr("vadlib.pseudo.yolov3.CONFIDENCE", 1e-9)
    frames = np.random.default_rng(0).integers(0, 256, (3, 60, 80, 1))
    found = find_boxes([array_video(frames)], f"yolov3:{checkpoint}", progress=False, device="cpu")[
        "a"
    ]
    assert len(found) == 3
    boxes = np.concatenate(found)
    assert len(boxes) > 0
    assert boxes.dtype == np.float32
    assert (boxes >= -1e-3).all()
    assert (boxes <= np.float32([80, 60, 80, 60]) + 1e-3).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_it_sees_what_ultralytics_sees(checkpoint, monkeypatch):
    """Against the network called directly, without its predictor: same picture, same boxes."""
    monkeypatch.setattr("vadlib.pseudo.yolov3.CONFIDENCE", 1e-9)
    image = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    detector = YOLOv3Detector(str(checkpoint), "cpu")
    [found] = detector.find(image[None])
    batch = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        # (4 + classes, anchors): centre, size, scores
        raw = detector.model.model.eval()(batch)[0][0]
    people = raw[:, raw[4:].argmax(0) == 0]
    assert people.shape[1] > 0
    centre, size = people[:2].T, people[2:4].T
    corners = (
        torch.cat([centre - size / 2, centre + size / 2], 1)
        .clamp(min=0)
        .minimum(torch.tensor([96.0, 64.0, 96.0, 64.0]))
    )
    # the surest one is kept, and comes first
    assert np.abs(found[0] - corners[people[4].argmax()].numpy()).max() < 0.05


@pytest.mark.slow
def test_the_process_keeps_its_threads_environment_and_functions(checkpoint, tmp_path):
    """In a process of its own, where ultralytics was not imported before."""
    code = f"""
        import os, cv2, numpy as np, PIL.Image, torch
        torch.set_num_threads(2); cv2.setNumThreads(2)
        def state():
            printed = str(torch.tensor([1.5, 2.25])) + str(np.array([1.5, 2.25]))
            functions = [torch.save, torch.load, PIL.Image.open, cv2.imread, cv2.imwrite, cv2.imshow]
            return torch.get_num_threads(), cv2.getNumThreads(), dict(os.environ), functions, printed
        before = state()
        from vadlib.pseudo.detectors import load_detector
        detector = load_detector({f"yolov3:{checkpoint}"!r}, "cpu")
        detector.find(np.zeros((1, 64, 64, 3), np.uint8))
        assert state() == before, [pair for pair in zip(state(), before) if pair[0] != pair[1]]
        import ultralytics
        assert ultralytics.utils.SAFE_LOAD and not ultralytics.utils.AUTOINSTALL and not ultralytics.utils.ONLINE
    """
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    environment |= {
        "VADLIB_CACHE": str(tmp_path / "cache"),
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "home"),
    }
    work = tmp_path / "work"
    work.mkdir()
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=True,
        env=environment,
        cwd=work,
        timeout=300,
    )
    assert list(work.iterdir()) == []  # nothing is left where the user works
    assert not (tmp_path / "home").exists()


def test_missing_weights_are_said_without_a_network(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("VADLIB_DATA", str(tmp_path))
    with refused("missing-file", file="nowhere.pt", field="weights"):
        load_detector("yolov3:nowhere.pt")


@pytest.mark.parametrize(
    "content", [b"", b"no checkpoint", b"version https://git-lfs.github.com/spec/v1\n"]
)
def test_damaged_weights_are_refused_by_name(cache, tmp_path, content):
    (tmp_path / "bad.pt").write_bytes(content)
    with refused("wrong-kind-of-file", file=tmp_path / "bad.pt"):
        YOLOv3Detector(str(tmp_path / "bad.pt"), "cpu")


def test_a_cut_checkpoint_is_refused(cache, checkpoint, tmp_path):
    (tmp_path / "cut.pt").write_bytes(checkpoint.read_bytes()[:-1000])
    with refused("wrong-kind-of-file", file=tmp_path / "cut.pt"):
        YOLOv3Detector(str(tmp_path / "cut.pt"), "cpu")


class Hostile:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_hostile_pickle_is_not_run(cache, tmp_path):
    torch.save({"model": Hostile(tmp_path / "ran")}, tmp_path / "hostile.pt")
    pickle.loads(pickle.dumps(Hostile(tmp_path / "would"))).close()
    assert (tmp_path / "would").exists()  # unpickled, it does run
    with refused("wrong-kind-of-file", file=tmp_path / "hostile.pt"):
        YOLOv3Detector(str(tmp_path / "hostile.pt"), "cpu")
    assert not (tmp_path / "ran").exists()


def test_a_detector_of_other_things_is_refused(cache, checkpoint, tmp_path):
    stored = torch.load(checkpoint, weights_only=False)
    stored["model"].names = {0: "ship"}
    torch.save(stored, tmp_path / "ships.pt")
    with refused("wrong-kind-of-file", file=tmp_path / "ships.pt") as caught:
        YOLOv3Detector(str(tmp_path / "ships.pt"), "cpu")
    assert "'ship'" in str(caught.error)
