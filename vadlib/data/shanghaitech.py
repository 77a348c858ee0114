"""ShanghaiTech Campus (Luo et al., ICCV 2017): thirteen cameras on a campus; bicycles, fights,
running and more are abnormal.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vadlib.data.copies import FrameFolderDataset, Layout
from vadlib.data.ground_truths import ClipLabels, GroundTruth, WholeSetLabels
from vadlib.data.labels import read_npy
from vadlib.data.layout import below
from vadlib.data.video import LazyStack, Stack, Video
from vadlib.errors import InputError

# Of the test clips, by camera: number and length. Whole-set label files are cut by them.
_TEST = {
    "01": (
        "0014:265 0015:433 0016:337 0025:601 0026:505 0027:409 0028:457 0029:313 0030:409 "
        "0051:337 0052:337 0053:457 0054:577 0055:313 0056:529 0063:193 0064:289 0073:289 "
        "0076:265 0129:241 0130:337 0131:289 0132:265 0133:217 0134:433 0135:409 0136:529 "
        "0138:313 0139:217 0140:241 0141:313 0162:193 0163:265 0177:317"
    ),
    "02": "0128:457 0161:337 0164:361",
    "03": (
        "0031:529 0032:409 0033:313 0035:385 0036:457 0039:481 0041:457 0059:433 0060:385 0061:241"
    ),
    "04": "0001:553 0003:937 0004:865 0010:505 0011:313 0012:361 0013:361 0046:529 0050:337",
    "05": "0017:433 0018:481 0019:649 0020:649 0021:409 0022:337 0023:769 0024:433",
    "06": "0144:241 0145:217 0147:265 0150:265 0153:217 0155:265",
    "07": "0005:409 0006:385 0007:481 0008:457 0009:313 0047:601 0048:241 0049:481",
    "08": (
        "0044:313 0058:337 0077:457 0078:217 0079:241 0080:289 0156:337 0157:313 0158:337 "
        "0159:265 0178:265 0179:337"
    ),
    "09": "0057:361",
    "10": "0037:433 0038:241 0042:433 0074:601 0075:505",
    "11": "0176:337",
    "12": (
        "0142:601 0143:265 0148:313 0149:241 0151:289 0152:361 0154:385 0173:217 0174:337 0175:265"
    ),
}


def _test_lengths() -> dict[str, int]:
    lengths = {}
    for camera, clips in _TEST.items():
        for clip in clips.split():
            number, length = clip.split(":")
            lengths[f"{camera}_{number}"] = int(length)
    return lengths


TEST_LENGTHS = _test_lengths()


_TRAIN = ("training/videos", "training/frames", "training")


class ShanghaiTech(FrameFolderDataset):
    """A copy of ShanghaiTech; RGB (C = 3), 24 frames a second. Each camera is a scene of its own.

    Official layout; the training set is video, the test set is frames::

        ROOT/shanghaitech/training/videos/01_001.avi ...       330 videos, 274,515 frames
                         /testing/frames/01_0014/000.jpg ...   107 clips, 40,791 frames
                         /testing/test_frame_mask/01_0014.npy  labels (T,), 17,326 abnormal in all
                         /testing/test_pixel_mask/01_0014.npy  masks (T, H, W)

    Community layout: `ROOT/shanghai/{training,testing}/frames/01_001/000.jpg` with
    `frame_labels_shanghai.npy` (40791,). The first two digits of a name are the camera.
    """

    title = "ShanghaiTech"
    places = ("shanghaitech", "shanghai")
    layouts = (Layout("official", train=_TRAIN, test=("testing/frames", "testing")),)
    expected = (
        "shanghaitech/training/videos/01_001.avi and shanghaitech/testing/frames/01_0014/*.jpg, "
        "or shanghaitech/training/frames,"
    )
    expected_labels = "testing/test_frame_mask/*.npy or frame_labels_shanghai.npy"
    fps = 24.0
    channels = 3
    test_lengths = TEST_LENGTHS

    def __init__(self, root: Path):
        super().__init__(root)
        official = [("training", "videos"), ("testing", "test_frame_mask")]
        if not any(below(self.folder, *names) for names in official):
            self.layout = "community"

    def ground_truths(self) -> list[GroundTruth]:
        masks = below(self.folder, "testing", "test_frame_mask")
        if masks is not None:
            return [ClipLabels("frame_mask", masks)]
        for name in ("frame_labels_shanghai.npy", "frame_labels_shanghaitech.npy"):
            path = below(self.folder, name)
            if path is not None:
                return [WholeSetLabels("npy", path, self.test_lengths)]
        return []

    def masks(self, video: Video, path: Path, ground_truth: str) -> Stack | None:
        file = below(self.folder, "testing", "test_pixel_mask", f"{video.name}.npy")
        return NpyMasks(file) if file is not None else None

    def scene(self, name: str) -> str:
        return f"shanghaitech {name.split('_')[0]}"


class NpyMasks(LazyStack):
    """Pixel masks of one clip, bool (T, H, W), memory-mapped from a .npy file; any value above 0 is
    abnormal.
    """

    dtype = bool

    def __init__(self, path: Path):
        self.masks = read_npy(path, mmap=True)
        if self.masks.ndim != 3 or self.masks.dtype.kind not in "buif":
            message = (
                f"{path}: an array {self.masks.shape}; expected numbers (frames, height, width)"
            )
            raise InputError(message, "wrong-shape", file=path)
        self.shape = self.masks.shape

    def _read(self, i: int) -> np.ndarray:
        return np.asarray(self.masks[i]) > 0
