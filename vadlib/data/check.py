"""`vadlib data check`: read a whole copy, compare it with what is known of the dataset, and report
notes and problems.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from operator import ne
from pathlib import Path
from typing import Any, TypedDict

from tqdm.auto import tqdm

from vadlib.config import ClipConfig
from vadlib.data.catalog import DATASETS, CopyCounts, find_copy
from vadlib.data.copies import DatasetCopy
from vadlib.data.decode import DROPPED, NO_KEY, VideoFrames
from vadlib.data.layout import first_of, is_truth, walk
from vadlib.data.video import ImageFrames, Video, is_junk
from vadlib.errors import InputError
from vadlib.files import is_broken_link, refuse_broken_link

NAMED = 50  # files of one kind that are named one by one
# The advice for each finding. Errors need none: their line says what to do.
HARMLESS = "nothing to do: frames are read in natural order, and what is no data is left out"
NOTES = {
    **dict.fromkeys(("mask-names", "frame-numbering", "junk-files", "stale-labels"), HARMLESS),
    "ground-truth-beside-clips": "nothing to do: these folders are not taken for clips",
    "mixed-sizes": "each size is taken for a camera of its own",
    "nothing-abnormal": "an AUC needs frames of both kinds: label some as abnormal",
    "two-ground-truths": "say which one a result was measured on; --ground-truth chooses",
    "assumed-rate": "times count 25 frames a second; if that is wrong, make video files of them",
    "wrong-times": "nothing to do: these frames are put between their neighbours",
    **dict.fromkeys((DROPPED, NO_KEY), "nothing to do: labels count the frames that are there"),
}
PROBLEMS = {
    "too-short": "leave the video out, or make clips shorter (clips.length in the config)",
    "partial-copy": "get the missing clips; without them, results are not comparable",
    "unread-files": "make .mp4, .png, labels.csv or labels/VIDEO.npy of them, or move them away",
    "label-mask-conflict": "get labels and masks again, from one source",
    "published-labels": "get the labels again",
}
ADVICE = NOTES | PROBLEMS

Finding = dict[str, str]  # "code", "where" (a line: where and what) and "fix"
# Clips, frames, size, channels, fps, labels, abnormal, masks; None without labels.
Facts = dict[str, object]
# "known" is no noun.
_Known = TypedDict("_Known", {"known": Facts | None})  # noqa: UP013


class Report(_Known):
    """What `check_dataset` returns."""

    dataset: str
    root: str
    layout: str | None
    folder: str | None
    splits: dict[str, Facts]
    notes: list[Finding]
    problems: list[Finding]


def check_dataset(
    name: str, root: Path, progress: bool = True, ground_truth: str | None = None
) -> Report:
    """Decode every frame and mask of a copy and report what it holds.

    Returns:
        "dataset", "root", "layout", "folder", "splits" (split -> `Facts`), "known" (the published
        counts, or None), "notes" and "problems", each a list of {"code", "where", "fix"}: a key of
        `ADVICE` or of `vadlib.errors.CODES`; a line that says where and what; and what to do, ""
        where the line says it. There are no problems in a sound and complete copy.

    Raises:
        InputError: the dataset or the ground truth is unknown.
    """
    check = _Check(name, root)
    with check.errors():
        copy = find_copy(name, root, ground_truth)
        check.report["layout"] = copy.layout
        for split in copy.splits:
            with check.errors():
                opened = list(copy.open_each(split, ground_truth, check.errors))
                videos = []
                for video in tqdm(opened, f"reading {split}", unit="clip", disable=not progress):
                    with check.errors():
                        check.read(video)
                        videos.append(video)
                check.summarise(split, videos)
        check.report["folder"] = str(copy.folder) if copy.folder else None
        with check.errors():
            check.look_around(copy)
        if counts := DATASETS[name].counts:
            check.compare_counts(counts)
    return check.report


class _Check:
    """The check of one copy, which fills a report."""

    def __init__(self, name: str, root: Path):
        place: Any = {"dataset": name, "root": str(root), "layout": None, "folder": None}
        self.report: Report = place | {"splits": {}, "known": None, "notes": [], "problems": []}

    def find(self, condition: object, line: str, code: str) -> None:
        """Report a finding if the condition holds."""
        if condition:
            findings = self.report["problems" if code in PROBLEMS else "notes"]
            findings.append({"code": code, "where": line, "fix": ADVICE[code]})

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Report an error of the block, which ends it and says how to fix it."""
        try:
            yield
        except InputError as error:
            if error.field in {"dataset", "ground_truth"}:
                raise
            problem = {"code": error.code, "where": str(error), "fix": ""}
            if problem not in self.report["problems"]:
                self.report["problems"].append(problem)

    def read(self, video: Video) -> None:
        """Read all frames and masks of a video, and compare masks with labels.

        Raises:
            InputError: a video file that cannot be decoded.
        """
        count = len(video)  # decodes all of a video file
        line = f"video {video.name}: {count} frames, shorter than a clip of {ClipConfig.length}"
        self.find(count < ClipConfig.length, line, "too-short")
        masks, labels = video.masks, video.labels
        conflicts = []
        for t in range(count):
            with self.errors():
                if isinstance(video.frames, ImageFrames):
                    video.frames[t]
                if masks is not None and labels is not None and masks[t].any() != labels[t]:
                    conflicts.append(t)
        line = f"video {video.name}, frame {first_of(conflicts)}: its mask contradicts its label"
        self.find(conflicts, line, "label-mask-conflict")

    def summarise(self, split: str, videos: list[Video]) -> None:
        """Describe the videos of a split, and note what is unusual about them."""
        labels = [video.labels for video in videos if video.labels is not None]
        sizes = sorted({f"{video.frames.shape[2]}x{video.frames.shape[1]}" for video in videos})
        abnormal = sum(int(array.sum()) for array in labels)
        self.report["splits"][split] = {
            "clips": len(videos),
            "frames": sum(map(len, videos)),
            "size": sizes,
            "channels": sorted({video.frames.shape[3] for video in videos}),
            "fps": sorted({float(f"{video.fps:.6g}") for video in videos}),
            "labels": videos[0].ground_truth if labels else None,
            "abnormal": abnormal if labels else None,
            "masks": len([video for video in videos if video.masks is not None]),
        }
        self.find(len(sizes) > 1, f"{split}: frames of {', '.join(sizes)}", "mixed-sizes")
        line = f"{split}: no frame is labelled abnormal"
        self.find(labels and not abnormal, line, "nothing-abnormal")
        firsts: list[str] = []
        for frames in [video.frames for video in videos]:
            if isinstance(frames, ImageFrames):
                firsts += re.findall(r"\d+", frames.paths[0].stem)[-1:]
            elif isinstance(frames, VideoFrames):
                for reason, skipped in frames.scan.skipped.items():
                    self.find(skipped, f"{frames.path}: {skipped} frames are left out", reason)
                wrong = frames.scan.wrong_times
                line = f"{frames.path}: {wrong} of {len(frames)} frames have no or a wrong time"
                self.find(wrong, line, "wrong-times")
        note = "assumed-rate" if self.report["dataset"] == "folder" else "frame-numbering"
        numbers = first_of(sorted(set(firsts)), limit=9)
        self.find(firsts, f"{split}: {len(firsts)} folders of images, from {numbers} on", note)

    def look_around(self, copy: DatasetCopy) -> None:
        """Find files that are not read, lost links, and what lies there without harm."""
        links: list[Path] = []
        oddities: dict[str, list[Path]] = defaultdict(list)
        for here, folders, files, _ in walk(copy.folder):
            for path in filter(is_junk, sorted(here.iterdir())):
                is_backup = path.name.endswith((".m~", ".mat~", ".npy~", ".csv~", ".json~"))
                oddities["stale-labels" if is_backup else "junk-files"].append(path)
            for name in folders:
                if name.lower().endswith("_gt"):
                    oddities["ground-truth-beside-clips"].append(here / name)
            links += filter(is_broken_link, map(here.joinpath, files))
            is_mask = is_truth(here.name) or is_truth(here.parent.name)
            if is_mask and files and files[0].startswith("frame"):
                oddities["mask-names"].append(here)
        for link in links[:NAMED]:
            with self.errors():
                refuse_broken_link(link)
        unread = [path for path in copy.unread_files() if path not in links] + links[NAMED:]
        self.find(unread, f"{first_of(unread, NAMED)}: not read", "unread-files")
        for code, paths in oddities.items():
            self.find(paths, first_of(paths), code)
        if DATASETS[self.report["dataset"]].ground_truths:
            self.compare_truths(copy)

    def compare_truths(self, copy: DatasetCopy) -> None:
        """Say where the ground truths are, and on how many frames two of them differ."""
        truths = copy.ground_truths()
        line = " and ".join(f"{truth.path} ({truth.name})" for truth in truths)
        if len(truths) == 2:
            differing = 0
            first, second = copy.all_labels().values()
            for name, labels in first.items():
                differing += sum(map(ne, labels, second[name]))
            line += f" differ on {differing} test frames"
        self.find(truths, line, "two-ground-truths")

    def compare_counts(self, counts: CopyCounts) -> None:
        """Compare clips, frames and abnormal frames with the published counts."""
        facts = counts._asdict()
        self.report["known"] = facts
        for name, split in self.report["splits"].items():
            clips, frames = facts[f"{name}_clips"], facts[f"{name}_frames"]
            line = f"{split['clips']} clips of {clips}, {split['frames']} frames of {frames}"
            is_partial = (split["clips"], split["frames"]) != (clips, frames)
            self.find(is_partial, f"{name}: {line}", "partial-copy")
        test = self.report["splits"].get("test")
        if test and test["clips"] == counts.test_clips:
            published = counts.abnormal.get(str(test["labels"]), counts.abnormal.get(""))
            line = f"test: {test['abnormal']} abnormal frames, but {published} are published"
            self.find(test["abnormal"] != published, line, "published-labels")


def describe_report(report: Report) -> str:
    """Return the report as text for people."""
    layout = f" ({report['layout']} layout)" if report["layout"] else ""
    lines = [f"{report['dataset']} in {report['folder'] or report['root']}{layout}"]
    parts = report["splits"] | ({"known": report["known"]} if report["known"] else {})
    for name, facts in parts.items():
        texts = []
        for fact, value in facts.items():
            text = " and ".join(map(str, value)) if isinstance(value, list) else value
            texts.append(f"{text or 'no'} {fact.replace('_', ' ')}")
        lines.append(f"  {name:5}  {', '.join(texts)}")
    for kind, findings in (("note", report["notes"]), ("problem", report["problems"])):
        for finding in findings:
            fix = f" -> {finding['fix']}" if finding["fix"] else ""
            lines.append(f"  {kind}: [{finding['code']}] {finding['where']}{fix}")
    return "\n".join(lines if report["problems"] else [*lines, "  nothing wrong was found"])
