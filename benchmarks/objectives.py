"""Train three full runs on the rendered street that differ in their objective. Their curves and
errors ship for notebook 06.

    python benchmarks/objectives.py train none|inpaint|maximize    17 minutes on one core
    python benchmarks/objectives.py write                          into vadlib/pretrained/objectives

`train` resumes where it stopped. All runs use the preset `fast` and seed 0. `none` uses p = 0 and
the others p = 0.5, so that `inpaint` repeats the run that ships.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import vadlib as vad
from vadlib import course
from vadlib.course.figures.training import OBJECTIVE_RUNS
from vadlib.files import write_json
from vadlib.jobs import make_config, train_run
from vadlib.training.fit import hold_out

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "build" / "objectives"
PROBABILITIES = {"none": 0.0, "inpaint": 0.5, "maximize": 0.5}
CLIPS = 64  # held-out clips to measure, evenly spaced


def train(objective: str) -> None:
    """Train one run."""
    training = {"objective": objective, "seed": 0}
    pseudo = {"p": PROBABILITIES[objective]}
    config = make_config("synthetic", "fast", {"training": training, "pseudo": pseudo})
    train_run(config, RUNS / objective, resume=True)


def held_out_clips(run: vad.Run) -> list[vad.Clip]:
    """Return clips of the videos that no run has trained on."""
    videos = vad.load_videos("synthetic", "train")
    clips = vad.ClipDataset(videos, run.config.clips, vad.find_boxes(videos))
    trained, _ = hold_out(clips)
    unseen = sorted(set(range(len(clips))) - set(trained.tolist()))
    return [clips[i] for i in unseen[:: len(unseen) // CLIPS]]


def write() -> None:
    """Copy the histories, and measure each run on the held-out clips."""
    clips = held_out_clips(vad.Run.load(RUNS / "inpaint"))
    kinds = [vad.SkipFrames(), vad.ShuffleMotion(), vad.AddNoise(), vad.PasteObjects()]
    for objective in PROBABILITIES:
        run = vad.Run.load(RUNS / objective)
        folder = OBJECTIVE_RUNS / objective
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(run.folder / "history.csv", folder)
        errors = course.errors_by_kind(run, clips, kinds)
        rounded = {kind: values.round(6).tolist() for kind, values in errors.items()}
        write_json(folder / "errors.json", rounded)


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("command", choices=["train", "write"])
    parser.add_argument("objective", nargs="?", choices=PROBABILITIES)
    options = parser.parse_args()
    if options.command == "write":
        write()
    elif options.objective is None:
        parser.error("train needs an objective")
    else:
        train(options.objective)


if __name__ == "__main__":
    main()
