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
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/nowhere/" + path.name)
    return path


def named(report):
    """The files that the problems of a missing target begin with."""
    lines = [entry["where"] for entry in report["problems"] if entry["code"] == "missing-file"]
    return {line.split(": a link to ")[0] for line in lines if ": a link to " in line}


# What the link was.
TRAIN = """training/cam1/monday/000.png training/cam1/monday/020.png training/cam1/monday
training/cam1 training/cam.4 training/cam2/sunday.mp4 training/cam2/o.mkv training testing"""
TEST = """testing/tuesday/020.png testing/wednesday.mp4 testing/wednesday testing/wednesday.dav
labels labels.csv labels.json labels/tuesday.npy masks masks/tuesday masks/tuesday/003.png
testing/labels.csv training testing"""
PLACES = [(place, "train") for place in TRAIN.split()] + [(place, "test") for place in TEST.split()]


@pytest.mark.parametrize(("place", "split"), PLACES)
def test_each_link_without_a_target_is_named_and_refused(tree, place, split):
    if place.startswith("labels/"):
        (tree / "labels").mkdir()
        for name in ("tuesday", "friday"):
            np.save(tree / "labels" / f"{name}.npy", np.zeros(20, np.uint8))
    if place.startswith("masks/"):
        write_images(tree / "masks" / "tuesday", FRAMES.astype(bool))
        write_images(tree / "masks" / "friday", np.zeros((20, 48, 64), bool))
    link = cut(tree / place)
    assert str(link) in named(check_dataset("folder", tree, progress=False))
    with refused("missing-file", file=link):
        load_videos("folder", split, tree)


@pytest.mark.parametrize("place", ["training/cam2/cover.jpg", "notes.docx", "training/loop.mp4"])
def test_a_link_that_was_no_video_is_named_but_stops_nothing(tree, place):
    link = cut(tree / place)
    if link.stem == "loop":  # a link to itself
        link.unlink()
        link.symlink_to(link.name)
    assert named(check_dataset("folder", tree, progress=False)) == {str(link)}
    if link.stem != "loop":
        assert len(load_videos("folder", "train", tree)) == 2


def test_case_08(tmp_path):
    """A frame and a whole video, as the script of the project's list makes them; each is named
    once.
    """
    for clip in ("training/monday", "testing/tuesday"):
        write_images(tmp_path / clip, FRAMES)
    tests = tmp_path / "testing"
    links = {str(cut(tests / "tuesday" / "020.png")), str(cut(tests / "wednesday.mp4"))}
    (tmp_path / "labels.csv").write_text("video,start,end\nwednesday,3,7\n")
    problems = check_dataset("folder", tmp_path, progress=False)["problems"]
    assert {entry["where"].split(": ")[0] for entry in problems} == links
    assert len(problems) == 2


def test_hundreds_of_links_are_counted(tmp_path):
    write_images(tmp_path / "a", FRAMES)
    for number in range(20, 220):
        (tmp_path / "a" / f"{number:03d}.png").symlink_to("/nowhere/x")
    problems = check_dataset("folder", tmp_path, progress=False)["problems"]
    assert len(problems) == 51
    assert problems[-1]["where"].startswith("150 more")


def test_links_to_what_is_there_are_followed(tree, tmp_path):
    write_images(tree / "training" / "cam3", FRAMES)
    for place in ("training/cam3", "training", "testing/tuesday/000.png"):
        target = tmp_path / place.replace("/", "-")
        shutil.move(tree / place, target)
        (tree / place).symlink_to(target)
    assert check_dataset("folder", tree, progress=False)["problems"] == []
    assert len(load_videos("folder", "train", tree)) == 3


@pytest.mark.parametrize("name", ["film.mp4", "frames"])
def test_one_video_by_a_link_without_a_target(tmp_path, name):
    link = cut(tmp_path / name)
    with refused("missing-file", file=link):
        open_video(link)


KNOWN = """shanghaitech|shanghaitech/training/videos/01_001.avi|shanghaitech/training/videos/01_009
shanghaitech/training/videos|shanghaitech/training|shanghaitech/testing/frames/01_0014/011.jpg
shanghaitech/testing/frames/01_0014|shanghaitech/testing/test_frame_mask
shanghaitech/testing/test_frame_mask/01_0014.npy|shanghaitech/testing/test_pixel_mask/01_0014.npy
avenue|avenue/Avenue Dataset|avenue/Avenue Dataset/testing_videos/21.avi|avenue/ground_truth_demo
avenue/Avenue Dataset/training_videos|avenue/ground_truth_demo/testing_label_mask/21_label.mat"""


@pytest.mark.parametrize("place", KNOWN.replace("\n", "|").split("|"))
def test_links_in_copies_of_known_datasets(tmp_path, place):
    dataset = place.split("/")[0]
    if dataset == "avenue":
        official_avenue(tmp_path, {21: 76})
    else:
        official_shanghaitech(tmp_path, {"01_0014": 20})
    link = cut(tmp_path / place)
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
