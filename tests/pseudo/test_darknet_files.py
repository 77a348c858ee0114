"""Darknet files as people have them: each spelling of a .cfg gives the same network."""

import codecs
import struct

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import refused

from vadlib.pseudo.darknet import Darknet, load_darknet
from vadlib.pseudo.detectors import DarknetDetector

# yolov3-tiny in small: two heads, a route back, a pooling of stride 1. One class.
PLAIN = """[net]
batch=1
subdivisions=1
width=416
height=416
channels=3
learning_rate=0.001

[convolutional]
batch_normalize=1
filters=4
size=3
stride=1
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
size=1
stride=1
pad=1
filters=12
activation=linear

[yolo]
mask = 2,3
anchors = 10,14,  23,27,  37,58,  81,82
classes=1
num=4
jitter=.3
ignore_thresh = .7
random=1

[route]
layers = -3

[upsample]
stride=2

[route]
layers = -1, 0

[convolutional]
size=1
stride=1
pad=1
filters=18
activation=linear

[yolo]
mask = 0,1,2
anchors = 10,14,  23,27,  37,58,  81,82
classes=1
num=4
"""
# The arrays of the weights, in Darknet's order.
SIZES = [4, 4, 4, 4, 4 * 3 * 9, 12, 12 * 4, 18, 18 * 8]
COUNT = sum(SIZES)
PICTURE = torch.from_numpy(np.random.default_rng(0).random((1, 3, 16, 24), np.float32))


def numbers(seed=0):
    """The weights: normal numbers, except the variances, which are positive."""
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=size) for size in SIZES]
    arrays[3] = rng.uniform(0.2, 2, 4)
    return np.concatenate(arrays).astype("<f4")


def header(version=(0, 2, 5), seen="<Q", count=32013312):
    return struct.pack("<3i", *version) + struct.pack(seen, count)


def write(folder, cfg, weights=None):
    """Write net.cfg (text or bytes) and net.weights; return the path of the weights."""
    folder.joinpath("net.cfg").write_bytes(cfg if isinstance(cfg, bytes) else cfg.encode())
    path = folder / "net.weights"
    path.write_bytes(header() + numbers().tobytes() if weights is None else weights)
    return path


def boxes(path):
    with torch.no_grad():
        return load_darknet(path)(PICTURE)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The boxes of the plain files; `test_darknet.py` compares such networks with loops."""
    return boxes(write(tmp_path_factory.mktemp("plain"), PLAIN))


def test_the_plain_files_give_what_their_structure_says(expected):
    assert expected.shape == (1, 2 * 8 * 12 + 3 * 16 * 24, 6)


def lines(change):
    """Apply a change to each line."""
    return "\n".join(map(change, PLAIN.split("\n")))


def options(change):
    """Apply a change to each line that has a key."""
    return lines(lambda line: change(*line.split("=")) if "=" in line else line)


def once(old, new):
    assert old in PLAIN
    return PLAIN.replace(old, new, 1)


TRAINING = """# Testing
#batch=1
#subdivisions=1
# Training
batch=64
subdivisions=16
momentum=0.9
max_batches = 500200
policy=steps
steps=400000,450000
scales=.1,.1
mosaic=1
letter_box=1
"""
ALEXEY = """scale_x_y = 1.0
cls_normalizer=1.0
iou_loss=ciou
nms_kind=greedynms
beta_nms=0.6
max=200
counters_per_class=10, 20
"""
MORE_ANCHORS = "81,82,  135,169,  344,319\nclasses=1\nnum=4"
SEPARATORS = "# one\u2028two\x0bthree\x85four\n"
NUMBERS = "10, 14,  23.0,27,  37 , 58,81,82,"

CFGS = {
    "as it is": PLAIN,
    "Windows line ends": PLAIN.replace("\n", "\r\n"),
    "old Mac line ends": PLAIN.replace("\n", "\r"),
    "mixed line ends": PLAIN.replace("\n\n", "\r\n\n"),
    "byte order mark": codecs.BOM_UTF8 + PLAIN.encode(),
    "byte order mark and Windows": codecs.BOM_UTF8 + PLAIN.replace("\n", "\r\n").encode(),
    "UTF-16 of PowerShell": codecs.BOM_UTF16_LE + PLAIN.replace("\n", "\r\n").encode("utf-16-le"),
    "UTF-16, big-endian": codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
    "no final newline": PLAIN.rstrip("\n"),
    "many final newlines": PLAIN + "\n\n  \n\t\n",
    "blank lines first": "\n \n\t\n" + PLAIN,
    "a comment first": "# YOLOv3-tiny\n; of mine\n" + PLAIN,
    "a rule of hashes": once("[yolo]", "###########\n\n[yolo]"),
    "comments at the end": lines(lambda line: line + "   # what this is" if line else line),
    "semicolons at the end": lines(lambda line: line + " ; what this is" if line else line),
    "comments in Chinese": "# 原anchors 我的\n".encode("gb18030") + PLAIN.encode(),
    "comments in Chinese, UTF-8": "# 原anchors 我的\n" + PLAIN,
    "comments in Latin-1": "# für Zürich\n".encode("latin-1") + PLAIN.encode(),
    "a line separator in a comment": once("classes=1", SEPARATORS + "classes=1"),
    "form feeds": once("[yolo]", "\f[yolo]"),
    "a commented mask": once("mask = 0,1,2", "#mask = 1,2,3\nmask = 0,1,2"),
    "trailing spaces": lines(lambda line: line + "  \t "),
    "leading spaces": lines(lambda line: "  \t" + line),
    "spaces around equals": options(lambda key, value: f"{key.strip()}  =\t{value.strip()}"),
    "no spaces": PLAIN.replace(" ", ""),
    "spaces in a mask": once("mask = 0,1,2", "mask = 0, 1,2"),
    "tabs in a mask": once("mask = 0,1,2", "mask\t=\t0,\t1 ,\t2"),
    "spaces in sections": PLAIN.replace("[yolo]", "[ yolo ]"),
    "spaces and points in anchors": PLAIN.replace("10,14,  23,27,  37,58,  81,82", NUMBERS),
    "a comma at the end": once("mask = 0,1,2", "mask = 0,1,2,"),
    "non-breaking spaces": PLAIN.replace(" = ", "\u00a0=\u00a0"),
    "non-breaking spaces, Latin-1": PLAIN.replace(" = ", "\u00a0=\u00a0").encode("latin-1"),
    "another size": once("width=416\nheight=416", "width=608\nheight=320"),
    "no size": once("width=416\nheight=416\n", ""),
    "no channels": once("channels=3\n", ""),
    "training values": once("batch=1\nsubdivisions=1\n", TRAINING),
    "AlexeyAB's keys": PLAIN.replace("ignore_thresh = .7\n", ALEXEY),
    "unknown keys": PLAIN.replace("pad=1\n", "pad=1\nmy_own_key = some text, 7\nstopbackward=1\n"),
    "a key twice, the first counts": once("filters=4", "filters=4\nfilters=99"),
    "the section [network]": once("[net]", "[network]"),
    "the short name of a convolution": PLAIN.replace("[convolutional]", "[conv]"),
    "the short name of a pooling": PLAIN.replace("[maxpool]", "[max]"),
    "classes in [net]": once("channels=3", "channels=3\nclasses=80"),
    "supported values as decimals": PLAIN.replace("stride=2\n", "stride=2\nscale=1.0\nreverse=0\n"),
    "strides for each side": once("stride=1\n", "stride=1\nstride_x=1\nstride_y=1\n"),
    "a layer that passes on": once("[route]\nlayers = -3", "[empty]\n\n[route]\nlayers = -4"),
    "anchors that num leaves out": PLAIN.replace("81,82\nclasses=1\nnum=4", MORE_ANCHORS),
    "batch_normalize spelled out": once("size=1\n", "size=1\nbatch_normalize=0\n"),
    "float weights kept": once("activation=leaky", "activation=leaky\nbinary=0\nxnor=0\nflipped=0"),
    "no jitter": once("jitter=.3\nignore_thresh = .7\nrandom=1\n", ""),
}


@pytest.mark.parametrize("name", CFGS)
def test_each_spelling_of_a_cfg_gives_the_same_boxes(tmp_path, expected, name):
    assert torch.equal(boxes(write(tmp_path, CFGS[name])), expected)


BLANKS = st.text(" \t", max_size=3)
PLAIN_ENDS = ["\n", "\r\n", "\r", "\n\n", " \t\n"]
COMMENTED_ENDS = ["  # a comment\n", ";\n", "\n# mask = 9\n", "\n\n;[net]\n"]
ENDS = st.sampled_from(PLAIN_ENDS + COMMENTED_ENDS)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])
SPELLINGS = st.lists(st.tuples(BLANKS, BLANKS, ENDS), min_size=60, max_size=60)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(spelling=SPELLINGS, encoding=ENCODINGS)
def test_no_mixture_of_spellings_changes_the_network(tmp_path, expected, spelling, encoding):
    source = [line for line in PLAIN.split("\n") if line]
    text = ""
    for line, (before, after, end) in zip(source, spelling, strict=False):
        spaced = line.replace("=", f"{before}={after}").replace(",", f"{after},{before}")
        text += before + spaced + after + end
    assert torch.equal(boxes(write(tmp_path, text.encode(encoding))), expected)


# What must not be read as something else: the text, the error's code, and its field.
BAD_CFGS = {
    "a web page": ("\n<!DOCTYPE html>\n<html>", "wrong-kind-of-file", ""),
    "a Git LFS pointer": ("version https://git-lfs.github.com/spec/v1\n", "git-lfs-pointer", ""),
    "weights": (header() + numbers().tobytes(), "wrong-format", ""),
    "nothing": ("", "wrong-format", ""),
    "comments alone": ("# a\n; b\n", "wrong-format", ""),
    "no [net]": (PLAIN[PLAIN.index("[convolutional]") :], "wrong-format", ""),
    "the second half": (PLAIN[len(PLAIN) // 2 :], "wrong-format", ""),
    "cut within a section": (once("[yolo]\nmask = 2,3", "[yol"), "wrong-format", ""),
    "[net] twice": (PLAIN + PLAIN, "wrong-format", "net"),
    "an unknown section": (once("[upsample]", "[reorg]"), "wrong-format", "reorg"),
    "a section in capitals": (once("[upsample]", "[Upsample]"), "wrong-format", "Upsample"),
    "words for numbers": (once("filters=4", "filters=four"), "wrong-format", "filters"),
    "two strides": (once("stride=1\n", "stride=1\nstride_x=2\n"), "wrong-format", "stride_x"),
    "two strides of a pool": (once("stride=2", "stride=2\nstride_y=1"), "wrong-format", "stride_y"),
    "binary weights": (once("filters=4", "filters=4\nxnor=1"), "wrong-format", "xnor"),
    "transposed weights": (once("filters=4", "filters=4\nflipped=1"), "wrong-format", "flipped"),
    "another scale": (once("[upsample]", "[upsample]\nscale=0.5"), "wrong-format", "scale"),
    "a mask beyond num": (once("mask = 0,1,2", "mask = 3,4,5"), "wrong-format", "anchors"),
    "too few anchors": (once("num=4", "num=6"), "wrong-format", "anchors"),
    "half an anchor": (once("81,82", "81,82,135"), "wrong-format", "anchors"),
    "classes without filters": (once("classes=1\n", "classes=80\n"), "wrong-format", "yolo"),
    "a mask without filters": (once("mask = 2,3", "mask = 1,2,3"), "wrong-format", "yolo"),
}


@pytest.mark.parametrize("name", BAD_CFGS)
def test_a_cfg_that_is_none_is_refused_by_name(tmp_path, name):
    text, code, field = BAD_CFGS[name]
    path = write(tmp_path, text)
    with refused(code, file=path.with_suffix(".cfg"), field=field) as caught:
        load_darknet(path)
    assert "\n" not in str(caught.error)


# --- weights


HEADERS = {
    "0.1, 32 bits": header((0, 1, 0), "<I"),
    "0.2, 64 bits": header((0, 2, 0)),
    "0.2.5, 64 bits": header((0, 2, 5)),
    "0.2, nothing seen": header((0, 2, 0), count=0),
    "0.2, more seen than 32 bits hold": header((0, 2, 0), count=2**33 + 1),
    "1.0, 64 bits": header((1, 0, 0)),
    "0.2, 32 bits, of a 32-bit system": header((0, 2, 0), "<I"),
    "0.0, 64 bits, of PyTorch-YOLOv3": header((0, 0, 0)),
    "0.0, 32 bits": header((0, 0, 0), "<I"),
    "transposed, 32 bits": header((1001, 0, 0), "<I"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_each_header_gives_the_same_weights(tmp_path, expected, name):
    assert torch.equal(boxes(write(tmp_path, PLAIN, HEADERS[name] + numbers().tobytes())), expected)


def test_a_first_weight_of_zero_is_no_header(tmp_path):
    """An untrained network starts with zeros, which look like the upper half of the count."""
    values = numbers()
    values[:4] = 0
    path = write(tmp_path, PLAIN, header((0, 1, 0), "<I") + values.tobytes())
    state = load_darknet(path).state_dict()
    assert np.array_equal(state["module_list.0.BatchNorm2d.weight"].numpy(), values[4:8])


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("change", [-COUNT * 2, -400, -20, -8, -4, -1, 1, 4, 8, 20, 4 * COUNT])
def test_weights_that_are_too_short_or_too_long_are_refused(tmp_path, kind, change):
    whole = HEADERS[kind] + numbers().tobytes()
    longer = whole + numbers(1).tobytes()
    path = write(tmp_path, PLAIN, longer[: len(whole) + change])
    with refused("conflict", file=path):
        load_darknet(path)


@pytest.mark.parametrize("size", [1, 3, 4, 11, 12, 16, 19, 20])
def test_a_header_alone_is_refused(tmp_path, size):
    path = write(tmp_path, PLAIN, header()[:size])
    with refused("conflict", file=path):
        load_darknet(path)


def changed(start, value, count=1):
    values = numbers()
    values[start : start + count] = value
    return values


DAMAGES = {
    "not a number": changed(100, np.nan),
    "infinite": changed(0, np.inf),
    "a negative variance": changed(13, -0.5),
    "zeros at the end": changed(COUNT - 18 * 8, 0, 18 * 8),
    "zeros everywhere": changed(0, 0, COUNT),
}


@pytest.mark.parametrize("suffix", [".weights", ".pt"])
@pytest.mark.parametrize("name", DAMAGES)
def test_weights_that_no_training_leaves_are_refused(tmp_path, name, suffix):
    path = write(tmp_path, PLAIN)
    model = load_darknet(path)
    if suffix == ".weights":
        write(tmp_path, PLAIN, header() + DAMAGES[name].tobytes())
    else:
        path = tmp_path / "net.pt"
        torch.save({"model": state_of(model, DAMAGES[name])}, path)
    with refused("damaged-file", file=path):
        load_darknet(path)


def state_of(model, values):
    """The state dict of a model with other numbers, given in Darknet's order."""
    norm = "module_list.0.BatchNorm2d."
    names = [f"{norm}bias", f"{norm}weight", f"{norm}running_mean", f"{norm}running_var"]
    names += ["module_list.0.Conv2d.weight"]
    names += ["module_list.2.Conv2d.bias", "module_list.2.Conv2d.weight"]
    names += ["module_list.7.Conv2d.bias", "module_list.7.Conv2d.weight"]
    state = model.state_dict()
    parts = torch.from_numpy(values.astype(np.float32)).split(SIZES)
    for name, part in zip(names, parts, strict=True):
        state[name] = part.view_as(state[name])
    return state


def test_a_network_of_grey_pictures_is_refused_by_the_detector(tmp_path):
    grey = once("channels=3", "channels=1")
    weights = header() + numbers().tobytes()[: -4 * 4 * 2 * 9]
    path = write(tmp_path, grey, weights)
    assert load_darknet(path).channels == 1
    with refused("conflict", file=path.with_suffix(".cfg"), field="channels"):
        DarknetDetector(str(path), "cpu")


NANO = "MobileNetV2-YOLOv3-Nano-coco"
COUNTS = {
    "yolov3": "62,001,757",
    "yolov3-spp": "63,052,381",
    "yolov3-tiny": "8,858,734",
    NANO: "891,070",
}
MIXED = [(cfg, "yolov3-tiny") for cfg in ("yolov3", "yolov3-spp", NANO)]
MIXED += [("yolov3-tiny", NANO)]


@pytest.mark.parametrize(("cfg", "weights"), MIXED)
def test_a_cfg_of_another_network_is_refused_with_both_numbers(real_data, cfg, weights):
    path = real_data / "weights" / f"{weights}.weights"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    with refused("conflict", file=path) as caught:
        load_darknet(path, path.with_name(f"{cfg}.cfg"))
    assert COUNTS[cfg] in str(caught.error)
    assert COUNTS[weights] in str(caught.error)


@pytest.mark.parametrize("name", ["yolov3", "yolov3-tiny", "yolov3-spp"])
@pytest.mark.parametrize("spelling", ["windows", "mark", "utf-16", "trailing"])
def test_official_files_may_be_saved_by_other_editors(real_data, tmp_path, name, spelling):
    text = (real_data / "weights" / f"{name}.cfg").read_text()
    content = {
        "windows": text.replace("\n", "\r\n").encode(),
        "mark": text.encode("utf-8-sig"),
        "utf-16": text.encode("utf-16"),
        "trailing": text.replace("\n", " \t\n").rstrip().encode(),
    }
    (tmp_path / "net.cfg").write_bytes(content[spelling])
    with torch.device("meta"):
        plain = Darknet(real_data / "weights" / f"{name}.cfg")
        other = Darknet(tmp_path / "net.cfg")
    shapes = {key: tensor.shape for key, tensor in plain.state_dict().items()}
    assert {key: tensor.shape for key, tensor in other.state_dict().items()} == shapes
