"""Names in any Unicode form: macOS writes an accent as a character of its own (NFD), Linux and
Windows keep what was typed.
"""

import json
import shutil
import unicodedata
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import refused
from trees import scene, write_images, write_video

from vadlib.data.catalog import load_videos
from vadlib.data.check import check_dataset
from vadlib.evaluation.stream import find_scene

NAMES = "München|café|Zürich/Straße|naïve façade|Ærø|Ålesund|Ω meters|Łódź|İzmir|сёмга|Việt Nam"
NAMES += "|й|ế|한국|がぎぐ|パリ|नमस्ते|العربيَّة|שָׁלוֹם|Å|ﬁlm|½|👩‍🚒|a\u0301\u0323"
FORMS = ["NFC", "NFD"]
FRAMES = np.zeros((20, 8, 8), np.uint8)


def tree(root, name, form):
    """One training and one test video of that name, spelt in this form."""
    for split in ("training", "testing"):
        write_images(root / split / unicodedata.normalize(form, name), FRAMES)


def label(root, name, kind):
    """Labels in the form in which the name is spelt: frames 3 to 6 are abnormal."""
    truth = np.zeros(20, np.uint8)
    truth[3:7] = 1
    if kind == "csv":
        (root / "labels.csv").write_text(f"video,start,end\n{name},3,7\n", encoding="utf-8")
    elif kind == "json":
        entries = json.dumps([{"video": name, "start": 3, "end": 7}])
        (root / "labels.json").write_text(entries, encoding="utf-8")
    elif kind == "npy":
        path = root / "labels" / f"{name}.npy"
        path.parent.mkdir(parents=True)
        np.save(path, truth)
    else:
        masks = np.broadcast_to(truth[:, None, None] == 1, (20, 8, 8))
        write_images(root / "masks" / name, masks)


@pytest.mark.parametrize("name", NAMES.split("|"))
@pytest.mark.parametrize("kind", ["csv", "json", "npy", "masks"])
def test_labels_find_their_video_whatever_form_either_is_in(tmp_path, name, kind):
    normal = unicodedata.normalize("NFC", name)
    scene_name = f"{normal.rpartition('/')[0] or 'folder'} 8x8"
    for disk in FORMS:
        for spelling in FORMS:
            root = tmp_path / f"{disk}-{spelling}"
            tree(root, name, disk)
            label(root, unicodedata.normalize(spelling, name), kind)
            report = check_dataset("folder", root, progress=False)
            assert (report["problems"], report["splits"]["test"]["abnormal"]) == ([], 4)
            [video] = load_videos("folder", "test", root)  # one name and scene on every disk
            assert (video.name, video.scene) == (normal, scene_name)


@pytest.mark.parametrize("disk", FORMS)
@pytest.mark.parametrize("spelling", FORMS)
def test_a_scene_is_found_whatever_form_either_is_in(disk, spelling):
    scene_name = unicodedata.normalize(disk, "café 64x48")
    calibration = SimpleNamespace(scenes={scene_name: {}, "street 64x48": {}})
    request = unicodedata.normalize(spelling, "café 64x48")
    assert find_scene(calibration, None, None, request) == scene_name
    with refused("unknown-name", field="scene"):
        find_scene(calibration, None, None, request.upper())


def test_two_videos_that_differ_in_their_form_only_are_refused(tmp_path):
    for form in FORMS:
        write_images(tmp_path / unicodedata.normalize(form, "café"), FRAMES)
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this disk takes both forms for one name")
    with refused("duplicate-name", file=tmp_path):
        load_videos("folder", "train", tmp_path)


@pytest.mark.parametrize(("kind", "folder"), [("npy", "labels"), ("masks", "masks")])
def test_labels_that_are_there_in_both_forms_are_refused(tmp_path, kind, folder):
    """One of them would be passed over, and they may differ."""
    tree(tmp_path, "café", "NFC")
    label(tmp_path, unicodedata.normalize("NFC", "café"), kind)
    [first] = (tmp_path / folder).iterdir()
    second = first.with_name(unicodedata.normalize("NFD", first.name))
    if second.exists():
        pytest.skip("this disk takes both forms for one name")
    shutil.copytree(first, second) if first.is_dir() else shutil.copy(first, second)
    with refused("conflict", file=first):
        load_videos("folder", "test", tmp_path)


FRIDAY = r"cam1/friday|cam1/friday.mp4|cam1\friday|.\cam1\friday.MP4|Cam1/Friday|cam1/friday "


@pytest.mark.parametrize(
    ("spelt", "meant"),
    [
        *((name, "cam1/friday") for name in FRIDAY.split("|")),
        ("sunday", "sunday"),
        ("Sunday", "Sunday"),  # an equal name wins over one that differs in case
        *((name, None) for name in ("SUNDAY", "friday", "cam1/friday.avi", "cam1")),
    ],
)
def test_how_a_row_may_call_its_video(tmp_path, spelt, meant):
    for name in ("training/a", "testing/sunday", "testing/Sunday"):
        write_images(tmp_path / name, FRAMES)
    if len(list((tmp_path / "testing").iterdir())) < 2:
        pytest.skip("this disk takes both for one name")
    write_video(tmp_path / "testing" / "cam1" / "friday.mp4", scene(1, 20)[0][0])
    (tmp_path / "labels.csv").write_text(f"video,start,end\n{spelt},3,7\n")
    if meant is None:
        with refused("unknown-name", file=tmp_path / "labels.csv", field="video"):
            load_videos("folder", "test", tmp_path)
    else:
        abnormal = [v.name for v in load_videos("folder", "test", tmp_path) if v.labels.any()]
        assert abnormal == [meant]
