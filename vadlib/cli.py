"""The `vadlib` command. Exit status: 0 done; 1 the data, the run or a value is at fault; 2 unknown
or unparsable options.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vadlib.errors import InputError
from vadlib.files import command_line, expand_home

if TYPE_CHECKING:
    from vadlib.data.copies import DatasetCopy


def _expanded(path: Path | None) -> Path | None:
    """`--root=~/videos` and Windows leave the `~` to the program."""
    return path and expand_home(path)


app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help=__doc__,
    epilog="--debug shows tracebacks.",
)
data_app = typer.Typer(
    no_args_is_help=True, help="Datasets: what is there, and whether it is sound."
)
app.add_typer(data_app, name="data")

INTERRUPTED = 130  # exit status that typer makes of Ctrl-C
NO_LABELS = "these videos have no labels: scores only"
NAMES = "synthetic, ped1, ped2, avenue, shanghaitech, or folder (your own videos)"
Data = Annotated[str, typer.Option(help=NAMES)]
Root = Annotated[
    Path | None,
    typer.Option(
        help="folder that holds the dataset's own folder; for folder, your videos; default VADLIB_DATA, else ./data",
        callback=_expanded,
    ),
]
Truth = Annotated[
    str | None,
    typer.Option(help="of avenue: vol (its authors' masks) or community; AUCs on them differ"),
]
RunName = Annotated[
    Path,
    typer.Argument(
        help="a run's folder, or a pretrained one by name: ped2, synthetic", callback=_expanded
    ),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command("train", help="Train a model and leave a run's folder.")
@app.command("run", help="Train, evaluate and plot in one command.")
def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="the run's folder", callback=_expanded)],
    data: Annotated[
        str | None, typer.Option(help=f"{NAMES}; default: the one in --config, else synthetic")
    ] = None,
    root: Root = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="network, clips, training and score: fast (ours), short (the same for minutes), compact or paper (as published); "
            "default: the one in --config, else short for synthetic and fast for all others"
        ),
    ] = None,
    kinds: Annotated[
        str | None,
        typer.Option(help="pseudo-anomalies by name; default: skip,shuffle,noise,object"),
    ] = None,
    p: Annotated[
        float | None, typer.Option("--p", help="probability of a pseudo-anomaly, 0 to 1")
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="inpaint, maximize (the paper's) or none")
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="finds people to paste onto: motion, boxes (the dataset's own), yolov3[:WEIGHTS] or darknet[:WEIGHTS]"
        ),
    ] = None,
    patches: Annotated[
        str | None,
        typer.Option(
            help="pictures to paste: builtin, sprites, cifar100, or a folder of class folders of images"
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="passes over the training clips")] = None,
    seed: Annotated[int | None, typer.Option(help="of weights, order and pseudo-anomalies")] = None,
    device: Device = None,
    ground_truth: Truth = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="continue an interrupted training; options that are not given again are as they were, except --root",
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            help="JSON with parts of a run's config.json, or that file itself, which repeats the run; options win",
            callback=_expanded,
        ),
    ] = None,
) -> None:
    """The commands `train` and `run` take the same options."""
    from vadlib.data.catalog import find_copy
    from vadlib.data.layout import first_of
    from vadlib.device import processes
    from vadlib.jobs import chosen_dataset, evaluate_run, plot_run, train_run
    from vadlib.output.report import describe_metrics
    from vadlib.training.fit import require_free

    chosen = {
        "mixer": {
            "kinds": None if kinds is None else [k.strip() for k in kinds.split(",") if k.strip()],
            "p": p,
            "detector": detector,
            "patches": patches,
        },
        "training": {"objective": objective, "epochs": epochs, "seed": seed, "device": device},
    }
    require_free(out, resume)  # what is wrong is to be said before an hour of training
    if resume and config is None and (out / "config.json").is_file():
        config = out / "config.json"  # what is not given again is as it was
    data = chosen_dataset(data, config)
    copy = find_copy(data, root, ground_truth)
    if unread := copy.unread_files():
        check = command_line("data", "check", data, "--root", copy.folder)
        advice = f"`{check}` says more" if data == "folder" else "convert films"
        print(f"vadlib: {first_of(unread, 5)}: not read, and left out; {advice}", file=sys.stderr)
    if results := copy.result_files():
        print(f"vadlib: {first_of(results)}: written by vadlib, and left out", file=sys.stderr)
    if context.command.name == "run":
        copy.open("test", ground_truth)
    trained = train_run(data, root, preset, chosen, out, resume, config)
    main_process = processes().is_main_process  # of those that torchrun started
    if context.command.name == "run":
        result = evaluate_run(
            trained, data, root, trained.config["training"]["device"], True, ground_truth
        )
        if main_process:
            plot_run(result, out)
            print(describe_metrics(result.metrics) if result.metrics else NO_LABELS)
            print(f"curves and scores are in {out}")
    elif main_process:
        print(f"the run is in {out}; {_next_step(copy, out, root, ground_truth, device)}")


def _next_step(
    copy: DatasetCopy, run: Path, root: Path | None, ground_truth: str | None, device: str | None
) -> str:
    """Say how to use a run on the test videos of its dataset, or, where these cannot be scored, on
    one video.
    """

    given = {"--root": root, "--ground-truth": ground_truth, "--device": device}
    try:
        copy.require_test(ground_truth)
    except InputError:
        chosen = ("--device", device) if device is not None else ()
        return f"to score a video with it: {command_line('score', run, 'VIDEO', '--out', 'DIR', *chosen)}"
    options = [
        word for option, value in given.items() if value is not None for word in (option, value)
    ]
    return f"to score test videos with it: {command_line('evaluate', run, *options)}"


@app.command()
def evaluate(
    run: RunName,
    data: Annotated[
        str | None, typer.Option(help="default: the dataset that the run was trained on")
    ] = None,
    root: Root = None,
    device: Device = None,
    ground_truth: Truth = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="all: every frame; center: beside it, as published, the middle frames of clips at every frame (8 times the work)"
        ),
    ] = "all",
    baselines: Annotated[
        bool, typer.Option("--baselines", help="also measure eight baselines that learn nothing")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="folder for scores, metrics and curves; default: the run's own, where they are replaced",
            callback=_expanded,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Score the test videos with a run. What a pretrained one finds is only printed, unless there
    is an --out.
    """
    from vadlib.device import processes
    from vadlib.jobs import evaluate_run, plot_run
    from vadlib.model.run import open_run
    from vadlib.output.report import describe_metrics

    opened = open_run(run)
    out = out or opened.results_folder
    result = evaluate_run(
        opened, data, root, device or "auto", baselines, ground_truth, protocol, out
    )
    if not processes().is_main_process:
        return
    if out:
        plot_run(result, out)
    if as_json:
        print(json.dumps(result.metrics, indent=2))
    else:
        where = (
            f"curves and scores are in {out}"
            if out
            else "nothing was written; name a folder with --out to keep scores and curves"
        )
        print(describe_metrics(result.metrics) if result.metrics else NO_LABELS, where, sep="\n")


@app.command()
def score(
    run: RunName,
    video: Annotated[
        Path,
        typer.Argument(
            help="one video file, or one folder of frame images (taken for 25 frames a second)",
            callback=_expanded,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="folder for scores.csv, curve.png and annotated.mp4", callback=_expanded),
    ],
    scene: Annotated[
        str | None,
        typer.Option(
            help="which of the run's scenes the video shows; default: the only one with frames of its size"
        ),
    ] = None,
    device: Device = None,
) -> None:
    """Score one video of your own while it is read: a table, a curve, and a video to watch."""
    from vadlib.jobs import score_video

    result = score_video(run, video, out, device or "auto", scene)
    [(name, scored)] = result.videos.items()
    scores, found = scored.scores, scored.scene
    above, known = (
        int((scores > result.threshold).sum()),
        ", ".join(map(repr, result.calibration.scenes)),
    )
    print(
        f"{name}: {above} of {len(scores)} frames are above the threshold, {result.threshold:.2f}"
    )
    judged = (
        f"scene {found!r} of the run"
        if found
        else f"no single scene of the run; it knows {known}, and --scene names one"
    )
    print(f"judged as {judged}; scores of a camera that it was not trained on mean little")
    print(f"scores.csv, curve.png and annotated.mp4 are in {out}")


@app.command()
def ablate(
    out: Annotated[
        Path,
        typer.Option(help="folder for ablation.csv and a run for each row", callback=_expanded),
    ] = Path("runs/ablation"),
    data: Data = "synthetic",
    root: Root = None,
    device: Device = None,
) -> None:
    """Change the default in one place at a time, train each small, measure: a table. An hour on two
    cores; goes on where it stopped.
    """
    from vadlib.ablation import ablate, describe_ablation
    from vadlib.device import processes

    table = ablate(out, data, root, device=device)
    if processes().is_main_process:
        print(describe_ablation(table), f"the table is {out / 'ablation.csv'}", sep="\n")


@app.command()
def bench(as_json: Json = False) -> None:
    """Time training, scoring and reading against the published recipe, side by side, as ratios;
    some minutes.
    """
    from vadlib.bench import describe_bench, run_bench

    report = run_bench(not as_json)
    print(json.dumps(report, indent=2) if as_json else describe_bench(report))


@data_app.command("list")
def list_datasets(root: Root = None, as_json: Json = False) -> None:
    """What each dataset is, its size, terms and citation, and whether it is there."""
    from vadlib.data.catalog import describe_datasets, list_datasets

    entries = list_datasets(root)
    print(json.dumps(entries, indent=2) if as_json else describe_datasets(entries))


@data_app.command()
def download(
    name: Annotated[str, typer.Argument(help="ped1, ped2, avenue or shanghaitech")],
    root: Root = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            help="address of a folder that holds the same archives, for when their own host is down"
        ),
    ] = None,
) -> None:
    """Get a dataset: download, verify its SHA-256, unpack; or, where that is not allowed, say how."""
    from vadlib.data.catalog import SPLITS, default_root, find_copy
    from vadlib.data.download import download_dataset

    root = root or default_root(to_make=True)
    print("\n".join(download_dataset(name, root, mirror)))
    # what is there may be half of it, or another part of the same archive
    copy = find_copy(name, root)
    counts = ", ".join(f"{len(copy.clips(split))} {split} clips" for split in SPLITS)
    print(f"{copy.folder}: {counts}")
    print(f"next: {command_line('data', 'check', name, '--root', root)}")


@data_app.command()
def check(
    name: Annotated[str, typer.Argument(help=NAMES)],
    root: Root = None,
    ground_truth: Truth = None,
    as_json: Json = False,
) -> None:
    """Read every frame of a dataset and say what is there and what is wrong."""
    from vadlib.data.catalog import default_root
    from vadlib.data.check import check_dataset, describe_report

    report = check_dataset(name, root or default_root(), not as_json, ground_truth)
    print(json.dumps(report, indent=2) if as_json else describe_report(report))
    if report["problems"]:
        raise typer.Exit(1)


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        # a name that the console cannot write must not end the command
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        app(arguments, prog_name="vadlib")
    except (InputError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        print(f"vadlib: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            print(
                "vadlib: stopped; the same command with `--resume` continues a training from its last checkpoint",
                file=sys.stderr,
            )
        raise
