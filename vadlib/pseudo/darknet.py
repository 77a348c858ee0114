"""Legacy Darknet detectors (YOLOv3 and its small relatives) from their .cfg and .weights, or the
old ultralytics .pt.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vadlib.data.video import lfs_pointer
from vadlib.errors import InputError, require

# Darknet's own where it folds batch norm into the convolution: sqrt(variance + 0.00001)
DARKNET_EPS = 1e-5
ULTRALYTICS_EPS = 1e-4  # the old ultralytics/yolov3 trained and ran its .pt files with this
ACTIVATIONS = {
    "linear": nn.Identity(),
    "leaky": nn.LeakyReLU(0.1),
    "relu": nn.ReLU(),
    "relu6": nn.ReLU6(),
}
ACTIVATIONS |= {"mish": nn.Mish(), "swish": nn.SiLU(), "logistic": nn.Sigmoid()}
KINDS = ("convolutional", "shortcut", "route", "maxpool", "upsample", "dropout", "yolo")
# Darknet's other names of these sections. [empty] and [silence] pass their input on, as [dropout]
# does outside training.
ALIASES = {"conv": "convolutional", "max": "maxpool", "empty": "dropout", "silence": "dropout"}
# Options that change what a layer computes, with the one value that is supported: overlooked,
# others would ruin results silently.
ONLY = {
    "dilation": "1",
    "antialiasing": "0",
    "maxpool_depth": "0",
    "reverse": "0",
    "scale": "1",
    "weights_type": "none",
    "new_coords": "0",
}
ONLY |= {"binary": "0", "xnor": "0", "flipped": "0"}
# The trap of yolov3-tiny: its official weights were trained with mask = 1,2,3 in the second [yolo],
# but the published .cfg says 0,1,2, with which boxes come out at about half their size. See
# pjreddie/darknet#851, AlexeyAB/darknet#1341 and ultralytics/yolov3#421. A network that someone
# trained with the published .cfg must keep 0,1,2. The weights of the last convolution tell the two
# apart: this is the SHA-256 of the official bias and kernel, rounded to half precision, so that
# a .pt in half precision has the same.
TINY_HEAD = "f095efec35056cab818044ae22d084622a54f04ea54c5b532891d83cd9dab4ac"
TINY_PUBLISHED = [[10, 14], [23, 27], [37, 58]]  # the anchors of mask = 0,1,2
TINY_TRAINED = [[23, 27], [37, 58], [81, 82]]  # those of mask = 1,2,3
Shape = tuple[int, float]  # channels, and the input's pixels from one cell to the next


@dataclass(frozen=True)
class _Section:
    kind: str
    where: str  # for messages
    file: Path
    options: dict[str, str]

    def check(self, condition: bool, what: str, field: str = "") -> None:
        require(
            condition,
            f"{self.where}: {what}",
            "wrong-format",
            file=self.file,
            field=field or self.kind,
        )

    def check_only(self, key: str, found: str, supported: str) -> None:
        message = f"{key}={found} is not supported, only {supported}; choose another network"
        self.check(_same(found, supported), message, key)

    def numbers(self, key: str, default: str = "", kind: type = int) -> list:
        text = self.options.get(key, default)
        try:
            return [kind(part) for part in text.split(",") if part.strip()]
        except ValueError as error:
            raise InputError(
                f"{self.where}: {key}={text}; expected numbers ({kind.__name__}), separated by commas",
                "wrong-format",
                file=self.file,
                field=key,
            ) from error

    def number(self, key: str, default: str = "", kind: type = int, least: int = 1) -> int | float:
        found = self.numbers(key, default, kind)
        self.check(
            len(found) == 1 and found[0] >= least,
            f"{key}={self.options.get(key, '')}; expected one number, at least {least}",
            key,
        )
        return found[0]

    def sources(self, key: str, here: int) -> list[int]:
        # negative numbers count back from this layer
        layers = [n + here if n < 0 else n for n in self.numbers(key)]
        self.check(
            bool(layers) and all(0 <= n < here for n in layers),
            f"{key}={self.options.get(key, '')}; expected earlier layers",
            key,
        )
        return layers

    def activation(self, default: str) -> nn.Module:
        name = self.options.get("activation", default)
        self.check(
            name in ACTIVATIONS,
            f"activation={name} is unknown; known: {', '.join(ACTIVATIONS)}",
            "activation",
        )
        return ACTIVATIONS[name]


def _read_cfg(path: Path) -> list[_Section]:
    require(
        path.is_file(),
        f"{path}: no such file; put the network's .cfg there, or name another",
        "missing-file",
        file=path,
    )
    _require_data(path, "the .cfg")
    sections = []
    for number, line in enumerate(re.split(r"\r\n?|\n", _cfg_text(path)), start=1):
        line = line.split("#")[0].split(";")[0].strip()
        key, equals, value = line.partition("=")
        if line.startswith("[") and line.endswith("]"):
            name = line[1:-1].strip()
            where = f"{path}, line {number}, {line}"
            sections.append(_Section(ALIASES.get(name, name), where, path, {}))
        elif line:
            good = bool(sections and equals and key.strip())
            require(
                good,
                f"{path}, line {number}: {line[:40]!r}; expected [section], or key=value below one; is this a Darknet .cfg?",
                "wrong-format",
                file=path,
            )
            # Darknet, too, goes by the first
            sections[-1].options.setdefault(key.strip(), value.strip())
    first = f"[{sections[0].kind}]" if sections else "nothing"
    require(
        first in ("[net]", "[network]"),
        f"{path}: starts with {first}; expected [net]; is this a whole Darknet .cfg?",
        "wrong-format",
        file=path,
    )
    return sections


def _cfg_text(path: Path) -> str:
    """Return the text of a .cfg in UTF-8, UTF-16 (as PowerShell's `>` writes it) or Latin-1."""
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:  # comments in another encoding, or a web page's non-breaking spaces
        return content.decode("latin-1")


def _require_data(path: Path, what: str) -> None:
    """Refuse a Git LFS pointer and a web page that were saved in place of `what`."""
    if pointer := lfs_pointer(path):
        raise InputError(f"{path}: {pointer}", "git-lfs-pointer", file=path)
    with path.open("rb") as file:
        start = file.read(64).lstrip().lower()
    require(
        not start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")),
        f"{path}: a web page, not {what}; download the file itself",
        "wrong-kind-of-file",
        file=path,
    )


class _Route(nn.Module):
    def __init__(self, sources: list[int], groups: int, part: int):
        super().__init__()
        self.sources, self.groups, self.part = sources, groups, part

    def forward(self, inputs: list[Tensor]) -> Tensor:
        return torch.cat([x.chunk(self.groups, 1)[self.part] for x in inputs], 1)


class _Shortcut(nn.Module):
    def __init__(self, sources: list[int], activation: nn.Module):
        super().__init__()
        self.sources, self.activation = sources, activation

    def forward(self, inputs: list[Tensor]) -> Tensor:
        return self.activation(sum(inputs))


class _Yolo(nn.Module):
    def __init__(self, anchors: Tensor, scale: float, keep_mask: bool):
        super().__init__()
        self.scale, self.keep_mask = scale, keep_mask
        # the files' state dicts have none
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        rows, columns = x.shape[-2:]
        raw = x.float().unflatten(1, (len(self.anchors), -1)).permute(0, 1, 3, 4, 2)
        cells = torch.meshgrid(
            torch.arange(columns, device=x.device),
            torch.arange(rows, device=x.device),
            indexing="xy",
        )
        centre = (
            raw[..., :2].sigmoid() * self.scale - 0.5 * (self.scale - 1) + torch.stack(cells, -1)
        )
        size = raw[..., 2:4].exp() * self.anchors[:, None, None]
        return torch.cat(
            (
                centre * raw.new_tensor([width / columns, height / rows]),
                size,
                raw[..., 4:].sigmoid(),
            ),
            -1,
        ).flatten(1, 3)


def _build(section: _Section, incoming: Shape, shapes: list[Shape]) -> tuple[nn.Module, Shape]:
    """The layer of a section, and its shape; `shapes` are those of the layers before it."""
    channels, stride = incoming
    if section.kind == "convolutional":
        filters, size, step = (
            section.number("filters"),
            section.number("size", "1"),
            section.number("stride", "1"),
        )
        groups, normalized = (
            section.number("groups", "1"),
            section.number("batch_normalize", "0", least=0),
        )
        padding = (
            size // 2
            if section.number("pad", "0", least=0)
            else section.number("padding", "0", least=0)
        )
        divided = channels % groups == 0 and filters % groups == 0
        section.check(
            divided,
            f"groups={groups} must divide the {channels} channels that come in and filters={filters}",
            "groups",
        )
        block = nn.Sequential()
        block.add_module(
            "Conv2d",
            nn.Conv2d(channels, filters, size, step, padding, groups=groups, bias=not normalized),
        )
        if normalized:
            block.add_module("BatchNorm2d", nn.BatchNorm2d(filters, DARKNET_EPS))
        block.add_module("activation", section.activation("logistic"))
        return block, (filters, stride * step)
    if section.kind == "maxpool":
        step = section.number("stride", "1")
        size = section.number("size", str(step))
        padding = section.number("padding", str(size - 1), least=0)
        left = padding // 2  # the odd one goes to the right and the bottom
        pad = nn.ConstantPad2d((left, padding - left, left, padding - left), -torch.inf)
        return nn.Sequential(pad, nn.MaxPool2d(size, step)), (channels, stride * step)
    if section.kind == "upsample":
        factor = section.number("stride", "2")
        return nn.Upsample(scale_factor=factor), (channels, stride / factor)
    if section.kind == "route":
        sources = section.sources("layers", len(shapes))
        groups, part = section.number("groups", "1"), section.number("group_id", "0", least=0)
        counts, strides = zip(*(shapes[n] for n in sources), strict=True)
        fits = (
            len(set(strides)) == 1
            and part < groups
            and all(count % groups == 0 for count in counts)
        )
        section.check(
            fits,
            f"cannot join part {part} of {groups} of layers with channels {counts} and strides {strides}",
        )
        return _Route(sources, groups, part), (sum(counts) // groups, strides[0])
    if section.kind == "shortcut":
        sources = [len(shapes) - 1, *section.sources("from", len(shapes))]
        added = [shapes[n] for n in sources]
        section.check(
            len(set(added)) == 1, f"adds layers of (channels, stride) {added}; expected equal ones"
        )
        return _Shortcut(sources, section.activation("linear")), incoming
    if section.kind == "yolo":
        classes, count, anchors = (
            section.number("classes"),
            section.number("num", "1"),
            section.numbers("anchors", kind=float),
        )
        mask = section.numbers("mask", ",".join(map(str, range(count))))
        # Darknet ignores anchors beyond `num`, which stay where someone lowered it.
        paired = len(anchors) % 2 == 0 and len(anchors) >= 2 * count
        fits = paired and all(0 <= m < count for m in mask)
        numbers = f"{len(anchors)} numbers in anchors and mask={mask} for num={count}"
        section.check(fits, f"{numbers}; expected {2 * count}, and masks below num", "anchors")
        needed = len(mask) * (5 + classes)
        section.check(
            channels == needed,
            f"{channels} channels come in; {len(mask)} anchors and {classes} classes need {needed}",
        )
        keep_mask = bool(section.number("keep_mask", "0", least=0))  # ours, see TINY_HEAD
        scale = section.number("scale_x_y", "1", float)
        return _Yolo(torch.tensor(anchors).view(-1, 2)[mask], scale, keep_mask), incoming
    return nn.Identity(), incoming  # dropout


def _same(value: str, other: str) -> bool:
    """Compare two values of a .cfg as numbers where they are ones: 1.0 is 1."""
    try:
        return float(value) == float(other)
    except ValueError:
        return value == other


class Darknet(nn.Module):
    """The network of a Darknet .cfg, fully convolutional; its tensors are named as in the old
    ultralytics/yolov3.

    Attributes:
        stride: the images' height and width must be multiples of it.
        channels: of the images; 3 unless the .cfg says otherwise.
        mask_corrected: whether `load_darknet` replaced the published mask of yolov3-tiny.

    Raises:
        InputError: the .cfg is missing or malformed, or asks for what is not supported.
    """

    def __init__(self, cfg: Path):
        super().__init__()
        self.cfg = cfg
        self.mask_corrected = False
        net, *sections = _read_cfg(cfg)
        self.channels = net.number("channels", "3")
        incoming, shapes = (self.channels, 1.0), []
        self.module_list = nn.ModuleList()
        for section in sections:
            section.check(section.kind in KINDS, f"an unknown section; known: {', '.join(KINDS)}")
            for key, value in ONLY.items():
                found = section.options.get(key, value)
                section.check_only(key, found, value)
            stride = section.options.get("stride", "1")
            for key in ("stride_x", "stride_y"):
                found = section.options.get(key, stride)
                section.check_only(key, found, stride)
            module, incoming = _build(section, incoming, shapes)
            self.module_list.append(module)
            shapes.append(incoming)
        require(
            any(s.kind == "yolo" for s in sections),
            f"{cfg}: no [yolo] section; expected the .cfg of a YOLO detector",
            "wrong-kind-of-file",
            file=cfg,
        )
        self.stride = int(max(stride for _, stride in shapes))
        self._read_later = {
            source for module in self.module_list for source in getattr(module, "sources", ())
        }

    def forward(self, images: Tensor) -> Tensor:
        """Every box of every cell, unfiltered.

        Args:
            images: float (B, 3, H, W), RGB in [0, 1]; H and W are multiples of `stride`.

        Returns:
            float32 (B, N, 5 + classes): centre x, centre y, width, height in pixels of the images,
            objectness and the classes' probabilities in [0, 1].

        Raises:
            InputError: H or W is no multiple of `stride`.
        """
        height, width = images.shape[-2:]
        fits = height % self.stride == 0 and width % self.stride == 0
        require(
            fits,
            f"images of {height} x {width} pixels; expected multiples of {self.stride}: pad or resize them",
            "wrong-shape",
            field="images",
        )
        x, kept, boxes = images, {}, []
        for n, module in enumerate(self.module_list):
            if isinstance(module, _Yolo):
                boxes.append(module(x, height, width))
            else:
                x = module(
                    [kept[source] for source in module.sources] if hasattr(module, "sources") else x
                )
            if n in self._read_later:
                kept[n] = x
        return torch.cat(boxes, 1)


def load_darknet(weights: Path, cfg: Path | None = None) -> Darknet:
    """A Darknet with its weights, in eval mode.

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
    require(
        weights.is_file(),
        f"{weights}: no such file; download the weights there",
        "missing-file",
        file=weights,
    )
    require(
        weights.suffix in (".weights", ".pt"),
        f"{weights}: expected a file .weights or .pt",
        "wrong-kind-of-file",
        file=weights,
    )
    require(
        weights.stat().st_size > 0,
        f"{weights}: an empty file; download it again",
        "empty-file",
        file=weights,
    )
    _require_data(weights, "weights")
    if cfg is None:
        same, short = (
            weights.with_name(f"{stem}.cfg")
            for stem in (weights.stem, weights.stem.removesuffix("-ultralytics"))
        )
        cfg = same if same.is_file() else short
    model = Darknet(cfg).eval()
    (_load_state if weights.suffix == ".pt" else _load_floats)(model, weights, cfg)
    _require_sound(model, weights)
    _correct_tiny_mask(model, weights)
    return model


def _require_sound(model: Darknet, weights: Path) -> None:
    """Refuse numbers that no training leaves, as in a download that ends in zeros."""
    for name, tensor in model.state_dict().items():
        fault = ""
        if not tensor.isfinite().all():
            fault = "numbers that are not finite"
        elif name.endswith("running_var") and (tensor < 0).any():
            fault = "negative variances"
        elif name.endswith("Conv2d.weight") and not tensor.any():
            fault = "nothing but zeros"
        advice = "the file is damaged, or of another network; download it again"
        message = f"{weights}: {fault} in {name}; {advice}"
        require(not fault, message, "damaged-file", file=weights)


def _correct_tiny_mask(model: Darknet, weights: Path) -> None:
    """Give the official yolov3-tiny the mask that it was trained with."""
    for block, yolo in pairwise(model.module_list):
        published = isinstance(yolo, _Yolo) and yolo.anchors.tolist() == TINY_PUBLISHED
        if not published or yolo.keep_mask or _head_hash(block) != TINY_HEAD:
            continue
        yolo.anchors.copy_(torch.tensor(TINY_TRAINED))
        model.mask_corrected = True
        warnings.warn(
            f"{model.cfg}: the mask trap of yolov3-tiny: took mask = 1,2,3 in place of 0,1,2 in "
            f"the second [yolo]. {weights} holds the official weights, which were trained with "
            "1,2,3 (pjreddie/darknet#851); with 0,1,2 boxes come out at about half their size. To "
            "end this warning, write mask = 1,2,3 there. To run 0,1,2, add keep_mask=1 below it",
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
def _load_floats(model: Darknet, path: Path, cfg: Path) -> None:
    data, tensors = path.read_bytes(), []
    for block in model.module_list:
        if conv := getattr(block, "Conv2d", None):
            norm = getattr(block, "BatchNorm2d", None)
            tensors += (
                [norm.bias, norm.weight, norm.running_mean, norm.running_var]
                if norm
                else [conv.bias]
            )
            tensors.append(conv.weight)
    expected = sum(t.numel() for t in tensors)
    start = _header_size(data)
    found = max(len(data) - start, 0)
    sizes = f"expected {expected:,} numbers ({4 * expected:,} bytes) for {cfg}, found {found // 4:,} ({found:,} bytes)"
    require(
        found == 4 * expected,
        f"{path}: {sizes}; take this network's .cfg{', or download again' * (found < 4 * expected)}",
        "conflict",
        file=path,
    )
    values = torch.from_numpy(np.frombuffer(data, "<f4", offset=start).astype(np.float32))
    for tensor, part in zip(tensors, values.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def _header_size(data: bytes) -> int:
    """Return the number of bytes before the first weight, 16 or 20.

    They end with the count of seen images: 32 bits, and 64 since Darknet's version 0.2. The version
    alone does not tell. PyTorch-YOLOv3 writes 64 bits as version 0.0, and a Darknet that was built
    for a 32-bit system writes 32 bits as version 0.2. The bytes 16 to 19 tell: the upper half of
    a count is a small integer, while a weight is a float, whose bits are at least 2**23. A weight
    of zero could be both. It is taken for a weight in version 0.1 only.
    """
    major, minor = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")
    if int.from_bytes(data[16:20], "little") >= 2**23:
        return 16
    narrow = (major, minor) == (0, 1) or max(major, minor) >= 1000  # as in Darknet, less 0.0
    return 16 if narrow else 20


def _load_state(model: Darknet, path: Path, cfg: Path) -> None:
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    # torch raises half a dozen kinds for files that are damaged, not tensors, or of another network
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise InputError(
            f"{path}: expected a .pt of the old ultralytics/yolov3 that fits {cfg}, found {reason}; download it again",
            "wrong-kind-of-file",
            file=path,
        ) from error
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = ULTRALYTICS_EPS


@torch.no_grad()
def find_objects(model: Darknet, images: Tensor, confidence: float, iou: float) -> list[Tensor]:
    """Objects of all classes, each class thinned by non-maximum suppression.

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

    found = []
    for boxes in model(images):
        scores = boxes[:, 4:5] * boxes[:, 5:]
        which, kind = (scores >= confidence).nonzero(as_tuple=True)
        corners, scores = box_convert(boxes[which, :4], "cxcywh", "xyxy"), scores[which, kind]
        best = batched_nms(corners, scores, kind, iou)
        found.append(torch.cat((corners, scores[:, None], kind[:, None]), 1)[best])
    return found


def find_people(model: Darknet, images: Tensor, confidence: float, iou: float) -> list[Tensor]:
    """`find_objects` for class 0, COCO's person: for each image float32 (N, 5): x0, y0, x1, y1,
    score.
    """
    return [found[found[:, 5] == 0, :5] for found in find_objects(model, images, confidence, iou)]
