"""Darknet's networks run as Darknet runs them, on its files; other files are refused."""

import math
import re
import struct

import cv2
import numpy as np
import pytest
import torch
from refusals import refused
from torch import nn

from vadlib.pseudo.darknet import Darknet, find_objects, find_people, load_darknet

NANO = "MobileNetV2-YOLOv3-Nano-coco"
YOLO = "[yolo]\nmask=1\nanchors=1,1, 7,3\nnum=2\nclasses=1\n"  # takes 6 channels
CONV = "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n"
# A small relative of yolov3-tiny: every array that a file of it holds, in Darknet's order, has its
# size below.
TINY = """[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=leaky
[maxpool]\nsize=2\nstride=1
[convolutional]\nfilters=6\nsize=1\nstride=1\npad=1\nactivation=linear
"""
TINY_SIZES = (4, 4, 4, 4, 4 * 3 * 9, 6, 6 * 4)


def write_cfg(folder, layers, channels=3):
    path = folder / "net.cfg"
    path.write_text(
        f"# made by a test\n[net]\nwidth = 32 ; unused\nchannels={channels}\n\n{layers}"
    )
    return path


def write_weights(folder, *arrays, version=(0, 2, 5), seen="<Q"):
    path = folder / "net.weights"
    path.write_bytes(
        struct.pack("<3i", *version)
        + struct.pack(seen, 64)
        + b"".join(np.asarray(a, "<f4").tobytes() for a in arrays)
    )
    return path


def tiny_arrays(seed=0):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=n) for n in TINY_SIZES]
    arrays[3] = rng.uniform(0.2, 2, 4)  # variances
    return [a.astype(np.float32) for a in arrays]


def run(folder, layers, image, *arrays):
    """The boxes of one picture (C, H, W), (N, 6), for layers that end in `YOLO` or the like."""
    write_cfg(folder, layers, len(image))
    with torch.no_grad():
        return load_darknet(write_weights(folder, *arrays))(torch.from_numpy(image)[None])[
            0
        ].numpy()


def picture(channels, height=4, width=6, seed=0):
    return np.random.default_rng(seed).normal(size=(channels, height, width)).astype(np.float32)


def sigmoid(t):
    return 1 / (1 + math.exp(-t))


def decoded(raw, height, width, anchors=((7, 3),), classes=1, scale=1.0):
    """A [yolo] section, cell by cell."""
    boxes, (_, rows, columns) = [], raw.shape
    for a, (anchor_width, anchor_height) in enumerate(anchors):
        for row in range(rows):
            for column in range(columns):
                x, y, w, h, *rest = raw[
                    a * (5 + classes) : (a + 1) * (5 + classes), row, column
                ].tolist()
                x = (column + sigmoid(x) * scale - 0.5 * (scale - 1)) * width / columns
                y = (row + sigmoid(y) * scale - 0.5 * (scale - 1)) * height / rows
                boxes.append(
                    [
                        x,
                        y,
                        anchor_width * math.exp(w),
                        anchor_height * math.exp(h),
                        *map(sigmoid, rest),
                    ]
                )
    return np.array(boxes)


def pooled(image, size, stride, padding):
    """Darknet's loops: the window starts at -padding // 2, and what lies outside the picture does
    not count.
    """
    channels, height, width = image.shape
    out = np.full(
        (channels, (height + padding - size) // stride + 1, (width + padding - size) // stride + 1),
        -np.inf,
        np.float32,
    )
    for k, i, j in np.ndindex(out.shape):
        for n in range(size):
            for m in range(size):
                y, x = i * stride - padding // 2 + n, j * stride - padding // 2 + m
                if 0 <= y < height and 0 <= x < width:
                    out[k, i, j] = max(out[k, i, j], image[k, y, x])
    return out


def convolved(image, weights, stride, padding, groups):
    """weights (filters, channels / groups, size, size)."""
    filters, part, size, _ = weights.shape
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding))).astype(float)
    out = np.zeros(
        (filters, (padded.shape[1] - size) // stride + 1, (padded.shape[2] - size) // stride + 1)
    )
    for f, i, j in np.ndindex(out.shape):
        first = f // (filters // groups) * part
        out[f, i, j] = (
            padded[
                first : first + part, i * stride : i * stride + size, j * stride : j * stride + size
            ]
            * weights[f]
        ).sum()
    return out


# --- the layers, against plain loops


@pytest.mark.parametrize("scale", [1.0, 1.05, 2.0])
@pytest.mark.parametrize(("mask", "used"), [("mask=2,0", (2, 0)), ("", (0, 1, 2))])
def test_boxes_are_decoded_as_by_hand(tmp_path, scale, mask, used):
    anchors, image = ((10, 14), (23, 27.5), (37, 58)), picture(len(used) * 7)
    section = f"[yolo]\n{mask}\nanchors=10,14,  23,27.5, 37,58\nnum=3\nclasses=2\nscale_x_y={scale}\njitter=.3\n"
    halved = pooled(image, 2, 2, 1)
    expected = decoded(halved, 4, 6, [anchors[m] for m in used], 2, scale)
    assert run(tmp_path, f"[maxpool]\nsize=2\nstride=2\n{section}", image) == pytest.approx(
        expected, rel=1e-5, abs=1e-5
    )


@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [
        (2, 2, None),
        (2, 1, None),
        (3, 2, None),
        (5, 1, None),
        (13, 1, None),
        (4, 2, 0),
        (3, 1, 0),
        (3, 1, 1),
        (2, 2, 1),
    ],
)
def test_maximum_pooling_is_darknets(tmp_path, size, stride, padding):
    image = picture(6, 16, 18) - 5  # negative: padding with zeros would show
    option = "" if padding is None else f"padding={padding}\n"
    expected = pooled(image, size, stride, size - 1 if padding is None else padding)
    found = run(tmp_path, f"[maxpool]\nsize={size}\nstride={stride}\n{option}{YOLO}", image)
    assert found == pytest.approx(decoded(expected, 16, 18), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(
    ("groups", "size", "stride", "pad"),
    [(1, 3, 1, 1), (2, 3, 2, 1), (2, 1, 1, 0), (1, 3, 1, 0), (2, 2, 2, 0)],
)
def test_a_normalized_convolution_is_darknets(tmp_path, groups, size, stride, pad):
    rng, image = np.random.default_rng(1), picture(4, 8, 8)
    bias, weight, mean, kernel = (
        rng.normal(size=6),
        rng.normal(size=6),
        rng.normal(size=6),
        rng.normal(size=(6, 4 // groups, size, size)),
    )
    # small ones tell which epsilon is added, and where
    variance = np.array([1, 0.1, 2, 1e-4, 1e-6, 0.5])
    section = f"[convolutional]\nbatch_normalize=1\nfilters=6\nsize={size}\nstride={stride}\npad={pad}\ngroups={groups}\nactivation=leaky\n"
    raw = convolved(image, kernel, stride, size // 2 * pad, groups)
    scaled, shift, centre = (
        v[:, None, None] for v in (weight / np.sqrt(variance + 1e-5), bias, mean)
    )
    raw = (raw - centre) * scaled * 0.01 + shift * 0.01  # small, as boxes grow with the exponential
    raw = np.where(raw > 0, raw, 0.1 * raw)
    found = run(tmp_path, section + YOLO, image, bias * 0.01, weight * 0.01, mean, variance, kernel)
    assert found == pytest.approx(decoded(raw, 8, 8), rel=1e-3, abs=1e-4)


def test_a_plain_convolution_has_a_bias(tmp_path):
    rng, image = np.random.default_rng(2), picture(3)
    bias, kernel = rng.normal(size=6), rng.normal(size=(6, 3, 1, 1))
    raw = convolved(image, kernel, 1, 0, 1) + bias[:, None, None]
    assert run(tmp_path, CONV + YOLO, image, bias, kernel) == pytest.approx(
        decoded(raw, 4, 6), rel=1e-4, abs=1e-4
    )


POOL = "[dropout]\n[maxpool]\nsize=2\nstride=1\n"
ROUTES = [
    ("[dropout]\n[route]\nlayers=-1\ngroups=2\ngroup_id=1\n", 12, lambda x: x[6:]),
    ("[dropout]\n[route]\nlayers=0\ngroups=2\n", 12, lambda x: x[:6]),
    (POOL + "[route]\nlayers=-1, 0\n", 3, lambda x: np.concatenate([pooled(x, 2, 1, 1), x])),
    (POOL + "[shortcut]\nfrom=-2\n", 6, lambda x: x + pooled(x, 2, 1, 1)),
    (
        POOL + "[shortcut]\nfrom=0,0\nactivation=relu\n",
        6,
        lambda x: np.maximum(2 * x + pooled(x, 2, 1, 1), 0),
    ),
    (
        "[maxpool]\nsize=2\nstride=2\n[upsample]\nstride=2\n",
        6,
        lambda x: pooled(x, 2, 2, 1).repeat(2, 1).repeat(2, 2),
    ),
]


@pytest.mark.parametrize(("layers", "channels", "expected"), ROUTES)
def test_routes_shortcuts_and_upsampling(tmp_path, layers, channels, expected):
    image = picture(channels)
    assert run(tmp_path, layers + YOLO, image) == pytest.approx(
        decoded(expected(image), 4, 6), rel=1e-5, abs=1e-5
    )


BY_HAND = {
    "linear": lambda t: t,
    "leaky": lambda t: t if t > 0 else 0.1 * t,
    "relu": lambda t: max(t, 0),
    "relu6": lambda t: min(max(t, 0), 6),
    "mish": lambda t: t * math.tanh(math.log(1 + math.exp(t))),
    "swish": lambda t: t * sigmoid(t),
    "logistic": sigmoid,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_activations(tmp_path, name):
    image = picture(6) * 3
    expected = np.vectorize(BY_HAND[name], otypes=[float])(2.0 * image)
    found = run(tmp_path, f"[dropout]\n[shortcut]\nfrom=-1\nactivation={name}\n{YOLO}", image)
    assert found == pytest.approx(decoded(expected, 4, 6), rel=1e-4, abs=1e-5)


# --- the files


COUNTS = {"yolov3": 62_001_757, "yolov3-tiny": 8_858_734, "yolov3-spp": 63_052_381, NANO: 891_070}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_networks_have_darknets_number_of_weights(real_data, name, count):
    with torch.device("meta"):
        state = Darknet(real_data / "weights" / f"{name}.cfg").state_dict()
    assert (
        sum(
            tensor.numel()
            for key, tensor in state.items()
            if not key.endswith("num_batches_tracked")
        )
        == count
    )


@pytest.mark.parametrize(
    ("version", "seen"),
    [((0, 1, 0), "<I"), ((0, 2, 0), "<Q"), ((0, 2, 5), "<Q"), ((1, 0, 0), "<Q")],
)
def test_headers_of_all_versions(tmp_path, version, seen):
    write_cfg(tmp_path, TINY + YOLO)
    arrays = tiny_arrays()
    state = load_darknet(write_weights(tmp_path, *arrays, version=version, seen=seen)).state_dict()
    norm = "module_list.0.BatchNorm2d."
    names = [
        norm + "bias",
        norm + "weight",
        norm + "running_mean",
        norm + "running_var",
        "module_list.0.Conv2d.weight",
    ]
    names += ["module_list.2.Conv2d.bias", "module_list.2.Conv2d.weight"]
    assert set(state) == {*names, norm + "num_batches_tracked"}
    for name, array in zip(names, arrays, strict=True):
        assert np.array_equal(state[name].flatten(), array)


@pytest.mark.parametrize("half", [False, True])
def test_a_state_dict_of_ultralytics_runs_as_it_did_there(tmp_path, half):
    cfg = write_cfg(tmp_path, TINY + YOLO)
    model = load_darknet(write_weights(tmp_path, *(a.astype(np.float16) for a in tiny_arrays())))
    state = {name: tensor.half() if half else tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": -1, "model": state, "optimizer": None}, tmp_path / "net-ultralytics.pt")
    found = load_darknet(tmp_path / "net-ultralytics.pt")  # finds net.cfg
    model.module_list[0].BatchNorm2d.eps = 1e-4  # theirs
    image = torch.rand(2, 3, 8, 10)
    assert not found.training
    assert torch.equal(found(image), model(image))
    assert torch.equal(load_darknet(tmp_path / "net-ultralytics.pt", cfg)(image), found(image))


# --- finding


# Made once with OpenCV 4.14: cv2.dnn.readNetFromDarknet, person.jpg resized to 320 x 320 by
# cv2.resize, blobFromImage(image, 1 / 255, swapRB=True), then cv2.dnn.NMSBoxes of each class, 0.25
# and 0.45. It adds 1e-6 to the variances, which moves these by 0.01 pixels at most.
OPENCV = [
    (91.926, 81.993, 140.652, 261.405, 0.9779, 0),  # person
    (38.975, 201.613, 98.673, 260.222, 0.9148, 16),  # dog
    (190.849, 108.018, 306.740, 251.165, 0.7640, 17),  # horse
    (192.026, 106.918, 305.682, 254.309, 0.4205, 19),  # the same as a cow
]


@pytest.fixture
def nano(real_data):
    return load_darknet(real_data / "weights" / f"{NANO}.weights")


def photo(real_data, height, width):
    image = cv2.resize(cv2.imread(str(real_data / "weights" / "person.jpg")), (width, height))
    return torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize(("eps", "pixels", "score"), [(1e-5, 0.02, 5e-4), (1e-6, 2e-3, 1e-4)])
def test_a_real_network_finds_what_opencv_finds(real_data, nano, eps, pixels, score):
    for module in nano.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = eps
    found = find_objects(nano, photo(real_data, 320, 320), 0.25, 0.45)[0].numpy()
    expected = np.array(OPENCV)
    assert found.shape == expected.shape
    assert np.abs(found[:, :4] - expected[:, :4]).max() < pixels
    assert np.abs(found[:, 4] - expected[:, 4]).max() < score
    assert np.array_equal(found[:, 5], expected[:, 5])


# The best person's box of OpenCV, as above, for other sizes of the picture.
SIZES = {
    (640, 640): (188.81, 145.98, 275.38, 513.72),
    (640, 960): (284.63, 152.84, 400.83, 559.76),
    (416, 608): (176.57, 105.62, 260.49, 362.35),
}


@pytest.mark.parametrize(("size", "box"), SIZES.items())
def test_a_person_is_found_in_place_at_any_size(real_data, nano, size, box):
    best = find_people(nano, photo(real_data, *size), 0.5, 0.45)[0][0, :4].numpy()
    assert best == pytest.approx(box, abs=0.02)
    height, width = size
    # it sees more in larger ones
    assert best / [width, height, width, height] == pytest.approx(
        np.array(OPENCV[0][:4]) / 320, abs=0.06
    )


def test_pictures_of_a_batch_do_not_mix(real_data, nano):
    image = photo(real_data, 320, 320)
    first, empty, mirrored = find_people(
        nano, torch.cat([image, torch.zeros_like(image), image.flip(3)]), 0.5, 0.45
    )
    assert torch.allclose(first, find_people(nano, image, 0.5, 0.45)[0], atol=1e-3)
    assert first.shape == (1, 5)
    assert empty.shape == (0, 5)
    assert mirrored[0, 0] == pytest.approx(320 - first[0, 2], abs=8)


def test_half_precision_decodes_in_full(real_data, nano):
    """Centres in bfloat16 would be whole even numbers beyond 256."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        centres = nano(photo(real_data, 320, 320))[..., :2]
    assert (centres != centres.bfloat16()).float().mean() > 0.9


class Fixed(nn.Module):
    """Two classes; boxes 0 and 1 overlap by IoU 0.6, box 2 is far away."""

    def forward(self, images):
        return torch.tensor(
            [
                [
                    [10, 10, 8, 8, 1, 0.9, 0.6],
                    [12, 10, 8, 8, 0.9, 0.8, 0.9],
                    [50, 50, 4, 6, 0.5, 0.8, 0.1],
                ]
            ]
        )


# confidence, IoU, the people's scores, all scores
CHOICES = [
    (0.5, 0.5, [0.9], [0.9, 0.81]),
    (0.4, 0.5, [0.9, 0.4], [0.9, 0.81, 0.4]),
    (0.5, 0.7, [0.9, 0.72], [0.9, 0.81, 0.72, 0.6]),
]


@pytest.mark.parametrize(
    ("confidence", "iou", "people", "objects"), [*CHOICES, (0.95, 0.5, [], [])]
)
def test_scores_and_suppression_by_hand(confidence, iou, people, objects):
    found = find_people(Fixed(), None, confidence, iou)[0]
    assert found[:, 4].tolist() == pytest.approx(people)
    assert find_objects(Fixed(), None, confidence, iou)[0][:, 4].tolist() == pytest.approx(objects)
    if people:
        assert found[0, :4].tolist() == [6, 6, 14, 14]


# --- refusals


@pytest.mark.parametrize(
    ("layers", "field"),
    [
        ("[convolutional]\nfilters=six\n", "filters"),
        ("[convolutional]\nsize=1\n", "filters"),
        ("[convolutional]\nfilters=6\nstride=0\n", "stride"),
        ("[convolutional]\nfilters=6,6\n", "filters"),
        ("[convolutional]\nfilters=6\ngroups=2\n", "groups"),
        ("[convolutional]\nfilters=6\nactivation=gelu\n", "activation"),
        ("[convolutional]\nfilters=6\ndilation=2\n", "dilation"),
        ("[lstm]\noutput=5\n", "lstm"),
        (CONV + "[route]\nlayers=1\n", "layers"),
        (CONV + "[route]\nlayers=-2\n", "layers"),
        (CONV + "[route]\n", "layers"),
        (CONV + "[route]\nlayers=-1\ngroups=4\n", "route"),
        (CONV + "[route]\nlayers=-1\ngroups=2\ngroup_id=2\n", "route"),
        ("[dropout]\n[maxpool]\nsize=2\nstride=2\n[route]\nlayers=0,1\n", "route"),
        ("[shortcut]\nfrom=-1\n", "from"),
        ("[dropout]\n" + CONV + "[shortcut]\nfrom=0\n", "shortcut"),
        (CONV + "[yolo]\nclasses=2\nnum=1\nanchors=1,2\n", "yolo"),
        (CONV + "[yolo]\nclasses=1\nnum=2\nanchors=1,2\nmask=0\n", "anchors"),
        (CONV + "[yolo]\nclasses=1\nnum=1\nanchors=1,2\nmask=1\n", "anchors"),
        ("filters\n", ""),
        ("=5\n", ""),
    ],
)
def test_a_bad_cfg_is_refused(tmp_path, layers, field):
    cfg = write_cfg(tmp_path, layers)
    with refused("wrong-format", file=cfg, field=field):
        Darknet(cfg)


def test_a_cfg_without_a_detector_is_refused(tmp_path):
    cfg = write_cfg(tmp_path, CONV)
    with refused("wrong-kind-of-file", file=cfg):
        Darknet(cfg)


def test_a_bad_line_of_a_cfg_is_named_by_its_number(tmp_path):
    cfg = write_cfg(tmp_path, "[convolutional]\nfilters=six\n")
    with refused("wrong-format", file=cfg) as caught:
        Darknet(cfg)
    assert f"{cfg}, line 6" in str(caught.error)


@pytest.mark.parametrize("text", ["", "[yolo]\n", "a=1\n[net]\n"])
def test_a_cfg_without_its_start_is_refused(tmp_path, text):
    (tmp_path / "net.cfg").write_text(text)
    with refused("wrong-format", file=tmp_path / "net.cfg"):
        Darknet(tmp_path / "net.cfg")


@pytest.mark.parametrize(
    ("change", "found"),
    [(-4, ["153", "612"]), (-1, ["153", "615"]), (4, ["155", "620"]), (1, ["154", "617"])],
)
def test_weights_of_another_length_are_refused(tmp_path, change, found):
    write_cfg(tmp_path, TINY + YOLO)
    path = write_weights(tmp_path, *tiny_arrays())
    path.write_bytes((path.read_bytes() + bytes(4))[: path.stat().st_size + change])
    with refused("conflict", file=path) as caught:
        load_darknet(path)
    message = str(caught.error).replace(str(tmp_path), "")
    # numbers and bytes, expected and found
    assert re.findall(r"\d+", message) == ["154", "616", *found]


NO_WEIGHTS = {
    None: "missing-file",
    b"": "empty-file",
    b"\n<!DOCTYPE html><html>": "wrong-kind-of-file",
    b"version https://git-lfs.github.com/spec/v1\noid": "git-lfs-pointer",
}


@pytest.mark.parametrize("suffix", [".weights", ".pt"])
@pytest.mark.parametrize(("content", "code"), NO_WEIGHTS.items())
def test_files_that_are_no_weights_are_refused(tmp_path, suffix, content, code):
    write_cfg(tmp_path, TINY + YOLO)
    path = tmp_path / f"net{suffix}"
    if content is not None:
        path.write_bytes(content)
    with refused(code, file=path) as caught:
        load_darknet(path)
    assert "\n" not in str(caught.error)


@pytest.mark.parametrize(
    ("suffix", "code"), [(".weights", "conflict"), (".pt", "wrong-kind-of-file")]
)
def test_two_bytes_are_no_weights(tmp_path, suffix, code):
    write_cfg(tmp_path, TINY + YOLO)
    path = tmp_path / f"net{suffix}"
    path.write_bytes(b"\0\0")
    with refused(code, file=path):
        load_darknet(path)


MISFITS = [
    [1, 2],
    {"weights": {}},
    {"model": None},
    {"model": {}},
    {"model": {"module_list.0.Conv2d.weight": torch.zeros(1)}},
    {"model": nn.ReLU()},
]


@pytest.mark.parametrize("content", MISFITS)
def test_a_pt_that_does_not_fit_is_refused(tmp_path, content):
    write_cfg(tmp_path, TINY + YOLO)
    torch.save(content, tmp_path / "net.pt")
    with refused("wrong-kind-of-file", file=tmp_path / "net.pt") as caught:
        load_darknet(tmp_path / "net.pt")
    assert "\n" not in str(caught.error)


def test_a_missing_cfg_another_suffix_and_an_odd_size_are_refused(tmp_path):
    path = write_weights(tmp_path, *tiny_arrays())
    with refused("missing-file", file=path.with_suffix(".cfg")):
        load_darknet(path)
    cfg = write_cfg(tmp_path, TINY + YOLO)
    with refused("wrong-kind-of-file", file=cfg):
        load_darknet(cfg)
    with refused("wrong-shape", field="images") as caught:
        load_darknet(path)(torch.zeros(1, 3, 7, 8))
    assert re.findall(r"\d+", str(caught.error)) == ["7", "8", "2"]
