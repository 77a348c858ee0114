"""`vadlib data check`: read a whole copy, compare it with what is known of the dataset, and report
notes and problems.
"""

from __future__ import annotations

import itertools
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import TypedDict

import numpy as np
from tqdm.auto import tqdm

from vadlib.config import ClipConfig
from vadlib.data.catalog import DATASETS, CopyCounts, find_copy
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
LABEL_SUFFIXES = {".m", ".mat", ".npy", ".csv", ".json"}
# The advice for each finding. Errors need none: their line says what to do.
ADVICE = {
    # notes
    "mask-names": "nothing to do: masks are read in natural order",
    "junk-files": "nothing to do: they are skipped",
    "stale-labels": "nothing to do: a backup of an editor is never read",
    "ground-truth-beside-clips": "nothing to do: these folders are not taken for clips",
    "frame-numbering": "nothing to do: frames are read in natural order, by position",
    "two-ground-truths": "say which one a result was measured on; --ground-truth chooses",
    "nothing-abnormal": "an AUC needs frames of both kinds: label some as abnormal",
    "assumed-rate": "times count 25 frames a second; if that is wrong, make video files of them",
    "wrong-times": "nothing to do: these frames are put between their neighbours",
    "mixed-sizes": "each size is taken for a camera of its own",
    "own-results": "nothing to do: what vadlib wrote is left out; rename what is your own",
    "pictures-beside-videos": "nothing to do for covers; frames need a folder of their own",
    "frame-count": "trust the decoded frames, or extract images again",
    DROPPED: "nothing to do: the other frames keep their times; labels count the frames here",
    NO_KEY: "nothing to do: the file is whole from its first key frame on; labels count from it",
    # problems
    "too-short": "leave the video out, or make clips shorter (clips.length in the config)",
    "partial-copy": "get the missing clips; without them, results are not comparable",
    "unread-files": "convert videos to .mp4, pictures to .png and labels to labels.csv, "
    "labels.json or labels/VIDEO.npy; move other files away",
    "label-mask-conflict": "get labels and masks again, from one source",
    "published-labels": "get the labels again",
}

Finding = dict[str, str]  # "code", "where" (a line: where and what) and "fix"
Counts = dict[str, int | float | str | dict[str, int]]


class Split(TypedDict):
    """The contents of one split; `labels` and `abnormal` are None without labels."""

    clips: int
    frames: int
    size: list[str]
    channels: list[int]
    fps: list[float]
    labels: str | None
    abnormal: int | None
    masks: int


Report = TypedDict(  # noqa: UP013
    "Report",
    {
        "dataset": str,
        "root": str,
        "layout": str | None,
        "folder": str | None,
        "splits": dict[str, Split],
        "known": Counts | None,
        "notes": list[Finding],
        "problems": list[Finding],
    },
)


def check_dataset(
    name: str, root: Path, progress: bool = True, ground_truth: str | None = None
) -> Report:
    """Decode every frame and mask of a copy and report what it holds.

    Returns:
        "dataset", "root", "layout", "folder", "splits" (split -> `Split`), "known" (the published
        counts, or None), "notes" and "problems", each a list of {"code", "where", "fix"}: a key of
        `ADVICE` or of `vadlib.errors.CODES`; a line that says where and what; and what to do, ""
        where the line says it. There are no problems in a sound and complete copy.

    Raises:
        InputError: the dataset or the ground truth is unknown.
    """
    counts = DATASETS[name].counts if name in DATASETS else None
    check = _Check(name, root)
    try:
        copy = find_copy(name, root, ground_truth)
    except InputError as error:
        if error.field in {"dataset", "ground_truth"}:
            raise
        check.error(error)
        return check.report
    check.report["layout"] = copy.layout
    for split in copy.splits:
        try:
            videos = list(copy.open_each(split, ground_truth, on_error=check.error))
        except InputError as error:
            check.error(error)
            continue
        bar = tqdm(videos, f"reading {split}", unit="clip", disable=not progress)
        check.summarise(split, [video for video in bar if check.read(video)])
    if copy.folder:
        check.report["folder"] = str(copy.folder)
        check.look_around(copy, copy.folder)
    if counts:
        check.compare_counts(counts)
    return check.report


class _Check:
    """The check of one copy, which fills a report."""

    def __init__(self, name: str, root: Path):
        self.own = name == "folder"
        self.report = Report(
            dataset=name,
            root=str(root),
            layout=None,
            folder=None,
            splits={},
            known=None,
            notes=[],
            problems=[],
        )

    def note(self, code: str, line: str) -> None:
        self.report["notes"].append({"code": code, "where": line, "fix": ADVICE[code]})

    def problem(self, code: str, line: str) -> None:
        self.report["problems"].append({"code": code, "where": line, "fix": ADVICE[code]})

    def error(self, error: InputError) -> None:
        """Report an error, whose line says how to fix it."""
        problem = {"code": error.code, "where": str(error), "fix": ""}
        if problem not in self.report["problems"]:  # a wrong root is one problem, not one a split
            self.report["problems"].append(problem)

    # --- videos

    def read(self, video: Video) -> bool:
        """Read all frames and masks of a video, and compare masks with labels.

        Returns:
            False for a video file that cannot be decoded.
        """
        try:
            len(video)  # decodes all of a video file
        except InputError as error:
            self.error(error)
            return False
        if len(video) < ClipConfig.length:
            line = f"{len(video)} frames, shorter than a clip of {ClipConfig.length}"
            self.problem("too-short", f"video {video.name}: {line}")
        conflicts = []
        for t in range(len(video)):
            try:
                if not isinstance(video.frames, VideoFrames):
                    video.frames[t]
            except InputError as error:
                self.error(error)
            try:
                if _contradicts(video, t):
                    conflicts.append(t)
            except InputError as error:
                self.error(error)
        if conflicts:
            more = f" (and {len(conflicts) - 1} more frames)" if len(conflicts) > 1 else ""
            line = f"video {video.name}, frame {conflicts[0]}: its mask contradicts its label{more}"
            self.problem("label-mask-conflict", line)
        return True

    def summarise(self, split: str, videos: list[Video]) -> None:
        """Describe the videos of a split, and note what is unusual about them."""
        labelled = [video for video in videos if video.labels is not None]
        sizes = {f"{video.frames.shape[2]}x{video.frames.shape[1]}" for video in videos}
        abnormal = sum(int(v.labels.sum()) for v in videos if v.labels is not None)
        self.report["splits"][split] = {
            "clips": len(videos),
            "frames": sum(map(len, videos)),
            "size": sorted(sizes),
            "channels": sorted({video.frames.shape[3] for video in videos}),
            "fps": sorted({float(f"{video.fps:.6g}") for video in videos}),
            "labels": labelled[0].ground_truth if labelled else None,
            "abnormal": abnormal if labelled else None,
            "masks": len([video for video in videos if video.masks is not None]),
        }
        folders = 0
        numbers: set[str] = set()
        for frames in [video.frames for video in videos]:
            if isinstance(frames, VideoFrames):
                self._look_at_file(frames)
            if isinstance(frames, ImageFrames):
                folders += 1
                numbers.update(re.findall(r"\d+", frames.paths[0].stem)[-1:])
        if numbers:
            first = " and ".join(map(str, sorted(map(int, numbers))))
            self.note("frame-numbering", f"{split}: the first frame of a clip has number {first}")
        if self.own and folders:
            self.note("assumed-rate", f"{split}: {folders} folders of images, without a frame rate")
        if len(sizes) > 1:
            self.note("mixed-sizes", f"{split}: frames of {', '.join(sorted(sizes))}")
        if labelled and not abnormal:
            self.note("nothing-abnormal", f"{split}: no frame is labelled abnormal")

    def _look_at_file(self, frames: VideoFrames) -> None:
        """Note frames of a video file that are not shown, and wrong times."""
        path, scan = frames.path, frames.scan
        skipped = scan.skipped
        if DROPPED in skipped:
            self.note(DROPPED, f"{path}: {skipped[DROPPED]} frames were dropped when recorded")
        if NO_KEY in skipped:
            self.note(NO_KEY, f"{path}: {skipped[NO_KEY]} frames precede its first key frame")
        if scan.declared and scan.declared != len(frames) + sum(skipped.values()):
            line = f"{path}: its header counts {scan.declared} frames, {len(frames)} were decoded"
            self.note("frame-count", line)
        if scan.wrong_times:
            line = f"{path}: {scan.wrong_times} of {len(frames)} frames have no or a wrong time"
            self.note("wrong-times", line)

    # --- files

    def look_around(self, copy: DatasetCopy, folder: Path) -> None:
        """Find files that do not belong to the dataset, are not read, or were written by vadlib."""
        try:
            truths = copy.ground_truths()
        except InputError as error:
            self.error(error)
            truths = []
        bases = [folder]
        for truth in truths:
            if truth.path.is_dir() and not truth.path.is_relative_to(folder):
                bases.append(truth.path)
        for code, paths in _oddities(bases).items():
            if paths:
                self.note(code, first_of(paths))
        try:
            self._look_at_files(copy, folder)
            if truths and DATASETS[self.report["dataset"]].ground_truths:
                self._compare_truths(copy, truths)
        except InputError as error:  # of a folder that cannot be read, or a clip that is missing
            self.error(error)

    def _look_at_files(self, copy: DatasetCopy, folder: Path) -> None:
        """Find links without a target, files that are not read, and results of vadlib."""
        links = broken_links(folder)
        for path in links[:NAMED]:
            try:
                refuse_broken_link(path)
            except InputError as error:
                self.error(error)
        if len(links) > NAMED:
            line = f"{len(links) - NAMED} more links whose target is missing"
            self.error(InputError(line, "missing-file"))
        if unread := copy.unread_files():
            line = f"{first_of(unread, NAMED)}: not read"
            self.problem("unread-files", line)
        if results := copy.result_files():
            self.note("own-results", first_of(results))
        pictures = []
        for listing in walk(folder) if self.own else []:
            if list_videos(listing.path):
                pictures += list_files(listing.path, IMAGE_SUFFIXES)
        if pictures:
            self.note("pictures-beside-videos", first_of(pictures))

    # --- ground truths and counts

    def _compare_truths(self, copy: DatasetCopy, truths: list[GroundTruth]) -> None:
        """Note how much the ground truths of a dataset that has several of them differ."""
        paths = " and ".join(str(truth.path) for truth in truths)
        if len(truths) == 1:
            self.note("two-ground-truths", f"{paths}: only {truths[0].name!r} is here")
            return
        labels = {}
        for name, clips in copy.all_labels().items():
            labels[name] = np.concatenate(list(clips.values()))
        first, second = labels.values()
        numbers = " and ".join(f"{array.sum()} ({name})" for name, array in labels.items())
        differing = f"they differ on {(first != second).sum()} of {len(first)} test frames"
        self.note("two-ground-truths", f"{paths}: {differing}; {numbers} are abnormal")

    def compare_counts(self, counts: CopyCounts) -> None:
        """Compare clips, frames and abnormal frames with the published counts."""
        published = asdict(counts)
        self.report["known"] = published
        for name, split in self.report["splits"].items():
            clips, frames = published[f"{name}_clips"], published[f"{name}_frames"]
            if (split["clips"], split["frames"]) != (clips, frames):
                line = f"{split['clips']} clips of {clips}, {split['frames']} frames of {frames}"
                self.problem("partial-copy", f"{name}: {line}")
        test = self.report["splits"].get("test")
        if test and test["clips"] == counts.test_clips:
            expected = counts.abnormal.get(test["labels"] or "", counts.abnormal.get(""))
            if test["abnormal"] != expected:
                line = f"test: {test['abnormal']} abnormal frames, but {expected} are published"
                self.problem("published-labels", line)


def _contradicts(video: Video, t: int) -> bool:
    """Return True if a frame's mask does not agree with its label."""
    if video.masks is None or video.labels is None:
        return False
    return bool(video.masks[t].any()) != bool(video.labels[t])


def _oddities(bases: list[Path]) -> dict[str, list[Path]]:
    """List what may lie among the data without harm, by its code."""
    junk, backups = [], []
    truths, masks = [], []
    for here, folders, files in itertools.chain(*map(os.walk, bases)):
        names = sorted(files, key=natural_key) + sorted(folders, key=natural_key)
        paths = [Path(here) / name for name in names]
        own = result_names(names)
        folders[:] = [p.name for p in paths[len(files) :] if p.name not in own and not is_junk(p)]
        junk += [path for path in paths if is_junk(path)]
        for path in paths[: len(files)]:
            if path.name.endswith("~") and Path(path.name.rstrip("~")).suffix in LABEL_SUFFIXES:
                backups.append(path)
        truths += [path for path in paths[len(files) :] if path.name.lower().endswith("_gt")]
        if is_truth(Path(here)) or Path(here).parent.name == "masks":
            images = list_files(Path(here), IMAGE_SUFFIXES)
            if images and images[0].stem.startswith("frame"):
                masks.append(Path(here))
    return {
        "junk-files": junk,
        "stale-labels": backups,
        "ground-truth-beside-clips": truths,
        "mask-names": masks,
    }


def describe_report(report: Report) -> str:
    """Return the report as text for people."""
    layout = f" ({report['layout']} layout)" if report["layout"] else ""
    lines = [f"{report['dataset']} in {report['folder'] or report['root']}{layout}"]
    for name, split in report["splits"].items():
        lines.append(f"  {name:5}  {_describe_split(split)}")
    counts = DATASETS[report["dataset"]].counts
    if report["known"] and counts:
        lines.append(f"  known  {_describe_counts(counts)}")
    for kind, findings in (("note", report["notes"]), ("problem", report["problems"])):
        for finding in findings:
            fix = f" -> {finding['fix']}" if finding["fix"] else ""
            lines.append(f"  {kind}: [{finding['code']}] {finding['where']}{fix}")
    if not report["problems"]:
        lines.append("  nothing wrong was found")
    return "\n".join(lines)


def _describe_split(split: Split) -> str:
    rates = " and ".join(f"{rate:g}" for rate in split["fps"])
    labels = masks = ""
    if split["labels"] is not None:
        labels = f"{split['abnormal']} abnormal frames (labels: {split['labels']})"
    if split["masks"]:
        masks = f"masks for {split['masks']} clips"
    return (
        f"{split['clips']} clips, {split['frames']} frames, {', '.join(split['size'])} pixels, "
        f"{rates} fps, {labels or 'no labels'}, {masks or 'no masks'}"
    )


def _describe_counts(counts: CopyCounts) -> str:
    abnormal = []
    for truth, count in counts.abnormal.items():
        abnormal.append(f"{count} ({truth})" if truth else str(count))
    return (
        f"train {counts.train_clips} clips, {counts.train_frames} frames; test {counts.test_clips} "
        f"clips, {counts.test_frames} frames, {' or '.join(abnormal)} abnormal; {counts.size} "
        f"pixels, {counts.fps:g} fps"
    )
