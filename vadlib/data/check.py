"""`vadlib data check`: read a whole copy and say what is there, beside what is known of the dataset."""

from __future__ import annotations

from pathlib import Path

from tqdm.auto import tqdm

from vadlib.data import ped2
from vadlib.data.catalog import LOADERS, load_videos
from vadlib.data.video import Video
from vadlib.errors import InputError

# What a complete copy holds: (training clips, frames, test clips, frames, abnormal test frames).
KNOWN = {
    "ped2": (len(ped2.TRAIN_LENGTHS), sum(ped2.TRAIN_LENGTHS), len(ped2.TEST_LENGTHS), sum(ped2.TEST_LENGTHS), ped2.ABNORMAL_TEST_FRAMES),
}


def check_dataset(name: str, root: Path, progress: bool = True) -> dict:
    """Decode every frame and mask of a copy and report what it holds.

    Returns:
        {"dataset", "root", "splits": {split: {"clips", "frames", "size", "fps", "abnormal", "labels", "masks"}}, "known",
        "problems": [one line each]}; `problems` is empty for a sound copy, and `known` is None for a dataset without counts.

    Raises:
        InputError: the dataset is unknown.
    """
    report = {"dataset": name, "root": str(root), "splits": {}, "known": None, "problems": []}
    for split in ("train", "test"):
        try:
            videos = load_videos(name, split, root)
        except InputError as error:
            if name not in LOADERS:
                raise
            if str(error) not in report["problems"]:  # a wrong root is one problem, not one a split
                report["problems"].append(str(error))
            continue
        report["splits"][split] = _summary(videos)
        for video in tqdm(videos, f"reading {split}", unit="clip", disable=not progress):
            report["problems"] += _damage(video)
    if name in KNOWN:
        report["known"] = dict(zip(("train_clips", "train_frames", "test_clips", "test_frames", "abnormal"), KNOWN[name], strict=True))
        report["problems"] += _against_known(report["splits"], report["known"])
    return report


def _summary(videos: list[Video]) -> dict:
    labelled = [v for v in videos if v.labels is not None]
    return {
        "clips": len(videos),
        "frames": sum(map(len, videos)),
        "size": sorted({f"{v.frames.shape[2]}x{v.frames.shape[1]}" for v in videos}),
        "fps": videos[0].fps,
        "labels": labelled[0].ground_truth if labelled else None,
        "abnormal": int(sum(v.labels.sum() for v in labelled)) if labelled else None,
        "masks": sum(v.masks is not None for v in videos),
    }


def _damage(video: Video) -> list[str]:
    found = []
    for t in range(len(video)):
        try:
            video.frames[t]
            abnormal = video.masks is not None and bool(video.masks[t].any())
        except InputError as error:
            found.append(str(error))
            continue
        if video.masks is not None and abnormal != bool(video.labels[t]):
            found.append(
                f"video {video.name}, frame {t}: its mask says {'ab' * abnormal}normal, its label the opposite; get labels and masks again"
            )
    return found


def _against_known(splits: dict, known: dict) -> list[str]:
    problems = []
    for split, summary in splits.items():
        for what in ("clips", "frames"):
            expected = known[f"{split}_{what}"]
            if summary[what] != expected:
                problems.append(f"{split}: {summary[what]} {what}; a complete copy has {expected}: some clips or frames are missing")
    if "test" in splits and splits["test"]["clips"] == known["test_clips"] and splits["test"]["abnormal"] != known["abnormal"]:
        problems.append(
            f"test: {splits['test']['abnormal']} abnormal frames; the published labels have {known['abnormal']}: get the labels again"
        )
    return problems


def describe(report: dict) -> str:
    """The report as text for people."""
    lines = [f"{report['dataset']} in {report['root']}"]
    for split, s in report["splits"].items():
        labels = "no labels" if s["labels"] is None else f"{s['abnormal']} abnormal frames (labels: {s['labels']})"
        masks = f"masks for {s['masks']} clips" if s["masks"] else "no masks"
        counts = f"{s['clips']} clips, {s['frames']} frames, {', '.join(s['size'])} pixels, {s['fps']:g} fps"
        lines.append(f"  {split:5}  {counts}, {labels}, {masks}")
    if report["known"]:
        k = report["known"]
        lines.append(
            f"  known  train {k['train_clips']} clips, {k['train_frames']} frames; "
            f"test {k['test_clips']} clips, {k['test_frames']} frames, {k['abnormal']} abnormal"
        )
    lines += [f"  problem: {line}" for line in report["problems"]] or ["  nothing wrong was found"]
    return "\n".join(lines)
