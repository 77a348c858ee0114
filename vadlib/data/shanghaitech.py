"""ShanghaiTech Campus (Luo et al., ICCV 2017): thirteen cameras on a campus; bicycles, fights,
running and more are abnormal.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vadlib.data.copies import FrameFolderDataset
from vadlib.data.labels import GroundTruth, read_npy
from vadlib.data.layout import below
from vadlib.data.video import LazyStack, Stack, Video
from vadlib.errors import require

# Of the test clips: camera, number and frames.
_TEST = """
01_0014:265 01_0015:433 01_0016:337 01_0025:601 01_0026:505 01_0027:409 01_0028:457 01_0029:313
01_0030:409 01_0051:337 01_0052:337 01_0053:457 01_0054:577 01_0055:313 01_0056:529 01_0063:193
01_0064:289 01_0073:289 01_0076:265 01_0129:241 01_0130:337 01_0131:289 01_0132:265 01_0133:217
01_0134:433 01_0135:409 01_0136:529 01_0138:313 01_0139:217 01_0140:241 01_0141:313 01_0162:193
01_0163:265 01_0177:317 02_0128:457 02_0161:337 02_0164:361 03_0031:529 03_0032:409 03_0033:313
03_0035:385 03_0036:457 03_0039:481 03_0041:457 03_0059:433 03_0060:385 03_0061:241 04_0001:553
04_0003:937 04_0004:865 04_0010:505 04_0011:313 04_0012:361 04_0013:361 04_0046:529 04_0050:337
05_0017:433 05_0018:481 05_0019:649 05_0020:649 05_0021:409 05_0022:337 05_0023:769 05_0024:433
06_0144:241 06_0145:217 06_0147:265 06_0150:265 06_0153:217 06_0155:265 07_0005:409 07_0006:385
07_0007:481 07_0008:457 07_0009:313 07_0047:601 07_0048:241 07_0049:481 08_0044:313 08_0058:337
08_0077:457 08_0078:217 08_0079:241 08_0080:289 08_0156:337 08_0157:313 08_0158:337 08_0159:265
08_0178:265 08_0179:337 09_0057:361 10_0037:433 10_0038:241 10_0042:433 10_0074:601 10_0075:505
11_0176:337 12_0142:601 12_0143:265 12_0148:313 12_0149:241 12_0151:289 12_0152:361 12_0154:385
12_0173:217 12_0174:337 12_0175:265
"""
TEST_LENGTHS = {word[:7]: int(word[8:]) for word in _TEST.split()}


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
    train = ("training/videos", "training/frames", "training")
    test = ("testing/frames", "testing")
    official = ("training/videos", "testing/test_frame_mask")
    expected = "shanghaitech/training/videos/01_001.avi and testing/frames/01_0014/*.jpg"
    label_files = (("testing/test_frame_mask", "frame_mask"), ("frame_labels_shanghai.npy", "npy"))
    fps = 24.0
    test_lengths = TEST_LENGTHS

    def masks(self, video: Video, path: Path, truth: GroundTruth) -> Stack | None:
        file = below(self.folder, f"testing/test_pixel_mask/{video.name}.npy")
        return NpyMasks(file) if file is not None else None

    def scene(self, name: str) -> str:
        return f"shanghaitech {name.split('_')[0]}"


class NpyMasks(LazyStack):
    """Pixel masks of one clip, bool (T, H, W), memory-mapped from a .npy file; any value above 0 is
    abnormal.
    """

    dtype = bool

    def __init__(self, path: Path):
        self.path, self.masks = path, read_npy(path)
        message = f"{path}: an array {self.masks.shape}; expected numbers (frames, height, width)"
        is_sound = self.masks.ndim == 3 and self.masks.dtype.kind in "buif"
        require(is_sound, message, "wrong-shape", file=path)
        self.shape = self.masks.shape

    def _read(self, i: int) -> np.ndarray:
        return np.asarray(self.masks[i]) > 0
