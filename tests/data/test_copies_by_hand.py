"""Copies as people make them by hand: linked, renamed, half converted, with one bad file."""

import shutil

import numpy as np
import pytest
from PIL import Image
from trees import official_shanghaitech, scene, write_images, write_video

from vadlib.data.catalog import load_videos
from vadlib.data.video import MaskImages, read_image

FRAMES = scene(1, 20)[0][0]


def names(dataset, split, root):
    return [video.name for video in load_videos(dataset, split, root)]


def test_ucsd_and_shanghaitech_in_a_folder_too_many(tmp_path):
    ped1 = tmp_path / "UCSD_Anomaly_Dataset" / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped1"
    write_images(ped1 / "Train" / "Train001", FRAMES[..., 0], "{:03d}.tif", 1)
    official_shanghaitech(tmp_path / "shanghaitech", {"01_0014": 20})
    assert names("ped1", "train", tmp_path) == ["01"]
    assert names("shanghaitech", "test", tmp_path) == ["01_0014"]


def test_frame_numbers_need_not_be_the_last_in_a_name(tmp_path):
    write_images(tmp_path / "a", FRAMES, "frame{:03d}_cam2.png")
    write_images(tmp_path / "b", FRAMES, "cam2_{}.png", 7)
    write_images(tmp_path / "c", FRAMES, "{:04d}_640x480.png")
    # every fifth frame of a longer video
    for t, path in enumerate(sorted((tmp_path / "c").iterdir(), reverse=True)):
        path.rename(tmp_path / "c" / f"{5 * (19 - t):04d}_640x480_.png")
    videos = load_videos("folder", "train", tmp_path)
    assert [len(v) for v in videos] == [20, 20, 20]
    assert all(np.array_equal(v.frames[11], FRAMES[11]) for v in videos)


@pytest.mark.parametrize("test", ["test", "testing", "Test"])
def test_test_videos_are_never_trained_on(tmp_path, test):
    write_video(tmp_path / test.replace("est", "rain").lower() / "a.mp4", FRAMES)
    write_video(tmp_path / test / "b.mp4", FRAMES)
    assert names("folder", "train", tmp_path) == ["a"]
    assert names("folder", "test", tmp_path) == ["b"]


def test_a_folder_called_videos_hides_nothing_beside_it(tmp_path):
    write_video(tmp_path / "training" / "cam1" / "a.mp4", FRAMES)
    write_video(tmp_path / "training" / "videos" / "b.mp4", FRAMES)
    assert names("folder", "train", tmp_path) == ["cam1/a", "videos/b"]
    shutil.rmtree(tmp_path / "training" / "cam1")
    assert names("folder", "train", tmp_path) == ["b"]


def test_linked_folders_are_entered_once(tmp_path):
    root = tmp_path / "mine"
    write_video(tmp_path / "elsewhere" / "a.mp4", FRAMES)
    write_video(root / "cam0" / "b.mp4", FRAMES)
    (root / "cam1").symlink_to(tmp_path / "elsewhere")
    (root / "cam0" / "loop").symlink_to(root)
    assert names("folder", "train", root) == ["cam0/b", "cam1/a"]


def test_the_folder_with_clips_is_taken_and_not_the_empty_one(tmp_path):
    official_shanghaitech(tmp_path, {"01_0014": 20}, train=())
    (tmp_path / "shanghaitech" / "training" / "videos").mkdir(parents=True)
    write_images(tmp_path / "shanghaitech" / "training" / "frames" / "01_001", FRAMES)
    assert names("shanghaitech", "train", tmp_path) == ["01_001"]


def test_test_clips_may_be_videos(tmp_path):
    truth = official_shanghaitech(tmp_path, {"01_0014": 40})
    clips = tmp_path / "shanghaitech" / "testing" / "frames"
    frames = load_videos("shanghaitech", "test", tmp_path)[0].frames[:]
    write_video(clips / "01_0014.mp4", frames, codec="libx264")
    shutil.rmtree(clips / "01_0014")
    [video] = load_videos("shanghaitech", "test", tmp_path)
    assert (video.name, video.scene) == ("01_0014", "shanghaitech 01")
    assert np.array_equal(video.labels, truth["01_0014"])
    assert video.masks is not None


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
