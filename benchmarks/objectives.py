"""Three full runs on the rendered street that differ in their objective: their histories and held-out errors ship for notebook 06.

    python benchmarks/objectives.py train none|inpaint|maximize     about 20 minutes each on two cores; resumes where it stopped
    python benchmarks/objectives.py write                           write vadlib/shipped/objectives

All take preset `fast` and seed 0. `none` takes p = 0; the others p = 0.5, so that `inpaint` is the run that ships.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from pathlib import Path

import vadlib as vad
from vadlib.engine.fit import hold_out
from vadlib.model.run import SHIPPED
from vadlib.recipe import train_run

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "build" / "objectives"
OUT = SHIPPED / "objectives"
OBJECTIVES = {"none": 0.0, "inpaint": 0.5, "maximize": 0.5}
CLIPS = 64  # held-out ones, evenly chosen


def train(objective: str) -> None:
    chosen = {"training": {"objective": objective, "seed": 0}, "mixer": {"p": OBJECTIVES[objective]}}
    train_run("synthetic", None, "fast", chosen, RUNS / objective, resume=True)


def write() -> None:
    runs = {objective: vad.Run.load(RUNS / objective) for objective in OBJECTIVES}
    videos = vad.load_videos("synthetic", "train")
    clips = vad.ClipDataset(videos, runs["inpaint"].data, vad.find_boxes(videos))
    chosen, _ = hold_out(clips)
    unseen = sorted(set(range(len(clips))) - set(chosen.tolist()))
    unseen = [clips[i] for i in unseen[:: max(1, len(unseen) // CLIPS)]]
    kinds = [vad.SkipFrames(), vad.ShuffleMotion(), vad.AddNoise(), vad.PasteObjects()]
    OUT.mkdir(exist_ok=True)
    with (OUT / "errors.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["objective", "kind", "error"])
        for objective, run in runs.items():
            shutil.copy(run.folder / "history.csv", OUT / f"{objective}.csv")
            for kind, errors in vad.changed_errors(run, unseen, kinds).items():
                writer.writerows([objective, kind, f"{error:.6f}"] for error in errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["train", "write"])
    parser.add_argument("objective", nargs="?", choices=OBJECTIVES)
    options = parser.parse_args()
    if options.command == "train":
        train(options.objective)
    else:
        write()


if __name__ == "__main__":
    main()
