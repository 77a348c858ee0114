"""Copies as people make them by hand: unpacked twice, linked, renamed, half converted, with one bad
file among good ones.
"""

import os
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from trees import (
    official_avenue,
    official_shanghaitech,
    own_videos,
    save_cells,
    scene,
    write_images,
    write_video,
)

from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.check import check_dataset
from vadlib.data.video import MaskImages, read_image


def problems(report):
    return {
        (entry["code"], entry["where"])
        for entry in report["problems"]
        if entry["code"] != "partial-copy"
    }


# --- unpacked into a folder of the archive's name


@pytest.mark.parametrize(
    "wrapper",
    ["Avenue_Dataset", "avenue/Avenue_Dataset", "downloads/Avenue Dataset", "Avenue_Dataset (1)"],
)
def test_avenue_in_a_folder_too_many(tmp_path, wrapper):
    truth = official_avenue(tmp_path / "made", {21: 76})
    shutil.move(
        tmp_path / "made" / "avenue" / "ground_truth_demo",
        tmp_path / "root" / "avenue" / "ground_truth_demo" / "ground_truth_demo",
    )
    (tmp_path / "root" / wrapper).mkdir(parents=True)
    target = tmp_path / "root" / wrapper
    if wrapper.endswith("Avenue Dataset"):
        target.rmdir()
        shutil.move(tmp_path / "made" / "avenue" / "Avenue Dataset", target)
    else:
        shutil.move(tmp_path / "made" / "avenue" / "Avenue Dataset", target / "Avenue Dataset")
    [video] = load_videos("avenue", "test", tmp_path / "root")
    assert video.ground_truth == "vol"  # though nested twice
    assert np.array_equal(video.labels, truth[21])


def test_ucsd_and_shanghaitech_in_a_folder_too_many(tmp_path):
    frames = np.zeros((200, 8, 8), np.uint8)
    write_images(
        tmp_path
        / "UCSD_Anomaly_Dataset"
        / "UCSD_Anomaly_Dataset.v1p2"
        / "UCSDped1"
        / "Train"
        / "Train001",
        frames,
        "{:03d}.tif",
        1,
    )
    official_shanghaitech(tmp_path / "shanghaitech", {"01_0014": 20})
    assert len(load_videos("ped1", "train", tmp_path)) == 1
    assert len(load_videos("shanghaitech", "test", tmp_path)) == 1


# --- names


@pytest.mark.parametrize("name", ["04 (1)", "04 - Copy 2", "Test004_old_1", "copy"])
def test_a_clip_whose_name_holds_no_number_or_several_gets_nobodys_labels(tiny_ped2, name):
    for number in set(range(1, 13)) - {4}:
        shutil.rmtree(tiny_ped2.clip(number))
    tiny_ped2.clip(4).rename(tiny_ped2.clip(4).with_name(name))
    with refused("unexpected-clip", file=tiny_ped2.clip(4).with_name(name)):
        load_videos("ped2", "test", tiny_ped2.root)


def test_frame_numbers_need_not_be_the_last_in_a_name(tmp_path):
    frames = scene(1, 20)[0][0]
    write_images(tmp_path / "a", frames, "frame{:03d}_cam2.png")
    write_images(tmp_path / "b", frames, "cam2_{}.png", 7)
    write_images(tmp_path / "c", frames, "{:04d}_640x480.png")
    # every fifth frame of a longer video
    for t, path in enumerate(sorted((tmp_path / "c").iterdir(), reverse=True)):
        path.rename(tmp_path / "c" / f"{5 * (19 - t):04d}_640x480_.png")
    videos = load_videos("folder", "train", tmp_path)
    assert [len(v) for v in videos] == [20, 20, 20]
    assert all(np.array_equal(v.frames[11], frames[11]) for v in videos)


def test_labels_find_an_accented_name_however_it_is_composed(tmp_path):
    frames = scene(1, 20)[0][0]
    write_images(tmp_path / "training" / "a", frames)
    write_images(tmp_path / "testing" / unicodedata.normalize("NFD", "café"), frames)
    (tmp_path / "labels.csv").write_text(
        unicodedata.normalize("NFC", "video,start,end\ncafé,3,5\n"), encoding="utf-8"
    )
    [video] = load_videos("folder", "test", tmp_path)
    assert np.flatnonzero(video.labels).tolist() == [3, 4]


# --- trees of one's own


@pytest.mark.parametrize("name", ["test", "testing", "Test"])
def test_test_videos_are_never_trained_on(tmp_path, name):
    frames = scene(1, 20)[0][0]
    write_video(tmp_path / ("train" if name != "testing" else "training") / "a.mp4", frames)
    write_video(tmp_path / name / "b.mp4", frames)
    assert [v.name for v in load_videos("folder", "train", tmp_path)] == ["a"]
    assert [v.name for v in load_videos("folder", "test", tmp_path)] == ["b"]


def test_a_folder_called_videos_hides_nothing_beside_it(tmp_path):
    frames = scene(1, 20)[0][0]
    write_video(tmp_path / "training" / "cam1" / "a.mp4", frames)
    write_video(tmp_path / "training" / "videos" / "b.mp4", frames)
    assert [v.name for v in load_videos("folder", "train", tmp_path)] == ["cam1/a", "videos/b"]
    shutil.rmtree(tmp_path / "training" / "cam1")
    assert [v.name for v in load_videos("folder", "train", tmp_path)] == ["b"]


def test_linked_folders_are_entered_once(tmp_path):
    frames = scene(1, 20)[0][0]
    write_video(tmp_path / "elsewhere" / "a.mp4", frames)
    (tmp_path / "mine" / "cam0").mkdir(parents=True)
    write_video(tmp_path / "mine" / "cam0" / "b.mp4", frames)
    os.symlink(tmp_path / "elsewhere", tmp_path / "mine" / "cam1")
    os.symlink(tmp_path / "mine", tmp_path / "mine" / "cam0" / "loop")
    assert [v.name for v in load_videos("folder", "train", tmp_path / "mine")] == [
        "cam0/b",
        "cam1/a",
    ]


def test_files_of_kinds_that_are_not_read_are_named(tmp_path):
    write_video(tmp_path / "01.mp4", scene(1, 20)[0][0])
    names = ("02.MTS", "03.flv", "more/000.webp", "more/001.webp")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert problems(check_dataset("folder", tmp_path, progress=False)) == {
        ("unread-files", ", ".join(str(tmp_path / name) for name in names) + ": not read")
    }


@pytest.mark.parametrize(
    "suffix", ["mpg", "mpeg", "wmv", "ts", "mts", "m2ts", "flv", "webp", "heic"]
)  # those that the README names, and more
def test_each_kind_that_is_not_read_is_named(tmp_path, suffix):
    write_video(tmp_path / "01.mp4", scene(1, 20)[0][0])
    (tmp_path / f"02.{suffix}").write_bytes(b"x")
    assert problems(check_dataset("folder", tmp_path, progress=False)) == {
        ("unread-files", f"{tmp_path / f'02.{suffix}'}: not read")
    }


def test_thumbnails_of_a_network_drive_are_junk(tmp_path):
    write_video(tmp_path / "a.mp4", scene(1, 20)[0][0])
    for folder in ("@eaDir/a.mp4", "__MACOSX"):
        write_images(tmp_path / folder, scene(1, 1)[0][0])
    assert [v.name for v in load_videos("folder", "train", tmp_path)] == ["a"]


def test_one_damaged_video_does_not_hide_the_others(tmp_path):
    own_videos(tmp_path, None)
    damaged = tmp_path / "training" / "cam1" / "monday.mp4"
    damaged.write_bytes(damaged.read_bytes()[:300])
    report = check_dataset("folder", tmp_path, progress=False)
    assert {split: part["clips"] for split, part in report["splits"].items()} == {
        "train": 3,
        "test": 2,
    }
    [(code, where)] = problems(report)
    assert code == "damaged-file"
    assert where.startswith(str(damaged))
    assert len(load_videos("folder", "test", tmp_path)) == 2


def test_labels_in_two_places_are_refused(tmp_path):
    own_videos(tmp_path, "csv")
    (tmp_path / "testing" / "labels.csv").write_text("video,start,end\n")
    with refused("conflict", file=tmp_path / "testing" / "labels.csv") as caught:
        load_videos("folder", "test", tmp_path)
    assert str(tmp_path / "labels.csv") in str(caught.error)


# --- Avenue's masks


@pytest.mark.parametrize("junk", [None, "._1_label.mat"])
def test_an_empty_folder_of_masks_is_no_ground_truth(tmp_path, junk):
    official_avenue(tmp_path, {21: 76})
    folder = tmp_path / "avenue" / "ground_truth_demo" / "testing_label_mask"
    (folder / "21_label.mat").unlink()
    if junk:
        (folder / junk).write_bytes(b"\0\5\x16\7")
    np.save(tmp_path / "avenue" / "frame_labels_avenue.npy", np.zeros((1, 15324), np.int8))
    truths = find_copy("avenue", tmp_path).ground_truths()
    assert [truth.name for truth in truths] == ["community"]
    notes = {
        (entry["code"], entry["where"])
        for entry in check_dataset("avenue", tmp_path, progress=False)["notes"]
    }
    assert (
        "two-ground-truths",
        f"{tmp_path / 'avenue' / 'frame_labels_avenue.npy'}: only 'community' is here",
    ) in notes


@pytest.mark.parametrize("damage", ["cut", "of another clip"])
def test_a_wrong_mask_file_of_a_clip_that_is_not_here_is_a_problem_not_the_end(tmp_path, damage):
    official_avenue(tmp_path, {21: 76})
    np.save(tmp_path / "avenue" / "frame_labels_avenue.npy", np.zeros((1, 15324), np.int8))
    path = tmp_path / "avenue" / "ground_truth_demo" / "testing_label_mask" / "8_label.mat"
    if damage == "cut":
        path.write_bytes(path.with_name("21_label.mat").read_bytes()[:200])
    else:
        save_cells(path, "volLabel", [np.ones((60, 80), np.uint8)] * 76)
    report = check_dataset("avenue", tmp_path, progress=False)
    assert report["splits"]["test"]["frames"] == 76
    [(code, where)] = problems(report)
    assert where.startswith(f"{path}: ")
    assert code == ("damaged-file" if damage == "cut" else "label-length")


# --- ShanghaiTech, half converted


def test_the_folder_with_clips_is_taken_and_not_the_empty_one(tmp_path):
    official_shanghaitech(tmp_path, {"01_0014": 20}, train=())
    (tmp_path / "shanghaitech" / "training" / "videos").mkdir(parents=True)
    write_images(tmp_path / "shanghaitech" / "training" / "frames" / "01_001", scene(1, 20)[0][0])
    assert [v.name for v in load_videos("shanghaitech", "train", tmp_path)] == ["01_001"]


def test_test_clips_may_be_videos(tmp_path):
    truth = official_shanghaitech(tmp_path, {"01_0014": 40})
    frames = tmp_path / "shanghaitech" / "testing" / "frames"
    write_video(
        frames / "01_0014.mp4",
        load_videos("shanghaitech", "test", tmp_path)[0].frames[:],
        codec="libx264",
    )
    shutil.rmtree(frames / "01_0014")
    [video] = load_videos("shanghaitech", "test", tmp_path)
    assert (video.name, video.scene) == ("01_0014", "shanghaitech 01")
    assert np.array_equal(video.labels, truth["01_0014"])
    assert video.masks is not None


# --- pictures


def test_a_tiff_of_many_pages_is_refused(tmp_path):
    pages = [Image.new("L", (8, 6), t) for t in range(5)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with refused("wrong-kind-of-file", file=tmp_path / "a.tif"):
        read_image(tmp_path / "a.tif", 1)


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
