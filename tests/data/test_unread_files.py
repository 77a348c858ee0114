"""Files that are not read are named, whatever their ending; what is no data, and what vadlib itself
wrote, is not.
"""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import official_avenue, scene, write_images, write_video

from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.check import check_dataset
from vadlib.data.decode import VIDEO_SUFFIXES
from vadlib.data.layout import is_harmless
from vadlib.data.video import IMAGE_SUFFIXES

# Labels in forms that are not read, and under names that are not looked for.
LABELS = """labels.txt|label.csv|labels (1).csv|labels - copy.csv|labels.csv.txt|labels.tsv
labels.xlsx|labels.ods|labels.mat|labels.npz|labels.npy|gt.csv|gt.txt|ground_truth.json
annotations.xml|annotations.txt|annotation.yaml|truth.pkl|frame_labels_mine.npy|anomalies.md
testing/friday.csv|testing/tuesday_gt.txt|labels/wednesday.npy|labels/tuesday.txt|labels/labels.csv
masks/wednesday/000.png|masks/000.png|training/labels.csv|training/masks/a/0.png"""
# Files without an ending, and videos outside of training/ and testing/.
OTHERS = """training/film|training/00000001|training/DVR recording|training/film.
training/film.mp4 (1)|training/film.mp4.bak|beside.mp4|validation/monday.mp4
validation/monday/000.png|photo.jpg"""
HARMLESS = """README|README.md|readme.txt|README_labels.html|LICENSE|LICENCE.txt|COPYING|notes.txt
notes.docx|paper.pdf|index.html|Makefile|MD5SUMS|sums.md5|convert.py|convert.sh|film.srt|film.thm
GOPR0001.THM|camera.log|dataset.yaml|explore.ipynb|link.url"""
JUNK = """.DS_Store|._monday.mp4|Thumbs.db|ehthumbs.db|desktop.ini|Icon\r|~$labels.csv|labels.csv~
$RECYCLE.BIN/film.mp4|System Volume Information/film.mp4|lost+found/film.mp4
@eaDir/monday.mp4/x.jpg"""


def words(text):
    return text.replace("\n", "|").split("|")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("mine")
    for clip in ("training/monday", "testing/tuesday", "testing/friday"):
        write_images(root / clip, np.zeros((20, 8, 8), np.uint8))
    return root


@pytest.fixture
def tree(template):
    """Own videos to which a test may add files; they are removed afterwards."""
    before = set(template.rglob("*"))
    yield template
    for path in sorted(set(template.rglob("*")) - before, reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def add(root, name):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def unread(root, dataset="folder"):
    """What the check names as not read."""
    problems = check_dataset(dataset, root, progress=False)["problems"]
    lines = [entry["where"] for entry in problems if entry["code"] == "unread-files"]
    return [name for line in lines for name in line.removesuffix(": not read").split(", ")]


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=6))
def test_no_list_of_endings_decides(template, ending):
    path = template / "training" / f"film.{ending}"
    read = VIDEO_SUFFIXES | IMAGE_SUFFIXES
    if path.suffix in read or is_harmless(path):
        return
    path.write_bytes(b"x")
    try:
        assert find_copy("folder", template).unread_files() == [path]
    finally:
        path.unlink()


@pytest.mark.parametrize("name", words(LABELS) + words(OTHERS))
def test_what_may_be_data_is_named(tree, name):
    for video in ("tuesday", "friday"):  # the labels or masks beside which it lies
        if name.startswith("labels/"):
            np.save(add(tree, f"labels/{video}.npy"), np.zeros(20, np.uint8))
        if name.startswith("masks/"):
            write_images(tree / "masks" / video, np.zeros((20, 8, 8), bool))
    path = add(tree, name)
    assert unread(tree) == [str(path)]


@pytest.mark.parametrize("name", words(HARMLESS) + words(JUNK))
@pytest.mark.parametrize("place", ["", "training/", "testing/deep/"])
def test_what_is_no_data_is_not_named(tree, name, place):
    add(tree, f"{place}{name}")
    report = check_dataset("folder", tree, progress=False)
    assert report["problems"] == []
    assert report["splits"]["train"]["clips"] == 1


def test_pictures_beside_videos_are_noted(tmp_path):
    write_video(tmp_path / "a.mp4", scene(1, 20)[0][0])
    add(tmp_path, "poster.png")
    cover = add(tmp_path, "cover.jpg")
    report = check_dataset("folder", tmp_path, progress=False)
    notes = {entry["code"]: entry["where"] for entry in report["notes"]}
    assert notes["pictures-beside-videos"] == f"{cover} and 1 more"
    assert report["problems"] == []


def test_films_among_a_known_dataset_are_named(tmp_path):
    official_avenue(tmp_path, {21: 76})
    path = add(tmp_path, "avenue/Avenue Dataset/testing_videos/22.dav")
    add(tmp_path, "avenue/Avenue Dataset/features.npy")
    assert unread(tmp_path, "avenue") == [str(path)]


def test_fifty_files_are_named_and_more_are_counted(tree):
    for number in range(60):
        add(tree, f"training/{number:02d}.dav")
    names = unread(tree)
    assert len(names) == 50
    assert names[-1].endswith("49.dav and 10 more")


def test_a_folder_reached_by_two_links_is_read(tree, tmp_path):
    (tmp_path / "training").symlink_to(tree / "training")
    shutil.copytree(tree / "testing", tmp_path / "testing")
    assert unread(tmp_path) == []


def test_case_09(tmp_path):
    """One film that is read beside nine that are not, as the script of the project's list makes
    them.
    """
    write_video(tmp_path / "monday.mp4", scene(1, 20)[0][0], codec="libx264")
    films = []
    for ending in ("dav", "264", "265", "h265", "hevc", "mjpeg", "mxf", "3g2", "y4m"):
        films.append(str(shutil.copy(tmp_path / "monday.mp4", tmp_path / f"{ending}.{ending}")))
    assert sorted(unread(tmp_path)) == sorted(films)
    assert len(load_videos("folder", "train", tmp_path)) == 1
