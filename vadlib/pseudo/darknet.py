"""YOLOv3 and its small relatives in Darknet's format: a .cfg with its .weights, or with the .pt of
the old ultralytics/yolov3.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vadlib.errors import InputError, require

ACTIVATIONS = {"linear": nn.Identity(), "leaky": nn.LeakyReLU(0.1), "relu": nn.ReLU()}
# Options of [yolo] that do not change its boxes: those of training, and the number of anchors.
IGNORED = ["num", "jitter", "random", "ignore_thresh", "truth_thresh", "iou_thresh", "iou_loss"]
IGNORED += ["iou_normalizer", "cls_normalizer", "obj_normalizer", "nms_kind", "beta_nms", "max"]
# The tensors of a [convolutional] in a file .weights
ORDER = ["BatchNorm2d.bias", "BatchNorm2d.weight", "BatchNorm2d.running_mean"]
ORDER += ["BatchNorm2d.running_var", "Conv2d.bias", "Conv2d.weight"]
# The trap of yolov3-tiny: its official weights were trained with mask = 1,2,3 in the last [yolo],
# but the published .cfg says 0,1,2, with which boxes come out at about half their size. See
# pjreddie/darknet#851, AlexeyAB/darknet#1341 and ultralytics/yolov3#421. A network that someone
# trained with the published .cfg must keep 0,1,2. The weights of the last convolution tell the two
# apart: this is the SHA-256 of the official bias and kernel, rounded to half precision, so that
# a .pt in half precision has the same.
TINY_HEAD = "f095efec35056cab818044ae22d084622a54f04ea54c5b532891d83cd9dab4ac"

Options = dict[str, str]  # of a section of a .cfg
Section = tuple[str, str, Options]  # its name, its place for messages, and its options


def _read_cfg(path: Path) -> list[Section]:
    """Return the sections, the first of which is [net]."""
    require(path.is_file(), f"{path}: no such file; put the .cfg there", "missing-file", file=path)
    sections: list[Section] = []
    # Comments may be in any encoding.
    text = path.read_text(encoding="utf-8-sig", errors="ignore")
    for number, line in enumerate(text.split("\n"), start=1):
        line = "".join(re.split("[#;]", line)[0].split())  # Darknet, too, drops all blanks
        place = f"{path}, line {number}, {line[:40]}"
        part = re.fullmatch(r"\[(\w+)\]|(\w+)=(.*)", line)
        if part and part[1]:
            sections.append((part[1], place, {}))
        elif part and sections:
            sections[-1][2].setdefault(part[2], part[3])  # Darknet, too, takes the first of two
        else:
            require(not line, f"{place}: expected [name] or key=value", "wrong-format", file=path)
    is_whole = bool(sections) and sections[0][0] == "net" and sections[-1][0] == "yolo"
    is_whole = is_whole and sections[0][2].get("channels", "3") == "3"
    require(is_whole, f"{path}: no RGB network from [net] to [yolo]", "wrong-format", file=path)
    return sections


class Convolution(nn.Sequential):
    """A [convolutional]; the names of its parts are those of the old ultralytics/yolov3."""

    def __init__(self, options: Options, channels: int):
        super().__init__()
        filters, size = int(options.pop("filters")), int(options.pop("size", 1))
        padding = size // 2 if int(options.pop("pad", 0)) else 0
        has_norm = bool(int(options.pop("batch_normalize", 0)))
        sizes = (channels, filters, size, int(options.pop("stride", 1)), padding)
        self.Conv2d = nn.Conv2d(*sizes, groups=int(options.pop("groups", 1)), bias=not has_norm)
        if has_norm:
            # Darknet's own when it folds this into the convolution: sqrt(variance + 0.00001)
            self.BatchNorm2d = nn.BatchNorm2d(filters, 1e-5)
        self.activation = ACTIVATIONS[options.pop("activation")]


class Join(nn.Module):
    """A [route]: the channels of earlier layers side by side."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, 1)


class Add(nn.Module):
    """A [shortcut]: the sum of two earlier layers."""

    def forward(self, x: Tensor, earlier: Tensor) -> Tensor:
        return x + earlier


class Decode(nn.Module):
    """A [yolo]: features and the images -> boxes, see `Darknet.forward`."""

    anchors: Tensor

    def __init__(self, options: Options):
        super().__init__()
        anchors = torch.tensor([float(side) for side in options.pop("anchors").split(",")])
        mask = [int(number) for number in options.pop("mask").split(",")]
        # The files' state dicts have none.
        self.register_buffer("anchors", anchors.view(-1, 2)[mask], persistent=False)
        self.classes = int(options.pop("classes"))
        self.scale = float(options.pop("scale_x_y", 1))

    def forward(self, x: Tensor, images: Tensor) -> Tensor:
        sizes = (len(self.anchors), 5 + self.classes)
        raw = torch.unflatten(x.float(), 1, sizes).permute(0, 1, 3, 4, 2)
        axes = [torch.arange(count, device=x.device) for count in x.shape[:1:-1]]
        stride = raw.new_tensor([images.shape[3] / x.shape[3], images.shape[2] / x.shape[2]])
        cells = torch.stack(torch.meshgrid(axes, indexing="xy"), -1)
        offset = raw[..., :2].sigmoid() * self.scale - 0.5 * (self.scale - 1)
        centre = (offset + cells) * stride
        size = raw[..., 2:4].exp() * self.anchors[:, None, None]
        return torch.cat((centre, size, raw[..., 4:].sigmoid()), -1).flatten(1, 3)


def _make_layer(section: Section, position: int, channels: int) -> tuple[nn.Module, list[int]]:
    """Return the layer of a section, and the positions of its inputs (-1: the images).

    Raises:
        KeyError, ValueError, IndexError, RuntimeError: of Python and torch, for wrong options.
    """
    layer: nn.Module
    options = section[2]
    sources = [position - 1]
    match section[0]:
        case "convolutional":
            layer = Convolution(options, channels)
        case "maxpool":
            size = int(options.pop("size"))
            before, after = (size - 1) // 2, size // 2  # more to the right and the bottom
            pad = nn.ConstantPad2d((before, after, before, after), -torch.inf)
            layer = nn.Sequential(pad, nn.MaxPool2d(size, int(options.pop("stride"))))
        case "upsample":
            layer = nn.Upsample(scale_factor=int(options.pop("stride")))
        case "route":
            layer = Join()
            sources = _positions(options.pop("layers"), position)
        case "shortcut":
            layer = {"linear": Add()}[options.pop("activation", "linear")]
            sources += _positions(options.pop("from"), position)
        case "yolo":
            layer = Decode(options)
            sources.append(-1)
        case _:
            raise ValueError("unknown section")
    unknown = set(options).difference(IGNORED)  # each layer takes its own out
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}")
    return layer.eval().requires_grad_(False), sources


def _positions(text: str, position: int) -> list[int]:
    """Read the positions of earlier layers; negative ones count back from this position."""
    return [n if n >= 0 else n + position for n in map(int, text.split(","))]


class Darknet(nn.Module):
    """The network of a .cfg, fully convolutional; its tensors are named as in the old
    ultralytics/yolov3.

    Attributes:
        cfg: the file.

    Raises:
        InputError: the .cfg is missing or malformed, or asks for something unsupported.
    """

    def __init__(self, cfg: Path):
        super().__init__()
        self.cfg = cfg
        self.module_list = nn.ModuleList()
        self.sources: list[list[int]] = []  # of each layer
        # Each layer is tried on a small black picture; its output tells the next one its channels.
        outputs = {-1: torch.zeros(1, 3, 64, 64)}
        for position, section in enumerate(_read_cfg(cfg)[1:]):
            try:
                layer, sources = _make_layer(section, position, outputs[position - 1].shape[1])
                outputs[position] = layer(*[outputs[source] for source in sources])
            except (KeyError, ValueError, IndexError, RuntimeError) as error:
                message = f"{section[1]}: this layer cannot be made ({error!r})"
                raise InputError(message, "wrong-format", file=cfg, field=section[0]) from error
            self.module_list.append(layer)
            self.sources.append(sources)

    def forward(self, images: Tensor) -> Tensor:
        """Return every box of every cell, unfiltered.

        Args:
            images: float (B, 3, H, W), RGB in [0, 1]; H and W are multiples of the coarsest
                cells, 32 pixels.

        Returns:
            float32 (B, N, 5 + classes): centre x, centre y, width, height in pixels of the images,
            objectness and the classes' probabilities in [0, 1].
        """
        outputs = {-1: images}
        for position, layer in enumerate(self.module_list):
            sources = self.sources[position]
            outputs[position] = layer(*[outputs[source] for source in sources])
            for source in set(sources).difference(*self.sources[position + 1 :]):
                del outputs[source]  # no later layer reads it
        return torch.cat([output for output in outputs.values() if output.ndim == 3], 1)


def load_darknet(weights: Path, cfg: Path | None = None) -> Darknet:
    """Load a Darknet with its weights, in eval mode.

    The official weights of yolov3-tiny with the published .cfg, whose last mask is not the one that
    they were trained with, get the right mask and a warning. Any other weights are run with the
    mask that their .cfg says.

    Args:
        weights: Darknet's .weights, or a .pt of the old ultralytics/yolov3: a dict whose "model" is
            a state dict, in any precision.
        cfg: the network; None takes the .cfg beside the weights, of their name without
            "-ultralytics".

    Raises:
        InputError: a file is missing or damaged, or weights and network do not fit.

    Warns:
        UserWarning: the mask of yolov3-tiny was replaced.
    """
    require(weights.is_file(), f"{weights}: no such file", "missing-file", file=weights)
    beside = weights.with_name(weights.stem.removesuffix("-ultralytics") + ".cfg")
    model = Darknet(cfg or beside).eval()
    (_load_state if weights.suffix == ".pt" else _load_floats)(model, weights)
    for name, tensor in model.state_dict().items():
        # No training leaves these, but a damaged file or another network's may hold them.
        is_bad = not tensor.isfinite().all() or (tensor.ndim == 4 and not tensor.any())
        is_bad = is_bad or (name.endswith("running_var") and bool(tensor.min() < 0))
        require(not is_bad, f"{weights}: bad numbers in {name}", "damaged-file", file=weights)
    head = list(model.state_dict().values())[:-3:-1]  # the last bias and kernel
    numbers = torch.cat([tensor.flatten() for tensor in head]).numpy().astype("<f2")
    is_official = hashlib.sha256(numbers.tobytes()).hexdigest() == TINY_HEAD
    anchors = model.get_buffer(f"module_list.{len(model.module_list) - 1}.anchors")
    if is_official and anchors.tolist() == [[10, 14], [23, 27], [37, 58]]:  # mask = 0,1,2
        anchors.copy_(torch.tensor([[23, 27], [37, 58], [81, 82]]))
        warnings.warn(f"{model.cfg}: mask = 1,2,3 replaces 0,1,2; write it there", stacklevel=2)
    return model


def _load_state(model: Darknet, path: Path) -> None:
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    # torch raises half a dozen types for files that are damaged, not tensors, or of another network
    except Exception as error:
        message = f"{path}: no state dict of {model.cfg} ({' '.join(str(error).split())[:200]})"
        raise InputError(message, "wrong-kind-of-file", file=path) from error
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-4  # with which the old ultralytics/yolov3 trained and ran


def _load_floats(model: Darknet, path: Path) -> None:
    data = path.read_bytes()
    # The header ends with the count of seen images: 64 bits since version 0.2, before that 32.
    major, minor = np.frombuffer(data[:8].ljust(8, b"\0"), "<i4").tolist()
    start = 20 if 10 * major + minor >= 2 else 16
    state = model.state_dict()
    names = [f"module_list.{i}.{name}" for i in range(len(model.module_list)) for name in ORDER]
    tensors = [state[name] for name in names if name in state]
    sizes = [tensor.numel() for tensor in tensors]
    size = start + 4 * sum(sizes)
    message = f"{path}: {len(data)} bytes, but {model.cfg} needs {size}; get its own .weights"
    require(len(data) == size, message, "conflict", file=path)
    values = torch.from_numpy(np.frombuffer(data, "<f4", offset=start).astype(np.float32))
    for tensor, part in zip(tensors, torch.split(values, sizes), strict=True):
        tensor.copy_(part.view_as(tensor))


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
