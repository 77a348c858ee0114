"""Tables of labels as R, Python and spreadsheets write them: the same labels, or one error."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from trees import scene, write_images, write_video

from vadlib.data.catalog import load_videos
from vadlib.data.check import check_dataset
from vadlib.data.label_tables import Interval, mark, read_intervals

ABNORMAL = [3, 4, 5, 6]  # start 3, end 7


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
    "R write.csv without row names": '"video","start","end"\n"tuesday",3,7\n',
    "R write.csv": '"","video","start","end"\n"1","tuesday",3,7\n',
    "R write.csv2": '"";"video";"start";"end"\n"1";"tuesday";3;7\n',
    "pandas to_csv": ",video,start,end\n0,tuesday,3,7\n",
    "pandas, read and written again": "Unnamed: 0,video,start,end\n0,tuesday,3,7\n",
    "pandas, written three times": "Unnamed: 0.1,Unnamed: 0,,video,start,end\n0,0,0,tuesday,3,7\n",
    "pandas with its index": "index,video,start,end\n0,tuesday,3,7\n",
    "R, read and written again": '"","X.1","X","video","start","end"\n"1",1,1,"tuesday",3,7\n',
    "pandas, whole numbers as floats": "video,start,end\ntuesday,3.0,7.0\n",
    "empty columns": "video,start,end,,\ntuesday,3,7,,\n",
    "an empty column in between": "video,,start,end\ntuesday,,3,7\n",
    "more commas than in the header": "video,start,end\ntuesday,3,7,,,\n",
    "fewer commas than in the header": "video,start,end,,\ntuesday,3,7\n",
    "empty rows": "video,start,end\n,,\ntuesday,3,7\n\n,,\n",
    "empty rows before the header": ",,\n\nvideo,start,end\ntuesday,3,7\n",
    "no end of the last line": "video,start,end\ntuesday,3,7",
    "a byte-order mark and quotes": b'\xef\xbb\xbf"video","start","end"\r\n"tuesday",3,7\r\n',
    "two byte-order marks": b"\xef\xbb\xbf\xef\xbb\xbfvideo,start,end\ntuesday,3,7\n",
    "Excel's Unicode text": "\ufeffvideo\tstart\tend\r\ntuesday\t3\t7\r\n".encode("utf-16-le"),
    "UTF-16, the other order": "\ufeffvideo\tstart\tend\r\ntuesday\t3\t7\r\n".encode("utf-16-be"),
    "semicolons": "Video;Start;End\r\ntuesday;3;7\r\n",
    "semicolons and decimal commas": "video;start;end\ntuesday;3,0;7,0\n",
    "semicolons and empty columns": "video;start;end;;\ntuesday;3;7;;\n;;;;\n",
    "sep=": "sep=;\r\nvideo;start;end\r\ntuesday;3;7\r\n",
    "blanks": " video , start , end \n tuesday , 3 , 7 \n",
    "blanks before quotes": '"video", "start", "end"\n"tuesday", "3", "7"\n',
    "unbreakable blanks": "video,start,end\ntuesday,3\u00a0,\u00a07\n",
    "capitals": "VIDEO,START,END\ntuesday,3,7\n",
    "columns that say frames": "video,start_frame,end (frames)\ntuesday,3,7\n",
    "the name with its folder's dot": "video,start,end\n./tuesday,3,7\n",
    "a capital of the spreadsheet": "video,start,end\nTuesday,3,7\n",
    "touching rows": "video,start,end\ntuesday,3,5\ntuesday,5,7\n",
    "seconds: start_s": "video,start_s,end_s\ntuesday,0.12,0.28\n",
    "seconds: start (s)": "video,start (s),end (s)\ntuesday,0.12,0.28\n",
    "seconds: R's start..s.": '"video","start..s.","end..s."\n"tuesday",0.12,0.28\n',
    "seconds: words": "video,Start in seconds,End in seconds\ntuesday,.12,.28\n",
    "seconds: startSeconds": "video,startSeconds,endSeconds\ntuesday,0.12,0.28\n",
    "seconds: start_time_sec": "video,start_time_sec,end_time_sec\ntuesday,0.12,0.28\n",
    "seconds: [s]": "video;start [s];end [s]\ntuesday;0,12;0,28\n",
    "seconds: decimal commas in quotes": 'video,start_s,end_s\ntuesday,"0,12","0,28"\n',
    "seconds: decimal commas and tabs": "video\tstart_s\tend_s\ntuesday\t0,12\t0,28\n",
    "seconds: three decimals after a comma": "video;start_s;end_s\ntuesday;0,120;0,280\n",
    "seconds: rounded": "video,start_s,end_s\ntuesday,0.1204,0.2796\n",
    "seconds: an exponent": "video,start_s,end_s\ntuesday,1.2e-1,2.8e-1\n",
    "seconds: between the frames": "video,start_s,end_s\ntuesday,0.09,0.25\n",
}


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_a_table_as_programs_write_it(tree, table):
    assert labels_of(tree, "labels.csv", table) == ABNORMAL


REFUSED = {
    "no header": ("tuesday,3,7\n", "wrong-format", ""),
    "a column is missing": ("video,start\ntuesday,3\n", "wrong-format", ""),
    "a further column": ("video,start,end,kind\ntuesday,3,7,run\n", "wrong-format", ""),
    "a column twice": ("video,start,end,start\ntuesday,3,7,3\n", "wrong-format", ""),
    "frames and seconds": ("video,start,end_s\ntuesday,3,0.28\n", "conflict", ""),
    "times without a unit": ("video,start_time,end_time\ntuesday,3,7\n", "wrong-format", ""),
    "milliseconds": ("video,start_ms,end_ms\ntuesday,120,280\n", "wrong-format", ""),
    "plurals": ("video,starts,ends\ntuesday,3,7\n", "wrong-format", ""),
    "a remark without a column": ("video,start,end\ntuesday,3,7,runs\n", "wrong-format", ""),
    "a remark in a nameless column": ("video,start,end,\ntuesday,3,7,x\n", "wrong-format", ""),
    "an index at the end": ("video,start,end,index\ntuesday,3,7,0\n", "wrong-format", ""),
    "row names that are no numbers": (",video,start,end\na,tuesday,3,7\n", "wrong-format", ""),
    "R write.table": ('"video","start","end"\n"1","tuesday",3,7\n', "wrong-format", ""),
    "a row without an end": ("video,start,end\ntuesday,3\n", "wrong-format", ""),
    "an empty end": ("video,start,end\ntuesday,3,\n", "wrong-type", "end"),
    "R's missing value": ("video,start,end\ntuesday,NA,7\n", "wrong-type", "start"),
    "a row without a video": ("video,start,end\n,3,7\n", "wrong-format", ""),
    "not whole": ("video,start,end\ntuesday,3.5,7\n", "wrong-type", "start"),
    "not whole, with a comma": ("video;start;end\ntuesday;3;7,5\n", "wrong-type", "end"),
    "thousands": ('video,start,end\ntuesday,3,"1,000"\n', "wrong-type", ""),
    "thousands with a point": ("video;start;end\ntuesday;3;1.000\n", "wrong-type", "end"),
    "thousands with a comma": ("video;start;end\ntuesday;3;1,000\n", "wrong-type", "end"),
    "thousands of seconds": ('video,start_s,end_s\ntuesday,0,"1,234"\n', "wrong-type", ""),
    "commas and points": ("video;start_s;end_s\ntuesday;0,12;0.28\n", "wrong-format", ""),
    "both in one number": ("video;start_s;end_s\ntuesday;0;1.234,5\n", "wrong-type", "end"),
    "a clock": ("video,start_s,end_s\ntuesday,00:00,00:01\n", "wrong-type", "start"),
    "not a number": ("video,start_s,end_s\ntuesday,nan,0.28\n", "wrong-type", "start"),
    "seconds backwards": ("video,start_s,end_s\ntuesday,0.28,0.12\n", "label-values", "end"),
    "seconds below 0": ("video,start_s,end_s\ntuesday,-0.1,0.12\n", "label-values", "start"),
    "seconds behind the end": ("video,start_s,end_s\ntuesday,0.1,0.9\n", "label-values", "end"),
    "no frame in it": ("video,start_s,end_s\ntuesday,0.121,0.122\n", "label-values", "end"),
    "nothing but blanks": (" \n,,\n\n", "wrong-format", ""),
    "UTF-16 without a mark": ("video,start,end\n".encode("utf-16-le"), "wrong-format", ""),
    "half a UTF-16 letter": (b"\xff\xfev", "wrong-format", ""),
    "Latin-1": ("video,start,end\nm\u00fcnster,3,7\n".encode("latin-1"), "wrong-format", ""),
    "a quote that never ends": ('video,start,end\n"tuesday,3,7\n', "wrong-format", ""),
    "no video of that name": ("video,start,end\nwednesday,3,7\n", "unknown-name", "video"),
    "pandas' dict": ('{"video": {"0": "tuesday"}}', "wrong-format", ""),
}


@pytest.mark.parametrize(("table", "code", "field"), REFUSED.values(), ids=list(REFUSED))
def test_a_table_that_may_mean_something_else_is_refused(tree, table, code, field):
    with refused(code, file=tree / "labels.csv", field=field):
        labels_of(tree, "labels.csv", table)


ENTRIES = {
    "plain": {"video": "tuesday", "start": 3, "end": 7},
    "another order": {"end": 7, "start": 3, "video": "tuesday"},
    "floats": {"video": "tuesday", "start": 3.0, "end": 7.0},
    "texts": {"video": "tuesday", "start": "3", "end": "7"},
    "seconds": {"video": "tuesday", "start_s": 0.12, "end_s": 0.28},
    "capitals": {"Video": "tuesday", "Start": 3, "End": 7},
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))
def test_entries_as_programs_write_them(tree, entry):
    for mark_of_bytes in (b"", b"\xef\xbb\xbf"):
        content = mark_of_bytes + json.dumps([entry]).encode()
        assert labels_of(tree, "labels.json", content) == ABNORMAL


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        *(({"start": value}, "wrong-type") for value in (3.5, True)),
        *(({"end": value}, "wrong-type") for value in (float("inf"), float("nan"), [7])),
        *((changes, "wrong-format") for changes in ({"kind": "run"}, {"start_s": 0.12})),
        *(({"video": value}, "wrong-format") for value in (None, "")),
    ],
)
def test_entries_that_are_no_intervals_are_refused(tree, changes, code):
    entry = {"video": "tuesday", "start": 3, "end": 7} | changes
    with refused(code, file=tree / "labels.json"):
        labels_of(tree, "labels.json", json.dumps([entry]))


names = st.text("ab cé,;\t'\"-./", min_size=1, max_size=8).map(str.strip).filter(bool)
rows = st.lists(st.tuples(names, st.integers(0, 10**7), st.integers(1, 500)), max_size=6)


@given(
    rows,
    st.permutations(["video", "start", "end"]),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["", " empty columns", " empty rows", " numbers of rows"]),
)
def test_what_the_csv_module_writes_is_read_back(
    tmp_path_factory, rows, order, delimiter, quoting, line, encoding, extra
):
    """The module's own writer is the truth: every dialect of it gives the same intervals."""
    table = [order]
    for name, start, length in rows:
        values = {"video": name, "start": start, "end": start + length}
        table.append([values[column] for column in order])
        if "empty rows" in extra:
            table.append(["", "", ""])
    if "numbers" in extra:
        table = [[number - 1 if number else "", *row] for number, row in enumerate(table)]
    if "columns" in extra:
        table = [[*row, "", ""] for row in table]
    path = tmp_path_factory.mktemp("csv") / "labels.csv"
    with path.open("w", newline="", encoding=encoding) as file:
        options = {"delimiter": delimiter, "quoting": quoting, "lineterminator": line}
        csv.writer(file, **options).writerows(table)
    read = [(row.video, row.start, row.end) for row in read_intervals(path)]
    assert read == [(name, start, start + length) for name, start, length in rows]


@given(st.integers(1, 200), st.sampled_from([25.0, 12.5, 29.97, 10.0, 30000 / 1001]), st.data())
def test_seconds_with_three_decimals_mean_the_frames_that_they_were_taken_from(count, fps, data):
    """Times as `vadlib score` writes them into scores.csv."""
    start = data.draw(st.integers(0, count - 1))
    end = data.draw(st.integers(start + 1, count))
    seconds = np.arange(count) / fps
    row = Interval("a", round(start / fps, 3), round(end / fps, 3), "line 2", True)
    expected = [start <= t < end for t in range(count)]
    assert mark([row], seconds, fps, "labels.csv").tolist() == expected


def test_seconds_follow_the_times_of_a_varying_rate():
    row = Interval("a", 0.2, 1.1, "line 2", True)
    marks = mark([row], np.array([0, 0.1, 0.2, 1.0, 1.1, 5.0]), 1.0, "labels.csv")
    assert marks.tolist() == [0, 0, 1, 1, 0, 0]


def test_seconds_of_a_video_file_are_its_own(tmp_path):
    frames = scene(1, 20)[0][0]
    write_video(tmp_path / "training" / "a.mp4", frames, fps=10)
    write_video(tmp_path / "testing" / "b.mp4", frames, fps=10)
    (tmp_path / "labels.csv").write_text("video,start_s,end_s\nb.mp4,0.5,0.8\n")
    assert check_dataset("folder", tmp_path, progress=False)["splits"]["test"]["abnormal"] == 3
