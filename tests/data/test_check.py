"""`vadlib data check` sees what is wrong: files that nothing reads, lost links, damage, counts."""

import json
import pickle
import re
import shutil

import numpy as np
import pytest
import trees
from PIL import Image
from refusals import refused
from trees import official_avenue, official_shanghaitech, scene, write_images, write_video

from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.check import ADVICE, check_dataset, describe_report
from vadlib.data.folder import open_video
from vadlib.pseudo.patches import load_patches

FRAMES = np.zeros((20, 8, 8), np.uint8)


def check(name, root, **options):
    return check_dataset(name, root, progress=False, **options)


def lines(report, kind="problems"):
    """code -> its lines."""
    by_code = {}
    for entry in report[kind]:
        assert entry["fix"] in ("", ADVICE.get(entry["code"]))
        by_code.setdefault(entry["code"], []).append(entry["where"])
    return by_code


def named(report, code):
    """The files with which the problems of a code begin."""
    return {line.split(": ")[0] for line in lines(report).get(code, [])}


def holds(split, **expected):
    assert split | expected == split


# --- copies of known datasets


def test_the_tiny_copy_is_partial_and_otherwise_sound(tiny_ped2):
    report = check("ped2", tiny_ped2.root)
    assert lines(report) == {"partial-copy": ["train: 3 clips of 16, 120 frames of 2550"]}
    holds(report["splits"]["train"], clips=3, frames=120, size=["24x16"])
    holds(report["splits"]["test"], clips=12, frames=2010, abnormal=1648, masks=12)
    assert json.loads(json.dumps(report)) == report
    [entry] = report["problems"]
    line = f"problem: [partial-copy] {entry['where']} -> {entry['fix']}"
    assert line in describe_report(report)


def test_every_damaged_file_is_named_once_and_hides_no_other(tiny_ped2):
    damaged = [tiny_ped2.frame(1, 30, "training"), tiny_ped2.frame(4, 0), tiny_ped2.frame(5, 7)]
    for path in damaged:
        tiny_ped2.replace(path, b"")
    masks = tiny_ped2.folder / "testing/masks"
    tiny_ped2.replace(masks / "03/011.png", b"x")
    for t, level in ((0, 255), (100, 0)):
        (masks / f"02/{t:03d}.png").unlink()
        Image.new("L", (24, 16), level).save(masks / f"02/{t:03d}.png")
    report = check("ped2", tiny_ped2.root)
    assert named(report, "empty-file") == set(map(str, damaged))
    assert named(report, "wrong-kind-of-file") == {str(masks / "03/011.png")}
    assert named(report, "label-mask-conflict") == {"video 02, frame 0 and 1 more"}
    assert lines(report)["partial-copy"][1:] == ["test: 11 clips of 12, 1830 frames of 2010"]


def test_a_missing_split_and_labels_that_differ_from_the_published_ones(tiny_ped2, tmp_path):
    labels = np.concatenate(tiny_ped2.labels)
    labels[0] = 1
    (tiny_ped2.folder / "ped2.mat").unlink()
    (tiny_ped2.folder / "frame_labels_ped2.npy").unlink()
    np.save(tiny_ped2.folder / "frame_labels_ped2.npy", labels)
    shutil.rmtree(tiny_ped2.folder / "training")
    report = check("ped2", tiny_ped2.root)
    [line] = lines(report)["published-labels"]
    assert re.findall(r"\d+", line) == ["1649", "1648"]
    assert list(report["splits"]) == ["test"]
    assert named(report, "too-few") == {str(tiny_ped2.folder)}
    (tmp_path / "empty").mkdir()
    report = check("ped2", tmp_path / "empty")
    [entry] = report["problems"]
    assert (report["splits"], entry["code"]) == ({}, "missing-file")
    assert entry["where"] in describe_report(report)


@pytest.mark.parametrize("kind", ["test_frame_mask", "test_pixel_mask"])
@pytest.mark.parametrize("protocol", [0, 5, None])
def test_pickles_are_named_and_never_opened(tiny_ped2, tmp_path, kind, protocol):
    official_shanghaitech(tmp_path, {"01_0014": 20})
    trace = tmp_path / "trace"
    path = tmp_path / f"shanghaitech/testing/{kind}/01_0014.npy"
    if protocol is None:
        np.save(path, np.array([trees.Hostile(trace)], object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(trees.Hostile(trace), protocol))
    tiny_ped2.replace(tiny_ped2.folder / "ped2.mat", path.read_bytes())
    code = "wrong-kind-of-file" if protocol == 0 else "pickle"  # protocol 0 is plain text
    assert str(path) in named(check("shanghaitech", tmp_path), code)
    with refused("pickle" if protocol else "wrong-kind-of-file"):
        load_videos("ped2", "test", tiny_ped2.root)
    assert not trace.exists()
    np.load(path, allow_pickle=True)  # the trap works: unpickling leaves its trace
    assert trace.exists()


def test_the_traps_of_circulating_copies_are_noted_by_name(tiny_ped2, tmp_path):
    """The official layout, with masks called frame001.bmp, junk and a backup of an editor."""
    tests = tmp_path / "UCSDped2/Test"
    for split, number in (("Train", 1), ("Test", 6), ("Test", 9)):
        kind = "training" if split == "Train" else "testing"
        shutil.copytree(tiny_ped2.clip(number, kind), tests.parent / split / f"Test{number:03d}")
    for number in (6, 9):
        masks = tests / f"Test{number:03d}_gt"
        shutil.copytree(tiny_ped2.folder / f"testing/masks/{number:02d}", masks)
    for path in list((tests / "Test009_gt").iterdir()):
        path.rename(path.with_name(f"frame{path.name}"))
    (tests / "UCSDped2.m").write_text(trees.matlab_script(tiny_ped2.labels))
    for name in ("UCSDped2.m~", "._UCSDped2.m", "Test006/.DS_Store"):
        (tests / name).write_bytes(b"\0\5\x16\7junk")
    report = check("ped2", tmp_path)
    assert set(lines(report)) == {"partial-copy"}
    notes = lines(report, "notes")
    assert notes.pop("frame-numbering")[0].endswith(" from 000 on")
    assert notes == {
        "mask-names": [str(tests / "Test009_gt")],
        "junk-files": [f"{tests / '._UCSDped2.m'} and 1 more"],
        "stale-labels": [str(tests / "UCSDped2.m~")],
        "ground-truth-beside-clips": [f"{tests / 'Test006_gt'} and 1 more"],
    }


def test_own_videos_of_two_sizes_and_without_anything_abnormal_are_noted(tree):
    write_images(tree / "testing/wide", np.zeros((20, 8, 16), np.uint8), first=1)
    (tree / "labels.csv").write_text("video,start,end\n")
    notes = lines(check("folder", tree), "notes")
    assert notes["mixed-sizes"] == ["test: frames of 16x8, 8x8"]
    assert notes["nothing-abnormal"] == ["test: no frame is labelled abnormal"]
    (tree / "labels.csv").write_text("video,start,end\ntuesday,3,7\n")
    assert "nothing-abnormal" not in lines(check("folder", tree), "notes")


# --- files that are not read


# Labels in forms that are not read, and under names that are not looked for.
UNREAD = """labels.txt|label.csv|labels (1).csv|labels.csv.txt|labels.tsv|labels.xlsx|labels.npz
gt.csv|gt.txt|ground_truth.json|annotations.xml|truth.pkl|frame_labels.npy|labels/tuesday.txt
testing/labels.csv|testing/tuesday_gt.txt|labels/wednesday.npy|training/masks/a/0.png
masks/wednesday/000.png|masks/000.png|training/film|training/film.mp4 (1)|beside.mp4
validation/monday/000.png|photo.jpg|testing/friday_gt/000.png"""
HARMLESS = """README|README.md|LICENSE|LICENCE.txt|notes.docx|paper.pdf|index.html|Makefile|MD5SUMS
convert.py|film.srt|GOPR0001.THM|camera.log|dataset.yaml|explore.ipynb|.DS_Store
Thumbs.db|._monday.mp4|~$labels.csv|labels.csv~|$RECYCLE.BIN/film.mp4|@eaDir/a.mp4/x.jpg"""


def words(text):
    return text.replace("\n", "|").split("|")


@pytest.fixture
def tree(tmp_path):
    for clip in ("training/monday", "testing/tuesday", "testing/friday"):
        write_images(tmp_path / "mine" / clip, FRAMES)
    return tmp_path / "mine"


def add(root, name):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(b"x")
    return str(root / name)


def unread(root, dataset="folder"):
    [line] = lines(check(dataset, root))["unread-files"]
    return line.removesuffix(": not read").split(", ")


@pytest.mark.parametrize("name", words(UNREAD))
def test_what_may_be_data_is_named(tree, name):
    for video in ("tuesday", "friday"):  # the labels or masks beside which it lies
        if name.startswith("labels/"):
            np.save(add(tree, f"labels/{video}.npy"), np.zeros(20, np.uint8))
        if name.startswith("masks/"):
            write_images(tree / "masks" / video, FRAMES.astype(bool))
    path = add(tree, name)
    assert unread(tree) == [path]
    assert lines(check("folder", tree), "notes")["assumed-rate"][0].startswith("train: 1 folders")


@pytest.mark.parametrize("name", words(HARMLESS))
def test_what_is_no_data_is_not_named(tree, name):
    for place in ("", "training/", "testing/deep/"):
        add(tree, f"{place}{name}")
    report = check("folder", tree)
    assert (report["problems"], report["splits"]["train"]["clips"]) == ([], 1)


def test_case_09_and_pictures_beside_films(tmp_path):
    """One film that is read beside nine that are not, as the script of the case makes them."""
    write_video(tmp_path / "monday.mp4", scene(1, 20)[0][0], codec="libx264")
    films = [add(tmp_path, "cover.jpg")]
    for ending in ("dav", "264", "265", "h265", "hevc", "mjpeg", "mxf", "3g2", "y4m"):
        films.append(str(shutil.copy(tmp_path / "monday.mp4", tmp_path / f"{ending}.{ending}")))
    assert sorted(unread(tmp_path)) == sorted(films)
    assert len(load_videos("folder", "train", tmp_path)) == 1
    official_avenue(tmp_path, {21: 76})
    add(tmp_path, "avenue/features.npy")
    for number in range(60):
        add(tmp_path, f"avenue/Avenue Dataset/{number:02d}.dav")
    assert unread(tmp_path, "avenue")[49].endswith("49.dav and 10 more")


# --- links whose targets are missing, as git-annex, DVC and unmounted disks leave them


def cut(path):
    """Replace a file or folder by a link to where it was moved, which then goes missing."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/nowhere/" + path.name)
    return path


PLACES = """training/monday/000.png|training/monday/020.png|training/monday|training/cam.4|training
testing/tuesday/020.png|testing/wednesday.mp4|testing/wednesday|testing/wednesday.dav
testing|labels|labels.csv|labels.json|labels/tuesday.npy|masks|masks/tuesday|masks/tuesday/3.png"""
KNOWN = """shanghaitech|shanghaitech/training/videos/01_001.avi|shanghaitech/training/videos/01_009
shanghaitech/training/videos|shanghaitech/training|shanghaitech/testing/frames/01_0014/011.jpg
shanghaitech/testing/test_frame_mask|shanghaitech/testing/test_frame_mask/01_0014.npy
shanghaitech/testing/test_pixel_mask|avenue|avenue/Avenue Dataset/testing_videos/21.avi
avenue/ground_truth_demo|avenue/ground_truth_demo/testing_label_mask/21_label.mat"""


@pytest.mark.parametrize("place", words(PLACES) + words(KNOWN))
def test_each_link_without_a_target_is_named_and_refused(tree, place):
    if place.startswith("labels/"):
        np.save(add(tree, "labels/friday.npy"), np.zeros(20, np.uint8))
    if place.startswith("masks/"):
        for video in ("tuesday", "friday"):
            write_images(tree / "masks" / video, FRAMES.astype(bool))
    dataset = place.split("/")[0] if place in words(KNOWN) else "folder"
    official_avenue(tree, {21: 76}) if dataset == "avenue" else None
    official_shanghaitech(tree, {"01_0014": 20}) if dataset == "shanghaitech" else None
    link = cut(tree / place)
    assert str(link) in named(check(dataset, tree), "missing-file")
    with refused("missing-file", file=link):
        load_videos(dataset, "train" if "training" in place else "test", tree)


def test_links_that_stop_nothing(tiny_ped2, tree, tmp_path):
    link = cut(tree / "labels.backup")
    assert named(check("folder", tree), "missing-file") == {str(link)}
    assert len(load_videos("folder", "train", tree)) == 1
    link.unlink()
    for place in ("training", "testing/tuesday/000.png"):  # what is there is followed
        target = tmp_path / "elsewhere" / place.replace("/", "-")
        target.parent.mkdir(exist_ok=True)
        shutil.move(tree / place, target)
        (tree / place).symlink_to(target)
    assert check("folder", tree)["problems"] == []
    cut(tiny_ped2.root / "UCSD_Anomaly_Dataset.v1p2")
    assert find_copy("ped2", tiny_ped2.root).folder == tiny_ped2.folder


def test_case_08_and_other_paths_by_links_without_a_target(tree):
    """A frame and a whole video, as the script of the case makes them; each is named once."""
    links = {str(cut(tree / "testing/tuesday/020.png")), str(cut(tree / "testing/wednesday.mp4"))}
    (tree / "labels.csv").write_text("video,start,end\nwednesday,3,7\n")
    problems = check("folder", tree)["problems"]
    assert sorted(entry["where"].split(": ")[0] for entry in problems) == sorted(links)
    with refused("missing-file", file=tree / "testing/wednesday.mp4"):
        open_video(tree / "testing/wednesday.mp4")
    with refused("missing-file", file=cut(tree / "data"), field=""):
        find_copy("ped2", tree / "data")
    with refused("missing-file", file=cut(tree / "pictures/cats/1.png")):
        load_patches(str(tree / "pictures"))
