"""Measure how fast `score_video` is, and whether its memory stays flat.

    python benchmarks/score.py RUN --root DATA

needs a run that was trained on Ped2, ped2/ in DATA, Linux, and up to 10 minutes.

A film of ten minutes at 10 frames per second repeats Ped2's test clips. It is scored as
`vadlib score` does it: read, scored, annotated, encoded.
rss_anon_by_tenth_mb: the largest anonymous memory (RssAnon) of the process in each tenth of that
time, about a minute of film. The rates of the parts are those of the film's first minute.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from data import anonymous

from vadlib.data.catalog import load_videos
from vadlib.data.encode import write_video
from vadlib.data.folder import open_video
from vadlib.device import steady_memory
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.evaluate import find_scene, stream_scores
from vadlib.jobs import score_video
from vadlib.model.run import Run
from vadlib.output.annotation import annotate

FPS, MINUTE = 10, 600  # frames a second, and a minute


def make_film(path: Path, root: Path, frames: int) -> None:
    clips = load_videos("ped2", "test", root)
    endless: Iterator[np.ndarray] = (frame for clip in cycle(clips) for frame in clip.frames[:])
    write_video(path, islice(endless, frames), FPS)


def whole(run: Run, film: Path, out: Path) -> dict:
    """Time and memory of `score_video`."""
    samples, stop = [], threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            samples.append(anonymous())

    before = anonymous()
    started = time.perf_counter()
    computed = time.process_time()
    threading.Thread(target=watch, daemon=True).start()
    result = score_video(run, film, out)
    stop.set()
    seconds = time.perf_counter() - started
    [scores] = result.scores.values()
    rate = len(scores) / seconds
    # The time of all threads: on a busy machine it says more than the clock.
    cpu_seconds = time.process_time() - computed
    peaks = [round(part.max() / 1e6, 1) for part in np.array_split(samples, 10)]
    return {
        "frames": len(scores),
        "seconds": round(seconds, 1),
        "frames_per_s": round(rate, 1),
        "times_real_time": round(rate / FPS, 2),
        "cpu_ms_per_frame": round(cpu_seconds / len(scores) * 1000, 1),
        "rss_anon_before_mb": round(before / 1e6, 1),
        "rss_anon_by_tenth_mb": peaks,
    }


def parts(run: Run, film: Path) -> dict:
    """Frames a second of each part, on the film's first minute."""
    calibration, video = Calibration.load(run.folder / "calibration.npz"), open_video(film)
    rates, threshold = {}, calibration.threshold

    def timed(name: str, job) -> list:
        started = time.perf_counter()
        done = list(islice(job, MINUTE))
        rates[f"{name}_frames_per_s"] = round(len(done) / (time.perf_counter() - started), 1)
        return done

    timed("read", (video.frames[t] for t in range(len(video))))
    with steady_memory():
        scored = timed(
            "read_and_score",
            stream_scores(
                run, calibration, video, find_scene(calibration, run.config.clips, video)
            ),
        )
    pictures = timed(
        "annotate",
        (annotate(f.frame, f.map, f.score, threshold, t / FPS) for t, f in enumerate(scored)),
    )
    started = time.perf_counter()
    write_video(film.with_name("annotated.mp4"), pictures, FPS)
    return rates | {
        "encode_frames_per_s": round(len(pictures) / (time.perf_counter() - started), 1)
    }


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("VADLIB_DATA", "data")))
    parser.add_argument("--minutes", type=int, default=10, help="length of the film")
    options = parser.parse_args()
    run = Run.load(options.run)
    with tempfile.TemporaryDirectory() as scratch:
        film = Path(scratch) / "film.mp4"
        make_film(film, options.root, options.minutes * MINUTE)
        report = {
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "load_before": os.getloadavg()[0],
        }
        report |= whole(run, film, Path(scratch) / "out") | parts(run, film)
    print(json.dumps(report | {"load_after": os.getloadavg()[0]}, indent=2))


if __name__ == "__main__":
    main()
