"""Files that are not read are named, whatever their ending; what is no data, and what vadlib itself
wrote, is not.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import official_avenue, own_videos, scene, write_images, write_video

from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.check import check_dataset
from vadlib.data.decode import VIDEO_SUFFIXES
from vadlib.data.layout import is_harmless
from vadlib.data.video import IMAGE_SUFFIXES, is_junk, result_names

# Films by the names of recorders, cameras, broadcasters and codecs; none of them is read.
FILMS = "dav 264 265 h264 h265 hevc avc mjpeg mjpg mxf 3g2 y4m nut f4v qt divx xvid rm rmvb mod tod insv g64 g64x"
FILMS += " mpg mpeg m1v m2v mpv vob ts mts m2ts tp trp wmv asf flv ogv ogm dv ivf obu av1 ivr arf sec hik mp4v lrv"
FILMS += " 360 braw r3d ari crm raw yuv bin dat vc1 exo pvm ssf zip 7z rar tar gz mp4.part crdownload lnk gif webp"
# Labels in forms that are not read, and under names that are not looked for.
LABELS = [
    "labels.txt",
    "label.csv",
    "labels (1).csv",
    "labels - copy.csv",
    "labels.csv.txt",
    "labels.tsv",
]
LABELS += [
    "labels.xlsx",
    "labels.ods",
    "labels.mat",
    "labels.npz",
    "labels.npy",
    "gt.csv",
    "gt.txt",
    "ground_truth.json",
]
LABELS += [
    "annotations.xml",
    "annotations.txt",
    "annotation.yaml",
    "truth.pkl",
    "frame_labels_mine.npy",
    "anomalies.md",
]
LABELS += [
    "testing/friday.csv",
    "testing/tuesday_gt.txt",
    "labels/wednesday.npy",
    "labels/tuesday.txt",
]
LABELS += [
    "labels/labels.csv",
    "masks/wednesday/000.png",
    "masks/000.png",
    "training/labels.csv",
    "training/masks/a/0.png",
]
HARMLESS = [
    "README",
    "README.md",
    "readme.txt",
    "README_labels.html",
    "LICENSE",
    "LICENCE.txt",
    "COPYING",
    "notes.txt",
]
HARMLESS += [
    "notes.docx",
    "paper.pdf",
    "index.html",
    "Makefile",
    "MD5SUMS",
    "sums.md5",
    "convert.py",
    "convert.sh",
]
HARMLESS += [
    "film.srt",
    "film.thm",
    "GOPR0001.THM",
    "camera.log",
    "dataset.yaml",
    "explore.ipynb",
    "link.url",
]
JUNK = [
    ".DS_Store",
    "._monday.mp4",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "Icon\r",
    "~$labels.csv",
    "labels.csv~",
]
JUNK += [
    "$RECYCLE.BIN/film.mp4",
    "System Volume Information/film.mp4",
    "lost+found/film.mp4",
    "@eaDir/monday.mp4/x.jpg",
]


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


def unread(root):
    """What the check names as not read."""
    problems = check_dataset("folder", root, progress=False)["problems"]
    lines = [entry["where"] for entry in problems if entry["code"] == "unread-files"]
    return [name for line in lines for name in line.removesuffix(": not read").split(", ")]


@pytest.mark.parametrize("ending", FILMS.split())
def test_a_film_of_any_other_ending_is_named(tree, ending):
    for place in (
        f"training/tuesday.{ending}",
        f"testing/deep/er/film.{ending.upper()}",
        f"beside.{ending}",
    ):
        path = add(tree, place)
        assert unread(tree) == [str(path)]
        path.unlink()


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


@pytest.mark.parametrize(
    "name", ["film", "00000001", "DVR recording", "film.", "film.mp4 (1)", "film.mp4.bak"]
)
def test_a_file_without_an_ending_is_named(tree, name):
    path = add(tree, f"training/{name}")
    assert unread(tree) == [str(path)]


@pytest.mark.parametrize("name", LABELS)
def test_what_may_be_labels_is_named(tree, name):
    for truth in ("labels/tuesday.npy", "labels/friday.npy"):
        if name.startswith("labels/"):
            add(tree, truth)
            np.save(tree / truth, np.zeros(20, np.uint8))
    if name.startswith("masks/"):
        for video in ("tuesday", "friday"):
            write_images(tree / "masks" / video, np.zeros((20, 8, 8), bool))
    path = add(tree, name)
    assert unread(tree) == [str(path)]


@pytest.mark.parametrize("name", [*HARMLESS, *JUNK])
@pytest.mark.parametrize("place", ["", "training/", "testing/deep/"])
def test_what_is_no_data_is_not_named(tree, name, place):
    add(tree, f"{place}{name}")
    report = check_dataset("folder", tree, progress=False)
    assert report["problems"] == []
    assert report["splits"]["train"]["clips"] == 1


@pytest.mark.parametrize(
    "place", ["beside.mp4", "validation/monday.mp4", "validation/monday/000.png", "photo.jpg"]
)
def test_videos_outside_of_training_and_testing_are_named(tree, place):
    path = add(tree, place)
    assert unread(tree) == [str(path)]


def test_pictures_beside_videos_are_noted(tmp_path):
    write_video(tmp_path / "a.mp4", scene(1, 20)[0][0])
    for name in ("cover.jpg", "poster.png"):
        add(tmp_path, name)
    report = check_dataset("folder", tmp_path, progress=False)
    notes = {entry["code"]: entry["where"] for entry in report["notes"]}
    assert notes["pictures-beside-videos"] == f"{tmp_path / 'cover.jpg'} and 1 more"
    assert report["problems"] == []


@pytest.mark.parametrize("labels", ["csv", "json", "npy", "masks", None])
def test_nothing_of_a_sound_tree_is_named(tmp_path, labels):
    own_videos(tmp_path, labels)
    assert find_copy("folder", tmp_path).unread_files() == []


def test_films_among_a_known_dataset_are_named(tmp_path):
    official_avenue(tmp_path, {21: 76})
    path = add(tmp_path, "avenue/Avenue Dataset/testing_videos/22.dav")
    add(tmp_path, "avenue/Avenue Dataset/features.npy")
    report = check_dataset("avenue", tmp_path, progress=False)
    assert [entry["where"] for entry in report["problems"] if entry["code"] == "unread-files"] == [
        f"{path}: not read"
    ]


def test_fifty_files_are_named_and_more_are_counted(tree):
    for number in range(60):
        add(tree, f"training/{number:02d}.dav")
    names = unread(tree)
    assert len(names) == 50
    assert names[-1].endswith("49.dav and 10 more")


def test_a_folder_reached_by_two_links_is_read(tmp_path):
    write_images(tmp_path / "all" / "train" / "monday", np.zeros((20, 8, 8), np.uint8))
    (tmp_path / "training").symlink_to(tmp_path / "all" / "train")
    (tmp_path / "testing").mkdir()
    write_images(tmp_path / "testing" / "tuesday", np.zeros((20, 8, 8), np.uint8))
    assert unread(tmp_path) == []


def test_case_09(tmp_path):
    """One film that is read beside nine that are not, as the script of the project's list makes
    them.
    """
    write_video(tmp_path / "monday.mp4", scene(1, 20)[0][0], codec="libx264")
    endings = ("dav", "264", "265", "h265", "hevc", "mjpeg", "mxf", "3g2", "y4m")
    for ending in endings:
        (tmp_path / f"{ending}.{ending}").write_bytes((tmp_path / "monday.mp4").read_bytes())
    assert sorted(unread(tmp_path)) == sorted(
        str(tmp_path / f"{ending}.{ending}") for ending in endings
    )
    assert len(load_videos("folder", "train", tmp_path)) == 1


@pytest.mark.parametrize("name", [path.rsplit("/")[0] for path in JUNK])
def test_junk(tmp_path, name):
    assert is_junk(tmp_path / name)


@pytest.mark.parametrize(
    ("names", "results"),
    [
        (
            {"annotated.mp4", "scores.csv", "curve.png", "monday.mp4"},
            {"annotated.mp4", "scores.csv", "curve.png"},
        ),
        ({"annotated.mp4"}, {"annotated.mp4"}),
        ({"scores.csv", "curve.png"}, {"scores.csv", "curve.png"}),
        ({"curve.png", "000.png"}, set()),
        ({"scores.csv"}, set()),
        ({"curves", "roc.png", "cam1"}, {"curves", "roc.png"}),
        ({"curves", "scores.npz"}, {"curves", "scores.npz"}),
        ({"curves", "cam1"}, set()),
        ({"roc.png"}, set()),
        ({"config.json", "state.pt", "history.csv"}, {"config.json", "state.pt", "history.csv"}),
        ({"config.json", "monday.mp4"}, set()),
        ({"ablation.csv", "default"}, {"ablation.csv"}),
        (set(), set()),
    ],
)
def test_names_of_results(names, results):
    assert result_names(names) == results
