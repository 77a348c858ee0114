"""The traps of real copies (numbered as in the project's notes): each is recognised by name, on a
real or a rebuilt copy.
"""

import pickle
import re

import numpy as np
import pytest
from refusals import refused
from trees import (
    matlab_script,
    official_avenue,
    official_shanghaitech,
    official_ucsd,
    save_cells,
    spot,
    write_images,
    write_video,
)

from vadlib.data.catalog import find_copy, load_videos
from vadlib.data.check import FIXES, NOTES, check_dataset, describe_report


def traps(report, kind="notes"):
    """code -> its lines."""
    found = {}
    fixes = NOTES if kind == "notes" else FIXES
    for entry in report[kind]:
        assert entry["fix"] == fixes.get(entry["code"], "")
        found.setdefault(entry["code"], []).append(entry["where"])
    return found


@pytest.fixture
def official(tiny_ped2, tmp_path):
    """(root, labels) of a tiny Ped2 in the official layout, with the junk of real copies."""
    root, clips = tmp_path / "official", tiny_ped2.folder / "testing"
    test = {
        n: (sorted(tiny_ped2.clip(n).iterdir()), sorted((clips / "masks" / f"{n:02d}").iterdir()))
        for n in range(1, 13)
    }
    train = [sorted(tiny_ped2.clip(n, "training").iterdir()) for n in (1, 2, 3)]
    official_ucsd("ped2", root, train, test, tiny_ped2.labels)
    return root, tiny_ped2.labels


# --- 1 to 3: names, junk, numbers


def test_traps_1_to_3_in_ped2_as_its_archive_holds_it(official):
    """Masks called frame001.bmp, junk and a stale .m~ among the data, 1-based names: the labels are
    right all the same, and said.
    """
    root, labels = official
    videos = load_videos("ped2", "test", root)
    assert [v.name for v in videos] == [f"{n:02d}" for n in range(1, 13)]
    for video, truth in zip(videos, labels, strict=True):
        assert video.ground_truth == "m"
        assert np.array_equal(video.labels, truth)
        assert [int(video.frames[t][0, 0, 0]) for t in range(0, len(video), 17)] == list(
            range(0, len(video), 17)
        )
        assert [bool(video.masks[t].any()) for t in range(0, len(video), 17)] == (
            truth[::17] == 1
        ).tolist()
    report = check_dataset("ped2", root, progress=False)
    notes = traps(report)
    assert set(notes) == {
        "mask-names",
        "junk-files",
        "stale-labels",
        "ground-truth-beside-clips",
        "frame-numbering",
    }
    assert "Test006_gt and 2 more" in notes["mask-names"][0]
    assert notes["stale-labels"][0].endswith("UCSDped2.m~")
    assert notes["frame-numbering"] == [
        f"{split}: the first frame of a clip has the number 1" for split in ("train", "test")
    ]
    assert set(traps(report, "problems")) == {"partial-copy"}  # 3 of 16 training clips
    assert (
        report["layout"],
        report["splits"]["test"]["abnormal"],
        report["splits"]["test"]["masks"],
    ) == ("official", 1648, 12)
    text = describe_report(report)
    assert [code for code in notes if code not in text] == []


def test_trap_2_the_stale_intervals_differ_and_are_not_read(official):
    root, _ = official
    folder = root / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped2" / "Test"
    assert (folder / "UCSDped2.m").read_text() != (folder / "UCSDped2.m~").read_text()
    (folder / "UCSDped2.m").unlink()
    with refused("missing-labels", file=folder.parent):
        load_videos("ped2", "test", root)


def test_traps_1_and_2_in_the_real_ped1(real_data):
    [video] = load_videos("ped1", "test", real_data)
    assert (video.name, len(video), video.frames.shape[1:], video.fps) == (
        "03",
        200,
        (158, 238, 1),
        10.0,
    )
    assert np.flatnonzero(video.labels).tolist() == list(range(90, 200))  # gt_frame = [91:200]
    assert [bool(video.masks[t].any()) for t in range(200)] == (video.labels == 1).tolist()
    report = check_dataset("ped1", real_data, progress=False)
    notes, problems = traps(report), traps(report, "problems")
    assert {"junk-files", "stale-labels", "ground-truth-beside-clips", "frame-numbering"} <= set(
        notes
    )
    assert "UCSDped1.m~" in notes["stale-labels"][0]
    assert set(problems) == {"missing-file", "partial-copy"}
    assert "Train: " in problems["missing-file"][0]
    assert (
        report["splits"]["test"] | {"clips": 1, "frames": 200, "abnormal": 110, "masks": 1}
        == report["splits"]["test"]
    )


def test_the_real_ped1_intervals_have_unions_and_the_published_sum(real_data):
    from vadlib.data.labels import from_m

    folder = real_data / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped1" / "Test"
    labels = from_m(folder / "UCSDped1.m", (200,) * 36)
    assert sum(int(clip.sum()) for clip in labels) == 4045
    # [5:90, 140:200]
    assert np.flatnonzero(labels[4] == 0).tolist() == [0, 1, 2, 3, *range(90, 139)]


@pytest.mark.parametrize(
    ("line", "code", "place"),
    [
        ("x = 3;", "wrong-format", "line 2"),
        ("TestVideoFile{end+1}.gt_frame = [61:];", "wrong-format", "line 2"),
        ("TestVideoFile{end+1}.gt_frame = [a:b];", "wrong-format", "line 2"),
        ("TestVideoFile{end+1}.gt_frame = [0:5];", "label-values", "clip 1"),
        ("TestVideoFile{end+1}.gt_frame = [5:201];", "label-values", "clip 1"),
        ("TestVideoFile{end+1}.gt_frame = [9:5];", "label-values", "clip 1"),
        ("TestVideoFile{end+1}.gt_frame = [];\n" * 3, "label-length", "2 clips"),
        ("", "label-length", "0 clips"),
    ],
)
def test_other_matlab_scripts_are_refused_by_line(tmp_path, line, code, place):
    from vadlib.data.labels import from_m

    (tmp_path / "x.m").write_text(f"TestVideoFile = {{}};\n{line}\n")
    with refused(code, file=tmp_path / "x.m") as caught:
        from_m(tmp_path / "x.m", (200, 200))
    assert place in str(caught.error)


def test_matlab_scripts_with_comments_blanks_and_windows_line_ends(tmp_path):
    from vadlib.data.labels import from_m

    (tmp_path / "x.m").write_bytes(
        b"% ground truth\r\nTestVideoFile = {};\r\n\r\nTestVideoFile{end+1}.gt_frame = [ 1 : 3,  5 ];  % two\r\n"
        b"TestVideoFile{end+1}.gt_frame = [2:3 7:8]\r\nTestVideoFile{end+1}.gt_frame = [];\r\n"
    )
    assert [np.flatnonzero(clip).tolist() for clip in from_m(tmp_path / "x.m", (9, 9, 9))] == [
        [0, 1, 2, 4],
        [1, 2, 6, 7],
        [],
    ]


# --- 4: two ground truths


def test_trap_4_the_real_avenue(real_data):
    report = check_dataset("avenue", real_data, progress=False)
    [line] = traps(report)["two-ground-truths"]
    assert (
        "they differ on 441 of 15324 test frames; 3712 (vol) and 3867 (community) are abnormal"
        in line
    )
    assert set(traps(report, "problems")) == {"partial-copy"}
    train, test = report["splits"]["train"], report["splits"]["test"]
    assert (train["clips"], train["frames"], train["size"], train["fps"]) == (
        2,
        389,
        ["640x360"],
        [25.0],
    )
    assert (test["clips"], test["frames"], test["abnormal"], test["labels"], test["masks"]) == (
        2,
        349,
        207,
        "vol",
        2,
    )
    assert report["known"]["abnormal"] == {"vol": 3712, "community": 3867}


# --- 5 and 6: pointers and pickles


@pytest.mark.parametrize("where", ["frame", "labels", "mask", "video"])
def test_trap_5_git_lfs_pointers(tmp_path, where):
    root = tmp_path / "data"
    official_avenue(root, {21: 76})
    official_shanghaitech(root, {"01_0014": 40})
    path = {
        "frame": root / "shanghaitech" / "testing" / "frames" / "01_0014" / "007.jpg",
        "labels": root / "shanghaitech" / "testing" / "test_frame_mask" / "01_0014.npy",
        "mask": root / "avenue" / "ground_truth_demo" / "testing_label_mask" / "21_label.mat",
        "video": root / "avenue" / "Avenue Dataset" / "training_videos" / "01.avi",
    }[where]
    path.write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
    )
    report = check_dataset(
        "avenue" if "avenue" in str(path) else "shanghaitech", root, progress=False
    )
    [line] = traps(report, "problems")["git-lfs-pointer"]
    assert line.startswith(f"{path}: ")


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["test_frame_mask", "test_pixel_mask"])
def test_trap_6_pickles_are_named_and_never_opened(tmp_path, kind, protocol):
    official_shanghaitech(tmp_path, {"01_0014": 20})
    path, trace = tmp_path / "shanghaitech" / "testing" / kind / "01_0014.npy", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Hostile(trace), protocol))
    trace.unlink(missing_ok=True)
    report = check_dataset("shanghaitech", tmp_path, progress=False)
    assert not trace.exists()
    lines = [
        line for found in traps(report, "problems").values() for line in found if str(path) in line
    ]
    assert len(lines) == 1
    if protocol >= 2:  # protocols 0 and 1 are plain text
        assert traps(report, "problems")["pickle"] == lines


def test_trap_6_a_matlab_file_that_is_a_pickle(tiny_ped2, tmp_path):
    trace = tmp_path / "trace"
    tiny_ped2.replace(tiny_ped2.folder / "ped2.mat", pickle.dumps(Hostile(trace)))
    with refused("wrong-kind-of-file", file=tiny_ped2.folder / "ped2.mat"):
        load_videos("ped2", "test", tiny_ped2.root)
    assert not trace.exists()


# --- 7 and 8: counts


def test_trap_7_training_videos_are_counted_by_decoding(tmp_path):
    official_shanghaitech(tmp_path, {"01_0014": 20}, train=("01_001", "05_002"))
    report = check_dataset("shanghaitech", tmp_path, progress=False)
    assert (
        report["splits"]["train"] | {"clips": 2, "frames": 160, "fps": [24.0]}
        == report["splits"]["train"]
    )
    assert (
        "train: 2 clips of 330, 160 frames of 274515" in traps(report, "problems")["partial-copy"]
    )


def test_trap_8_another_length_names_clip_and_both_numbers_and_does_not_hide_the_other_clips(
    tmp_path,
):
    truth = official_avenue(tmp_path, {8: 36, 21: 76})
    masks = spot(truth[8][:30], (60, 80)).astype(np.uint8)
    save_cells(
        tmp_path / "avenue" / "ground_truth_demo" / "testing_label_mask" / "8_label.mat",
        "volLabel",
        list(masks),
    )
    report = check_dataset("avenue", tmp_path, progress=False)
    [line] = traps(report, "problems")["label-length"]
    assert re.findall(r"\d+", line.split("08.avi: ")[1]) == ["36", "30"]
    assert (report["splits"]["test"]["clips"], report["splits"]["test"]["frames"]) == (1, 76)


@pytest.mark.parametrize("name", ["shanghaitech", "ped1"])
def test_trap_8_labels_without_frames(tmp_path, name):
    if name == "ped1":
        folder = tmp_path / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped1" / "Test"
        folder.mkdir(parents=True)
        (folder / "UCSDped1.m").write_text(matlab_script([np.ones(200, np.uint8)] * 36))
    else:
        (tmp_path / "shanghaitech").mkdir()
        np.save(tmp_path / "shanghaitech" / "frame_labels_shanghai.npy", np.zeros(40791))
    report = check_dataset(name, tmp_path, progress=False)
    # the folder of ped1's labels is that of its clips
    code = "too-few" if name == "ped1" else "labels-without-frames"
    assert code in traps(report, "problems")
    with refused(code):
        load_videos(name, "test", tmp_path)


def test_one_damaged_first_frame_does_not_hide_the_rest(tiny_ped2):
    tiny_ped2.replace(tiny_ped2.frame(4, 0), b"")
    report = check_dataset("ped2", tiny_ped2.root, progress=False)
    assert report["splits"]["test"]["clips"] == 11
    [line] = traps(report, "problems")["empty-file"]
    assert line.startswith(f"{tiny_ped2.frame(4, 0)}: ")


def test_labels_without_any_abnormal_frame_are_worth_a_note(tmp_path):
    write_video(tmp_path / "training" / "a.mp4", np.zeros((20, 48, 64, 3), np.uint8))
    write_video(tmp_path / "testing" / "b.mp4", np.zeros((20, 48, 64, 3), np.uint8))
    (tmp_path / "labels.csv").write_text("video,start,end\n")
    assert traps(check_dataset("folder", tmp_path, progress=False))["nothing-abnormal"] == [
        "test: no frame is labelled abnormal"
    ]


def test_what_is_worth_a_note_in_ones_own_videos(tmp_path):
    write_video(tmp_path / "a.mp4", np.zeros((20, 48, 64, 3), np.uint8))
    write_images(tmp_path / "b", np.zeros((9, 40, 64, 3), np.uint8))
    report = check_dataset("folder", tmp_path, progress=False)
    assert traps(report)["mixed-sizes"] == ["train: frames of 64x40, 64x48"]
    assert traps(report)["assumed-rate"] == [
        "train: 1 folders of images, which do not say how many frames there are a second"
    ]
    assert traps(report, "problems") == {
        "too-short": ["video b: 9 frames, shorter than a clip of 16"]
    }
    assert list(report["splits"]) == ["train"]  # without testing/ there is nothing wrong
    assert find_copy("folder", tmp_path).ground_truths() == []
