"""The `vadlib` command. Exit status: 0 done; 1 invalid data, run or option value; 2 unknown
options. --debug shows tracebacks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vadlib.data import catalog
from vadlib.data.copies import DatasetCopy
from vadlib.data.layout import first_of
from vadlib.errors import InputError, require
from vadlib.files import command_line, expand_home


def _option(text: str, *names: str) -> Any:
    return typer.Option(*names, help=text)


def _path(text: str, parameter: Any = typer.Option) -> Any:
    """Expand `~`, which the shell leaves in `--root=~/videos`, and which Windows does not know."""
    return parameter(help=text, callback=lambda path: expand_home(path) if path else None)


app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=__doc__
)
data_app = typer.Typer(no_args_is_help=True, help="List, download and check datasets.")
app.add_typer(data_app, name="data")

CHECKOUT = Path(__file__).parents[1]
NAMES = f"{', '.join(catalog.DATASETS)} (your own videos)"
CARDS = catalog.DATASETS.items()
TRUTHS = [f"{name}: {', '.join(card.ground_truths)}" for name, card in CARDS if card.ground_truths]
Text = str | None

Name = Annotated[str, typer.Argument(help=NAMES)]
Root = Annotated[Path | None, _path("folder of the datasets; default: VADLIB_DATA, else ./data")]
Truth = Annotated[Text, _option(f"of {'; '.join(TRUTHS)}")]
RunName = Annotated[Path, _path("a run's folder; or ped2, synthetic", typer.Argument)]
Device = Annotated[Text, _option("auto, cpu, cuda or mps")]
Json = Annotated[bool, _option("print JSON", "--json")]


@app.command("train", help="Train a model and leave a run's folder.")
@app.command("run", help="Train, evaluate and plot in one command.")
def train(
    context: typer.Context,
    out: Annotated[Path, _path("the run's folder")],
    data: Annotated[Text, _option(f"{NAMES}; default: as --config, or synthetic")] = None,
    root: Root = None,
    preset: Annotated[Text, _option("fast, short, compact or paper")] = None,
    kinds: Annotated[Text, _option("default: skip,shuffle,noise,object")] = None,
    p: Annotated[float | None, _option("probability of a pseudo-anomaly, 0 to 1", "--p")] = None,
    objective: Annotated[Text, _option("inpaint, maximize (the paper's) or none")] = None,
    detector: Annotated[Text, _option("motion, boxes, yolov3 or darknet[:WEIGHTS]")] = None,
    patches: Annotated[Text, _option("builtin, sprites, cifar100, or a folder")] = None,
    epochs: Annotated[int | None, _option("passes over the training clips")] = None,
    seed: Annotated[int | None, _option("of weights, order and pseudo-anomalies")] = None,
    device: Device = None,
    ground_truth: Truth = None,
    resume: Annotated[bool, _option("continue an interrupted training", "--resume")] = False,
    config: Annotated[Path | None, _path("JSON as a run's config.json; options win")] = None,
) -> None:
    """Train; the commands `train` and `run` take the same options."""
    from vadlib.device import processes
    from vadlib.jobs import make_config, train_run
    from vadlib.training.fit import require_free

    names = None if kinds is None else kinds.replace(",", " ").split()
    options: dict[str, dict[str, object]] = {
        "pseudo": {"kinds": names, "p": p, "detector": detector, "patches": patches},
        "training": {"objective": objective, "epochs": epochs, "seed": seed, "device": device},
    }
    # Refuse what is wrong before an hour of training.
    require_free(out, resume)
    if resume and (out / "config.json").is_file():
        config = config or out / "config.json"
    settings = make_config(data, preset, options, config)
    copy = catalog.find_copy(settings.dataset or "", root, ground_truth)
    _warn_of_unread_files(copy)
    if context.command.name == "run":
        copy.open("test", ground_truth)
    train_run(settings, out, root, resume)
    if context.command.name == "run":
        evaluate(out, None, root, settings.training.device, ground_truth, baselines=True)
    elif processes().is_main_process:
        print(f"the run is in {out}; {_next_step(copy, context.params)}")


def _warn_of_unread_files(copy: DatasetCopy) -> None:
    if unread := copy.unread_files():
        print(f"vadlib: {first_of(unread, 5)}: not read; see `vadlib data check`", file=sys.stderr)
    if results := copy.result_files():
        print(f"vadlib: {first_of(results)}: written by vadlib, and left out", file=sys.stderr)


def _next_step(copy: DatasetCopy, given: dict[str, Any]) -> str:
    """Say how to use a run on its dataset's test videos or, if it has none, on one video."""
    words, names = ["evaluate", given["out"]], ["device", "root", "ground_truth"]
    try:
        copy.ground_truth(given["ground_truth"], copy.clips("test"))
    except InputError:
        words, names = ["score", given["out"], "VIDEO", "--out", "DIR"], ["device"]
    for name in names:
        if given[name] is not None:
            words += [f"--{name.replace('_', '-')}", given[name]]
    return f"to score videos with it: {command_line(*words)}"


@app.command()
def evaluate(
    run: RunName,
    data: Annotated[Text, _option("default: the run's own dataset")] = None,
    root: Root = None,
    device: Device = None,
    ground_truth: Truth = None,
    protocol: Annotated[str, _option("all, or center: also the published one")] = "all",
    baselines: Annotated[bool, _option("also measure the baselines", "--baselines")] = False,
    out: Annotated[Path | None, _path("folder for the results; default: the run's own")] = None,
    as_json: Json = False,
) -> None:
    """Score the test videos with a run. Results of a pretrained run are only printed, unless there
    is an --out.
    """
    from vadlib.device import processes
    from vadlib.jobs import evaluate_run, plot_run
    from vadlib.model.run import open_run
    from vadlib.output.report import describe_metrics

    out = out or open_run(run).results_folder
    result = evaluate_run(run, data, root, device or "auto", baselines, ground_truth, protocol, out)
    if not processes().is_main_process:
        return
    if out:
        plot_run(result, out)
    if as_json:
        print(json.dumps(result.metrics, indent=2))
        return
    print(describe_metrics(result.metrics) if result.metrics else "no labels: scores only")
    print(f"curves and scores are in {out}" if out else "nothing is written without --out")


@app.command()
def score(
    run: RunName,
    video: Annotated[Path, _path("a video file, or a folder of images", typer.Argument)],
    out: Annotated[Path, _path("folder for scores.csv, curve.png and annotated.mp4")],
    scene: Annotated[Text, _option("the run's scene; default: the one of that size")] = None,
    device: Device = None,
) -> None:
    """Score one video of your own while it is read: a table, a curve, and a video to watch."""
    from vadlib.jobs import score_video

    result = score_video(run, video, out, device or "auto", scene)
    [(name, scored)] = result.videos.items()
    above = (scored.scores > result.threshold).sum()
    frames = f"{above} of {len(scored.scores)} frames"
    print(f"{name}: {frames} are above the threshold, {result.threshold:.2f}")
    limit = "a model only works for the camera it was trained on"
    scenes = list(result.calibration.scenes)
    unknown = f"no single scene of the run ({limit}); --scene names one of {scenes}"
    print(f"judged as scene {scored.scene!r} of the run" if scored.scene else unknown)
    print(f"scores.csv, curve.png and annotated.mp4 are in {out}")


@app.command()
def ablate(
    out: Annotated[Path, _path("folder for the table and its runs")] = Path("runs/ablation"),
    data: Annotated[str, _option(NAMES)] = "synthetic",
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
    message = f"{CHECKOUT}: no benchmarks/speed.py; run `vadlib bench` in a checkout"
    script = CHECKOUT / "benchmarks/speed.py"
    require(script.is_file(), message, "not-available", file=CHECKOUT)
    command = [sys.executable, "-m", "benchmarks.speed", *(["--json"] if as_json else [])]
    raise typer.Exit(subprocess.call(command, cwd=CHECKOUT))


@data_app.command("list")
def list_datasets(root: Root = None, as_json: Json = False) -> None:
    """List the datasets: size, terms, citation, and whether there is a copy."""
    entries = catalog.list_datasets(root)
    print(json.dumps(entries, indent=2) if as_json else catalog.describe_datasets(entries))


@data_app.command()
def download(
    name: Name,
    root: Root = None,
    mirror: Annotated[Text, _option("address of a folder with the same archives")] = None,
) -> None:
    """Download a dataset, verify its SHA-256, and unpack it; or say how to get it by hand."""
    from vadlib.data.download import download_dataset

    root = root or catalog.default_root(to_make=True)
    print("\n".join(download_dataset(name, root, mirror)))
    # There may be half a copy, or another part of the same archive.
    copy = catalog.find_copy(name, root)
    for split in catalog.SPLITS:
        print(f"{copy.folder}: {len(copy.clips(split))} {split} clips")
    print(f"next: {command_line('data', 'check', name, '--root', root)}")


@data_app.command()
def check(name: Name, root: Root = None, ground_truth: Truth = None, as_json: Json = False) -> None:
    """Read every frame of a dataset, and report what it holds and what is wrong."""
    from vadlib.data.check import check_dataset, describe_report

    report = check_dataset(name, root or catalog.default_root(), not as_json, ground_truth)
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
        if stop.code == 130:  # typer's status after Ctrl-C
            print("vadlib: stopped; `--resume` continues a training", file=sys.stderr)
        raise
