"""`vadlib data check`: read a whole copy, compare it with what is known of the dataset, and report
notes and problems.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from vadlib.config import ClipConfig
from vadlib.data.catalog import DATASETS, find_copy
from vadlib.data.copies import DatasetCopy
from vadlib.data.decode import DROPPED, NO_KEY, VideoFrames, list_videos
from vadlib.data.ground_truths import GroundTruth
from vadlib.data.layout import broken_links, first_of, is_truth, walk
from vadlib.data.video import (
    IMAGE_SUFFIXES,
    ImageFrames,
    Video,
    is_junk,
    list_files,
    natural_key,
    result_names,
)
from vadlib.errors import InputError
from vadlib.files import refuse_broken_link

NAMED = 50  # files of one kind that are named one by one

# What is worth knowing about a copy, and what follows from it. None of it is an error.
NOTES = {
    "mask-names": "nothing to do: masks are read in natural order",
    "junk-files": "nothing to do: they are skipped",
    "stale-labels": "nothing to do: a backup of an editor is never read",
    "ground-truth-beside-clips": "nothing to do: these folders are not taken for clips",
    "frame-numbering": "nothing to do: frames are read in natural order, by position",
    "two-ground-truths": "say which one a result was measured on; --ground-truth chooses",
    "nothing-abnormal": "an AUC needs frames of both kinds: label some as abnormal, or do without",
    "assumed-rate": "times count 25 frames a second; make video files of them if that is wrong",
    "wrong-times": "nothing to do: these frames are put between their neighbours; delays and false alarms per hour count these times",
    "mixed-sizes": "each size is taken for a camera of its own",
    "own-results": "nothing to do: films, curves and runs of vadlib are left out; rename what is your own",
    "pictures-beside-videos": "nothing to do for covers and thumbnails; put frames of another video into a folder of their own",
    "frame-count": "trust the decoded frames; extract images again if another program counted otherwise",
    DROPPED: "nothing to do: the file is whole, the other frames keep their times; labels count the frames that are there",
    NO_KEY: "nothing to do: the file is whole from its first key frame on; labels count from there",
    "deep-pixels": "if too few levels are left, stretch the values over the whole range and convert to 8 bits, all videos in the same way",
}
# Problems that only this check finds, and how to fix them.
OWN = {
    "too-short": "leave the video out, or make clips shorter (length in the data config)",
    "partial-copy": "get the missing clips; what is there can be used, but results are not comparable",
    "unread-files": "convert films and pictures, for instance to .mp4 or .png; put labels into labels.csv, "
    "labels.json or labels/VIDEO.npy; move what is no data away",
    "label-mask-conflict": "get labels and masks again, from one source",
    "published-labels": "get the labels again",
}
# All problems with a fix of their own. The others are codes of errors (`vadlib.errors.CODES`),
# whose message says what to do.
FIXES = OWN | {
    "git-lfs-pointer": "run `git lfs pull` in the copy it came from, or download the dataset itself",
    "pickle": "get the labels as a plain .npy or a .mat file",
    "frame-count": "copy or download the file again, or re-encode it if it is as long as it should be",
    "label-length": "copy or extract the clip again, or get the labels again",
    "label-values": "get the labels again",
    "missing-labels": "get the labels",
    "labels-without-frames": "get the frames: labels alone are no dataset",
    "missing-frame": "copy the clip again",
    "mixed-sizes": "extract the frames or masks again, or move the odd file away",
    "damaged-file": "copy or download the file again",
    "empty-file": "copy or download the file again",
}


def check_dataset(
    name: str, root: Path, progress: bool = True, ground_truth: str | None = None
) -> dict:
    """Decode every frame and mask of a copy and report what it holds.

    Returns:
        {"dataset", "root", "layout", "folder", "splits": {split: {"clips", "frames", "size", "fps",
        "abnormal", "labels", "masks"}}, "known", "notes", "problems"}. Notes and problems are lists
        of {"code", "where", "fix"}: a note of `NOTES`, or a problem of `OWN` or of
        `vadlib.errors.CODES`; a line that says where and what; and what to do, "" where the line
        says it. `problems` is empty for a sound and complete copy; `known` is None for a dataset
        without counts.

    Raises:
        InputError: the dataset or the ground truth is unknown.
    """
    report = {
        "dataset": name,
        "root": str(root),
        "layout": None,
        "folder": None,
        "splits": {},
        "known": None,
        "notes": [],
        "problems": [],
    }
    found = _Findings(report)
    try:
        copy = find_copy(name, root, ground_truth)
    except InputError as error:
        if error.field in {"dataset", "ground_truth"}:
            raise
        found.error(error)
        return report
    report |= {"layout": copy.layout, "folder": str(copy.folder) if copy.folder else None}
    videos: dict[str, list[Video]] = {}
    for split in copy.splits:
        try:
            videos[split] = list(copy.open_each(split, ground_truth, on_error=found.error))
        except InputError as error:
            found.error(error)
            continue
        for video in tqdm(videos[split], f"reading {split}", unit="clip", disable=not progress):
            _read_through(video, found)
        report["splits"][split] = _summary(videos[split])
        _look_at_names(split, videos[split], name == "folder", found)
        if report["splits"][split]["abnormal"] == 0:
            found.note("nothing-abnormal", f"{split}: no frame is labelled abnormal")
    truths: list[GroundTruth] = []
    try:
        truths = copy.ground_truths()
    except InputError as error:
        found.error(error)
    if copy.folder:
        _look_around(copy, truths, name == "folder", found)
    _compare_truths(name, copy, truths, found)
    _against_known(name, report, found)
    return report


class _Findings:
    """Collects notes and problems into a report, each once."""

    def __init__(self, report: dict):
        self.report = report

    def note(self, code: str, where: str) -> None:
        self._add("notes", code, where, NOTES[code])

    def problem(self, code: str, where: str) -> None:
        self._add("problems", code, where, FIXES.get(code, ""))

    def error(self, error: InputError) -> None:
        self.problem(error.code, str(error))

    def _add(self, kind: str, code: str, where: str, fix: str) -> None:
        entry = {"code": code, "where": where, "fix": fix}
        if entry not in self.report[kind]:  # a wrong root is one problem, not one a split
            self.report[kind].append(entry)


def _read_through(video: Video, found: _Findings) -> None:
    if len(video) < ClipConfig.length:
        found.problem(
            "too-short",
            f"video {video.name}: {len(video)} frames, shorter than a clip of {ClipConfig.length}",
        )
    contradictions = []
    for t in range(len(video)):
        try:
            video.frames[t]
        except InputError as error:
            found.error(error)
            if isinstance(video.frames, VideoFrames):
                return  # the rest of a damaged video file says the same
        try:
            if video.masks is not None and bool(video.masks[t].any()) != bool(video.labels[t]):
                contradictions.append(t)
        except InputError as error:
            found.error(error)
    if contradictions:
        says = "abnormal" if not video.labels[contradictions[0]] else "normal"
        more = f" (and {len(contradictions) - 1} more frames)" if len(contradictions) > 1 else ""
        where = f"video {video.name}, frame {contradictions[0]}: its mask says {says}, its label the opposite{more}"
        found.problem("label-mask-conflict", where)


def _summary(videos: list[Video]) -> dict:
    labelled = [v for v in videos if v.labels is not None]
    return {
        "clips": len(videos),
        "frames": sum(map(len, videos)),
        "size": sorted({f"{v.frames.shape[2]}x{v.frames.shape[1]}" for v in videos}),
        "channels": sorted({v.frames.shape[3] for v in videos}),
        "fps": sorted({float(f"{v.fps:.6g}") for v in videos}),
        "labels": labelled[0].ground_truth if labelled else None,
        "abnormal": int(sum(v.labels.sum() for v in labelled)) if labelled else None,
        "masks": sum(v.masks is not None for v in videos),
    }


def _look_at_names(split: str, videos: list[Video], own: bool, found: _Findings) -> None:
    """Note how frames are numbered, whether their rate is assumed, and whether videos have several
    sizes.
    """
    first = Counter(
        int(digits[-1])
        for v in videos
        if isinstance(v.frames, ImageFrames)
        and (digits := re.findall(r"\d+", v.frames.paths[0].stem))
    )
    if first:
        numbers = " and ".join(str(n) for n in sorted(first))
        found.note(
            "frame-numbering", f"{split}: the first frame of a clip has the number {numbers}"
        )
    folders = sum(isinstance(v.frames, ImageFrames) for v in videos)
    if own and folders:
        found.note(
            "assumed-rate",
            f"{split}: {folders} folders of images, which do not say how many frames there are a second",
        )
    sizes = {v.frames.shape[1:3] for v in videos}
    if len(sizes) > 1:
        found.note(
            "mixed-sizes", f"{split}: frames of {', '.join(f'{w}x{h}' for h, w in sorted(sizes))}"
        )
    for video in videos:
        if isinstance(video.frames, VideoFrames):
            _look_at_file(video.frames, found)


def _look_at_file(frames: VideoFrames, found: _Findings) -> None:
    """Note which frames of a video file are not shown, which times are wrong, and what rounding
    leaves of its pixels.
    """
    reasons = {
        DROPPED: "frames were dropped when it was recorded",
        NO_KEY: "frames before its first key frame cannot be decoded: the recording begins between two key frames",
    }
    for reason, count in frames.skipped.items():
        found.note(reason, f"{frames.path}: {count} {reasons[reason]}")
    if frames.declared and frames.declared != len(frames) + sum(frames.skipped.values()):
        found.note(
            "frame-count",
            f"{frames.path}: its header counts {frames.declared} frames, {len(frames)} were decoded",
        )
    if frames.wrong_times:
        found.note(
            "wrong-times",
            f"{frames.path}: {frames.wrong_times} of {len(frames)} frames have no time stamp, or a wrong one",
        )
    if frames.bits > 8:
        levels = f"{frames.levels} levels of 256"
        found.note(
            "deep-pixels",
            f"{frames.path}: {frames.bits} bits a sample are rounded to 8, which leaves {levels}",
        )


def _look_around(copy: DatasetCopy, truths: list[GroundTruth], own: bool, found: _Findings) -> None:
    """Find files among the data that do not belong to the dataset, or that are not read."""
    junk, stale, truth, odd = [], [], [], []
    beside = [truth.path for truth in truths if truth.path.is_dir()]
    for base in [copy.folder, *(p for p in beside if not p.is_relative_to(copy.folder))]:
        for folder, names, files in os.walk(base):
            here = Path(folder)
            names.sort(key=natural_key)
            files.sort(key=natural_key)
            junk += [here / n for n in [*files, *names] if is_junk(here / n)]
            stale += [
                here / n
                for n in files
                if n.endswith("~")
                and Path(n.rstrip("~")).suffix in {".m", ".mat", ".npy", ".csv", ".json"}
            ]
            truth += [here / n for n in names if n.lower().endswith("_gt")]
            if is_truth(here) or here.parent.name == "masks":
                first = list_files(here, IMAGE_SUFFIXES)[:1]
                odd += [here] if any(p.stem.startswith("frame") for p in first) else []
            results = result_names([*names, *files])
            names[:] = [n for n in names if not is_junk(here / n) and n not in results]
    for code, paths in (
        ("junk-files", junk),
        ("stale-labels", stale),
        ("ground-truth-beside-clips", truth),
        ("mask-names", odd),
    ):
        if paths:
            found.note(code, first_of(paths))
    try:
        _look_at_files(copy, own, found)
    except InputError as error:  # of a folder that cannot be read
        found.error(error)


def _look_at_files(copy: DatasetCopy, own: bool, found: _Findings) -> None:
    """Find links without a target, files that are not read, and files that vadlib has written."""
    links = broken_links(copy.folder)
    for path in links[:NAMED]:
        try:
            refuse_broken_link(path)
        except InputError as error:
            found.error(error)
    if len(links) > NAMED:
        found.problem("missing-file", f"{len(links) - NAMED} more links whose target is missing")
    if unread := copy.unread_files():
        found.problem("unread-files", f"{first_of(unread, NAMED)}: not read")
    if results := copy.result_files():
        found.note("own-results", first_of(results))
    if own and (pictures := _beside_videos(copy.folder)):
        found.note("pictures-beside-videos", first_of(pictures))


def _beside_videos(folder: Path) -> list[Path]:
    """List the pictures in folders of video files, which are not read as frames."""
    pictures = []
    for listing in walk(folder):
        if list_videos(listing.path):
            pictures += list_files(listing.path, IMAGE_SUFFIXES)
    return pictures


def _compare_truths(
    name: str, copy: DatasetCopy, truths: list[GroundTruth], found: _Findings
) -> None:
    """Note how much the ground truths of a dataset that has several of them differ."""
    if not DATASETS[name].ground_truths:
        return
    if len(truths) < 2:
        for truth in truths:
            found.note("two-ground-truths", f"{truth.path}: only {truth.name!r} is here")
        return
    try:
        differing, total, counts = truth_difference(copy)
    except InputError as error:  # of a clip that need not be here
        found.error(error)
        return
    numbers = " and ".join(f"{count} ({truth})" for truth, count in counts.items())
    paths = " and ".join(str(truth.path) for truth in truths)
    found.note(
        "two-ground-truths",
        f"{paths}: they differ on {differing} of {total} test frames; {numbers} are abnormal",
    )


def truth_difference(copy: DatasetCopy) -> tuple[int, int, dict[str, int]]:
    """Compare the two ground truths of a copy over the test clips that both know: frames that
    differ, frames, abnormal frames of each. Only the label files are read.
    """
    labels = copy.all_labels()
    first, second = (np.concatenate(list(clips.values())) for clips in labels.values())
    counts = {name: int(sum(map(np.sum, clips.values()))) for name, clips in labels.items()}
    return int((first != second).sum()), len(first), counts


def _against_known(name: str, report: dict, found: _Findings) -> None:
    known, splits = DATASETS[name].counts, report["splits"]
    if known is None:
        return
    report["known"] = {
        k: getattr(known, k)
        for k in (
            "train_clips",
            "train_frames",
            "test_clips",
            "test_frames",
            "abnormal",
            "size",
            "fps",
        )
    }
    for split, summary in splits.items():
        clips, frames = getattr(known, f"{split}_clips"), getattr(known, f"{split}_frames")
        if (summary["clips"], summary["frames"]) != (clips, frames):
            found.problem(
                "partial-copy",
                f"{split}: {summary['clips']} clips of {clips}, {summary['frames']} frames of {frames}",
            )
    if "test" in splits and splits["test"]["clips"] == known.test_clips:
        labels = splits["test"]["labels"]
        expected = known.abnormal.get(labels, known.abnormal.get(""))
        if splits["test"]["abnormal"] != expected:
            found.problem(
                "published-labels",
                f"test: {splits['test']['abnormal']} abnormal frames; the published labels have {expected}",
            )


def describe_report(report: dict) -> str:
    """The report as text for people."""
    lines = [
        f"{report['dataset']} in {report['folder'] or report['root']}"
        + (f" ({report['layout']} layout)" if report["layout"] else "")
    ]
    for split, s in report["splits"].items():
        labels = (
            "no labels"
            if s["labels"] is None
            else f"{s['abnormal']} abnormal frames (labels: {s['labels']})"
        )
        masks = f"masks for {s['masks']} clips" if s["masks"] else "no masks"
        rates = " and ".join(f"{rate:g}" for rate in s["fps"])
        counts = (
            f"{s['clips']} clips, {s['frames']} frames, {', '.join(s['size'])} pixels, {rates} fps"
        )
        lines.append(f"  {split:5}  {counts}, {labels}, {masks}")
    if report["known"]:
        k = report["known"]
        abnormal = " or ".join(
            f"{count}{f' ({truth})' if truth else ''}" for truth, count in k["abnormal"].items()
        )
        lines.append(
            f"  known  train {k['train_clips']} clips, {k['train_frames']} frames; "
            f"test {k['test_clips']} clips, {k['test_frames']} frames, {abnormal} abnormal; {k['size']} pixels, {k['fps']:g} fps"
        )
    for kind in ("notes", "problems"):
        for entry in report[kind]:
            # The line of an error says how to fix it.
            says_how = kind == "problems" and entry["code"] not in OWN
            fix = "" if says_how else f" -> {entry['fix']}"
            lines.append(f"  {kind[:-1]}: [{entry['code']}] {entry['where']}{fix}")
    return "\n".join(lines if report["problems"] else [*lines, "  nothing wrong was found"])
