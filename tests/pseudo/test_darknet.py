"""Darknet's networks run as Darknet runs them, on its files; other files are refused."""

import codecs
import math
import re
import struct

import cv2
import numpy as np
import pytest
import torch
from refusals import refused
from torch import nn

from vadlib.pseudo.darknet import Darknet, find_objects, load_darknet

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
NORM = "module_list.0.BatchNorm2d."
TINY_NAMES = [f"{NORM}bias", f"{NORM}weight", f"{NORM}running_mean", f"{NORM}running_var"]
TINY_NAMES += ["module_list.0.Conv2d.weight", "module_list.2.Conv2d.bias"]
TINY_NAMES += ["module_list.2.Conv2d.weight"]


def write_cfg(folder, layers, channels=3):
    path = folder / "net.cfg"
    path.write_text(f"# a test\n[net]\nwidth = 32 ; unused\nchannels={channels}\n\n{layers}")
    return path


def write_weights(folder, *arrays, version=(0, 2, 5), seen="<Q"):
    path = folder / "net.weights"
    header = struct.pack("<3i", *version) + struct.pack(seen, 64)
    path.write_bytes(header + b"".join(np.asarray(a, "<f4").tobytes() for a in arrays))
    return path


def tiny_arrays(seed=0):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=n) for n in TINY_SIZES]
    arrays[3] = rng.uniform(0.2, 2, 4)  # variances
    return [a.astype(np.float32) for a in arrays]


def run(folder, layers, image, *arrays):
    """The boxes of one picture (C, H, W), (N, 6), for layers that end in `YOLO` or the like."""
    write_cfg(folder, layers, len(image))
    model = load_darknet(write_weights(folder, *arrays))
    return model(torch.from_numpy(image)[None])[0].detach().numpy()


def picture(channels, height=4, width=6, seed=0):
    return np.random.default_rng(seed).normal(size=(channels, height, width)).astype(np.float32)


def sigmoid(t):
    return 1 / (1 + math.exp(-t))


def decoded(raw, height, width, anchors=((7, 3),), classes=1, scale=1.0):
    """A [yolo] section, cell by cell."""
    _, rows, columns = raw.shape
    shift = 0.5 * (scale - 1)
    boxes = []
    for a, row, column in np.ndindex(len(anchors), rows, columns):
        values = raw[a * (5 + classes) : (a + 1) * (5 + classes), row, column].tolist()
        x = (column + sigmoid(values[0]) * scale - shift) * width / columns
        y = (row + sigmoid(values[1]) * scale - shift) * height / rows
        size = [anchors[a][0] * math.exp(values[2]), anchors[a][1] * math.exp(values[3])]
        boxes.append([x, y, *size, *map(sigmoid, values[4:])])
    return np.array(boxes)


def pooled(image, size, stride, padding):
    """Darknet's loops: the window starts at -padding // 2, and what lies outside the picture does
    not count.
    """
    channels, *sides = image.shape
    outer = [(side + padding - size) // stride + 1 for side in sides]
    out = np.full((channels, *outer), -np.inf, np.float32)
    for k, i, j, n, m in np.ndindex(*out.shape, size, size):
        y = i * stride - padding // 2 + n
        x = j * stride - padding // 2 + m
        if 0 <= y < sides[0] and 0 <= x < sides[1]:
            out[k, i, j] = max(out[k, i, j], image[k, y, x])
    return out


def convolved(image, weights, stride, padding, groups):
    """weights (filters, channels / groups, size, size)."""
    filters, part, size, _ = weights.shape
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding))).astype(float)
    sides = [(side - size) // stride + 1 for side in padded.shape[1:]]
    out = np.zeros((filters, *sides))
    for f, i, j in np.ndindex(out.shape):
        window = padded[:, i * stride : i * stride + size, j * stride : j * stride + size]
        first = f // (filters // groups) * part
        out[f, i, j] = (window[first : first + part] * weights[f]).sum()
    return out


# --- the layers, against plain loops


@pytest.mark.parametrize("scale", [1.0, 1.05, 2.0])
@pytest.mark.parametrize(("mask", "used"), [("mask=2,0", (2, 0)), ("", (0, 1, 2))])
def test_boxes_are_decoded_as_by_hand(tmp_path, scale, mask, used):
    anchors = ((10, 14), (23, 27.5), (37, 58))
    image = picture(len(used) * 7)
    section = f"[yolo]\n{mask}\nanchors=10,14,  23,27.5, 37,58\nnum=3\nclasses=2\n"
    layers = f"[maxpool]\nsize=2\nstride=2\n{section}scale_x_y={scale}\njitter=.3\n"
    expected = decoded(pooled(image, 2, 2, 1), 4, 6, [anchors[m] for m in used], 2, scale)
    assert run(tmp_path, layers, image) == pytest.approx(expected, rel=1e-5, abs=1e-5)


# size, stride, padding
POOLS = [(2, 2, None), (2, 1, None), (3, 2, None), (5, 1, None), (13, 1, None)]
POOLS += [(4, 2, 0), (3, 1, 0), (3, 1, 1), (2, 2, 1)]


@pytest.mark.parametrize(("size", "stride", "padding"), POOLS)
def test_maximum_pooling_is_darknets(tmp_path, size, stride, padding):
    image = picture(6, 16, 18) - 5  # negative: padding with zeros would show
    option = "" if padding is None else f"padding={padding}\n"
    expected = pooled(image, size, stride, size - 1 if padding is None else padding)
    boxes = run(tmp_path, f"[maxpool]\nsize={size}\nstride={stride}\n{option}{YOLO}", image)
    assert boxes == pytest.approx(decoded(expected, 16, 18), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(
    ("groups", "size", "stride", "pad"),
    [(1, 3, 1, 1), (2, 3, 2, 1), (2, 1, 1, 0), (1, 3, 1, 0), (2, 2, 2, 0)],
)
def test_a_normalized_convolution_is_darknets(tmp_path, groups, size, stride, pad):
    rng = np.random.default_rng(1)
    image = picture(4, 8, 8)
    bias, weight, mean = rng.normal(size=(3, 6, 1, 1))
    kernel = rng.normal(size=(6, 4 // groups, size, size))
    # small ones tell which epsilon is added, and where
    variance = np.array([1, 0.1, 2, 1e-4, 1e-6, 0.5])[:, None, None]
    section = "[convolutional]\nbatch_normalize=1\nfilters=6\nactivation=leaky\n"
    section += f"size={size}\nstride={stride}\npad={pad}\ngroups={groups}\n"
    raw = convolved(image, kernel, stride, size // 2 * pad, groups)
    # small, as boxes grow with the exponential
    raw = ((raw - mean) * weight / np.sqrt(variance + 1e-5) + bias) * 0.01
    raw = np.where(raw > 0, raw, 0.1 * raw)
    arrays = (bias * 0.01, weight * 0.01, mean, variance, kernel)
    boxes = run(tmp_path, section + YOLO, image, *arrays)
    assert boxes == pytest.approx(decoded(raw, 8, 8), rel=1e-3, abs=1e-4)


def test_a_plain_convolution_has_a_bias(tmp_path):
    rng = np.random.default_rng(2)
    image = picture(3)
    bias, kernel = rng.normal(size=6), rng.normal(size=(6, 3, 1, 1))
    raw = convolved(image, kernel, 1, 0, 1) + bias[:, None, None]
    boxes = run(tmp_path, CONV + YOLO, image, bias, kernel)
    assert boxes == pytest.approx(decoded(raw, 4, 6), rel=1e-4, abs=1e-4)


POOL = "[dropout]\n[maxpool]\nsize=2\nstride=1\n"
TWICE = "[shortcut]\nfrom=0,0\nactivation=relu\n"
UP = "[maxpool]\nsize=2\nstride=2\n[upsample]\nstride=2\n"
ROUTES = [
    ("[dropout]\n[route]\nlayers=-1\ngroups=2\ngroup_id=1\n", 12, lambda x: x[6:]),
    ("[dropout]\n[route]\nlayers=0\ngroups=2\n", 12, lambda x: x[:6]),
    (POOL + "[route]\nlayers=-1, 0\n", 3, lambda x: np.concatenate([pooled(x, 2, 1, 1), x])),
    (POOL + "[shortcut]\nfrom=-2\n", 6, lambda x: x + pooled(x, 2, 1, 1)),
    (POOL + TWICE, 6, lambda x: np.maximum(2 * x + pooled(x, 2, 1, 1), 0)),
    (UP, 6, lambda x: pooled(x, 2, 2, 1).repeat(2, 1).repeat(2, 2)),
]


@pytest.mark.parametrize(("layers", "channels", "expected"), ROUTES)
def test_routes_shortcuts_and_upsampling(tmp_path, layers, channels, expected):
    image = picture(channels)
    boxes = run(tmp_path, layers + YOLO, image)
    assert boxes == pytest.approx(decoded(expected(image), 4, 6), rel=1e-5, abs=1e-5)


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
    boxes = run(tmp_path, f"[dropout]\n[shortcut]\nfrom=-1\nactivation={name}\n{YOLO}", image)
    assert boxes == pytest.approx(decoded(expected, 4, 6), rel=1e-4, abs=1e-5)


# --- the files


COUNTS = {"yolov3": 62_001_757, "yolov3-tiny": 8_858_734, "yolov3-spp": 63_052_381, NANO: 891_070}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_networks_have_darknets_number_of_weights(real_data, name, count):
    with torch.device("meta"):
        state = Darknet(real_data / "weights" / f"{name}.cfg").state_dict()
    numbers = [len(t.flatten()) for name, t in state.items() if "num_batches" not in name]
    assert sum(numbers) == count


HEADERS = [
    ((0, 1, 0), "<I"),
    ((0, 2, 0), "<Q"),
    ((0, 2, 5), "<Q"),
    ((1, 0, 0), "<Q"),
    ((0, 2, 0), "<I"),  # of a 32-bit system
    ((0, 0, 0), "<Q"),  # of PyTorch-YOLOv3
    ((0, 0, 0), "<I"),
    ((1001, 0, 0), "<I"),  # transposed
]


@pytest.mark.parametrize(("version", "seen"), HEADERS)
def test_headers_of_all_versions(tmp_path, version, seen):
    write_cfg(tmp_path, TINY + YOLO)
    arrays = tiny_arrays()
    if (version, seen) == ((0, 1, 0), "<I"):
        arrays[0][:] = 0  # an untrained network's first numbers look like the count's upper half
    state = load_darknet(write_weights(tmp_path, *arrays, version=version, seen=seen)).state_dict()
    assert set(state) == {*TINY_NAMES, f"{NORM}num_batches_tracked"}
    for name, array in zip(TINY_NAMES, arrays, strict=True):
        assert np.array_equal(state[name].flatten(), array)


@pytest.mark.parametrize("half", [False, True])
def test_a_state_dict_of_ultralytics_runs_as_it_did_there(tmp_path, half):
    cfg = write_cfg(tmp_path, TINY + YOLO)
    model = load_darknet(write_weights(tmp_path, *(a.astype(np.float16) for a in tiny_arrays())))
    state = {name: tensor.half() if half else tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": -1, "model": state, "optimizer": None}, tmp_path / "net-ultralytics.pt")
    theirs = load_darknet(tmp_path / "net-ultralytics.pt")  # finds net.cfg
    model.module_list[0].BatchNorm2d.eps = 1e-4  # theirs
    image = torch.rand(2, 3, 8, 10)
    assert not theirs.training
    assert torch.equal(theirs(image), model(image))
    assert torch.equal(load_darknet(tmp_path / "net-ultralytics.pt", cfg)(image), theirs(image))


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
    objects = find_objects(nano, photo(real_data, 320, 320), 0.25, 0.45)[0].numpy()
    assert objects.shape == (4, 6)
    difference = np.abs(objects - np.array(OPENCV)).max(0)
    assert difference[:4].max() < pixels
    assert difference[4] < score
    assert difference[5] == 0


def test_pictures_of_a_batch_do_not_mix(real_data, nano):
    image = photo(real_data, 320, 320)
    batch = torch.cat([image, torch.zeros_like(image), image.flip(3)])
    alone, empty, mirrored = find_objects(nano, batch, 0.5, 0.45)
    assert torch.allclose(alone, find_objects(nano, image, 0.5, 0.45)[0], atol=1e-3)
    assert empty.shape == (0, 6)
    assert mirrored[0, 0] == pytest.approx(320 - alone[0, 2], abs=8)


def test_half_precision_decodes_in_full(real_data, nano):
    """Centres in bfloat16 would be whole even numbers beyond 256."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        centres = nano(photo(real_data, 320, 320))[..., :2]
    assert (centres != centres.bfloat16()).float().mean() > 0.9


class Fixed(nn.Module):
    """Two classes; boxes 0 and 1 overlap by IoU 0.6, box 2 is far away."""

    def forward(self, images):
        overlapping = [[10, 10, 8, 8, 1, 0.9, 0.6], [12, 10, 8, 8, 0.9, 0.8, 0.9]]
        return torch.tensor([[*overlapping, [50, 50, 4, 6, 0.5, 0.8, 0.1]]])


ALL_FOUR = [0.9, 0.81, 0.72, 0.6]
SCORES = [(0.5, 0.5, ALL_FOUR[:2]), (0.4, 0.5, [0.9, 0.81, 0.4]), (0.5, 0.7, ALL_FOUR)]


@pytest.mark.parametrize(("confidence", "iou", "scores"), [*SCORES, (0.95, 0.5, [])])
def test_scores_and_suppression_by_hand(confidence, iou, scores):
    [objects] = find_objects(Fixed(), None, confidence, iou)
    assert objects[:, 4].tolist() == pytest.approx(scores)
    if scores:
        assert objects[0, :4].tolist() == [6, 6, 14, 14]


# --- refusals


# What must not be read as something else: the text after [net], and the error's field.
BAD_CFGS = [
    ("[convolutional]\nfilters=six\n", "convolutional"),
    ("[convolutional]\nsize=1\n", "convolutional"),
    ("[convolutional]\nfilters=6\nstride=0\n", "convolutional"),
    ("[convolutional]\nfilters=6,6\n", "convolutional"),
    ("[convolutional]\nfilters=6\ngroups=2\n", "convolutional"),
    ("[convolutional]\nfilters=6\nactivation=gelu\n", "convolutional"),
    ("[convolutional]\nfilters=6\ndilation=2\n", "convolutional"),
    ("[convolutional]\nfilters=6\nxnor=1\n", "convolutional"),
    ("[convolutional]\nfilters=6\nstride=1\nstride_x=2\n", "convolutional"),
    ("[dropout]\n[upsample]\nscale=0.5\n", "upsample"),
    ("[Upsample]\nstride=2\n", "Upsample"),
    ("[lstm]\noutput=5\n", "lstm"),
    ("[net]\n", "net"),
    (CONV + "[route]\nlayers=1\n", "route"),
    (CONV + "[route]\nlayers=-3\n", "route"),
    (CONV + "[route]\n", "route"),
    (CONV + "[route]\nlayers=-1\ngroups=4\n", "route"),
    (CONV + "[route]\nlayers=-1\ngroups=2\ngroup_id=2\n", "route"),
    ("[dropout]\n[maxpool]\nsize=2\nstride=2\n[route]\nlayers=0,1\n", "route"),
    ("[dropout]\n" + CONV + "[shortcut]\nfrom=0\n", "shortcut"),
    (CONV + "[yolo]\nclasses=2\nnum=1\nanchors=1,2\n", "yolo"),
    (CONV + "[yolo]\nclasses=1\nnum=1\nanchors=1,2\nmask=1\n", "yolo"),
    (CONV + "[yolo]\nclasses=1\nnum=1\nanchors=1,2,3\n", "yolo"),
    ("filters\n", ""),
    ("=5\n", ""),
    ("[yol", ""),
]


@pytest.mark.parametrize(("layers", "field"), BAD_CFGS)
def test_a_bad_cfg_is_refused(tmp_path, layers, field):
    cfg = write_cfg(tmp_path, layers)
    with refused("wrong-format", file=cfg, field=field) as caught:
        Darknet(cfg)
    assert f"{cfg}, line " in str(caught.error)
    assert "\n" not in str(caught.error)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[net]\n" + CONV, "wrong-kind-of-file"),  # no [yolo]
        ("", "wrong-format"),
        ("[yolo]\n", "wrong-format"),
        ("a=1\n[net]\n", "wrong-format"),
        ("[net]\nchannels=red\n", "wrong-format"),
        ("\n<!DOCTYPE html>\n<html>", "wrong-kind-of-file"),
        ("version https://git-lfs.github.com/spec/v1\n", "git-lfs-pointer"),
    ],
)
def test_another_file_than_a_detectors_cfg_is_refused(tmp_path, text, code):
    (tmp_path / "net.cfg").write_text(text)
    with refused(code, file=tmp_path / "net.cfg"):
        Darknet(tmp_path / "net.cfg")


SPELLINGS = {
    "Windows line ends": lambda text: text.replace("\n", "\r\n").encode(),
    "old Mac line ends": lambda text: text.replace("\n", "\r").encode(),
    "byte order mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16 of PowerShell": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    "UTF-16, big-endian": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "comments": lambda text: text.replace("\n", "  # what this is\n; mask = 9\n").encode(),
    "Chinese comments": lambda text: "# \u539f\u5bbd\n".encode("gb18030") + text.encode(),
    "line separators": lambda text: ("# one\u2028two\x0bthree\x85four\n" + text).encode(),
    "spaces": lambda text: text.replace("=", "  =\t").replace("\n", " \t\n  ").encode(),
    "spaces in lists": lambda text: text.replace(",", " , ").replace("[yolo]", "[ yolo ]").encode(),
    "non-breaking spaces": lambda text: text.replace("=", "\u00a0=\u00a0").encode(),
    "the same in Latin-1": lambda text: text.replace("=", "\u00a0=\u00a0").encode("latin-1"),
    "short names": lambda text: text.replace("olutional", "").replace("maxpool", "max").encode(),
    "a key twice": lambda text: text.replace("filters=4", "filters=4\nfilters=9").encode(),
    "unknown keys": lambda text: text.replace("pad=1", "pad=1\nmy_key = some, 7").encode(),
    "decimals": lambda text: text.replace("num=2", "scale=1.0\nreverse=0\nnum=2").encode(),
    "both strides": lambda text: text.replace("stride=2", "stride=2\nstride_x=2").encode(),
    "further anchors": lambda text: text.replace("7,3", "7,3, 9,9,").encode(),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_each_spelling_of_a_cfg_gives_the_same_boxes(tmp_path, name):
    image = torch.rand(1, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    cfg = write_cfg(tmp_path, TINY + YOLO)
    weights = write_weights(tmp_path, *tiny_arrays())
    expected = load_darknet(weights)(image)
    cfg.write_bytes(SPELLINGS[name](cfg.read_text()))
    assert torch.equal(load_darknet(weights)(image), expected)


@pytest.mark.parametrize("change", [-400, -20, -4, -1, 1, 4, 20])
def test_weights_of_another_length_are_refused(tmp_path, change):
    write_cfg(tmp_path, TINY + YOLO)
    path = write_weights(tmp_path, *tiny_arrays())
    path.write_bytes((path.read_bytes() + bytes(20))[: path.stat().st_size + change])
    with refused("conflict", file=path) as caught:
        load_darknet(path)
    # numbers and bytes, expected and found
    numbers = re.findall(r"\d+", str(caught.error).replace(str(tmp_path), ""))
    assert numbers == ["154", "616", str((616 + change) // 4), str(616 + change)]


DAMAGES = {"not a number": (0, np.nan), "a negative variance": (3, -0.5), "zeros": (6, 0)}


@pytest.mark.parametrize("suffix", [".weights", ".pt"])
@pytest.mark.parametrize("name", DAMAGES)
def test_weights_that_no_training_leaves_are_refused(tmp_path, name, suffix):
    write_cfg(tmp_path, TINY + YOLO)
    arrays = tiny_arrays()
    position, value = DAMAGES[name]
    model = load_darknet(write_weights(tmp_path, *arrays))
    arrays[position][:] = value
    path = write_weights(tmp_path, *arrays)
    if suffix == ".pt":
        path = tmp_path / "net.pt"
        state = model.state_dict()
        for key, array in zip(TINY_NAMES, arrays, strict=True):
            state[key] = torch.from_numpy(array).view_as(state[key])
        torch.save({"model": state}, path)
    with refused("damaged-file", file=path):
        load_darknet(path)


# the content, and the codes of .weights and of .pt
NO_WEIGHTS = [
    (None, "missing-file", "missing-file"),
    (b"\n<!DOCTYPE html><html>", "wrong-kind-of-file", "wrong-kind-of-file"),
    (b"version https://git-lfs.github.com/spec/v1\noid", "git-lfs-pointer", "git-lfs-pointer"),
    (b"", "conflict", "wrong-kind-of-file"),
    (b"\0\0", "conflict", "wrong-kind-of-file"),
    (bytes(16), "conflict", "wrong-kind-of-file"),
    (bytes(20), "conflict", "wrong-kind-of-file"),
]


@pytest.mark.parametrize(("content", "code", "code_of_pt"), NO_WEIGHTS)
def test_files_that_are_no_weights_are_refused(tmp_path, content, code, code_of_pt):
    write_cfg(tmp_path, TINY + YOLO)
    for suffix, expected in ((".weights", code), (".pt", code_of_pt)):
        path = tmp_path / f"net{suffix}"
        if content is not None:
            path.write_bytes(content)
        with refused(expected, file=path) as caught:
            load_darknet(path)
        assert "\n" not in str(caught.error)


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
