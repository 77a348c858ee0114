"""The `vadlib` command. Exit status: 0 done; 1 the data, the run or a value is at fault; 2 unknown or unparsable options."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from vadlib.errors import InputError

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=__doc__, epilog="--debug shows tracebacks."
)
data_app = typer.Typer(no_args_is_help=True, help="Datasets: what is there, and whether it is sound.")
app.add_typer(data_app, name="data")

Data = Annotated[str, typer.Option(help="synthetic or ped2")]
Root = Annotated[Path | None, typer.Option(help="folder that holds the dataset's own folder; default VADLIB_DATA, else ./data")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command("train", help="Train a model and leave a run's folder.")
@app.command("run", help="Train, evaluate and plot in one command.")
def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="the run's folder")],
    data: Data = "synthetic",
    root: Root = None,
    preset: Annotated[str, typer.Option(help="network and clips: fast")] = "fast",
    kinds: Annotated[str | None, typer.Option(help="pseudo-anomalies: some of skip,shuffle,noise,object")] = None,
    p: Annotated[float | None, typer.Option("--p", help="probability of a pseudo-anomaly, 0 to 1")] = None,
    objective: Annotated[str | None, typer.Option(help="inpaint or none")] = None,
    detector: Annotated[str | None, typer.Option(help="finds people to paste onto: motion, or boxes (the dataset's own)")] = None,
    patches: Annotated[str | None, typer.Option(help="pictures to paste: builtin, or a folder of class folders of images")] = None,
    epochs: Annotated[int | None, typer.Option(help="passes over the training clips")] = None,
    seed: Annotated[int | None, typer.Option(help="of weights, order and pseudo-anomalies")] = None,
    device: Device = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with an interrupted training")] = False,
    config: Annotated[Path | None, typer.Option(help="JSON with parts of a run's config.json; options above win")] = None,
) -> None:
    """The commands `train` and `run` take the same options."""
    from vadlib.recipe import evaluate_run, plot_run, train_run

    chosen = {
        "mixer": {
            "kinds": None if kinds is None else [k.strip() for k in kinds.split(",") if k.strip()],
            "p": p,
            "detector": detector,
            "patches": patches,
        },
        "training": {"objective": objective, "epochs": epochs, "seed": seed, "device": device},
    }
    trained = train_run(data, root, preset, chosen, out, resume, config)
    if context.command.name == "run":
        result = evaluate_run(trained, data, root, trained.config["training"]["device"], with_yardstick=True)
        plot_run(result, out)
        print(_table(result.metrics))
        print(f"curves, ROC, scores and metrics are in {out}")


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="a run's folder")],
    data: Annotated[str | None, typer.Option(help="default: the dataset that the run was trained on")] = None,
    root: Root = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Score the test videos with a run; writes metrics.json and scores.npz into its folder."""
    from vadlib.recipe import evaluate_run

    metrics = evaluate_run(run, data, root, device or "auto").metrics
    print(json.dumps(metrics, indent=2) if as_json else _table(metrics))


@data_app.command()
def check(name: Annotated[str, typer.Argument(help="synthetic or ped2")], root: Root = None, as_json: Json = False) -> None:
    """Read every frame of a dataset and say what is there and what is wrong."""
    from vadlib.data.catalog import default_root
    from vadlib.data.check import check_dataset, describe

    report = check_dataset(name, root or default_root(), progress=not as_json)
    print(json.dumps(report, indent=2) if as_json else describe(report))
    if report["problems"]:
        raise typer.Exit(1)


def _table(metrics: dict) -> str:
    rows = [(k, v) for k, v in metrics.items() if not isinstance(v, dict)]
    rows += [(f"{part}: {k}", v) for part, values in metrics.items() if isinstance(values, dict) for k, v in values.items()]
    return "\n".join(f"{name:44} {value:.4f}" if isinstance(value, float) else f"{name:44} {value}" for name, value in rows)


def main() -> None:
    """The console script."""
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        app(arguments, prog_name="vadlib")
    except (InputError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        print(f"vadlib: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("vadlib: stopped; `--resume` goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
