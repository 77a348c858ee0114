"""`vadlib data check` sees what is there and what is wrong."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from trees import official_avenue, scene, write_video

from vadlib.data.catalog import load_videos
from vadlib.data.check import FIXES, NOTES, OWN, check_dataset, describe_report
from vadlib.errors import CODES

# What the tiny copy lacks: 13 of the 16 training clips.
PARTIAL = ("partial-copy", "train: 3 clips of 16, 120 frames of 2550")


def problems(tree):
    """The code and the line of each problem of a tiny Ped2, apart from what every tiny copy lacks."""
    report = check_dataset("ped2", tree.root, progress=False)
    entries = [(entry["code"], entry["where"]) for entry in report["problems"]]
    return [entry for entry in entries if entry != PARTIAL]


@pytest.mark.slow
def test_the_real_copy_is_sound(real_data):
    report = check_dataset("ped2", real_data, progress=False)
    assert report["problems"] == []
    both = {"size": ["360x240"], "channels": [1], "fps": [10.0]}
    train = both | {"clips": 16, "frames": 2550, "labels": None, "abnormal": None, "masks": 0}
    test = both | {"clips": 12, "frames": 2010, "labels": "mat", "abnormal": 1648, "masks": 12}
    assert report["splits"] == {"train": train, "test": test}
    assert (report["layout"], report["folder"]) == ("community", str(real_data / "ped2"))


def test_the_tiny_copy_is_partial_and_otherwise_sound(tiny_ped2):
    report = check_dataset("ped2", tiny_ped2.root, progress=False)
    assert [(entry["code"], entry["where"].split(":")[0]) for entry in report["problems"]] == [
        ("partial-copy", "train")
    ]
    assert (
        report["splits"]["train"] | {"clips": 3, "frames": 120, "size": ["24x16"]}
        == report["splits"]["train"]
    )
    assert (
        report["splits"]["test"] | {"clips": 12, "frames": 2010, "abnormal": 1648, "masks": 12}
        == report["splits"]["test"]
    )
    assert json.loads(json.dumps(report)) == report
    text = describe_report(report)
    for entry in report["problems"]:
        assert {entry["code"], entry["where"], entry["fix"]} <= {
            part for part in entry.values() if part in text
        }


def test_every_damaged_frame_is_named_once(tiny_ped2):
    damaged = [tiny_ped2.frame(1, 30, "training"), tiny_ped2.frame(4, 7), tiny_ped2.frame(4, 99)]
    for path in damaged:
        tiny_ped2.replace(path, b"")
    found = problems(tiny_ped2)
    assert len(found) == 3
    for path, (code, line) in zip(damaged, found, strict=True):
        assert code == "empty-file"
        assert line.startswith(f"{path}: ")


def test_a_damaged_mask_is_named(tiny_ped2):
    path = tiny_ped2.folder / "testing" / "masks" / "03" / "011.png"
    tiny_ped2.replace(path, b"x")
    assert [(code, line.split(": ")[0]) for code, line in problems(tiny_ped2)] == [
        ("wrong-kind-of-file", str(path))
    ]


@pytest.mark.parametrize(("t", "level", "says"), [(0, 255, "abnormal"), (100, 0, "normal")])
def test_a_mask_that_contradicts_its_label_is_named(tiny_ped2, t, level, says):
    path = tiny_ped2.folder / "testing" / "masks" / "02" / f"{t:03d}.png"
    path.unlink()
    Image.new("L", (24, 16), level).save(path)
    [(code, line)] = problems(tiny_ped2)
    assert code == "label-mask-conflict"
    assert line.startswith(f"video 02, frame {t}: its mask says {says},")


def test_missing_clips_are_counted(tiny_ped2):
    shutil.rmtree(tiny_ped2.clip(5))
    assert problems(tiny_ped2) == [("partial-copy", "test: 11 clips of 12, 1860 frames of 2010")]


def test_labels_that_differ_from_the_published_ones_are_noticed(tiny_ped2):
    shutil.rmtree(tiny_ped2.folder / "testing" / "masks")
    labels = np.concatenate(tiny_ped2.labels)
    labels[0] = 1
    (tiny_ped2.folder / "ped2.mat").unlink()
    path = tiny_ped2.folder / "frame_labels_ped2.npy"
    path.unlink()
    np.save(path, labels)
    [(code, line)] = problems(tiny_ped2)
    assert code == "published-labels"
    assert re.findall(r"\d+", line) == ["1649", "1648"]


def test_a_split_that_cannot_be_loaded_does_not_hide_the_other(tiny_ped2):
    folder = tiny_ped2.clip(1, "training").parent
    shutil.rmtree(folder)
    report = check_dataset("ped2", tiny_ped2.root, progress=False)
    assert list(report["splits"]) == ["test"]
    [entry] = report["problems"]
    assert entry["code"] == "missing-file"
    assert entry["where"].startswith(f"{folder}: ")


def test_one_fault_of_both_splits_is_reported_once(tmp_path):
    report = check_dataset("ped2", tmp_path, progress=False)
    assert report["splits"] == {}
    [entry] = report["problems"]
    assert entry["code"] == "missing-file"
    assert entry["where"].startswith(f"{tmp_path}: ")
    assert entry["where"] in describe_report(report)


def declare(path, count):
    """Write another number of frames into both places of an AVI's header, as a recorder or a
    cutting program may leave it.
    """
    content = bytearray(path.read_bytes())
    main = content.index(b"avih") + 8 + 16  # dwTotalFrames is the fifth number of this chunk
    stream = content.index(b"strh") + 8 + 32  # dwLength is 32 bytes into this one
    assert (
        int.from_bytes(content[main : main + 4], "little")
        == int.from_bytes(content[stream : stream + 4], "little")
        == 40
    )
    for at in (main, stream):
        content[at : at + 4] = count.to_bytes(4, "little")
    path.write_bytes(content)


@pytest.fixture
def three_films(tmp_path):
    """A folder of own videos, AVI files of 40 frames each, as PyAV writes them."""
    frames = [film for film, _ in scene(3, 40)]
    for film, name in zip(
        frames, ("training/monday.avi", "training/tuesday.avi", "testing/friday.avi"), strict=True
    ):
        write_video(tmp_path / "mine" / name, film)
    return tmp_path / "mine"


@pytest.mark.parametrize("count", [37, 1])
def test_a_header_that_counts_fewer_frames_than_there_are_is_noted(three_films, count):
    odd = three_films / "training" / "tuesday.avi"
    declare(odd, count)
    for _ in range(2):  # the second time from the cache
        report = check_dataset("folder", three_films, progress=False)
        [note] = [entry for entry in report["notes"] if entry["code"] == "frame-count"]
        assert note["where"].startswith(f"{odd}: ")
        assert [
            int(number) for number in re.findall(r"\b\d+\b", note["where"].removeprefix(str(odd)))
        ] == [count, 40]
        assert note["fix"] == NOTES["frame-count"]
        assert report["splits"]["train"]["frames"] == 80


def test_sound_headers_and_headers_that_count_nothing_are_not_noted(three_films):
    declare(three_films / "testing" / "friday.avi", 0)
    report = check_dataset("folder", three_films, progress=False)
    assert [entry for entry in report["notes"] if entry["code"] == "frame-count"] == []
    declared = [
        video.frames.scan.declared
        for split in ("train", "test")
        for video in load_videos("folder", split, three_films)
    ]
    assert declared == [40, 40, 0]


def test_an_unknown_dataset_is_refused(tmp_path):
    with refused("unknown-name", field="dataset"):
        check_dataset("ped3", tmp_path, progress=False)


@pytest.mark.parametrize(
    ("truth", "code"), [("pixel", "unknown-name"), ("community", "missing-labels")]
)
def test_a_ground_truth_that_is_not_there_is_refused(tmp_path, truth, code):
    official_avenue(tmp_path, {21: 76})
    with refused(code, field="ground_truth"):
        check_dataset("avenue", tmp_path, progress=False, ground_truth=truth)


def test_avenue_is_checked_by_the_ground_truth_that_is_asked_for(tmp_path):
    root = tmp_path / "data"
    official_avenue(root, {21: 76})
    labels = np.zeros(15324, np.int8)
    labels[-76:-70] = 1
    np.save(root / "avenue" / "frame_labels_avenue.npy", labels[None])
    report = check_dataset("avenue", root, progress=False, ground_truth="community")
    assert (report["splits"]["test"]["labels"], report["splits"]["test"]["abnormal"]) == (
        "community",
        6,
    )


def test_every_problem_of_the_check_itself_and_every_error_has_one_meaning():
    assert set(OWN) - set(CODES) == {
        "partial-copy",
        "unread-files",
        "label-mask-conflict",
        "published-labels",
    }
    assert set(FIXES) <= set(CODES) | set(OWN)
