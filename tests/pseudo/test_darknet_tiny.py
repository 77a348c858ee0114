"""The mask of yolov3-tiny: corrected for the official weights, and for nothing else."""

import hashlib
import shutil
import struct
import warnings

import cv2
import numpy as np
import pytest
import torch
from scenes import ArrayFrames
from tqdm.auto import tqdm

from vadlib.course.pseudo_measures import coverage
from vadlib.data.catalog import load_videos
from vadlib.data.video import Video
from vadlib.pseudo import darknet
from vadlib.pseudo.darknet import find_objects, load_darknet
from vadlib.pseudo.detectors import DarknetDetector, find_boxes

ANCHORS = "10,14,  23,27,  37,58,  81,82,  135,169,  344,319"
# The heads of yolov3-tiny for one class, on pictures with 3 channels.
SMALL = f"""[net]
[convolutional]
filters=18
activation=linear
[yolo]
mask = 3,4,5
anchors = {ANCHORS}
classes=1
num=6
[route]
layers = -2
[convolutional]
filters=18
activation=linear
[yolo]
mask = 0,1,2
anchors = {ANCHORS}
classes=1
num=6
"""
SIZES = (18, 18 * 3, 18, 18 * 18)
PICTURE = torch.from_numpy(np.random.default_rng(0).random((1, 3, 4, 6), np.float32))


def arrays():
    rng = np.random.default_rng(3)
    return [rng.normal(size=size).astype("<f4") for size in SIZES]


def write(folder, cfg, values=None, version=2):
    """Write net.cfg and net.weights, and return the path of the weights."""
    (folder / "net.cfg").write_text(cfg)
    start = struct.pack("<3i", 0, version, 0) + struct.pack("<Q" if version >= 2 else "<I", 64)
    path = folder / "net.weights"
    path.write_bytes(start + b"".join(array.tobytes() for array in values or arrays()))
    return path


@pytest.fixture
def official(monkeypatch):
    """Take the small network's last convolution for the official one."""
    *_, bias, kernel = arrays()
    numbers = np.concatenate([bias, kernel]).astype("<f2")
    monkeypatch.setattr(darknet, "TINY_HEAD", hashlib.sha256(numbers.tobytes()).hexdigest())


def run(path):
    """The boxes of the picture, and the warnings of loading."""
    with warnings.catch_warnings(record=True) as caught, torch.no_grad():
        warnings.simplefilter("always")
        boxes = load_darknet(path)(PICTURE)[0]
    return boxes, [str(one.message) for one in caught]


def sized(folder, mask):
    """The boxes with a mask that is run as it is written."""
    folder = folder / "as-written"
    folder.mkdir()
    cfg = SMALL.replace("mask = 0,1,2", f"mask = {mask}\nkeep_mask=1")
    boxes, notes = run(write(folder, cfg))
    assert notes == []
    return boxes


def test_official_weights_get_the_mask_they_were_trained_with(tmp_path, official):
    boxes, [note] = run(write(tmp_path, SMALL))
    assert torch.equal(boxes, sized(tmp_path, "1,2,3"))
    files = (tmp_path / "net.cfg", tmp_path / "net.weights")
    for part in (*files, "0,1,2", "1,2,3", "keep_mask=1", "pjreddie/darknet#851"):
        assert str(part) in note


FEWER = "0,1,2\nanchors = 10,14,23,27,37,58\nclasses=1\nnum=3"
SPELLINGS = {
    "spaces": SMALL.replace("mask = 0,1,2", "mask = 0, 1,2"),
    "a comment": SMALL.replace("mask = 0,1,2", "#mask = 1,2,3\nmask = 0,1,2"),
    "decimals": SMALL.replace("10,14,  23,27,", "10.0, 14.0, 23, 27.0,"),
    "training": SMALL.replace("[net]", "[net]\nbatch=64\nwidth=608\nheight=608"),
    "three anchors": SMALL.replace(f"0,1,2\nanchors = {ANCHORS}\nclasses=1\nnum=6", FEWER),
    "keep_mask=0": SMALL.replace("mask = 0,1,2", "mask = 0,1,2\nkeep_mask=0"),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_other_spellings_of_the_published_cfg_are_corrected(tmp_path, official, name):
    boxes, notes = run(write(tmp_path, SPELLINGS[name]))
    assert len(notes) == 1
    assert torch.equal(boxes, sized(tmp_path, "1,2,3"))


@pytest.mark.parametrize("kind", ["version 0.1", "fine-tuned before the head", "pt", "half pt"])
def test_official_heads_are_known_in_other_files(tmp_path, official, kind):
    """By the numbers of the head, not by the file."""
    values, version = arrays(), 2
    if kind == "version 0.1":
        version = 1
    if kind == "fine-tuned before the head":
        values[1] = values[1] + 1
    path = write(tmp_path, SMALL, values, version)
    if "pt" in kind:
        model = loaded(path, noted=1)
        state = (model.half() if kind == "half pt" else model).state_dict()
        path = tmp_path / "net.pt"
        torch.save({"model": state}, path)
    boxes, notes = run(path)
    assert len(notes) == 1
    (tmp_path / "net.cfg").write_text(SMALL.replace("mask = 0,1,2", "mask = 1,2,3"))
    assert torch.equal(boxes, run(path)[0])


def nudged(number):
    """The weights with one number of the head changed by a thousandth, as by a step of training."""
    values = arrays()
    values[number][0] += 1e-3 * max(1, abs(values[number][0]))
    return values


# Your own network, or your own decision: the text of the .cfg, and the weights.
SHIFTED = SMALL.replace("10,14,", "11,14,")
OWN = {
    "the right mask": (SMALL.replace("mask = 0,1,2", "mask = 1,2,3"), arrays()),
    "another mask": (SMALL.replace("mask = 0,1,2", "mask = 0,1,3"), arrays()),
    "another order": (SMALL.replace("mask = 0,1,2", "mask = 2,1,0"), arrays()),
    "kept by hand": (SMALL.replace("mask = 0,1,2", "mask = 0,1,2\nkeep_mask=1"), arrays()),
    "own anchors": (SHIFTED, arrays()),
    "own anchors, the right mask": (SHIFTED.replace("0,1,2", "1,2,3"), arrays()),
    "trained on, the head's bias": (SMALL, nudged(2)),
    "trained on, the head's kernel": (SMALL, nudged(3)),
    "trained from the start": (SMALL, [array[::-1].copy() for array in arrays()]),
}


@pytest.mark.parametrize("name", OWN)
def test_own_networks_run_with_the_mask_of_their_cfg(tmp_path, monkeypatch, official, name):
    path = write(tmp_path, *OWN[name])
    boxes, notes = run(path)
    assert notes == []
    monkeypatch.setattr(darknet, "_correct_tiny_mask", lambda *_: None)
    assert torch.equal(boxes, run(path)[0])


def test_boxes_of_before_the_correction_are_not_taken_from_the_cache(tmp_path, official):
    with pytest.warns(UserWarning, match="mask"):
        detector = DarknetDetector(str(write(tmp_path, SMALL)), "cpu")
    corrected = detector.identity()
    detector.model.mask_corrected = False
    assert corrected != detector.identity()


# --- the official weights themselves


# Made once with OpenCV 4.10.0, which still reads Darknet's files: cv2.dnn.readNetFromDarknet(cfg,
# "yolov3-tiny.weights") with the published .cfg, and with mask = 1,2,3 in its second [yolo];
# person.jpg resized by cv2.resize, blobFromImage(image, 1 / 255, swapRB=True), NMSBoxes of each
# class with 0.25 and 0.45. Each row: x0, y0, x1, y1, score, class.
PERSON = (117.237, 92.469, 181.007, 375.374, 0.9804, 0)
DOG = (51.807, 259.560, 132.250, 344.627, 0.8886, 16)
HORSE = (253.026, 122.629, 400.346, 334.915, 0.7743, 18)  # taken for a sheep
HALF_DOG = (70.991, 270.049, 111.608, 330.056, 0.8081, 16)
WIDE = [
    (176.258, 84.472, 261.784, 379.805, 0.9286, 0),
    (63.410, 256.247, 202.407, 345.236, 0.8811, 16),
    (398.282, 122.332, 570.035, 339.745, 0.7596, 18),
    (371.529, 130.350, 579.735, 336.226, 0.5561, 17),
]
WIDE_HALF_DOG = (98.253, 268.225, 168.520, 329.877, 0.8692, 16)
OPENCV = {
    (416, 416, "1,2,3"): [PERSON, DOG, HORSE],
    (416, 416, "0,1,2"): [PERSON, DOG, HALF_DOG, HORSE],
    (416, 608, "1,2,3"): WIDE,
    (416, 608, "0,1,2"): [*WIDE[:2], WIDE_HALF_DOG, *WIDE[2:]],
}


def copied(real_data, folder, keep_mask=False):
    """Copy the official files, the .cfg with `keep_mask` if wanted; return the weights' path."""
    source = real_data / "weights"
    if not (source / "yolov3-tiny.weights").is_file():
        pytest.skip(f"{source} has no yolov3-tiny.weights")
    text = (source / "yolov3-tiny.cfg").read_text()
    assert text.count("mask = 0,1,2") == 1
    text = text.replace("mask = 0,1,2", "mask = 0,1,2\nkeep_mask=1") if keep_mask else text
    (folder / "yolov3-tiny.cfg").write_text(text)
    shutil.copyfile(source / "yolov3-tiny.weights", folder / "yolov3-tiny.weights")
    return folder / "yolov3-tiny.weights"


def loaded(path, noted):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = load_darknet(path)
    assert len(caught) == noted
    return model


@pytest.mark.parametrize(("height", "width", "mask"), OPENCV)
def test_the_official_network_finds_what_opencv_finds(real_data, tmp_path, height, width, mask):
    path = copied(real_data, tmp_path, keep_mask=mask == "0,1,2")
    model = loaded(path, noted=mask == "1,2,3")
    image = cv2.resize(cv2.imread(str(real_data / "weights" / "person.jpg")), (width, height))
    batch = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        boxes = find_objects(model, batch, 0.25, 0.45)[0].numpy()
    expected = np.array(OPENCV[height, width, mask])
    assert boxes.shape == expected.shape
    assert np.abs(boxes[:, :4] - expected[:, :4]).max() < 0.02
    assert np.abs(boxes[:, 4] - expected[:, 4]).max() < 5e-4
    assert np.array_equal(boxes[:, 5], expected[:, 5])


def test_official_weights_that_were_trained_on_keep_their_mask(real_data, tmp_path):
    path = copied(real_data, tmp_path)
    content = bytearray(path.read_bytes())
    content[-4:] = struct.pack("<f", struct.unpack("<f", content[-4:])[0] + 1e-3)
    path.write_bytes(content)
    model = loaded(path, noted=0)
    assert model.module_list[-1].anchors.tolist() == [[10, 14], [23, 27], [37, 58]]


@pytest.mark.filterwarnings("ignore:.*mask trap")
def test_the_corrected_mask_covers_the_people_of_ped2(real_data, tmp_path):
    """Case 21: on every 30th frame of clips 01 and 04, boxes of half the size cover nobody."""
    train = load_videos("ped2", "train", real_data)[:4:3]
    moving = find_boxes(train, "motion", progress=False)
    truth = [boxes for video in train for boxes in moving[video.name][::30]]
    thinned = [Video(video.name, ArrayFrames(video.frames[::30]), 10.0) for video in train]
    shares = []
    for keep_mask in (False, True):
        detector = DarknetDetector(str(copied(real_data, tmp_path, keep_mask)), "cpu")
        first, second = detector.detect(thinned, tqdm(disable=True))
        shares.append(coverage([*first, *second], truth))
    assert shares[0] > 0.5
    assert shares[1] < 0.1
