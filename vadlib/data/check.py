"""`vadlib data check`: read a whole copy, compare it with what is known of the dataset, and report
notes and problems.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal, TypedDict

from tqdm.auto import tqdm

from vadlib.config import ClipConfig
from vadlib.data.catalog import DATASETS, GROUND_TRUTHS, CopyCounts, find_copy
from vadlib.data.copies import DatasetCopy
from vadlib.data.decode import DROPPED, NO_KEY, Scan, VideoFrames
from vadlib.data.layout import first_of
from vadlib.data.video import ImageFrames, Video
from vadlib.errors import InputError

NAMED = 50  # files of one kind that are named one by one
# The advice for each finding. Errors need none: their line says what to do.
ADVICE = {
    # notes
    "two-ground-truths": "say which one a result was measured on; --ground-truth chooses",
    "assumed-rate": "times count 25 frames a second; if that is wrong, make video files of them",
    "wrong-times": "nothing to do: these frames are put between their neighbours",
    DROPPED: "nothing to do: the other frames keep their times; labels count the frames here",
    NO_KEY: "nothing to do: the file is whole from its first key frame on; labels count from it",
    # problems
    "too-short": "leave the video out, or make clips shorter (clips.length in the config)",
    "partial-copy": "get the missing clips; without them, results are not comparable",
    "unread-files": "make .mp4, .png, labels.csv or labels/VIDEO.npy of them, or move them away",
    "label-mask-conflict": "get labels and masks again, from one source",
    "published-labels": "get the labels again",
}

Kind = Literal["notes", "problems"]
Finding = dict[str, str]  # "code", "where" (a line: where and what) and "fix"


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
        "known": dict[str, int | float | str | dict[str, int]] | None,
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
    check = _Check(name, root)
    copy = None
    with check.errors():
        copy = find_copy(name, root, ground_truth)
    if copy is None:
        return check.report
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
    counts = DATASETS[name].counts
    if counts:
        check.compare_counts(counts)
    return check.report


class _Check:
    """The check of one copy, which fills a report."""

    def __init__(self, name: str, root: Path):
        self.report: Report = {
            "dataset": name,
            "root": str(root),
            "layout": None,
            "folder": None,
            "splits": {},
            "known": None,
            "notes": [],
            "problems": [],
        }

    def find(self, condition: object, line: str, code: str, kind: Kind = "notes") -> None:
        """Report a finding if the condition holds."""
        if condition:
            self.report[kind].append({"code": code, "where": line, "fix": ADVICE[code]})

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
        self.find(count < ClipConfig.length, line, "too-short", "problems")
        masks, labels = video.masks, video.labels
        conflicts = []
        for t in range(count):
            with self.errors():
                if isinstance(video.frames, ImageFrames):
                    video.frames[t]
                mask = bool(masks[t].any()) if masks is not None else None
                if mask is not None and labels is not None and mask != bool(labels[t]):
                    conflicts.append(t)
        line = f"video {video.name}, frame {first_of(conflicts)}: its mask contradicts its label"
        self.find(conflicts, line, "label-mask-conflict", "problems")

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
        folders = [video for video in videos if isinstance(video.frames, ImageFrames)]
        is_unsure = folders and self.report["dataset"] == "folder"
        self.find(is_unsure, f"{split}: {len(folders)} folders of images", "assumed-rate")
        for film in [video.frames for video in videos if isinstance(video.frames, VideoFrames)]:
            self._look_at_film(film.path, film.scan, len(film))

    def _look_at_film(self, path: Path, scan: Scan, count: int) -> None:
        """Note frames of a video file that are not shown, and wrong times."""
        for reason, skipped in scan.skipped.items():
            self.find(skipped, f"{path}: {skipped} frames are left out", reason)
        line = f"{path}: {scan.wrong_times} of {count} frames have no or a wrong time"
        self.find(scan.wrong_times, line, "wrong-times")

    def look_around(self, copy: DatasetCopy) -> None:
        """Find files that are not read, and say where several ground truths are."""
        unread = copy.unread_files()
        self.find(unread, f"{first_of(unread, NAMED)}: not read", "unread-files", "problems")
        truths = copy.ground_truths() if self.report["dataset"] in GROUND_TRUTHS else []
        line = " and ".join(f"{truth.path} ({truth.name})" for truth in truths)
        self.find(truths, line, "two-ground-truths")

    def compare_counts(self, counts: CopyCounts) -> None:
        """Compare clips, frames and abnormal frames with the published counts."""
        facts = asdict(counts)
        self.report["known"] = facts
        for name, split in self.report["splits"].items():
            clips, frames = facts[f"{name}_clips"], facts[f"{name}_frames"]
            line = f"{split['clips']} clips of {clips}, {split['frames']} frames of {frames}"
            is_partial = (split["clips"], split["frames"]) != (clips, frames)
            self.find(is_partial, f"{name}: {line}", "partial-copy", "problems")
        test = self.report["splits"].get("test")
        if test and test["clips"] == counts.test_clips:
            published = counts.abnormal.get(test["labels"] or "", counts.abnormal.get(""))
            line = f"test: {test['abnormal']} abnormal frames, but {published} are published"
            self.find(test["abnormal"] != published, line, "published-labels", "problems")


def describe_report(report: Report) -> str:
    """Return the report as text for people."""
    layout = f" ({report['layout']} layout)" if report["layout"] else ""
    lines = [f"{report['dataset']} in {report['folder'] or report['root']}{layout}"]
    for name, split in report["splits"].items():
        lines.append(f"  {name:5}  {_describe_split(split)}")
    if report["known"]:
        facts = [f"{value} {name}" for name, value in report["known"].items()]
        lines.append(f"  known  {', '.join(facts).replace('_', ' ')}")
    for kind, findings in (("note", report["notes"]), ("problem", report["problems"])):
        for finding in findings:
            fix = f" -> {finding['fix']}" if finding["fix"] else ""
            lines.append(f"  {kind}: [{finding['code']}] {finding['where']}{fix}")
    return "\n".join(lines if report["problems"] else [*lines, "  nothing wrong was found"])


def _describe_split(split: Split) -> str:
    rates = " and ".join(f"{rate:g}" for rate in split["fps"])
    labels = f"{split['abnormal']} abnormal frames (labels: {split['labels']})"
    masks = f"masks for {split['masks']} clips" if split["masks"] else "no masks"
    return (
        f"{split['clips']} clips, {split['frames']} frames, {', '.join(split['size'])} pixels, "
        f"{rates} fps, {labels if split['labels'] is not None else 'no labels'}, {masks}"
    )
