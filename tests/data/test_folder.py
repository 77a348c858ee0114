"""Your own videos: any tree, names in any Unicode form, labels in four forms or none; copies as
people make them by hand.
"""

import json
import os
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from trees import own_videos, scene, write_images, write_video

from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.folder import open_video
from vadlib.data.video import MaskImages, read_image

FRAMES = scene(1, 20)[0][0]


def names(split, root):
    return [video.name for video in load_videos("folder", split, root)]


@pytest.mark.parametrize("kind", ["csv", "json", "npy", "masks", None])
def test_a_tree_with_labels_in_each_form(tmp_path, kind):
    expected = own_videos(tmp_path, kind)
    train, test = load_videos("folder", "train", tmp_path), load_videos("folder", "test", tmp_path)
    clips = ["cam1/monday", "cam1/tuesday", "cam2/more", "cam2/walk"]
    assert [(v.name, len(v), v.labels) for v in train] == [(name, 60, None) for name in clips]
    assert [v.scene for v in train] == ["cam1 64x48", "cam1 64x48", "cam2 72x56", "cam2 72x56"]
    scenes = [("cam1/friday", "cam1 64x48"), ("cam2/sunday", "cam2 72x56")]
    assert [(v.name, v.scene) for v in test] == scenes
    assert find_copy("folder", tmp_path).unread_files() == []
    for video in test:
        assert np.array_equal(video.labels, expected[video.name] if kind else None)
        assert (video.ground_truth, video.masks is not None) == (kind or "", kind == "masks")


def test_masks_beside_frame_labels_serve_the_pixels(tmp_path):
    expected = own_videos(tmp_path, "masks")
    own_videos(tmp_path, "csv")
    for video in load_videos("folder", "test", tmp_path):
        assert video.ground_truth == "csv"
        assert video.masks[:].any((1, 2)).tolist() == (expected[video.name] == 1).tolist()
    (tmp_path / "masks/cam1/friday/007.png").unlink()
    with refused("label-length", file=tmp_path / "masks/cam1/friday"):
        load_videos("folder", "test", tmp_path)


def test_a_heap_of_videos_is_for_training(tmp_path):
    for name in ("b.mp4", "a.AVI", "deep/er/c.mkv"):
        write_video(tmp_path / name, FRAMES)
    (tmp_path / "deep/loop").symlink_to(tmp_path)  # each folder is entered once
    videos = load_videos("folder", "train", tmp_path)
    assert [v.name for v in videos] == ["a", "b", "deep/er/c"]
    assert [v.scene for v in videos] == ["folder 64x48", "folder 64x48", "deep/er 64x48"]
    assert find_copy("folder", tmp_path).layout == "all for training"
    with refused("missing-file", file=tmp_path / "testing"):
        load_videos("folder", "test", tmp_path)
    (tmp_path / "labels.csv").write_text("video,start,end\na,1,2\n")
    with refused("labels-without-frames", file=tmp_path / "labels.csv"):
        load_videos("folder", "train", tmp_path)


@pytest.mark.parametrize("test", ["test", "testing", "Test"])
def test_test_videos_are_never_trained_on(tmp_path, test):
    write_video(tmp_path / test.replace("est", "rain").lower() / "a.mp4", FRAMES)
    write_video(tmp_path / test / "b.mp4", FRAMES)
    assert names("train", tmp_path) == ["a"]
    assert names("test", tmp_path) == ["b"]


def test_grey_stays_grey_only_where_all_is_grey(tmp_path):
    write_images(tmp_path / "training/a", FRAMES[..., :1])
    write_images(tmp_path / "testing/b", FRAMES[..., :1])
    for channels in (1, 3):
        videos = load_videos("folder", "train", tmp_path) + load_videos("folder", "test", tmp_path)
        assert {video.frames.shape[3] for video in videos} == {channels}
        write_images(tmp_path / "testing/c", FRAMES)


NAMES = ["frame{:03d}_cam2.png", "cam2_{}.PNG", "2010_{:04d}_640x480.png", "{:06d}.png", "f-{}.png"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("first", "step"), [(0, 1), (37, 1), (1, 5)])
def test_frames_are_in_the_order_of_their_numbers_without_a_gap(tmp_path, name, first, step):
    (tmp_path / "a").mkdir()
    for t, frame in enumerate(FRAMES):
        Image.fromarray(frame).save(tmp_path / "a" / name.format(first + step * t))
    for junk in (".DS_Store", "._{}", "Thumbs.db", "{}~", ".{}.swp", "notes.txt"):
        (tmp_path / "a" / junk.format(name.format(0))).write_bytes(b"\0\5\x16\7 not an image")
    [video] = load_videos("folder", "train", tmp_path)
    assert np.array_equal(video.frames[:], FRAMES)
    path = tmp_path / "a" / name.format(first + 7 * step)
    shutil.copy(path, path.with_suffix(".bmp"))
    for _ in range(2):  # there twice, and then missing
        with refused("missing-frame", file=tmp_path / "a") as caught:
            load_videos("folder", "train", tmp_path)
        path.unlink(missing_ok=True)
        path.with_suffix(".bmp").unlink(missing_ok=True)
    assert name.format(first + 6 * step) in str(caught.error)


def test_two_videos_or_labels_of_one_name_are_refused(tmp_path):
    for name in ("testing/a.mp4", "testing/a.avi"):
        write_video(tmp_path / name, FRAMES)
    with refused("duplicate-name", file=tmp_path / "testing"):
        load_videos("folder", "test", tmp_path)
    (tmp_path / "testing/a.avi").rename(tmp_path / "testing/\u00e9.avi")
    label(tmp_path, "e\u0301", "npy")  # in two Unicode forms
    if len(list((tmp_path / "labels").iterdir())) == 1:
        label(tmp_path, "\u00e9", "npy")
        label(tmp_path, "a", "npy")
        with refused("conflict", file=tmp_path / "labels/\u00e9.npy"):
            load_videos("folder", "test", tmp_path)
    shutil.rmtree(tmp_path / "labels")
    for name in ("labels.csv", "labels.json"):
        (tmp_path / name).write_text("[]")
    with refused("conflict", file=tmp_path / "labels.csv") as caught:
        load_videos("folder", "test", tmp_path)
    assert str(tmp_path / "labels.json") in str(caught.error)


def test_what_cannot_be_read_is_named(tmp_path, monkeypatch):
    """As root runs these tests, a folder without permission would not stop them."""
    for folder in (tmp_path, tmp_path / "training"):
        folder.mkdir(exist_ok=True)
        with refused("too-few", file=folder):
            load_videos("folder", "train", tmp_path)
    with refused("missing-file", file=tmp_path / "a.mp4"):
        open_video(tmp_path / "a.mp4")
    with refused("too-few", file=tmp_path):
        open_video(tmp_path)

    def scan(path, original=os.scandir):
        if str(path).endswith("training"):
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", scan)
    with refused("not-readable", file=tmp_path / "training"):
        load_videos("folder", "train", tmp_path)


def test_the_turn_that_a_phone_notes_down_is_applied(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png", 3), np.rot90(pixels, -1))


def test_masks_kept_as_jpeg_do_not_grow_by_its_ringing(tmp_path):
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:50] = 255
    Image.fromarray(mask).save(tmp_path / "a.jpg", quality=60)
    assert (np.asarray(Image.open(tmp_path / "a.jpg")) > 0).sum() > 1.1 * (mask > 0).sum()
    assert np.array_equal(MaskImages([tmp_path / "a.jpg"])[0], mask > 0)


# --- names: macOS writes an accent as a character of its own (NFD)


SPELT = "München|Zürich/Straße|İzmir|Việt Nam|й|한국|がぎぐ|नमस्ते|العربيَّة|Å|ﬁlm|👩‍🚒|a\u0301\u0323"


def label(root, name, kind):
    """Labels in the form in which the name is spelt: frames 3 to 6 are abnormal."""
    truth = np.isin(np.arange(20), (3, 4, 5, 6))
    if kind == "csv":
        (root / "labels.csv").write_text(f"video,start,end\n{name},3,7\n", encoding="utf-8")
    elif kind == "json":
        (root / "labels.json").write_text(json.dumps([{"video": name, "start": 3, "end": 7}]))
    elif kind == "npy":
        path = root / "labels" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, truth)
    else:
        write_images(root / "masks" / name, np.broadcast_to(truth[:, None, None], (20, 8, 8)))


@pytest.mark.parametrize("name", SPELT.split("|"))
@pytest.mark.parametrize("kind", ["csv", "json", "npy", "masks"])
@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_labels_find_their_video_whatever_form_either_is_in(tmp_path, name, kind, forms):
    normal = unicodedata.normalize("NFC", name)
    write_images(tmp_path / "testing" / unicodedata.normalize(forms[0], name), FRAMES[:, :8, :8])
    label(tmp_path, unicodedata.normalize(forms[1], name), kind)
    [video] = load_videos("folder", "test", tmp_path)  # one name and scene on every disk
    assert np.flatnonzero(video.labels).tolist() == [3, 4, 5, 6]
    scene_name = f"{normal.rpartition('/')[0] or 'folder'} 8x8"
    assert (video.name, video.scene) == (normal, scene_name)
    assert find_copy("folder", tmp_path).unread_files() == []


ROWS = dict.fromkeys(
    ["cam1/friday", "cam1/friday.mp4", "Cam1/Friday", "cam1/friday ", r"cam1\friday.mp4"],
    "cam1/friday",
)
ROWS |= {"sunday": "sunday", "Sunday": "Sunday"}  # an equal name wins over another case
ROWS |= dict.fromkeys(["SUNDAY", "friday", "cam1/friday.avi", "cam1"])


@pytest.mark.parametrize(("spelt", "meant"), ROWS.items())
def test_how_a_row_may_call_its_video(tmp_path, spelt, meant):
    for name in ("sunday", "Sunday"):
        write_images(tmp_path / "testing" / name, FRAMES)
    if len(list((tmp_path / "testing").iterdir())) < 2:
        pytest.skip("this disk takes both for one name")
    write_video(tmp_path / "testing/cam1/friday.mp4", FRAMES)
    label(tmp_path, spelt, "csv")
    if meant is None:
        with refused("unknown-name", file=tmp_path / "labels.csv", field="video"):
            load_videos("folder", "test", tmp_path)
    else:
        videos = load_videos("folder", "test", tmp_path)
        assert [v.name for v in videos if v.labels.any()] == [meant]
