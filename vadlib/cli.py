"""The `vadlib` command. Exit status: 0 done; 1 invalid data, run or option value; 2 unknown
options.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vadlib.errors import InputError, require
from vadlib.files import command_line, expand_home

if TYPE_CHECKING:
    from vadlib.data.copies import DatasetCopy
    from vadlib.evaluation.result import Result


def _expanded(path: Path | None) -> Path | None:
    """Expand `~`, which the shell leaves in `--root=~/videos`, and which Windows does not know."""
    return expand_home(path) if path else None


def _option(text: str, *names: str) -> Any:
    return typer.Option(*names, help=text)


def _path(text: str) -> Any:
    return typer.Option(help=text, callback=_expanded)


def _path_argument(text: str) -> Any:
    return typer.Argument(help=text, callback=_expanded)


app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help=__doc__,
    epilog="--debug shows tracebacks.",
)
data_app = typer.Typer(no_args_is_help=True, help="List, download and check datasets.")
app.add_typer(data_app, name="data")

INTERRUPTED = 130  # exit status that typer makes of Ctrl-C
NO_LABELS = "these videos have no labels: scores only"
CHECKOUT = Path(__file__).parents[1]
NAMES = "synthetic, ped1, ped2, avenue, shanghaitech, or folder (your own videos)"
ROOT = "folder with the dataset's folder, or with your videos; default VADLIB_DATA, else ./data"
PRESETS = "fast, short, compact or paper; default: short for synthetic, fast for all others"
DETECTORS = "motion, boxes (the dataset's own), yolov3[:WEIGHTS] or darknet[:WEIGHTS]"
PATCHES = "pictures to paste: builtin, sprites, cifar100, or a folder of class folders of images"
RESUME = "continue an interrupted training with its own settings; only --root is given again"
CONFIG = "JSON with parts of a run's config.json, or that file, which repeats the run; options win"
PROTOCOL = "all: every frame; center: also the published protocol, at 8 times the work"

Data = Annotated[str, _option(NAMES)]
Root = Annotated[Path | None, _path(ROOT)]
Truth = Annotated[str | None, _option("of avenue: vol (its authors' masks) or community")]
RunName = Annotated[Path, _path_argument("a run's folder, or a pretrained one: ped2, synthetic")]
Device = Annotated[str | None, _option("auto, cpu, cuda or mps")]
Json = Annotated[bool, _option("print JSON", "--json")]


@app.command("train", help="Train a model and leave a run's folder.")
@app.command("run", help="Train, evaluate and plot in one command.")
def train(
    context: typer.Context,
    out: Annotated[Path, _path("the run's folder")],
    data: Annotated[str | None, _option(f"{NAMES}; default: as --config, or synthetic")] = None,
    root: Root = None,
    preset: Annotated[str | None, _option(PRESETS)] = None,
    kinds: Annotated[str | None, _option("default: skip,shuffle,noise,object")] = None,
    p: Annotated[float | None, _option("probability of a pseudo-anomaly, 0 to 1", "--p")] = None,
    objective: Annotated[str | None, _option("inpaint, maximize (the paper's) or none")] = None,
    detector: Annotated[str | None, _option(DETECTORS)] = None,
    patches: Annotated[str | None, _option(PATCHES)] = None,
    epochs: Annotated[int | None, _option("passes over the training clips")] = None,
    seed: Annotated[int | None, _option("of weights, order and pseudo-anomalies")] = None,
    device: Device = None,
    ground_truth: Truth = None,
    resume: Annotated[bool, _option(RESUME, "--resume")] = False,
    config: Annotated[Path | None, _path(CONFIG)] = None,
) -> None:
    """Train; the commands `train` and `run` take the same options."""
    from vadlib.data.catalog import find_copy
    from vadlib.device import processes
    from vadlib.jobs import evaluate_run, make_config, train_run
    from vadlib.training.fit import require_free

    names = None if kinds is None else [name for name in kinds.replace(" ", "").split(",") if name]
    options: dict[str, dict[str, Any]] = {
        "pseudo": {"kinds": names, "p": p, "detector": detector, "patches": patches},
        "training": {"objective": objective, "epochs": epochs, "seed": seed, "device": device},
    }
    # Refuse what is wrong before an hour of training.
    require_free(out, resume)
    settings = make_config(data, preset, options, config or _own_config(out, resume))
    name = settings.dataset or ""
    copy = find_copy(name, root, ground_truth)
    _warn_of_unread_files(copy, name)
    if context.command.name == "run":
        copy.open("test", ground_truth)
    run = train_run(settings, out, root, resume)
    if context.command.name == "run":
        target = settings.training.device
        _show_result(evaluate_run(run, name, root, target, True, ground_truth), out)
    elif processes().is_main_process:
        print(f"the run is in {out}; {_next_step(copy, out, root, ground_truth, device)}")


def _own_config(out: Path, resume: bool) -> Path | None:
    """Return the config of the run to resume, if there is one."""
    path = out / "config.json"
    return path if resume and path.is_file() else None


def _warn_of_unread_files(copy: DatasetCopy, name: str) -> None:
    from vadlib.data.layout import first_of

    unread = copy.unread_files()
    if unread:
        check = command_line("data", "check", name, "--root", copy.folder)
        advice = f"`{check}` says more" if name == "folder" else "convert films"
        print(f"vadlib: {first_of(unread, 5)}: not read, and left out; {advice}", file=sys.stderr)
    results = copy.result_files()
    if results:
        print(f"vadlib: {first_of(results)}: written by vadlib, and left out", file=sys.stderr)


def _next_step(
    copy: DatasetCopy, run: Path, root: Path | None, ground_truth: str | None, device: str | None
) -> str:
    """Say how to use a run on the test videos of its dataset, or, where these cannot be scored, on
    one video.
    """
    options: list[object] = []
    if device is not None:
        options += ["--device", device]
    try:
        copy.require_test(ground_truth)
    except InputError:
        command = command_line("score", run, "VIDEO", "--out", "DIR", *options)
        return f"to score a video with it: {command}"
    if root is not None:
        options += ["--root", root]
    if ground_truth is not None:
        options += ["--ground-truth", ground_truth]
    return f"to score test videos with it: {command_line('evaluate', run, *options)}"


def _show_result(result: Result, out: Path | None, as_json: bool = False) -> None:
    """Plot a result into a folder, if there is one, and print its metrics."""
    from vadlib.device import processes
    from vadlib.jobs import plot_run
    from vadlib.output.report import describe_metrics

    if not processes().is_main_process:
        return
    if out:
        plot_run(result, out)
    if as_json:
        print(json.dumps(result.metrics, indent=2))
        return
    print(describe_metrics(result.metrics) if result.metrics else NO_LABELS)
    unwritten = "nothing was written; name a folder with --out to keep scores and curves"
    print(f"curves and scores are in {out}" if out else unwritten)


@app.command()
def evaluate(
    run: RunName,
    data: Annotated[str | None, _option("default: the run's own dataset")] = None,
    root: Root = None,
    device: Device = None,
    ground_truth: Truth = None,
    protocol: Annotated[str, _option(PROTOCOL)] = "all",
    baselines: Annotated[bool, _option("also measure the baselines", "--baselines")] = False,
    out: Annotated[Path | None, _path("folder for the results; default: the run's own")] = None,
    as_json: Json = False,
) -> None:
    """Score the test videos with a run. Results of a pretrained run are only printed, unless there
    is an --out.
    """
    from vadlib.jobs import evaluate_run
    from vadlib.model.run import open_run

    opened = open_run(run)
    folder = out or opened.results_folder
    result = evaluate_run(
        opened, data, root, device or "auto", baselines, ground_truth, protocol, folder
    )
    _show_result(result, folder, as_json)


@app.command()
def score(
    run: RunName,
    video: Annotated[Path, _path_argument("a video file, or a folder of images (25 a second)")],
    out: Annotated[Path, _path("folder for scores.csv, curve.png and annotated.mp4")],
    scene: Annotated[str | None, _option("the run's scene; default: the one of that size")] = None,
    device: Device = None,
) -> None:
    """Score one video of your own while it is read: a table, a curve, and a video to watch."""
    from vadlib.jobs import score_video

    result = score_video(run, video, out, device or "auto", scene)
    [(name, scored)] = result.videos.items()
    above = int((scored.scores > result.threshold).sum())
    threshold = f"the threshold, {result.threshold:.2f}"
    print(f"{name}: {above} of {len(scored.scores)} frames are above {threshold}")
    names = ", ".join(map(repr, result.calibration.scenes))
    judged_as = f"no single scene of the run; it knows {names}, and --scene names one"
    if scored.scene:
        judged_as = f"scene {scored.scene!r} of the run"
    print(f"judged as {judged_as}; scores of a camera that it was not trained on mean little")
    print(f"scores.csv, curve.png and annotated.mp4 are in {out}")


@app.command()
def ablate(
    out: Annotated[Path, _path("folder for the table and its runs")] = Path("runs/ablation"),
    data: Data = "synthetic",
    root: Root = None,
    device: Device = None,
) -> None:
    """Change the default in one place at a time, train each small, and measure: a table. It takes
    an hour on two cores, and continues where it stopped.
    """
    from vadlib.ablation import ablate, describe_ablation
    from vadlib.device import processes

    table = ablate(out, data, root, device=device)
    if processes().is_main_process:
        print(describe_ablation(table))
        print(f"the table is {out / 'ablation.csv'}")


@app.command()
def bench(as_json: Json = False) -> None:
    """Time training, scoring and reading beside the published recipe, as ratios. It takes some
    minutes, and a checkout of the repository.
    """
    message = f"{CHECKOUT}: no benchmarks/speed.py, which is not installed; run `vadlib bench` in "
    message += "a checkout of the repository"
    is_checkout = (CHECKOUT / "benchmarks" / "speed.py").is_file()
    require(is_checkout, message, "not-available", file=CHECKOUT)
    command = [sys.executable, "-m", "benchmarks.speed", *(["--json"] if as_json else [])]
    raise typer.Exit(subprocess.run(command, cwd=CHECKOUT, check=False).returncode)


@data_app.command("list")
def list_datasets(root: Root = None, as_json: Json = False) -> None:
    """List the datasets: size, terms, citation, and whether there is a copy."""
    from vadlib.data.catalog import describe_datasets, list_datasets

    entries = list_datasets(root)
    print(json.dumps(entries, indent=2) if as_json else describe_datasets(entries))


@data_app.command()
def download(
    name: Annotated[str, typer.Argument(help="ped1, ped2, avenue or shanghaitech")],
    root: Root = None,
    mirror: Annotated[str | None, _option("address of a folder with the same archives")] = None,
) -> None:
    """Download a dataset, verify its SHA-256, and unpack it; or say how to get it by hand."""
    from vadlib.data.catalog import SPLITS, default_root, find_copy
    from vadlib.data.download import download_dataset

    root = root or default_root(to_make=True)
    print("\n".join(download_dataset(name, root, mirror)))
    # There may be half a copy, or another part of the same archive.
    copy = find_copy(name, root)
    counts = [f"{len(copy.clips(split))} {split} clips" for split in SPLITS]
    print(f"{copy.folder}: {', '.join(counts)}")
    print(f"next: {command_line('data', 'check', name, '--root', root)}")


@data_app.command()
def check(
    name: Annotated[str, typer.Argument(help=NAMES)],
    root: Root = None,
    ground_truth: Truth = None,
    as_json: Json = False,
) -> None:
    """Read every frame of a dataset, and report what it holds and what is wrong."""
    from vadlib.data.catalog import default_root
    from vadlib.data.check import check_dataset, describe_report

    report = check_dataset(name, root or default_root(), not as_json, ground_truth)
    print(json.dumps(report, indent=2) if as_json else describe_report(report))
    if report["problems"]:
        raise typer.Exit(1)


def main() -> None:
    """Run the console script."""
    for stream in (sys.stdout, sys.stderr):
        # a name that the console cannot write must not end the command
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments, prog_name="vadlib")
    except (InputError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        print(f"vadlib: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            advice = (
                "the same command with `--resume` continues a training from its last checkpoint"
            )
            print(f"vadlib: stopped; {advice}", file=sys.stderr)
        raise
