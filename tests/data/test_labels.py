"""Label files in the forms in which they circulate: the right labels, or an error that names the
file; nothing is unpickled.
"""

import re

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from trees import POINTER, save_cells

from vadlib.data import labels
from vadlib.data.catalog import load_videos
from vadlib.data.ucsd import TEST_LENGTHS as UCSD_LENGTHS
from vadlib.errors import InputError

TEST_LENGTHS = UCSD_LENGTHS["ped2"]
frames = st.integers(1, 180)
intervals = st.lists(st.tuples(frames, frames).map(sorted), min_size=1, max_size=4)
types = st.sampled_from([np.uint8, np.int16, np.float64])


@given(st.lists(intervals, min_size=12, max_size=12), types)
def test_intervals_are_one_based_and_inclusive(tmp_path_factory, clips, dtype):
    """Also as uint8, in which 140 + 180 is 64, and 1 - 2 is 255."""
    path = tmp_path_factory.mktemp("mat") / "labels.mat"
    save_cells(path, "gt", [np.array(clip, dtype).T for clip in clips])
    for values, clip in zip(labels.from_mat(path, [180] * 12), clips, strict=True):
        expected = np.zeros(180, np.uint8)
        for start, end in clip:
            expected[start - 1 : end] = 1
        assert values.tolist() == expected.tolist()


@pytest.mark.parametrize(("start", "end"), [(0, 5), (5, 4), (100, 181), (181, 200)])
def test_an_interval_outside_its_clip_is_refused_with_its_ends(tiny_ped2, start, end):
    clips = list(np.full((12, 2, 1), [[1], [2]], np.uint8))
    clips[3] = np.array([[start], [end]], np.uint8)
    save_cells(tiny_ped2.folder / "ped2.mat", "gt", clips)
    with refused("label-values", file=tiny_ped2.folder / "ped2.mat") as caught:
        load_videos("ped2", "test", tiny_ped2.root)
    numbers = re.findall(r"\d+", str(caught.error).split(": ", 1)[1])
    assert numbers[:3] == ["4", str(start), str(end)]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_mat_file_is_refused_wherever_it_is_cut(tiny_ped2, compressed):
    path = tiny_ped2.folder / "ped2.mat"
    content = scipy.io.loadmat(path)
    path.unlink()
    scipy.io.savemat(path, {"gt": content["gt"]}, do_compression=compressed)
    whole, codes = path.read_bytes(), set()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError) as caught:
            labels.from_mat(path, TEST_LENGTHS)
        assert caught.value.file == path
        codes.add((length >= len(b"MATLAB"), caught.value.code))
    # Cut right behind its header, it is a sound file without arrays.
    short = {(False, "empty-file"), (False, "wrong-kind-of-file")}
    assert codes == short | {(True, "damaged-file"), (True, "unknown-key")}


@pytest.mark.parametrize(
    ("shape", "dtype"), [((1, 2010), np.uint8), ((2010,), np.float32), ((2010, 1), bool)]
)
def test_label_arrays_of_any_shape_in_circulation(tmp_path, shape, dtype):
    flat = np.random.default_rng(0).integers(0, 2, 2010)
    np.save(tmp_path / "labels.npy", flat.astype(dtype).reshape(shape))
    read = labels.from_whole_npy(tmp_path / "labels.npy", TEST_LENGTHS)
    assert [len(clip) for clip in read] == list(TEST_LENGTHS)
    assert np.array_equal(np.concatenate(read), flat)
    assert {clip.dtype for clip in read} == {np.dtype(np.uint8)}


@pytest.mark.parametrize("count", [11, 13])
def test_intervals_for_another_number_of_clips_are_refused(tmp_path, count):
    save_cells(tmp_path / "ped2.mat", "gt", list(np.full((count, 2, 1), [[1], [2]], np.uint8)))
    with refused("label-length", file=tmp_path / "ped2.mat", field="gt") as caught:
        labels.from_mat(tmp_path / "ped2.mat", TEST_LENGTHS)
    assert re.findall(r"\d+", str(caught.error).split(": ", 1)[1]) == [str(count), "12"]


@pytest.mark.parametrize("count", [0, 2009, 2011, 1962])
def test_a_label_array_of_another_length_is_refused(tmp_path, count):
    np.save(tmp_path / "labels.npy", np.zeros(count))
    with refused("label-length", file=tmp_path / "labels.npy") as caught:
        labels.from_whole_npy(tmp_path / "labels.npy", TEST_LENGTHS)
    assert re.findall(r"\d+", str(caught.error).split(": ", 1)[1])[:2] == [str(count), "2010"]


TEXTS = np.array(["a"] * 12, object)


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("other", 1, "unknown-key"),
        ("gt", np.arange(12), "wrong-type"),
        ("gt", TEXTS, "wrong-shape"),
    ],
)
def test_a_mat_file_of_another_shape_is_refused(tmp_path, key, value, code):
    scipy.io.savemat(tmp_path / "ped2.mat", {key: value})
    with refused(code, file=tmp_path / "ped2.mat", field="gt"):
        labels.from_mat(tmp_path / "ped2.mat", TEST_LENGTHS)


def test_label_files_that_are_no_arrays_of_0_and_1_are_refused(tmp_path):
    path = tmp_path / "labels.npy"
    np.savez(tmp_path / "labels.npz", labels=np.zeros(2010))
    whole = (tmp_path / "labels.npz").read_bytes()
    kinds = {b"": "empty-file", b"text": "wrong-kind-of-file", POINTER: "git-lfs-pointer"}
    kinds |= {b"\x93NUMPY": "damaged-file", whole[:200]: "damaged-file"}
    kinds |= {whole: "wrong-kind-of-file"}  # sound, but an archive of arrays
    for value in (2, -1, 255, 0.5, np.nan):
        np.save(path, np.r_[np.zeros(2009), value])
        kinds[path.read_bytes()] = "label-values"
    for content, code in kinds.items():
        path.write_bytes(content)
        with refused(code, file=path):
            labels.from_whole_npy(path, TEST_LENGTHS)
