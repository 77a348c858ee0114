"""Ped2 in the community layout: the right frames with the right labels, or an error that says what is wrong."""

import os
import pickle
import shutil

import cv2
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vadlib.data.catalog import load_videos
from vadlib.data.ped2 import ABNORMAL_TEST_FRAMES, TEST_LENGTHS, TRAIN_LENGTHS, labels_from_mat, labels_from_npy, load_ped2
from vadlib.errors import InputError

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


def levels(video):
    """The grey level of each frame's first pixel; in the tiny Ped2 that is the frame's position."""
    return [int(video.frames[t][0, 0, 0]) for t in range(len(video))]


def rename_frames(folder, name):
    """Rename 000.png, 001.png, ... to name(0), name(1), ..."""
    for t, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"_{t}")
    for path in list(folder.iterdir()):
        path.rename(folder / name(int(path.name[1:])))


def save_mat(path, clips):
    cells = np.empty((1, len(clips)), object)
    for i, intervals in enumerate(clips):
        cells[0, i] = intervals
    path.unlink(missing_ok=True)
    scipy.io.savemat(path, {"gt": cells})


# --- the real copy


def test_real_copy_has_the_published_counts(real_data):
    train, test = load_videos("ped2", "train", real_data), load_videos("ped2", "test", real_data)
    assert [len(v) for v in train] == list(TRAIN_LENGTHS)
    assert [len(v) for v in test] == [180, 180, 150, 180, 150, 180, 180, 180, 120, 150, 180, 180]
    assert [v.name for v in test] == [f"{n:02d}" for n in range(1, 13)]
    assert sum(map(len, train)) + sum(map(len, test)) == 4560
    assert sum(int(v.labels.sum()) for v in test) == ABNORMAL_TEST_FRAMES == 1648
    assert {v.frames.shape[1:] for v in train + test} == {(240, 360, 1)}
    assert {v.labels for v in train} == {None}


def test_real_intervals_labels_and_masks_agree_on_every_frame(real_data):
    mat, npy = labels_from_mat(real_data / "ped2" / "ped2.mat"), labels_from_npy(real_data / "ped2" / "frame_labels_ped2.npy")
    test = load_videos("ped2", "test", real_data)
    for video, a, b in zip(test, mat, npy, strict=True):
        assert video.ground_truth == "mat"
        assert np.array_equal(a, b), video.name
        assert np.array_equal(a, [video.masks[t].any() for t in range(len(video))]), video.name


def test_real_frames_are_what_opencv_reads(real_data):
    """A second library, and positions against file names; JPEG decoders may differ by a level or two."""
    video = load_videos("ped2", "test", real_data)[3]
    for t in (0, 7, 99, 179):
        other = cv2.imread(str(real_data / "ped2" / "testing" / "frames" / "04" / f"{t:03d}.jpg"), cv2.IMREAD_GRAYSCALE)
        assert np.abs(video.frames[t][..., 0].astype(int) - other).max() <= 3


# --- order and numbers


def test_frames_and_labels_of_the_tiny_copy(tiny_ped2):
    train, test = load_ped2("train", tiny_ped2.root), load_ped2("test", tiny_ped2.root)
    assert [(v.name, len(v)) for v in train] == [("01", 40), ("02", 40), ("03", 40)]
    assert [len(v) for v in test] == list(TEST_LENGTHS)
    for video, labels in zip(test, tiny_ped2.labels, strict=True):
        assert np.array_equal(video.labels, labels)
        assert video.labels.dtype == np.uint8
        assert levels(video) == list(range(len(video)))
        assert all(video.masks[t].any() == labels[t] for t in range(0, len(video), 7))
    assert {v.scene for v in train + test} == {"ped2"}


@pytest.mark.parametrize(
    "name",
    [
        lambda t: f"{t:03d}.png",
        lambda t: f"{t + 1:03d}.png",
        lambda t: f"{t}.png",
        lambda t: f"{t + 1}.png",
        lambda t: f"frame{t + 1:03d}.png",
        lambda t: f"{t + 1:03d}.PNG",
    ],
    ids=["0-based", "1-based", "0-based unpadded", "1-based unpadded", "frame001", "upper case"],
)
def test_defect_02_frame_numbers_are_not_indices(tiny_ped2, name):
    rename_frames(tiny_ped2.clip(1), name)
    video = load_ped2("test", tiny_ped2.root)[0]
    assert levels(video) == list(range(180))
    assert np.array_equal(video.labels, tiny_ped2.labels[0])


def test_masks_with_other_names_than_the_frames_keep_their_order(tiny_ped2):
    """The official masks of clips 6, 9 and 12 are called frame001.bmp and so on."""
    rename_frames(tiny_ped2.folder / "testing" / "masks" / "06", lambda t: f"frame{t + 1}.png")
    video = load_ped2("test", tiny_ped2.root)[5]
    assert np.array_equal([video.masks[t].any() for t in range(len(video))], tiny_ped2.labels[5])


@pytest.mark.parametrize("kept", [[4], [12], [2, 9, 11], [1, 12]])
@pytest.mark.parametrize("source", ["mat", "npy"])
def test_a_partial_copy_gets_its_own_labels(tiny_ped2, kept, source):
    for number in set(range(1, 13)) - set(kept):
        shutil.rmtree(tiny_ped2.clip(number))
    if source == "npy":
        (tiny_ped2.folder / "ped2.mat").unlink()
    videos = load_ped2("test", tiny_ped2.root)
    assert [v.name for v in videos] == [f"{n:02d}" for n in kept]
    assert {v.ground_truth for v in videos} == {source}
    for video, number in zip(videos, kept, strict=True):
        assert np.array_equal(video.labels, tiny_ped2.labels[number - 1])


@pytest.mark.parametrize("name", ["{}", "{:03d}", "Test{:03d}", "clip_{}"])
def test_clips_are_matched_by_the_number_in_their_name(tiny_ped2, name):
    for number in range(1, 13):
        tiny_ped2.clip(number).rename(tiny_ped2.clip(number).with_name("_" + name.format(number)))
    for clip in list((tiny_ped2.folder / "testing" / "frames").iterdir()):
        clip.rename(clip.with_name(clip.name[1:]))
    videos = load_ped2("test", tiny_ped2.root)
    assert [v.name for v in videos] == [name.format(n) for n in range(1, 13)]
    for video, labels in zip(videos, tiny_ped2.labels, strict=True):
        assert np.array_equal(video.labels, labels)


@pytest.mark.parametrize("name", ["13", "00", "extra", "Test099"])
def test_a_clip_without_labels_is_refused_by_name(tiny_ped2, name):
    tiny_ped2.clip(3).rename(tiny_ped2.clip(3).with_name(name))
    with pytest.raises(InputError, match=rf"frames.{name}: .*1 to 12"):
        load_ped2("test", tiny_ped2.root)


def test_two_clips_of_one_number_are_refused(tiny_ped2):
    shutil.copytree(tiny_ped2.clip(4), tiny_ped2.clip(4).with_name("4"), copy_function=os.link)
    with pytest.raises(InputError, match=r"frames.(04|4): .*clip 4.*frames.(04|4)"):
        load_ped2("test", tiny_ped2.root)


@pytest.mark.parametrize("split", ["train", "test"])
def test_defect_03_ground_truth_folders_beside_clips_are_no_clips(tiny_ped2, split):
    folder = "training" if split == "train" else "testing"
    for number in (1, 2):
        clip = tiny_ped2.clip(number, folder)
        shutil.copytree(clip, clip.with_name(f"{clip.name}_gt"), copy_function=os.link)
    expected = [f"{n:02d}" for n in range(1, 13)]
    assert [v.name for v in load_ped2(split, tiny_ped2.root)] == (expected if split == "test" else expected[:3])


def test_junk_among_the_data_is_ignored(tiny_ped2):
    for folder in (tiny_ped2.folder / "testing" / "frames", tiny_ped2.clip(1), tiny_ped2.folder / "testing" / "masks" / "01"):
        for name in (".DS_Store", "._000.png", "000.png~", "Thumbs.db", "notes.txt"):
            (folder / name).write_bytes(b"junk")
    (tiny_ped2.folder / "testing" / "frames" / ".ipynb_checkpoints").mkdir()
    (tiny_ped2.folder / "testing" / "frames" / "01~").mkdir()
    (tiny_ped2.folder / "ped2.mat~").write_bytes(b"stale")
    videos = load_ped2("test", tiny_ped2.root)
    assert [len(v) for v in videos] == list(TEST_LENGTHS)
    assert levels(videos[0]) == list(range(180))


def test_names_have_no_meaning_beyond_order_for_train(tiny_ped2):
    rename_frames(tiny_ped2.clip(2, "training"), lambda t: f"{t + 1}.png")
    assert levels(load_ped2("train", tiny_ped2.root)[1]) == list(range(40))


# --- labels


intervals = st.lists(st.tuples(st.integers(1, 120), st.integers(1, 120)).map(sorted), min_size=1, max_size=4)


@given(st.lists(intervals, min_size=12, max_size=12), st.sampled_from([np.uint8, np.int16, np.float64]))
def test_intervals_are_one_based_and_inclusive(tmp_path_factory, clips, dtype):
    path = tmp_path_factory.mktemp("mat") / "ped2.mat"
    save_mat(path, [np.array(clip, dtype).T for clip in clips])
    for labels, clip, length in zip(labels_from_mat(path), clips, TEST_LENGTHS, strict=True):
        assert labels.tolist() == [int(any(start <= t + 1 <= end for start, end in clip)) for t in range(length)]


def test_defect_04_uint8_interval_ends_do_not_wrap(tmp_path):
    """140 + 180 is 64 in uint8, 1 - 2 is 255."""
    clips = [np.array([[1, 140], [2, 180 if n in (0, 1, 3, 5, 6, 7, 10, 11) else 120]], np.uint8) for n in range(12)]
    for n in (2, 4, 8, 9):
        clips[n] = np.array([[1], [2]], np.uint8)
    save_mat(tmp_path / "ped2.mat", clips)
    labels = labels_from_mat(tmp_path / "ped2.mat")
    assert np.flatnonzero(labels[0]).tolist() == [0, 1, *range(139, 180)]
    assert np.flatnonzero(labels[8]).tolist() == [0, 1]


@pytest.mark.parametrize(("start", "end"), [(0, 5), (5, 4), (100, 181), (181, 200)])
def test_an_interval_outside_its_clip_is_refused_with_its_ends(tiny_ped2, start, end):
    clips = [np.array([[1], [2]], np.uint8) for _ in range(12)]
    clips[3] = np.array([[start], [end]], np.uint8)
    save_mat(tiny_ped2.folder / "ped2.mat", clips)
    with pytest.raises(InputError, match=rf"ped2\.mat: clip 4 has the interval {start} to {end}"):
        load_ped2("test", tiny_ped2.root)


@pytest.mark.parametrize("count", [11, 13])
def test_intervals_for_another_number_of_clips_are_refused(tiny_ped2, count):
    save_mat(tiny_ped2.folder / "ped2.mat", [np.array([[1], [2]], np.uint8)] * count)
    with pytest.raises(InputError, match=rf"ped2\.mat: intervals for {count} clips; expected 12"):
        load_ped2("test", tiny_ped2.root)


def test_a_mat_file_of_another_shape_is_refused(tiny_ped2):
    path = tiny_ped2.folder / "ped2.mat"
    for content in ({"other": 1}, {"gt": np.arange(12)}, {"gt": np.array(["a"] * 12, object)}, {"gt": {"a": 1}}):
        path.unlink()
        scipy.io.savemat(path, content)
        with pytest.raises(InputError, match=r"ped2\.mat: "):
            labels_from_mat(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_mat_file_is_refused_wherever_it_is_cut(tiny_ped2, compressed):
    path = tiny_ped2.folder / "ped2.mat"
    content = scipy.io.loadmat(path)
    path.unlink()
    scipy.io.savemat(path, {"gt": content["gt"]}, do_compression=compressed)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"ped2\.mat: "):
            labels_from_mat(path)


@pytest.mark.parametrize("shape", [(1, 2010), (2010,), (2010, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, bool])
def test_label_arrays_of_any_shape_in_circulation(tmp_path, shape, dtype):
    flat = np.random.default_rng(0).integers(0, 2, 2010)
    np.save(tmp_path / "labels.npy", flat.astype(dtype).reshape(shape))
    labels = labels_from_npy(tmp_path / "labels.npy")
    assert [len(clip) for clip in labels] == list(TEST_LENGTHS)
    assert np.array_equal(np.concatenate(labels), flat)
    assert {clip.dtype for clip in labels} == {np.dtype(np.uint8)}


@pytest.mark.parametrize("count", [0, 2009, 2011, 1962])
def test_a_label_array_of_another_length_is_refused_with_both_numbers(tmp_path, count):
    np.save(tmp_path / "labels.npy", np.zeros(count))
    with pytest.raises(InputError, match=rf"labels\.npy: {count} labels; expected 2010"):
        labels_from_npy(tmp_path / "labels.npy")


@pytest.mark.parametrize("value", [2, -1, 255, 0.5, np.nan])
def test_labels_other_than_0_and_1_are_refused(tmp_path, value):
    np.save(tmp_path / "labels.npy", np.r_[np.zeros(2009), value])
    with pytest.raises(InputError, match=r"labels\.npy: values other than 0"):
        labels_from_npy(tmp_path / "labels.npy")


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("how", ["bare pickle", "object array"])
def test_a_label_file_that_is_a_pickle_is_refused_and_never_unpickled(tiny_ped2, tmp_path, how):
    (tiny_ped2.folder / "ped2.mat").unlink()
    path, trace = tiny_ped2.folder / "frame_labels_ped2.npy", tmp_path / "was_unpickled"
    path.unlink()
    if how == "bare pickle":
        path.write_bytes(pickle.dumps(Hostile(trace)))
    else:
        np.save(path, np.array([Hostile(trace)], object), allow_pickle=True)
    assert not trace.exists()
    with pytest.raises(InputError, match=r"frame_labels_ped2\.npy: not a plain NumPy array"):
        load_ped2("test", tiny_ped2.root)
    assert not trace.exists()
    np.load(path, allow_pickle=True)  # the trap works: unpickling would have left its trace
    assert trace.exists()


def test_label_files_that_are_no_arrays_are_refused(tmp_path):
    path = tmp_path / "labels.npy"
    np.savez(tmp_path / "labels.npz", labels=np.zeros(2010))
    whole = (tmp_path / "labels.npz").read_bytes()
    for content in (b"", b"text", LFS_POINTER, b"\x93NUMPY", whole, whole[:200]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"labels\.npy: not a plain NumPy array"):
            labels_from_npy(path)


@pytest.mark.parametrize(("number", "removed", "added"), [(4, 1, 0), (4, 0, 1), (12, 30, 0)])
def test_a_clip_of_another_length_than_its_labels_is_refused_with_both_numbers(tiny_ped2, number, removed, added):
    length = TEST_LENGTHS[number - 1]
    for t in range(length - removed, length):
        tiny_ped2.frame(number, t).unlink()
    for t in range(length, length + added):
        os.link(tiny_ped2.frame(number, 0), tiny_ped2.frame(number, t))
    with pytest.raises(InputError, match=rf"frames.{number:02d}: {length - removed + added} frames, .* clip {number} cover {length};"):
        load_ped2("test", tiny_ped2.root)


def test_another_number_of_masks_is_refused(tiny_ped2):
    (tiny_ped2.folder / "testing" / "masks" / "05" / "070.png").unlink()
    with pytest.raises(InputError, match=r"masks.05: 149 masks for 150 frames"):
        load_ped2("test", tiny_ped2.root)


def test_masks_are_optional_but_labels_are_not(tiny_ped2):
    shutil.rmtree(tiny_ped2.folder / "testing" / "masks")
    assert {v.masks for v in load_ped2("test", tiny_ped2.root)} == {None}
    (tiny_ped2.folder / "ped2.mat").unlink()
    (tiny_ped2.folder / "frame_labels_ped2.npy").unlink()
    with pytest.raises(InputError, match=r"ped2: no labels.*ped2\.mat or frame_labels_ped2\.npy"):
        load_ped2("test", tiny_ped2.root)
    assert len(load_ped2("train", tiny_ped2.root)) == 3


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_frame_missing_in_the_middle_is_refused(tiny_ped2, split):
    """A clip with a gap would show a jump that nobody made."""
    folder = "training" if split == "train" else "testing"
    tiny_ped2.frame(2, 17, folder).unlink()
    with pytest.raises(InputError, match=rf"{folder}.frames.02: "):
        load_ped2(split, tiny_ped2.root)


# --- damaged pictures


def damages(tmp_path):
    whole = tmp_path / "whole"
    noise = np.random.default_rng(0).integers(0, 256, (16, 24), dtype=np.uint8)
    made = {"empty": b"", "LFS pointer": LFS_POINTER}
    for format in ("JPEG", "PNG"):
        Image.fromarray(noise).save(whole, format)
        made[f"truncated {format}"] = whole.read_bytes()[: whole.stat().st_size // 2]
    Image.fromarray(noise.astype(np.uint16) * 257).save(whole, "PNG")
    made["16-bit PNG"] = whole.read_bytes()
    return made


@pytest.mark.parametrize("t", [0, 9])
@pytest.mark.parametrize("damage", ["empty", "LFS pointer", "truncated JPEG", "truncated PNG", "16-bit PNG"])
def test_a_damaged_frame_is_refused_by_name_when_it_is_read(tiny_ped2, tmp_path, damage, t):
    path = tiny_ped2.frame(3, t, "training")
    path.unlink()
    path = path.with_suffix(".jpg")
    path.write_bytes(damages(tmp_path)[damage])
    with pytest.raises(InputError, match=rf"03.{t:03d}\.jpg: "):
        load_ped2("train", tiny_ped2.root)[2].frames[t]


# --- folders


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such folder; --root"):
        load_ped2("train", tmp_path / "nowhere")


def test_a_root_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: no such folder"):
        load_ped2("train", tmp_path / "file")


def test_an_empty_root_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=rf"{tmp_path}: no Ped2 here; expected ped2/training/frames"):
        load_ped2("train", tmp_path)


def test_the_datasets_own_folder_as_root_is_understood(tiny_ped2):
    with pytest.raises(InputError, match="the dataset's own folder; name the folder above"):
        load_ped2("train", tiny_ped2.folder)


def test_an_empty_clip_is_named(tiny_ped2):
    shutil.rmtree(tiny_ped2.clip(2, "training"))
    tiny_ped2.clip(2, "training").mkdir()
    with pytest.raises(InputError, match=r"frames.02: no images"):
        load_ped2("train", tiny_ped2.root)


def test_labels_without_frames_are_no_dataset(tiny_ped2):
    shutil.rmtree(tiny_ped2.folder / "testing" / "frames")
    with pytest.raises(InputError, match=r"testing.frames: no such folder"):
        load_ped2("test", tiny_ped2.root)
    (tiny_ped2.folder / "testing" / "frames").mkdir()
    with pytest.raises(InputError, match=r"testing.frames: empty"):
        load_ped2("test", tiny_ped2.root)


@pytest.mark.parametrize(("name", "split"), [("ped3", "train"), ("ped2", "validation"), ("", "test")])
def test_unknown_names_are_refused(tiny_ped2, name, split):
    with pytest.raises(InputError, match="is unknown; expected"):
        load_videos(name, split, tiny_ped2.root)


def test_the_root_defaults_to_the_environment_then_to_data(tiny_ped2, monkeypatch):
    monkeypatch.setenv("VADLIB_DATA", str(tiny_ped2.root))
    assert len(load_videos("ped2")) == 3
    monkeypatch.delenv("VADLIB_DATA")
    monkeypatch.chdir(tiny_ped2.root.parent)  # holds data/
    assert len(load_videos("ped2")) == 3
