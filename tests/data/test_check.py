"""`vadlib data check` sees what is there and what is wrong, on real copies and on tiny ones."""

import json
import pickle
import re
import shutil
from itertools import product

import numpy as np
import pytest
import trees
from PIL import Image
from refusals import refused
from trees import official_avenue, official_shanghaitech, write_images, write_video

from vadlib.data.catalog import load_videos
from vadlib.data.check import ADVICE, check_dataset, describe_report
from vadlib.data.labels import from_m


def check(name, root, **options):
    return check_dataset(name, root, progress=False, **options)


def lines(report, kind="problems"):
    """code -> its lines."""
    by_code = {}
    for entry in report[kind]:
        assert entry["fix"] in ("", ADVICE.get(entry["code"]))
        by_code.setdefault(entry["code"], []).append(entry["where"])
    return by_code


def problems(tree):
    """The problems of a tiny Ped2, apart from the 13 training clips that every tiny copy lacks."""
    by_code = lines(check("ped2", tree.root))
    by_code["partial-copy"].remove("train: 3 clips of 16, 120 frames of 2550")
    return {code: places for code, places in by_code.items() if places}


UCSD_NOTES = {"junk-files", "stale-labels", "ground-truth-beside-clips", "frame-numbering"}


def holds(split, **expected):
    assert split | expected == split


def test_the_real_ped1(real_data):
    [video] = load_videos("ped1", "test", real_data)
    assert (video.name, video.frames.shape, video.fps) == ("03", (200, 158, 238, 1), 10.0)
    assert np.flatnonzero(video.labels).tolist() == list(range(90, 200))  # gt_frame = [91:200]
    assert [bool(video.masks[t].any()) for t in range(200)] == (video.labels == 1).tolist()
    report = check("ped1", real_data)
    notes = lines(report, "notes")
    assert set(notes) >= UCSD_NOTES
    assert "UCSDped1.m~" in notes["stale-labels"][0]
    assert set(lines(report)) == {"missing-file", "partial-copy"}
    holds(report["splits"]["test"], clips=1, frames=200, abnormal=110, masks=1)
    script = real_data / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped1" / "Test" / "UCSDped1.m"
    labels = from_m(script, (200,) * 36)
    assert sum(int(clip.sum()) for clip in labels) == 4045
    # [5:90, 140:200]
    assert np.flatnonzero(labels[4] == 0).tolist() == [0, 1, 2, 3, *range(90, 139)]


def test_the_real_avenue(real_data):
    report = check("avenue", real_data)
    [line] = lines(report, "notes")["two-ground-truths"]
    assert "differ on 441 of 15324 test frames; 3712 (vol) and 3867 (community)" in line
    assert set(lines(report)) == {"partial-copy"}
    holds(report["splits"]["train"], clips=2, frames=389, size=["640x360"], fps=[25.0])
    holds(report["splits"]["test"], clips=2, frames=349, abnormal=207, labels="vol", masks=2)
    assert report["known"]["abnormal"] == {"vol": 3712, "community": 3867}


def test_the_tiny_copy_is_partial_and_otherwise_sound(tiny_ped2):
    report = check("ped2", tiny_ped2.root)
    assert list(lines(report)) == ["partial-copy"]
    holds(report["splits"]["train"], clips=3, frames=120, size=["24x16"])
    holds(report["splits"]["test"], clips=12, frames=2010, abnormal=1648, masks=12)
    assert json.loads(json.dumps(report)) == report
    text = describe_report(report)
    for entry in report["problems"]:
        assert f"problem: [{entry['code']}] {entry['where']} -> {entry['fix']}" in text


def test_ped2_as_its_archive_holds_it(tiny_ped2, tmp_path):
    """Masks called frame001.bmp, junk and a stale .m~ among the data, names from 1 on: the labels
    are right all the same, and notes say so.
    """
    root, clips = tmp_path / "official", tiny_ped2.folder / "testing"
    test = {}
    for n in range(1, 13):
        masks = sorted((clips / "masks" / f"{n:02d}").iterdir())
        test[n] = (sorted(tiny_ped2.clip(n).iterdir()), masks)
    train = [sorted(tiny_ped2.clip(n, "training").iterdir()) for n in (1, 2, 3)]
    trees.official_ucsd("ped2", root, train, test, tiny_ped2.labels)
    videos = load_videos("ped2", "test", root)
    assert [v.name for v in videos] == [f"{n:02d}" for n in range(1, 13)]
    for video, truth in zip(videos, tiny_ped2.labels, strict=True):
        assert np.array_equal(video.labels, truth)
        for t in range(0, len(video), 17):
            assert video.frames[t][0, 0, 0] == t
            assert video.masks[t].any() == truth[t]
    report = check("ped2", root)
    notes = lines(report, "notes")
    assert set(notes) == {"mask-names", *UCSD_NOTES}
    assert "Test006_gt and 2 more" in notes["mask-names"][0]
    assert notes["stale-labels"][0].endswith("UCSDped2.m~")
    assert [line[-1] for line in notes["frame-numbering"]] == ["1", "1"]
    assert set(lines(report)) == {"partial-copy"}  # 3 of 16 training clips
    assert report["layout"] == "official"
    folder = root / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped2" / "Test"
    (folder / "UCSDped2.m").unlink()  # the backup is not read in its place
    with refused("missing-labels", file=folder.parent):
        load_videos("ped2", "test", root)


def test_every_damaged_file_is_named_once_and_hides_no_other(tiny_ped2):
    damaged = [tiny_ped2.frame(1, 30, "training"), tiny_ped2.frame(4, 0), tiny_ped2.frame(5, 7)]
    for path in damaged:
        tiny_ped2.replace(path, b"")
    mask = tiny_ped2.folder / "testing" / "masks" / "03" / "011.png"
    tiny_ped2.replace(mask, b"x")
    by_code = problems(tiny_ped2)
    assert {line.split(": ")[0] for line in by_code["empty-file"]} == set(map(str, damaged))
    [line] = by_code["wrong-kind-of-file"]
    assert line.startswith(f"{mask}: ")
    assert by_code["partial-copy"] == ["test: 11 clips of 12, 1830 frames of 2010"]


@pytest.mark.parametrize(("t", "level"), [(0, 255), (100, 0)])
def test_a_mask_that_contradicts_its_label_is_named(tiny_ped2, t, level):
    path = tiny_ped2.folder / "testing" / "masks" / "02" / f"{t:03d}.png"
    path.unlink()
    Image.new("L", (24, 16), level).save(path)
    [line] = problems(tiny_ped2)["label-mask-conflict"]
    assert line.startswith(f"video 02, frame {t}: ")


def test_labels_that_differ_from_the_published_ones_are_noticed(tiny_ped2):
    shutil.rmtree(tiny_ped2.folder / "testing" / "masks")
    labels = np.concatenate(tiny_ped2.labels)
    labels[0] = 1
    (tiny_ped2.folder / "ped2.mat").unlink()
    path = tiny_ped2.folder / "frame_labels_ped2.npy"
    path.unlink()
    np.save(path, labels)
    [line] = problems(tiny_ped2)["published-labels"]
    assert re.findall(r"\d+", line) == ["1649", "1648"]


def test_a_missing_split_does_not_hide_the_other(tiny_ped2, tmp_path):
    folder = tiny_ped2.clip(1, "training").parent
    shutil.rmtree(folder)
    report = check("ped2", tiny_ped2.root)
    assert list(report["splits"]) == ["test"]
    assert lines(report)["missing-file"][0].startswith(f"{folder}: ")
    (tmp_path / "empty").mkdir()
    report = check("ped2", tmp_path / "empty")
    assert report["splits"] == {}
    [entry] = report["problems"]
    assert (entry["code"], entry["where"] in describe_report(report)) == ("missing-file", True)


@pytest.mark.parametrize(
    ("dataset", "place"),
    [
        ("shanghaitech", "testing/frames/01_0014/007.jpg"),
        ("shanghaitech", "testing/test_frame_mask/01_0014.npy"),
        ("avenue", "ground_truth_demo/testing_label_mask/21_label.mat"),
        ("avenue", "Avenue Dataset/training_videos/01.avi"),
    ],
)
def test_git_lfs_pointers_are_named(tmp_path, dataset, place):
    if dataset == "avenue":
        official_avenue(tmp_path, {21: 76})
    else:
        official_shanghaitech(tmp_path, {"01_0014": 40})
    path = tmp_path / dataset / place
    path.write_bytes(trees.POINTER)
    [line] = lines(check(dataset, tmp_path))["git-lfs-pointer"]
    assert line.startswith(f"{path}: ")


PICKLES = [*product(["test_frame_mask", "test_pixel_mask"], [0, 5]), ("test_frame_mask", None)]


@pytest.mark.parametrize(("kind", "protocol"), PICKLES)
def test_pickles_are_named_and_never_opened(tiny_ped2, tmp_path, kind, protocol):
    official_shanghaitech(tmp_path, {"01_0014": 20})
    path, trace = tmp_path / "shanghaitech" / "testing" / kind / "01_0014.npy", tmp_path / "trace"
    if protocol is None:
        np.save(path, np.array([trees.Hostile(trace)], object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(trees.Hostile(trace), protocol))
    tiny_ped2.replace(tiny_ped2.folder / "ped2.mat", path.read_bytes())
    by_code = lines(check("shanghaitech", tmp_path))
    with refused("wrong-kind-of-file", file=tiny_ped2.folder / "ped2.mat"):
        load_videos("ped2", "test", tiny_ped2.root)
    assert not trace.exists()
    codes = {code for code, places in by_code.items() if str(path) in places[0]}
    assert len(codes) == 1
    assert protocol == 0 or codes == {"pickle"}  # protocol 0 is plain text
    np.load(path, allow_pickle=True)  # the trap works: unpickling leaves its trace
    assert trace.exists()


def test_notes_about_your_own_videos(tmp_path):
    write_video(tmp_path / "training" / "a.mp4", np.zeros((20, 48, 64, 3), np.uint8))
    write_images(tmp_path / "training" / "b", np.zeros((9, 40, 64, 3), np.uint8))
    write_video(tmp_path / "testing" / "c.mp4", np.zeros((20, 48, 64, 3), np.uint8))
    (tmp_path / "labels.csv").write_text("video,start,end\n")
    report = check("folder", tmp_path)
    notes = lines(report, "notes")
    assert notes["mixed-sizes"] == ["train: frames of 64x40, 64x48"]
    assert notes["assumed-rate"][0].startswith("train: 1 folders of images")
    assert notes["nothing-abnormal"] == ["test: no frame is labelled abnormal"]
    assert lines(report) == {"too-short": ["video b: 9 frames, shorter than a clip of 16"]}


@pytest.mark.parametrize(("count", "noted"), [(37, True), (0, False), (40, False)])
def test_a_header_that_counts_other_frames_than_there_are_is_noted(tmp_path, count, noted):
    path = tmp_path / "mine" / "monday.avi"
    write_video(path, trees.scene(1, 40)[0][0])
    content = bytearray(path.read_bytes())
    main = content.index(b"avih") + 8 + 16  # dwTotalFrames is the fifth number of this chunk
    stream = content.index(b"strh") + 8 + 32  # dwLength is 32 bytes into this one
    for place in (main, stream):
        assert int.from_bytes(content[place : place + 4], "little") == 40
        content[place : place + 4] = count.to_bytes(4, "little")
    path.write_bytes(content)
    for _ in range(2):  # the second time from the cache
        report = check("folder", tmp_path / "mine")
        notes = lines(report, "notes").get("frame-count", [])
        assert len(notes) == noted
        for line in notes:
            assert line.startswith(f"{path}: ")
            assert re.findall(r"\b\d+\b", line.removeprefix(str(path))) == [str(count), "40"]
        assert report["splits"]["train"]["frames"] == 40


def test_a_ground_truth_may_be_named(tmp_path):
    official_avenue(tmp_path, {21: 76})
    with refused("unknown-name", field="ground_truth"):
        check("avenue", tmp_path, ground_truth="pixel")
    with refused("missing-labels", field="ground_truth"):
        check("avenue", tmp_path, ground_truth="community")
    labels = np.zeros(15324, np.int8)
    labels[-76:-70] = 1
    np.save(tmp_path / "avenue" / "frame_labels_avenue.npy", labels[None])
    report = check("avenue", tmp_path, ground_truth="community")
    holds(report["splits"]["test"], labels="community", abnormal=6)


@pytest.mark.parametrize(
    ("line", "code", "place"),
    [
        ("x = 3;", "wrong-format", "line 2"),
        ("TestVideoFile{end+1}.gt_frame = [61:];", "wrong-format", "line 2"),
        ("TestVideoFile{end+1}.gt_frame = [0:5];", "label-values", "clip 1"),
        ("TestVideoFile{end+1}.gt_frame = [5:201];", "label-values", "clip 1"),
        ("TestVideoFile{end+1}.gt_frame = [9:5];", "label-values", "clip 1"),
        ("", "label-length", "0 clips"),
    ],
)
def test_other_matlab_scripts_are_refused_by_line(tmp_path, line, code, place):
    (tmp_path / "x.m").write_text(f"TestVideoFile = {{}};\n{line}\n")
    with refused(code, file=tmp_path / "x.m") as caught:
        from_m(tmp_path / "x.m", (200, 200))
    assert place in str(caught.error)


def test_matlab_scripts_with_comments_blanks_and_windows_line_ends(tmp_path):
    (tmp_path / "x.m").write_bytes(
        b"% ground truth\r\nTestVideoFile = {};\r\n\r\n"
        b"TestVideoFile{end+1}.gt_frame = [ 1 : 3,  5 ];  % two\r\n"
        b"TestVideoFile{end+1}.gt_frame = [2:3 7:8]\r\nTestVideoFile{end+1}.gt_frame = [];\r\n"
    )
    labels = [np.flatnonzero(clip).tolist() for clip in from_m(tmp_path / "x.m", (9, 9, 9))]
    assert labels == [[0, 1, 2, 4], [1, 2, 6, 7], []]
