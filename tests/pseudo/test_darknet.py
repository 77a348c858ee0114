"""Darknet's networks run as Darknet runs them, on its files; other files are refused."""

import hashlib
import math
import struct
import warnings
import weakref

import cv2
import numpy as np
import pytest
import torch
from refusals import refused
from scenes import ArrayFrames
from torch import nn
from tqdm.auto import tqdm

from vadlib.course.pseudo_measures import coverage
from vadlib.data.catalog import load_videos
from vadlib.data.video import Video
from vadlib.pseudo import darknet
from vadlib.pseudo.darknet import Darknet, find_objects, load_darknet
from vadlib.pseudo.detectors import DarknetDetector, find_boxes

NANO = "MobileNetV2-YOLOv3-Nano-coco"
PUBLISHED = [[10, 14], [23, 27], [37, 58]]  # the anchors of yolov3-tiny's mask 0,1,2
TRAINED = [[23, 27], [37, 58], [81, 82]]  # and of 1,2,3


def convolved(x, arrays, filters, size, stride, pad, activation, groups=1, batch_normalize=0):
    """Draw the weights, append them to `arrays` in the order of .weights, and apply them."""
    rng = np.random.default_rng(len(arrays))
    part = len(x) // groups
    padding = size // 2 * pad
    kernel = 0.2 * rng.normal(size=(filters, part, size, size))
    bias, scale = 0.1 * rng.normal(size=(2, filters, 1, 1))
    variance = rng.uniform(0.5, 2, (filters, 1, 1))
    variance[:2] = [[[1e-6]], [[1e-4]]]  # small ones tell which epsilon is added, and where
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    sides = [(side - size) // stride + 1 for side in padded.shape[1:]]
    out = np.zeros((filters, *sides))
    for f, i, j in np.ndindex(out.shape):
        window = padded[:, i * stride : i * stride + size, j * stride : j * stride + size]
        first = f // (filters // groups) * part
        out[f, i, j] = (window[first : first + part] * kernel[f]).sum()
    if batch_normalize:
        mean = np.linspace(-0.1, 0.1, filters)[:, None, None]
        arrays += [bias, scale, mean, variance, kernel]
        out = (out - mean) * scale / np.sqrt(variance + 1e-5) + bias
    else:
        arrays += [bias, kernel]
        out = out + bias
    slope = {"linear": 1, "leaky": 0.1, "relu": 0}[activation]
    return np.where(out > 0, out, slope * out)


def pooled(x, size, stride):
    """The window starts at -(size - 1) // 2; what lies outside the picture does not count."""
    before = (size - 1) // 2
    sides = [(side - 1) // stride + 1 for side in x.shape[1:]]
    out = np.zeros((len(x), *sides))
    for k, i, j in np.ndindex(out.shape):
        y, x0 = i * stride - before, j * stride - before
        out[k, i, j] = x[k, max(y, 0) : y + size, max(x0, 0) : x0 + size].max()
    return out


def decoded(x, height, width, mask, anchors, classes, scale_x_y=1.0, **training):
    """A [yolo] section, cell by cell."""
    rows, columns = x.shape[1:]
    sides = np.array([float(side) for side in anchors.split(",")]).reshape(-1, 2)
    boxes = []
    for a, row, column in np.ndindex(len(mask.split(",")), rows, columns):
        raw = x[a * (5 + classes) : (a + 1) * (5 + classes), row, column]
        probabilities = [1 / (1 + math.exp(-t)) for t in raw]
        x0 = (column + probabilities[0] * scale_x_y - 0.5 * (scale_x_y - 1)) * width / columns
        y0 = (row + probabilities[1] * scale_x_y - 0.5 * (scale_x_y - 1)) * height / rows
        size = sides[int(mask.split(",")[a])] * np.exp(raw[2:4])
        boxes.append([x0, y0, *size, *probabilities[4:]])
    return boxes


def run_literally(layers, image):
    """The boxes of a network in Darknet's order, and the weights that it drew."""
    arrays, outputs = [], []
    boxes, x = [], image
    for name, options in layers:
        if name == "convolutional":
            x = convolved(x, arrays, **options)
        elif name == "maxpool":
            x = pooled(x, **options)
        elif name == "upsample":
            x = x.repeat(options["stride"], 1).repeat(options["stride"], 2)
        elif name == "route":
            x = np.concatenate([outputs[int(n)] for n in options["layers"].split(",")])
        elif name == "shortcut":
            x = x + outputs[options["from"]]
        else:
            boxes += decoded(x, *image.shape[1:], **options)
        outputs.append(x)
    return np.array(boxes), arrays


def conv(filters, size=1, stride=1, pad=1, activation="linear", **options):
    sizes = {"filters": filters, "size": size, "stride": stride, "pad": pad}
    return "convolutional", sizes | {"activation": activation} | options


def cfg_text(layers):
    lines = ["# a test", "[net]", "width = 32 ; unused", "channels=3", ""]
    for name, options in layers:
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in options.items())]
    return "\n".join(lines)


def write(folder, text, arrays, version=(0, 2, 5), seen="<Q"):
    """Write net.cfg and net.weights, and return the path of the weights."""
    (folder / "net.cfg").write_text(text)
    path = folder / "net.weights"
    header = struct.pack("<3i", *version) + struct.pack(seen, 64)
    path.write_bytes(header + b"".join(np.asarray(a, "<f4").tobytes() for a in arrays))
    return path


ANCHORS = "10,14,  23,27,  37,58,  81,82,  135,169,  344,319"
YOLO = ("yolo", {"mask": "2,0", "anchors": ANCHORS, "classes": 2, "jitter": ".3", "num": 6})
WIDE = ("yolo", {"mask": "0", "anchors": "7,3.5", "classes": 2, "scale_x_y": 1.05, "max": 200})
HEAD = [conv(14), YOLO]
SIZES = ((2, 2), (2, 1), (3, 1), (3, 2), (5, 1), (13, 1))
POOLS = {f"maxpool {a}, {b}": [("maxpool", {"size": a, "stride": b}), *HEAD] for a, b in SIZES}
STEM = [conv(4, 3, 2, 1, "leaky", batch_normalize=1), ("maxpool", {"size": 2, "stride": 1})]
NETWORKS = POOLS | {
    "bias": [conv(4, 3, 1, 0), *HEAD],
    "relu, groups": [conv(6, 3, 2, 1, "relu", batch_normalize=1, groups=3), *HEAD],
    "even size": [conv(4, 2, 2, 0, "leaky"), *HEAD],
    "route": [*STEM, ("route", {"layers": "-1, 0"}), *HEAD],
    "route back": [*STEM, ("route", {"layers": "-2"}), *HEAD],
    "shortcut": [*STEM, ("shortcut", {"from": -2, "activation": "linear"}), *HEAD],
    "upsample": [*STEM, ("upsample", {"stride": 2}), *HEAD],
    "two heads": [*STEM, *HEAD, ("route", {"layers": "-3"}), conv(7), WIDE],
}
TINY = cfg_text(NETWORKS["route back"])


@pytest.fixture(scope="module")
def arrays():
    """The weights of `TINY`."""
    return run_literally(NETWORKS["route back"], np.zeros((3, 8, 8)))[1]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_run_as_darknets_loops(tmp_path, name):
    image = np.random.default_rng(0).normal(size=(3, 8, 12)).astype(np.float32)
    expected, arrays = run_literally(NETWORKS[name], image)
    model = load_darknet(write(tmp_path, cfg_text(NETWORKS[name]), arrays))
    boxes = model(torch.from_numpy(image)[None])[0].numpy()
    assert boxes == pytest.approx(expected, rel=1e-3, abs=1e-3)


COUNTS = {"yolov3": 62_001_757, "yolov3-tiny": 8_858_734, "yolov3-spp": 63_052_381, NANO: 891_070}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_networks_have_darknets_number_of_weights(real_data, name, count):
    with torch.device("meta"):
        state = Darknet(real_data / "weights" / f"{name}.cfg").state_dict()
    assert sum(t.numel() for key, t in state.items() if "num_batches" not in key) == count


HEADERS = [((0, 1, 0), "<I"), ((0, 2, 0), "<Q"), ((0, 2, 5), "<Q"), ((1, 0, 0), "<Q")]


@pytest.mark.parametrize(("version", "seen"), HEADERS)
def test_headers_of_all_versions_and_odd_spellings(tmp_path, arrays, version, seen):
    """A byte order mark, Windows line ends, comments in any encoding, blanks, and a key twice."""
    image = torch.rand(1, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    expected = load_darknet(write(tmp_path, TINY, arrays))(image)
    weights = write(tmp_path, TINY, arrays, version, seen)
    assert torch.equal(load_darknet(weights)(image), expected)
    text = TINY.replace("=", "  =\t").replace("[yolo]", " [ yolo ] ")
    text = text.replace("\n", "  # of this\r\n; mask = 9\r\n").replace("\t4", "4\r\nfilters=9")
    comment = "# \u539f\u5bbd\r\n".encode("gb18030")
    (tmp_path / "net.cfg").write_bytes(b"\xef\xbb\xbf" + comment + text.encode())
    assert torch.equal(load_darknet(weights)(image), expected)


def test_a_state_dict_of_ultralytics_runs_as_it_did_there(tmp_path, arrays):
    model = load_darknet(write(tmp_path, TINY, [array.astype(np.float16) for array in arrays]))
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    torch.save({"epoch": -1, "model": state, "optimizer": None}, tmp_path / "net-ultralytics.pt")
    theirs = load_darknet(tmp_path / "net-ultralytics.pt")  # finds net.cfg
    image = torch.rand(2, 3, 8, 10)
    assert not torch.equal(theirs(image), model(image))
    model.module_list[0].BatchNorm2d.eps = 1e-4  # theirs
    assert torch.equal(theirs(image), model(image))
    assert not theirs.training


# Made once with OpenCV 4.14 (the first) and 4.10 (the others): cv2.dnn.readNetFromDarknet,
# person.jpg resized by cv2.resize, blobFromImage(image, 1 / 255, swapRB=True), then
# cv2.dnn.NMSBoxes of each class, 0.25 and 0.45. It adds 1e-6 to the variances, which moves these by
# 0.01 pixels at most. yolov3-tiny ran with the published .cfg, and with mask = 1,2,3 in its second
# [yolo]. Each row: x0, y0, x1, y1, score, class.
PERSON = (117.237, 92.469, 181.007, 375.374, 0.9804, 0)
DOG = (51.807, 259.560, 132.250, 344.627, 0.8886, 16)
HORSE = (253.026, 122.629, 400.346, 334.915, 0.7743, 18)  # taken for a sheep
HALF_DOG = (70.991, 270.049, 111.608, 330.056, 0.8081, 16)
WIDE_BOXES = [
    (176.258, 84.472, 261.784, 379.805, 0.9286, 0),
    (63.410, 256.247, 202.407, 345.236, 0.8811, 16),
    (398.282, 122.332, 570.035, 339.745, 0.7596, 18),
    (371.529, 130.350, 579.735, 336.226, 0.5561, 17),
]
WIDE_HALF_DOG = (98.253, 268.225, 168.520, 329.877, 0.8692, 16)
NANO_BOXES = [
    (91.926, 81.993, 140.652, 261.405, 0.9779, 0),  # person
    (38.975, 201.613, 98.673, 260.222, 0.9148, 16),  # dog
    (190.849, 108.018, 306.740, 251.165, 0.7640, 17),  # horse
    (192.026, 106.918, 305.682, 254.309, 0.4205, 19),  # the same as a cow
]
OPENCV = [
    (NANO, 320, None, NANO_BOXES),
    ("yolov3-tiny", 416, TRAINED, [PERSON, DOG, HORSE]),
    ("yolov3-tiny", 416, PUBLISHED, [PERSON, DOG, HALF_DOG, HORSE]),
    ("yolov3-tiny", 608, TRAINED, WIDE_BOXES),
    ("yolov3-tiny", 608, PUBLISHED, [*WIDE_BOXES[:2], WIDE_HALF_DOG, *WIDE_BOXES[2:]]),
]


def load_real(real_data, name):
    path = real_data / "weights" / f"{name}.weights"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the mask
        return load_darknet(path)


@pytest.mark.parametrize(("name", "width", "anchors", "expected"), OPENCV)
def test_real_networks_find_what_opencv_finds(real_data, name, width, anchors, expected):
    model = load_real(real_data, name)
    if anchors == PUBLISHED:  # else the mask is corrected
        model.module_list[-1].anchors.copy_(torch.tensor(anchors))
    picture = cv2.imread(str(real_data / "weights" / "person.jpg"))[..., ::-1]
    picture = cv2.resize(picture, (width, min(width, 416)))
    batch = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    for eps, pixels, score in ((1e-5, 0.02, 5e-4), (1e-6, 2e-3, 1e-4)):
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = eps
        [objects] = find_objects(model, batch, 0.25, 0.45)
        assert objects.shape == (len(expected), 6)
        difference = (objects - torch.tensor(expected)).abs().max(0).values
        assert difference[:4].max() < pixels
        assert difference[4] < score
        assert difference[5] == 0


def test_scores_and_suppression_by_hand():
    """Boxes 0 and 1 overlap by IoU 0.6, box 2 is far away; there are two classes."""
    rows = [[10, 10, 8, 8, 1, 0.9, 0.6], [12, 10, 8, 8, 0.9, 0.8, 0.9], [50, 50, 4, 6, 0.5, 0.8, 0]]
    limits = {(0.5, 0.5): [0.9, 0.81], (0.4, 0.5): [0.9, 0.81, 0.4], (0.95, 0.5): []}
    limits[0.5, 0.7] = [0.9, 0.81, 0.72, 0.6]
    for limit, scores in limits.items():
        [objects] = find_objects(lambda images: torch.tensor([rows]), None, *limit)
        assert objects[:, 4].tolist() == pytest.approx(scores)
    assert objects[0, :4].tolist() == [6, 6, 14, 14]


SMALL = cfg_text([conv(18, pad=0), ("yolo", {"mask": "0,1,2", "anchors": ANCHORS, "classes": 1})])
MASKS = {  # the text, a change of the head, the file, the anchors, and whether there is a warning
    "official": (SMALL, 0, "weights", TRAINED, True),
    "half pt": (SMALL, 0, "half", TRAINED, True),
    "the right mask": (SMALL.replace("0,1,2", "1,2,3"), 0, "weights", TRAINED, False),
    "another order": (SMALL.replace("0,1,2", "2,1,0"), 0, "weights", PUBLISHED[::-1], False),
    "own anchors": (SMALL.replace("10,14", "9,14"), 0, "pt", [[9, 14], *PUBLISHED[1:]], False),
    "trained on": (SMALL, 1e-2, "weights", PUBLISHED, False),
}


@pytest.mark.parametrize("name", MASKS)
def test_official_weights_get_the_mask_they_were_trained_with(tmp_path, monkeypatch, name):
    """By the numbers of the head, not by the file; the small network's count as official."""
    text, change = MASKS[name][:2]
    rest = list(MASKS[name][2:])
    arrays = [np.random.default_rng(3).normal(size=(18, 1)), np.ones((18, 3))]
    numbers = np.concatenate([array.ravel() for array in arrays]).astype("<f2")
    monkeypatch.setattr(darknet, "TINY_HEAD", hashlib.sha256(numbers.tobytes()).hexdigest())
    arrays[1][0, 0] += change
    path = write(tmp_path, text, arrays)
    if rest[0] != "weights":
        model = Darknet(tmp_path / "net.cfg")
        darknet._load_floats(model, path)
        path = tmp_path / "net.pt"
        state = (model.half() if rest[0] == "half" else model).state_dict()
        torch.save({"model": state}, path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        anchors = load_darknet(path).module_list[-1].anchors.tolist()
    assert [anchors, bool(caught)] == rest[1:]


COVERED = [
    (NANO, None, 0.8, 1),
    ("yolov3-tiny", TRAINED, 0.5, 1),
    ("yolov3-tiny", PUBLISHED, 0, 0.1),
]


@pytest.mark.filterwarnings("ignore:.*mask = 1,2,3")
@pytest.mark.parametrize(("name", "anchors", "least", "most"), COVERED)
def test_real_networks_cover_the_people_of_ped2(real_data, name, anchors, least, most):
    """Case 21: on every 30th frame of clips 01 and 04, boxes of half the size cover nobody."""
    load_real(real_data, name)
    detector = DarknetDetector(str(real_data / "weights" / f"{name}.weights"), "cpu")
    if anchors == PUBLISHED:
        detector.model.module_list[-1].anchors.copy_(torch.tensor(anchors))
    boxes, moving = [], []
    for video in load_videos("ped2", "train", real_data)[:4:3]:
        moving += find_boxes([video], "motion", progress=False)[video.name][::30]
        thinned = Video(video.name, ArrayFrames(video.frames[::30]), 10.0)
        boxes += detector.detect([thinned], tqdm(disable=True))[0]
    assert least <= coverage(boxes, moving) < most + 1e-6


CONV = "[convolutional]\nfilters=7\nactivation=linear\n"
END = "[yolo]\nmask=0\nanchors=1,2\nclasses=2\n"  # takes 7 channels
# What must not be read as something else: the text after [net], and the error's field.
BAD_CFGS = [
    ("[convolutional]\nfilters=six\n", "convolutional"),
    (CONV + "dilation=2\n", "convolutional"),
    (CONV.replace("linear", "mish"), "convolutional"),
    ("[maxpool]\nsize=2\nstride=2\npadding=0\n", "maxpool"),
    ("[dropout]\n", "dropout"),
    (CONV + "[route]\nlayers=1\n", "route"),
    (CONV + "[route]\nlayers=-1\ngroups=2\n", "route"),
    (CONV + "[maxpool]\nsize=2\nstride=2\n[route]\nlayers=0,1\n", "route"),
    (CONV + "[shortcut]\nfrom=-2\nactivation=relu\n", "shortcut"),
    (CONV.replace("7", "8"), "yolo"),
    (CONV + "[yolo]\nclasses=2\nanchors=1,2\nmask=0\nnew_coords=1\n", "yolo"),
    ("filters\n", ""),
]


@pytest.mark.parametrize(("layers", "field"), BAD_CFGS)
def test_a_bad_cfg_is_refused_by_line(tmp_path, layers, field):
    cfg = tmp_path / "net.cfg"
    cfg.write_text(f"[net]\n{layers}{END}")
    with refused("wrong-format", file=cfg, field=field) as caught:
        Darknet(cfg)
    assert f"{cfg}, line " in str(caught.error)
    assert "\n" not in str(caught.error)
    for text in ("", f"[net]\n{CONV}", CONV + END, f"[net]\nchannels=1\n{CONV}{END}", "<html>"):
        cfg.write_text(text)  # not a whole one, for colour pictures
        with refused("wrong-format", file=cfg):
            Darknet(cfg)


@pytest.mark.parametrize(("version", "seen"), [((0, 0, 0), "<Q"), ((0, 2, 0), "<I")])
def test_weights_of_another_length_or_header_are_refused(tmp_path, arrays, version, seen):
    whole = write(tmp_path, TINY, arrays).read_bytes()
    path = write(tmp_path, TINY, arrays, version, seen)  # a header that is not Darknet's
    for content in (path.read_bytes(), whole + bytes(4), whole[:-1], whole[:-400], b"\0\0"):
        path.write_bytes(content)
        with refused("conflict", file=path):
            load_darknet(path)


def test_outputs_that_no_later_layer_reads_are_freed(tmp_path):
    (tmp_path / "net.cfg").write_text("[net]\n" + 6 * CONV + "[shortcut]\nfrom=2\n" + END)
    model, outputs = Darknet(tmp_path / "net.cfg"), []
    counts = []

    def note(layer, inputs, output):
        outputs.append(weakref.ref(output))
        counts.append(sum(reference() is not None for reference in outputs))

    for layer in model.module_list:
        layer.register_forward_hook(note)
    model(torch.zeros(1, 3, 64, 64))
    assert counts == [1, 2, 2, 2, 3, 3, 3, 2]  # the third waits for the shortcut


def test_weights_that_no_training_leaves_are_refused(tmp_path, arrays):
    for position, value in ((0, np.nan), (3, -0.5), (6, 0)):  # a bias, a variance, a kernel
        bad = [np.full_like(a, value) if i == position else a for i, a in enumerate(arrays)]
        path = write(tmp_path, TINY, bad)
        model = Darknet(tmp_path / "net.cfg")
        darknet._load_floats(model, path)
        torch.save({"model": model.state_dict()}, tmp_path / "net.pt")
        for damaged in (path, tmp_path / "net.pt"):
            with refused("damaged-file", file=damaged):
                load_darknet(damaged)


@pytest.mark.parametrize("content", [[1, 2], {"model": {}}, {"model": nn.ReLU()}, None])
def test_a_pt_that_does_not_fit_is_refused(tmp_path, content):
    path, cfg = tmp_path / "net.pt", tmp_path / "net.cfg"
    with refused("missing-file", file=path):
        load_darknet(path)
    path.write_bytes(b"<html>")
    with refused("missing-file", file=cfg):
        load_darknet(path)
    cfg.write_text(TINY)
    if content is not None:
        torch.save(content, path)
    with refused("wrong-kind-of-file", file=path) as caught:
        load_darknet(path)
    assert "\n" not in str(caught.error)
