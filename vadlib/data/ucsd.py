"""UCSD Ped1 and Ped2 (Mahadevan et al., CVPR 2010): pedestrian walkways; bicycles, skateboarders
and carts are abnormal.
"""

from __future__ import annotations

from pathlib import Path

from vadlib.data.copies import FrameFolderDataset
from vadlib.data.labels import GroundTruth
from vadlib.data.layout import below, read_masks
from vadlib.data.video import Stack, Video


class Ucsd(FrameFolderDataset):
    """A copy of Ped1 or Ped2; grey (C = 1), 10 frames a second.

    Official layout, of Ped1 with 1 for 2::

        ROOT/UCSD_Anomaly_Dataset.v1p2/UCSDped2/Train/Train001/001.tif ...
                                               /Test/Test001/001.tif ...
                                               /Test/Test001_gt/001.bmp ...   masks, optional
                                               /Test/UCSDped2.m    1-based, inclusive intervals

    Community layout, 0- or 1-based, numbers padded or not::

        ROOT/ped2/training/frames/01/000.jpg ...    16 clips, 2,550 frames
                 /testing/frames/01/000.jpg ...     12 clips, 2,010 frames, 1,648 of them abnormal
                 /testing/masks/01/000.png ...      masks, optional
                 /ped2.mat                          `gt`: 12 cells of 2 x k interval ends
                 /frame_labels_ped2.npy             or, instead: (1, 2010) or (2010,)

    A copy may hold only some clips: labels are matched by the number in a clip's name, and clips
    are called by it ("01").
    """

    train = ("Train", "training/frames", "training")
    test = ("Test", "testing/frames", "testing")
    fps = 10.0
    channels = 1

    def __init__(self, root: Path):
        name = self.title.lower()
        archive = f"UCSD_Anomaly_Dataset.v1p2/UCSD{name}"
        self.places = (name, archive, f"UCSD{name}", f"{name}/UCSD{name}", f"{name}/{archive}")
        self.expected = f"{name}/training/frames/01/*.jpg and testing, or {archive}/Train and Test,"
        files = (f"Test/UCSD{name}.m", f"{name}.mat", f"frame_labels_{name}.npy")
        self.label_files = tuple((file, file.rpartition(".")[2]) for file in files)
        super().__init__(root)

    def masks(self, video: Video, path: Path, truth: GroundTruth) -> Stack | None:
        folder = below(path.parent, f"{path.name}_gt")
        folder = folder or below(self.folder, f"testing/masks/{path.name}")
        return read_masks(folder, len(video)) if folder is not None else None


class Ped1(Ucsd):
    """UCSD Ped1: 34 training clips (6,800 frames), 36 test clips (7,200 frames, 4,045 abnormal)."""

    title = "Ped1"
    numbered_lengths = (200,) * 36


class Ped2(Ucsd):
    """UCSD Ped2: 16 training clips (2,550 frames), 12 test clips (2,010 frames, 1,648 abnormal)."""

    title = "Ped2"
    numbered_lengths = (180, 180, 150, 180, 150, 180, 180, 180, 120, 150, 180, 180)
