"""Links whose targets are missing, as git-annex, DVC and disks that are not mounted leave them:
named, and nothing is lost.
"""

import shutil

import numpy as np
import pytest
from refusals import refused
from trees import official_avenue, official_shanghaitech, scene, write_images, write_video

from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.check import check_dataset
from vadlib.data.folder import open_video
from vadlib.pseudo.patches import load_patches

FRAMES = np.zeros((20, 8, 8), np.uint8)


@pytest.fixture
def tree(tmp_path):
    """Own videos with labels of each form ready to be linked; "there" is where links lead to."""
    root = tmp_path / "mine"
    write_images(root / "training" / "cam1" / "monday", FRAMES)
    write_video(root / "training" / "cam2" / "sunday.mp4", scene(1, 20)[0][0])
    write_images(root / "testing" / "tuesday", FRAMES)
    write_video(root / "testing" / "friday.mp4", scene(1, 20)[0][0])
    return root


def cut(path):
    """Replace a file or folder by a link to where it was moved, which then goes missing."""
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/nowhere/" + path.name)
    return path


def named(report):
    """The files that the problems of a missing target begin with."""
    entries = [entry["where"] for entry in report["problems"] if entry["code"] == "missing-file"]
    return {where.split(": a link to ")[0] for where in entries if ": a link to " in where}


# What the link was, by the splits that cannot be loaded with it.
TRAIN = (
    "cam1/monday/000.png cam1/monday/020.png cam1/monday cam1 cam3 cam.4 cam2/sunday.mp4 cam2/o.mkv"
)
TEST = "testing/tuesday/020.png testing/wednesday.mp4 testing/wednesday testing/wednesday.dav "
TEST += (
    "labels.csv labels.json labels labels/tuesday.npy masks masks/tuesday masks/tuesday/003.png "
)
TEST += "testing/labels.csv"
PLACES = [(f"training/{place}", ["train"]) for place in TRAIN.split()]
PLACES += [(place, ["test"]) for place in TEST.split()]
PLACES += [("training", ["train", "test"]), ("testing", ["train", "test"])]


@pytest.mark.parametrize(("place", "splits"), PLACES)
def test_each_link_without_a_target_is_named_and_refused(tree, place, splits):
    if place.startswith("labels/"):
        for name in ("tuesday", "friday"):
            (tree / "labels").mkdir(exist_ok=True)
            np.save(tree / "labels" / f"{name}.npy", np.zeros(20, np.uint8))
    if place.startswith("masks/"):
        write_images(tree / "masks" / "tuesday", FRAMES.astype(bool))
        write_images(tree / "masks" / "friday", np.zeros((20, 48, 64), bool))
    link = cut(tree / place)
    assert str(link) in named(check_dataset("folder", tree, progress=False))
    for split in splits:
        with refused("missing-file", file=link):
            load_videos("folder", split, tree)


@pytest.mark.parametrize(
    "place", ["training/cam2/cover.jpg", "training/README.txt", "notes.docx", "extra.zip"]
)
def test_a_link_that_was_no_video_is_named_but_stops_nothing(tree, place):
    link = cut(tree / place)
    assert named(check_dataset("folder", tree, progress=False)) == {str(link)}
    assert len(load_videos("folder", "train", tree)) == 2


def test_case_08(tmp_path):
    """A frame and a whole video, as the script of the project's list makes them; and each is named
    once.
    """
    for clip in ("training/monday", "testing/tuesday"):
        write_images(tmp_path / clip, FRAMES)
    links = [
        cut(tmp_path / "testing" / "tuesday" / "020.png"),
        cut(tmp_path / "testing" / "wednesday.mp4"),
    ]
    (tmp_path / "labels.csv").write_text("video,start,end\nwednesday,3,7\n")
    report = check_dataset("folder", tmp_path, progress=False)
    assert sorted(entry["where"].split(": ")[0] for entry in report["problems"]) == sorted(
        map(str, links)
    )


def test_hundreds_of_links_are_counted(tmp_path):
    write_images(tmp_path / "a", FRAMES)
    for number in range(20, 220):
        (tmp_path / "a" / f"{number:03d}.png").symlink_to("/nowhere/x")
    problems = check_dataset("folder", tmp_path, progress=False)["problems"]
    assert len(problems) == 51
    assert problems[-1]["where"].startswith("150 more")


def test_links_to_what_is_there_are_followed(tree, tmp_path):
    shutil.move(tree / "training", tmp_path / "disk")
    (tree / "training").symlink_to(tmp_path / "disk")
    write_images(tmp_path / "elsewhere", FRAMES)
    (tree / "training" / "cam3").symlink_to(tmp_path / "elsewhere")
    frame = tree / "testing" / "tuesday" / "000.png"
    shutil.move(frame, tmp_path / "object")
    frame.symlink_to(tmp_path / "object")
    assert check_dataset("folder", tree, progress=False)["problems"] == []
    assert len(load_videos("folder", "train", tree)) == 3


def test_a_link_to_itself_is_named(tree):
    link = tree / "training" / "cam2" / "loop.mp4"
    link.symlink_to(link.name)
    assert named(check_dataset("folder", tree, progress=False)) == {str(link)}


@pytest.mark.parametrize("name", ["film.mp4", "frames"])
def test_one_video_by_a_link_without_a_target(tmp_path, name):
    link = cut(tmp_path / name)
    with refused("missing-file", file=link):
        open_video(link)


SHANGHAITECH = "training/videos/01_001.avi training/videos/01_009 training/videos training "
SHANGHAITECH += "testing/frames/01_0014 testing/frames/01_0014/011.jpg testing/test_frame_mask "
SHANGHAITECH += "testing/test_frame_mask/01_0014.npy testing/test_pixel_mask/01_0014.npy"
AVENUE = "Avenue Dataset|Avenue Dataset/training_videos|Avenue Dataset/testing_videos/21.avi|"
AVENUE += "ground_truth_demo|ground_truth_demo/testing_label_mask/21_label.mat"


@pytest.mark.parametrize(
    ("dataset", "place"),
    [
        *(("shanghaitech", place) for place in ["", *SHANGHAITECH.split()]),
        *(("avenue", place) for place in ["", *AVENUE.split("|")]),
    ],
)
def test_links_in_copies_of_known_datasets(tmp_path, dataset, place):
    official_avenue(tmp_path, {21: 76}) if dataset == "avenue" else official_shanghaitech(
        tmp_path, {"01_0014": 20}
    )
    link = cut(tmp_path / dataset / place)
    split = "test" if "test" in place or "truth" in place else "train"
    assert str(link) in named(check_dataset(dataset, tmp_path, progress=False))
    with refused("missing-file", file=link):
        load_videos(dataset, split, tmp_path)


def test_a_copy_is_found_beside_a_link_without_a_target(tiny_ped2):
    cut(tiny_ped2.root / "UCSD_Anomaly_Dataset.v1p2")
    cut(tiny_ped2.root / "elsewhere")
    assert find_copy("ped2", tiny_ped2.root).folder == tiny_ped2.folder


def test_a_root_and_pictures_to_paste_by_links_without_a_target(tmp_path):
    with refused("missing-file", file=cut(tmp_path / "data"), field=""):
        find_copy("ped2", tmp_path / "data")
    (tmp_path / "pictures" / "cats").mkdir(parents=True)
    with refused("missing-file", file=cut(tmp_path / "pictures" / "cats" / "1.png")):
        load_patches(str(tmp_path / "pictures"))
