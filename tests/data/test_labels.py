"""Label files as they circulate, and as R, Python and spreadsheets write them: the right labels, or
an error that names the file; nothing is unpickled.
"""

import json

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from trees import POINTER, save_cells, scene, write_images, write_video

from vadlib.data import labels
from vadlib.data.catalog import load_videos
from vadlib.data.labels import Interval, mark
from vadlib.data.ucsd import Ped2

TEST_LENGTHS = Ped2.numbered_lengths
intervals = st.lists(st.tuples(*[st.integers(1, 180)] * 2).map(sorted), min_size=1, max_size=4)


@given(st.lists(intervals, min_size=12, max_size=12), st.sampled_from(["u1", "i2", "f8"]))
def test_intervals_are_one_based_and_inclusive(tmp_path_factory, clips, dtype):
    """Also as uint8, in which 140 + 180 is 64, and 1 - 2 is 255."""
    path = tmp_path_factory.mktemp("mat") / "labels.mat"
    save_cells(path, "gt", [np.array(clip, dtype).T for clip in clips])
    for values, clip in zip(labels.from_mat(path, [180] * 12), clips, strict=True):
        expected = np.zeros(180, np.uint8)
        for start, end in clip:
            expected[start - 1 : end] = 1
        assert values.tolist() == expected.tolist()


CELLS = np.array([np.array([[9], [5]], np.uint8)] * 11 + [0], object)[:11]
MATS = [("other", 1, "unknown-key"), ("gt", np.arange(12), "wrong-type")]
MATS += [("gt", np.array(["a"] * 12, object), "wrong-shape"), ("gt", CELLS, "label-values")]
MATS += [("gt", CELLS * 0, "label-values"), ("gt", CELLS * 0 + 1, "label-length")]


@pytest.mark.parametrize(("key", "value", "code"), MATS)
def test_a_mat_file_with_something_else_is_refused(tmp_path, key, value, code):
    scipy.io.savemat(tmp_path / "ped2.mat", {key: value})
    with refused(code, file=tmp_path / "ped2.mat"):
        labels.from_mat(tmp_path / "ped2.mat", TEST_LENGTHS)


def test_label_files_that_are_no_arrays_of_0_and_1_are_refused(tmp_path):
    path = tmp_path / "labels.npy"
    np.savez(tmp_path / "labels.npz", labels=np.zeros(2010))
    kinds = {b"": "empty-file", b"text": "wrong-kind-of-file", POINTER: "git-lfs-pointer"}
    kinds |= {(tmp_path / "labels.npz").read_bytes(): "wrong-kind-of-file"}
    for value in (2, -1, 255, 0.5, np.nan):
        np.save(path, np.r_[np.zeros(2009), value])
        kinds[path.read_bytes()] = "label-values"
    for count in (0, 2009, 2011, 1962):
        np.save(path, np.zeros(count))
        kinds[path.read_bytes()] = "label-length"
    for content, code in kinds.items():
        path.write_bytes(content)
        with refused(code, file=path):
            labels.from_whole_npy(path, TEST_LENGTHS)


ENTRY = "TestVideoFile{end+1}.gt_frame = "
SCRIPTS = {"x = 3;": "wrong-format", f"{ENTRY}[61:];": "wrong-format", "": "label-length"}
SCRIPTS |= {f"{ENTRY}[{range}];": "label-values" for range in ("0:5", "5:201", "9:5")}


@pytest.mark.parametrize(("line", "code"), SCRIPTS.items())
def test_other_matlab_scripts_are_refused(tmp_path, line, code):
    (tmp_path / "x.m").write_text(f"TestVideoFile = {{}};\n{line}\n")
    with refused(code, file=tmp_path / "x.m"):
        labels.from_m(tmp_path / "x.m", (200, 200))


def test_matlab_scripts_with_comments_blanks_and_windows_line_ends(tmp_path):
    lines = ["% ground truth", "TestVideoFile = {};", "", f"{ENTRY}[ 1 : 3,  5 ];  % two"]
    lines += [f"{ENTRY}[2:3 7:8]", f"{ENTRY}[];", ""]
    (tmp_path / "x.m").write_bytes("\r\n".join(lines).encode())
    clips = labels.from_m(tmp_path / "x.m", (9, 9, 9))
    assert [np.flatnonzero(clip).tolist() for clip in clips] == [[0, 1, 2, 4], [1, 2, 6, 7], []]


# --- tables of your own


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Two folders of 20 frames; 25 frames a second are assumed."""
    root = tmp_path_factory.mktemp("tree")
    for clip in ("training/monday", "testing/tuesday"):
        write_images(root / clip, np.zeros((20, 8, 8), np.uint8))
    return root


def labels_of(root, name, content):
    """The abnormal frames of tuesday by a label file, which is removed afterwards."""
    path = root / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        [video] = load_videos("folder", "test", root)
    finally:
        path.unlink()
    return np.flatnonzero(video.labels).tolist()


TABLES = {
    "plain": "video,start,end\ntuesday,3,7\n",
    "case 06, quoted": '"video","start","end"\n"tuesday","3","7"\n',
    "case 06, columns": "video,start,end,,\ntuesday,3,7,,\n",
    "case 06, rows": "video,start,end\ntuesday,3,7\n,,\n",
    "case 06, order": "start,end,video\n3,7,tuesday\n",
    "whole numbers as floats": "video,start,end\ntuesday,3.0,7.0\n",
    "a byte-order mark and quotes": b'\xef\xbb\xbf"video","start","end"\r\n"tuesday",3,7\r\n',
    "semicolons, capitals": "Video;Start;End\r\ntuesday;3;7\r\n",
    "touching rows": "video,start,end\ntuesday,3,5\ntuesday,5,7\n",
    "seconds": "video,start_s,end_s\ntuesday,0.12,0.28\n",
    "R's write.csv": '"","video","start","end"\n"1","tuesday",3,5\n"7","tuesday",5,7\n',
    "pandas' to_csv": ",video,start,end\n0,tuesday,3,5\n1,tuesday,5,7\n",
    "a mark, semicolons, commas": b"\xef\xbb\xbfvideo;start_s;end_s\r\ntuesday;0,12;,28\r\n",
    "seconds in the header": "end (s),Start (s),,video\n0.28,0.12,,tuesday\n,,,\n",
    "semicolons, an empty column": ";start (s);end(s);video\n;0,12;0,28;tuesday\n",
    "seconds: rounded": "video,start_s,end_s\ntuesday,0.1204,0.2796\n",
    "seconds: between the frames": "video,start_s,end_s\ntuesday,0.09,0.25\n",
}
ENTRIES = {
    "plain": {"video": "tuesday", "start": 3, "end": 7},
    "floats, capitals": {"Video": "tuesday", "Start": 3.0, "End": "7"},
    "seconds": {"video": "tuesday", "start_s": 0.12, "end_s": 0.28},
}
FILES = {name: ("labels.csv", table) for name, table in TABLES.items()}
FILES |= {f"JSON: {name}": ("labels.json", json.dumps([e])) for name, e in ENTRIES.items()}


@pytest.mark.parametrize(("name", "content"), FILES.values(), ids=list(FILES))
def test_a_table_as_programs_write_it(tree, name, content):
    assert labels_of(tree, name, content) == [3, 4, 5, 6]


HEADER, SECONDS = "video,start,end\n", "video,start_s,end_s\n"
REFUSED = {
    "no header": ("tuesday,3,7\n", "wrong-format", ""),
    "a Git LFS pointer": (POINTER, "git-lfs-pointer", ""),
    "a further column": ("video,start,end,kind\ntuesday,3,7,run\n", "wrong-format", ""),
    "a column twice": ("video,start,end,start\ntuesday,3,7,3\n", "wrong-format", ""),
    "a remark in an unnamed column": (",video,start,end\nruns,tuesday,3,7\n", "wrong-format", ""),
    "numbers behind the columns": ("video,start,end,\ntuesday,3,7,1\n", "wrong-format", ""),
    "thousands with a comma": ("video;start;end\ntuesday;3;1,000\n", "wrong-type", "end"),
    "a remark without a column": (f"{HEADER}tuesday,3,7,runs\n", "wrong-format", ""),
    "a row without an end": (f"{HEADER}tuesday,3\n", "wrong-type", "end"),
    "a row without a video": (f"{HEADER},3,7\n", "wrong-format", ""),
    "not whole": (f"{HEADER}tuesday,3.5,7\n", "wrong-type", "start"),
    "thousands with a point": (f"{HEADER}tuesday,3,1.000\n", "wrong-type", "end"),
    "a decimal comma between commas": (f'{SECONDS}tuesday,"0,12",0.28\n', "wrong-type", "start"),
    "two units": ("video,start,end (s)\ntuesday,3,0.28\n", "wrong-format", ""),
    "not a number": (f"{SECONDS}tuesday,nan,0.28\n", "wrong-type", "start"),
    "backwards": (f"{SECONDS}tuesday,0.28,0.12\n", "label-values", "end"),
    "behind the end": (f"{SECONDS}tuesday,0.1,0.9\n", "label-values", "end"),
    "nothing but blanks": (" \n,,\n\n", "wrong-format", ""),
    "UTF-16": (HEADER.encode("utf-16"), "wrong-format", ""),
    "Latin-1": (f"{HEADER}m\u00fcnster,3,7\n".encode("latin-1"), "wrong-format", ""),
    "a quote that never ends": (f'{HEADER}"tuesday,3,7\n', "wrong-type", "start"),
    "no video of that name": (f"{HEADER}wednesday,3,7\n", "unknown-name", "video"),
}
OBJECTS = ["{", "[1]", '{"video": 1}', "[" * 100_000, "[" + "9" * 5000 + "]"]
OBJECTS += ['[{"video": "tuesday", "start": 2}]', '[{"video": null, "start": 2, "end": 3}]']
WRONG = {name: ("labels.csv", *row) for name, row in REFUSED.items()}
WRONG |= {f"JSON: {text[:40]}": ("labels.json", text, "wrong-format", "") for text in OBJECTS}
for value in ("3.5", "true", "[7]", "NaN", "1e400"):
    text = f'[{{"video": "tuesday", "start": {value}, "end": 9}}]'
    WRONG[f"JSON: start {value}"] = ("labels.json", text, "wrong-type", "start")


@pytest.mark.parametrize(("name", "content", "code", "field"), WRONG.values(), ids=list(WRONG))
def test_a_table_that_may_mean_something_else_is_refused(tree, name, content, code, field):
    with refused(code, file=tree / name, field=field):
        labels_of(tree, name, content)


@given(st.integers(1, 200), st.sampled_from([25.0, 12.5, 29.97, 10.0, 30000 / 1001]), st.data())
def test_seconds_with_three_decimals_mean_the_frames_that_they_were_taken_from(count, fps, data):
    """Times as `vadlib score` writes them into scores.csv."""
    start = data.draw(st.integers(0, count - 1))
    end = data.draw(st.integers(start + 1, count))
    row = Interval("a", round(start / fps, 3), round(end / fps, 3), "line 2", True)
    expected = [start <= t < end for t in range(count)]
    assert mark([row], np.arange(count) / fps, fps, "labels.csv").tolist() == expected


def test_seconds_follow_the_times_of_a_video(tmp_path):
    row = Interval("a", 0.2, 1.1, "line 2", True)
    marks = mark([row], np.array([0, 0.1, 0.2, 1.0, 1.1, 5.0]), 1.0, "labels.csv")
    assert marks.tolist() == [0, 0, 1, 1, 0, 0]
    write_video(tmp_path / "testing/b.mp4", scene(1, 20)[0][0], fps=10)
    (tmp_path / "labels.csv").write_text(f"{SECONDS}b.mp4,0.5,0.8\n")
    [video] = load_videos("folder", "test", tmp_path)
    assert np.flatnonzero(video.labels).tolist() == [5, 6, 7]
