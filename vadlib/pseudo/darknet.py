"""Legacy Darknet detectors (YOLOv3 and its small relatives) from their .cfg and .weights, or the
old ultralytics .pt.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vadlib.data.video import lfs_pointer
from vadlib.errors import InputError, require

# Darknet's own when it folds batch norm into the convolution: sqrt(variance + 0.00001)
DARKNET_EPS = 1e-5
ULTRALYTICS_EPS = 1e-4  # the old ultralytics/yolov3 trained and ran its .pt files with this
ACTIVATIONS = {
    "linear": nn.Identity(),
    "leaky": nn.LeakyReLU(0.1),
    "relu": nn.ReLU(),
    "relu6": nn.ReLU6(),
    "mish": nn.Mish(),
    "swish": nn.SiLU(),
    "logistic": nn.Sigmoid(),
}
# Options that change what a layer computes, with the only supported value: ignored, others would
# silently give wrong boxes.
SUPPORTED = {"dilation": "1", "scale": "1", "weights_type": "none"}
SUPPORTED |= dict.fromkeys(("antialiasing", "maxpool_depth", "reverse", "new_coords"), "0")
SUPPORTED |= dict.fromkeys(("binary", "xnor", "flipped"), "0")
SIDE = 64  # pixels of the picture that each new layer is tried on
# The trap of yolov3-tiny: its official weights were trained with mask = 1,2,3 in the second [yolo],
# but the published .cfg says 0,1,2, with which boxes come out at about half their size. See
# pjreddie/darknet#851, AlexeyAB/darknet#1341 and ultralytics/yolov3#421. A network that someone
# trained with the published .cfg must keep 0,1,2. The weights of the last convolution tell the two
# apart: this is the SHA-256 of the official bias and kernel, rounded to half precision, so that
# a .pt in half precision has the same.
TINY_HEAD = "f095efec35056cab818044ae22d084622a54f04ea54c5b532891d83cd9dab4ac"
TINY_PUBLISHED = [[10, 14], [23, 27], [37, 58]]  # the anchors of mask = 0,1,2
TINY_TRAINED = [[23, 27], [37, 58], [81, 82]]  # those of mask = 1,2,3


class Section(NamedTuple):
    """A section of a .cfg, such as [convolutional]."""

    name: str
    position: str  # file, line and header, for messages
    options: dict[str, str]


def _read_cfg(path: Path) -> list[Section]:
    _require_data(path, "the network's .cfg")
    content = path.read_bytes()
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # PowerShell's `>`
    # Comments may be in any encoding.
    text = content.decode("utf-16" if is_utf16 else "utf-8-sig", errors="ignore")
    sections: list[Section] = []
    for number, line in enumerate(re.split(r"\r\n?|\n", text), start=1):
        line = re.split("[#;]", line)[0].strip()
        option = re.fullmatch(r"([^=]+)=(.*)", line)
        if line.startswith("[") and line.endswith("]"):
            name = line[1:-1].strip()
            sections.append(Section(name, f"{path}, line {number}, {line}", {}))
        elif option and sections:
            # Darknet, too, takes the first of two equal keys.
            sections[-1].options.setdefault(option[1].strip(), option[2].strip())
        elif line:
            message = f"{path}, line {number}: {line[:40]!r}; expected [section] or key=value"
            raise InputError(message, "wrong-format", file=path)
    is_whole = bool(sections) and sections[0].name in ("net", "network")
    message = f"{path}: does not start with [net]; expected a whole Darknet .cfg"
    require(is_whole, message, "wrong-format", file=path)
    return sections


def _require_data(path: Path, noun: str) -> None:
    """Refuse a file that is missing, a Git LFS pointer, and a saved web page."""
    message = f"{path}: no such file; put {noun} there, or name another file"
    require(path.is_file(), message, "missing-file", file=path)
    if pointer := lfs_pointer(path):
        raise InputError(f"{path}: {pointer}", "git-lfs-pointer", file=path)
    start = path.read_bytes()[:64].lstrip().lower()
    is_page = start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml"))
    message = f"{path}: a web page, not {noun}; download the file itself"
    require(not is_page, message, "wrong-kind-of-file", file=path)


class Join(nn.Module):
    """A [route]: one of several groups of the channels of earlier layers."""

    def __init__(self, groups: int, part: int):
        super().__init__()
        self.groups = groups
        self.part = part

    def forward(self, *inputs: Tensor) -> Tensor:
        parts = [_divided(x, self.groups, -1)[:, self.part] for x in inputs]
        return torch.cat(parts, 1)


class Add(nn.Module):
    """A [shortcut]: the sum of earlier layers."""

    def __init__(self, activation: nn.Module):
        super().__init__()
        self.activation = activation

    def forward(self, *inputs: Tensor) -> Tensor:
        result: Tensor = self.activation(torch.stack(inputs).sum(0))
        return result


class Decode(nn.Module):
    """A [yolo]: features and the images -> boxes, see `Darknet.forward`."""

    anchors: Tensor

    def __init__(self, anchors: Tensor, classes: int, scale: float, keep_mask: bool):
        super().__init__()
        self.classes = classes
        self.scale = scale
        self.keep_mask = keep_mask
        # The files' state dicts have none.
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, x: Tensor, images: Tensor) -> Tensor:
        rows, columns = x.shape[-2:]
        height, width = images.shape[-2:]
        raw = _divided(x.float(), len(self.anchors), 5 + self.classes).permute(0, 1, 3, 4, 2)
        ys, xs = (torch.arange(count, device=x.device) for count in (rows, columns))
        cells = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)
        offset = raw[..., :2].sigmoid() * self.scale - 0.5 * (self.scale - 1)
        centre = (offset + cells) * raw.new_tensor([width / columns, height / rows])
        size = raw[..., 2:4].exp() * self.anchors[:, None, None]
        return torch.cat((centre, size, raw[..., 4:].sigmoid()), -1).flatten(1, 3)


def _divided(x: Tensor, groups: int, size: int) -> Tensor:
    """(B, groups * size, H, W) -> (B, groups, size, H, W)."""
    return x.view(len(x), groups, size, *x.shape[2:])


def _make_layer(section: Section, position: int, channels: int) -> tuple[nn.Module, list[int]]:
    """Return the layer of a section, and the positions of its inputs (-1: the images).

    Raises:
        KeyError, ValueError, IndexError, RuntimeError: of Python and torch, for wrong options.
    """
    options = section.options
    stride = options.get("stride", "1")
    for key, supported in (SUPPORTED | {"stride_x": stride, "stride_y": stride}).items():
        value = options.get(key, supported)
        if value != supported and float(value) != float(supported):
            raise ValueError(f"{key}={value} is not supported, only {supported}")
    before = position - 1
    match section.name:
        case "convolutional" | "conv":
            return _convolution(options, channels), [before]
        case "maxpool" | "max":
            return _pooling(options), [before]
        case "upsample":
            return nn.Upsample(scale_factor=int(options.get("stride", 2))), [before]
        case "route":
            layer = Join(int(options.get("groups", 1)), int(options.get("group_id", 0)))
            return layer, _sources(options["layers"], position)
        case "shortcut":
            activation = ACTIVATIONS[options.get("activation", "linear")]
            return Add(activation), [before, *_sources(options["from"], position)]
        case "yolo":
            return _decode(options), [before, -1]
        case "dropout" | "empty" | "silence":
            return nn.Identity(), [before]
    raise KeyError(section.name)


def _convolution(options: Mapping[str, str], channels: int) -> nn.Module:
    filters = int(options["filters"])
    size = int(options.get("size", 1))
    stride = int(options.get("stride", 1))
    groups = int(options.get("groups", 1))
    padding = size // 2 if int(options.get("pad", 0)) else int(options.get("padding", 0))
    has_norm = bool(int(options.get("batch_normalize", 0)))
    conv = nn.Conv2d(channels, filters, size, stride, padding, groups=groups, bias=not has_norm)
    block = nn.Sequential()
    block.add_module("Conv2d", conv)
    if has_norm:
        block.add_module("BatchNorm2d", nn.BatchNorm2d(filters, DARKNET_EPS))
    block.add_module("activation", ACTIVATIONS[options.get("activation", "logistic")])
    return block


def _pooling(options: Mapping[str, str]) -> nn.Module:
    stride = int(options.get("stride", 1))
    size = int(options.get("size", stride))
    padding = int(options.get("padding", size - 1))
    before = padding // 2
    after = padding - before  # an odd pixel goes to the right and the bottom
    pad = nn.ConstantPad2d((before, after, before, after), -torch.inf)
    return nn.Sequential(pad, nn.MaxPool2d(size, stride))


def _decode(options: Mapping[str, str]) -> nn.Module:
    # Darknet ignores anchors beyond `num`, which stay if someone lowers it.
    count = int(options.get("num", 1))
    anchors = torch.tensor(_numbers(options["anchors"])).view(-1, 2)[:count]
    mask = [int(number) for number in _numbers(options.get("mask", ""))] or list(range(count))
    keep_mask = bool(int(options.get("keep_mask", 0)))  # our own option, see TINY_HEAD
    scale = float(options.get("scale_x_y", 1))
    return Decode(anchors[mask], int(options["classes"]), scale, keep_mask)


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",") if part.strip()]


def _sources(text: str, position: int) -> list[int]:
    """Read the positions of earlier layers; negative ones count back from this position."""
    numbers = [int(number) for number in _numbers(text)]
    return [number if number >= 0 else number + position for number in numbers]


class Darknet(nn.Module):
    """The network of a Darknet .cfg, fully convolutional; its tensors are named as in the old
    ultralytics/yolov3.

    Attributes:
        stride: the images' height and width must be multiples of it.
        channels: of the images; 3 unless the .cfg says otherwise.
        mask_corrected: whether `load_darknet` replaced the published mask of yolov3-tiny.

    Raises:
        InputError: the .cfg is missing or malformed, or asks for something unsupported.
    """

    @torch.no_grad()
    def __init__(self, cfg: Path):
        super().__init__()
        self.cfg = cfg
        self.mask_corrected = False
        self.module_list = nn.ModuleList()
        self.sources: list[list[int]] = []  # of each layer
        self.read_later: set[int] = set()  # layers that others than the next one read
        net, *sections = _read_cfg(cfg)
        channels = net.options.get("channels", "3")
        message = f"{net.position}: channels={channels}; expected a number"
        require(channels.isdecimal(), message, "wrong-format", file=cfg, field="channels")
        self.channels = int(channels)

        # Each layer is tried on a black picture; its output tells the next one its channels.
        outputs = {-1: torch.zeros(1, self.channels, SIDE, SIDE)}
        for position, section in enumerate(sections):
            try:
                incoming = outputs[position - 1]
                layer, sources = _make_layer(section, position, incoming.shape[1])
                outputs[position] = layer.eval()(*[outputs[source] for source in sources])
            except (KeyError, ValueError, IndexError, RuntimeError) as error:
                reason = f"unknown or missing: {error}" if isinstance(error, KeyError) else error
                message = f"{section.position}: this layer cannot be made ({reason})"
                raise InputError(message, "wrong-format", file=cfg, field=section.name) from error
            self.module_list.append(layer)
            self.sources.append(sources)
            self.read_later.update(source for source in sources if source != position - 1)
        has_boxes = any(isinstance(layer, Decode) for layer in self.module_list)
        message = f"{cfg}: no [yolo] section; expected the .cfg of a YOLO detector"
        require(has_boxes, message, "wrong-kind-of-file", file=cfg)
        sides = [output.shape[-1] for output in outputs.values() if output.ndim == 4]
        self.stride = round(SIDE / min(sides))

    def forward(self, images: Tensor) -> Tensor:
        """Return every box of every cell, unfiltered.

        Args:
            images: float (B, 3, H, W), RGB in [0, 1]; H and W are multiples of `stride`.

        Returns:
            float32 (B, N, 5 + classes): centre x, centre y, width, height in pixels of the images,
            objectness and the classes' probabilities in [0, 1].

        Raises:
            InputError: H or W is not a multiple of `stride`.
        """
        height, width = images.shape[-2:]
        fits = height % self.stride == 0 and width % self.stride == 0
        message = f"images of {height} x {width} pixels; expected multiples of {self.stride}"
        require(fits, message, "wrong-shape", field="images")
        outputs = {-1: images}
        boxes = []
        for position, layer in enumerate(self.module_list):
            x = layer(*[outputs[source] for source in self.sources[position]])
            if isinstance(layer, Decode):
                boxes.append(x)
            if position - 1 not in self.read_later:
                del outputs[position - 1]
            outputs[position] = x
        return torch.cat(boxes, 1)


def load_darknet(weights: Path, cfg: Path | None = None) -> Darknet:
    """Load a Darknet with its weights, in eval mode.

    The official weights of yolov3-tiny with the published .cfg, whose second mask is not the one
    that they were trained with, get the right mask and a warning. `keep_mask=1` in that [yolo]
    section keeps the .cfg's. Any other weights are run with the mask that their .cfg says.

    Args:
        weights: Darknet's .weights, or a .pt of the old ultralytics/yolov3: a dict whose "model" is
            a state dict, in any precision.
        cfg: the network; None takes the .cfg beside the weights of the same name, or of that name
            without "-ultralytics".

    Raises:
        InputError: a file is missing, empty, a web page, a Git LFS pointer or damaged, or weights
            and network do not fit.

    Warns:
        UserWarning: the mask of yolov3-tiny was replaced.
    """
    _require_data(weights, "the weights")
    message = f"{weights}: expected a file .weights or .pt"
    require(weights.suffix in (".weights", ".pt"), message, "wrong-kind-of-file", file=weights)
    if cfg is None:
        cfg = weights.with_suffix(".cfg")
        if not cfg.is_file():
            cfg = weights.with_name(weights.stem.removesuffix("-ultralytics") + ".cfg")
    model = Darknet(cfg).eval()
    if weights.suffix == ".pt":
        _load_state(model, weights)
    else:
        _load_floats(model, weights)
    for name, tensor in model.state_dict().items():
        _require_sound(name, tensor, weights)
    _correct_tiny_mask(model, weights)
    return model


def _load_state(model: Darknet, path: Path) -> None:
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    # torch raises half a dozen types for files that are damaged, not tensors, or of another network
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        expected = f"expected a .pt of the old ultralytics/yolov3 that fits {model.cfg}"
        message = f"{path}: {expected} ({reason}); download it again"
        raise InputError(message, "wrong-kind-of-file", file=path) from error
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = ULTRALYTICS_EPS


@torch.no_grad()
def _load_floats(model: Darknet, path: Path) -> None:
    data = path.read_bytes()
    start = _header_size(data)
    tensors = list(_tensors_in_order(model))
    sizes = [tensor.numel() for tensor in tensors]
    length = max(len(data) - start, 0)
    expected = f"expected {sum(sizes):,} numbers ({4 * sum(sizes):,} bytes) for {model.cfg}"
    message = f"{path}: {expected}, found {length // 4:,} ({length:,} bytes)"
    advice = "use this network's .cfg, or download the weights again"
    require(length == 4 * sum(sizes), f"{message}; {advice}", "conflict", file=path)
    values = torch.from_numpy(np.frombuffer(data, "<f4", offset=start).astype(np.float32))
    for tensor, part in zip(tensors, torch.split(values, sizes), strict=True):
        tensor.copy_(part.view_as(tensor))


def _tensors_in_order(model: Darknet) -> Iterator[Tensor]:
    """Yield the tensors in the order in which .weights hold them."""
    for block in model.module_list:
        if conv := getattr(block, "Conv2d", None):
            if norm := getattr(block, "BatchNorm2d", None):
                yield from (norm.bias, norm.weight, norm.running_mean, norm.running_var)
            else:
                yield conv.bias
            yield conv.weight


def _header_size(data: bytes) -> int:
    """Return the number of bytes before the first weight, 16 or 20.

    They end with the count of seen images: 32 bits, and 64 since Darknet's version 0.2. The version
    alone does not tell. PyTorch-YOLOv3 writes 64 bits as version 0.0, and a Darknet that was built
    for a 32-bit system writes 32 bits as version 0.2. The bytes 16 to 19 tell: the upper half of
    a count is a small integer, while a weight is a float, whose bits are at least 2**23. A weight
    of zero could be both. It is taken for a weight in version 0.1 only.
    """
    words = np.frombuffer(data[:20].ljust(20, b"\0"), "<u4")
    major, minor = words[:2].tolist()
    is_narrow = (major, minor) == (0, 1) or max(major, minor) >= 1000  # as in Darknet, less 0.0
    return 16 if is_narrow or words[4] >= 2**23 else 20


def _require_sound(name: str, tensor: Tensor, weights: Path) -> None:
    """Refuse numbers that no training leaves, as in a download that ends in zeros."""
    is_sound = bool(tensor.isfinite().all())
    if name.endswith("running_var"):
        is_sound = bool((tensor >= 0).all())
    if name.endswith("Conv2d.weight"):
        is_sound = is_sound and bool(tensor.any())
    message = f"{weights}: not finite, negative or nothing but zeros in {name}"
    advice = "the file is damaged, or of another network; download it again"
    require(is_sound, f"{message}; {advice}", "damaged-file", file=weights)


def _correct_tiny_mask(model: Darknet, weights: Path) -> None:
    """Give the official yolov3-tiny the mask that it was trained with."""
    for block, yolo in pairwise(model.module_list):
        if not isinstance(yolo, Decode) or yolo.keep_mask:
            continue
        if yolo.anchors.tolist() == TINY_PUBLISHED and _head_hash(block) == TINY_HEAD:
            yolo.anchors.copy_(torch.tensor(TINY_TRAINED))
            model.mask_corrected = True
            warnings.warn(
                f"{model.cfg}: the mask trap of yolov3-tiny: took mask = 1,2,3 in place of 0,1,2 "
                f"in the second [yolo]. {weights} holds the official weights, which were trained "
                "with 1,2,3 (pjreddie/darknet#851); with 0,1,2 boxes come out at about half their "
                "size. To end this warning, write mask = 1,2,3 there. To run 0,1,2, add "
                "keep_mask=1 below it",
                stacklevel=3,
            )


def _head_hash(block: nn.Module) -> str:
    """Return the SHA-256 of a plain convolution's bias and kernel in half precision, else ""."""
    conv = getattr(block, "Conv2d", None)
    if conv is None or conv.bias is None:
        return ""
    numbers = torch.cat((conv.bias, conv.weight.flatten())).detach().numpy().astype("<f2")
    return hashlib.sha256(numbers.tobytes()).hexdigest()


@torch.no_grad()
def find_objects(model: Darknet, images: Tensor, confidence: float, iou: float) -> list[Tensor]:
    """Find objects of all classes, each class thinned by non-maximum suppression.

    Args:
        model: in eval mode.
        images: as `Darknet.forward` takes them.
        confidence: least objectness * class probability, in [0, 1].
        iou: of two boxes of a class that overlap more, the lower score goes.

    Returns:
        For each image float32 (N, 6): x0, y0, x1, y1 in pixels of the image (they may lie outside),
        score, class; best first.
    """
    # here, since importing torchvision takes seconds
    from torchvision.ops import batched_nms, box_convert

    objects = []
    for boxes in model(images):
        scores = boxes[:, 4:5] * boxes[:, 5:]
        rows, classes = (scores >= confidence).nonzero(as_tuple=True)
        corners = box_convert(boxes[rows, :4], "cxcywh", "xyxy")
        scores = scores[rows, classes]
        best = batched_nms(corners, scores, classes, iou)
        objects.append(torch.cat((corners, scores[:, None], classes[:, None]), 1)[best])
    return objects
