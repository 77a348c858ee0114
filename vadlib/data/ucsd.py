"""UCSD Ped1 and Ped2 (Mahadevan et al., CVPR 2010): pedestrian walkways; bicycles, skateboarders
and carts are abnormal.
"""

from __future__ import annotations

from pathlib import Path

from vadlib.data.copies import COMMUNITY, FrameFolderDataset, Layout
from vadlib.data.ground_truths import GroundTruth, WholeSetLabels
from vadlib.data.layout import below, numbered_lengths, read_masks
from vadlib.data.video import Stack, Video

TEST_LENGTHS = {
    "ped1": (200,) * 36,
    "ped2": (180, 180, 150, 180, 150, 180, 180, 180, 120, 150, 180, 180),
}


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

    name: str
    layouts = (Layout("official", train=("Train",), test=("Test",)), COMMUNITY)
    fps = 10.0
    channels = 1
    numbered = True

    def __init__(self, root: Path):
        official = f"UCSD{self.name}"
        archive = "UCSD_Anomaly_Dataset.v1p2"
        self.title = self.name.capitalize()
        self.places = (
            self.name,
            f"{archive}/{official}",
            official,
            f"{self.name}/{official}",
            f"{self.name}/{archive}/{official}",
        )
        self.expected = (
            f"{self.name}/training/frames/01/*.jpg and {self.name}/testing/frames/01/*.jpg, "
            f"or {archive}/{official}/Train and Test,"
        )
        self.test_lengths = numbered_lengths(TEST_LENGTHS[self.name])
        super().__init__(root)
        self.expected_labels = " or ".join(self._label_files())

    def _label_files(self) -> list[str]:
        if self.layout == "official":
            return [f"Test/UCSD{self.name}.m"]
        return [f"{self.name}.mat", f"frame_labels_{self.name}.npy"]

    def ground_truths(self) -> list[GroundTruth]:
        for name in self._label_files():
            path = below(self.folder, *name.split("/"))
            if path is not None:  # the others would say the same
                return [WholeSetLabels(path.suffix[1:].lower(), path, self.test_lengths)]
        return []

    def masks(self, video: Video, path: Path, ground_truth: str) -> Stack | None:
        folder = below(self.folder, "testing", "masks", path.name)
        if self.layout == "official":
            folder = below(path.parent, f"{path.name}_gt")
        if folder is None or not folder.is_dir():
            return None
        return read_masks(folder, len(video))


class Ped1(Ucsd):
    """UCSD Ped1: 34 training clips (6,800 frames), 36 test clips (7,200 frames, 4,045 abnormal)."""

    name = "ped1"


class Ped2(Ucsd):
    """UCSD Ped2: 16 training clips (2,550 frames), 12 test clips (2,010 frames, 1,648 abnormal)."""

    name = "ped2"
