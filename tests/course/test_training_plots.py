"""Plots of trainings show the numbers of `history.csv`, and differ by more than colour."""

import re

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from refusals import refused

from vadlib.config import RunConfig
from vadlib.course.figures import training as training
from vadlib.model.run import Run

ROWS = "epoch,rebuild,separation,made_skip\n1,0.5,-0.2,3\n2,0.25,-0.4,5\n"


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def run(tmp_path):
    (tmp_path / "history.csv").write_text(ROWS)
    return Run(tmp_path, RunConfig(), None)


def test_history_has_a_value_an_epoch(run):
    for source in (run, run.folder, str(run.folder)):
        history = training.read_history(source)
        assert {name: values.tolist() for name, values in history.items()} == {
            "epoch": [1, 2],
            "rebuild": [0.5, 0.25],
            "separation": [-0.2, -0.4],
            "made_skip": [3, 5],
        }


def test_history_of_one_epoch_has_arrays_too(run):
    (run.folder / "history.csv").write_text("\n".join(ROWS.splitlines()[:2]))
    assert {name: values.tolist() for name, values in training.read_history(run).items()}[
        "rebuild"
    ] == [0.5]


def test_without_a_history_the_file_is_named(tmp_path):
    with refused("missing-file", file=tmp_path / "history.csv"):
        training.read_history(tmp_path)


def test_curves_are_the_terms_of_the_runs_that_have_them(run):
    other = {"epoch": np.array([1.0, 2.0, 3.0]), "rebuild": np.array([0.4, 0.3, 0.2])}
    rebuild, separation = training.plot_history(
        {"one": run, "two": other}, ["rebuild", "separation"]
    )
    assert [line.get_ydata().tolist() for line in rebuild.get_lines()] == [
        [0.5, 0.25],
        [0.4, 0.3, 0.2],
    ]
    assert [line.get_ydata().tolist() for line in separation.get_lines()] == [[-0.2, -0.4]]
    assert rebuild.get_ylim()[0] == 0
    assert separation.get_ylim()[0] < -0.4


def test_one_scale_for_all_terms(run):
    history = training.read_history(run) | {"inpaint": np.array([2.0, 1.0])}
    axes = training.plot_history({"run": history}, ["inpaint", "rebuild"], same_scale=True)
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert axes[0].get_ylim()[1] > 2


def test_a_term_that_is_always_zero_is_drawn():
    [ax] = training.plot_history(
        {"run": {"epoch": np.arange(1, 4), "maximize": np.zeros(3)}}, ["maximize"]
    )
    assert ax.get_ylim()[0] == 0 < ax.get_ylim()[1]


def test_unknown_terms_and_too_many_runs_are_refused(run):
    with refused("unknown-name", field="terms"):
        training.plot_history({"run": run}, ["maximise"])
    with refused("out-of-range", field="runs") as caught:
        training.plot_history(dict.fromkeys("abcdef", run))
    assert re.findall(r"\d+", str(caught.error)) == ["6", "1", "5"]


def test_runs_differ_by_more_than_colour(run):
    [ax] = training.plot_history(dict.fromkeys("abcde", run))
    lines = ax.get_lines()
    assert len({line.get_marker() for line in lines}) == 5


def test_errors_show_median_and_quartiles():
    errors = {
        "one": {"normal": np.arange(5.0), "skip": np.arange(5.0) + 10},
        "two": {"normal": np.zeros(3), "skip": np.ones(4)},
    }
    one, two = training.plot_clip_errors(errors).containers
    assert one.lines[0].get_ydata().tolist() == [2, 12]
    assert [segment[:, 1].tolist() for segment in one.lines[2][0].get_segments()] == [
        [1, 3],
        [11, 13],
    ]
    assert two.lines[0].get_ydata().tolist() == [0, 1]
    assert one.lines[0].get_marker() != two.lines[0].get_marker()


def test_the_objectives_that_ship_are_whole_runs_on_the_same_clips():
    """`inpaint` repeats the shipped run; by its own note that one was trained for six epochs."""
    histories, errors = training.read_objectives()
    assert set(histories) == set(errors) == {"none", "inpaint", "maximize"}
    for name, history in histories.items():
        assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
        assert set(errors[name]) == {"normal", "skip", "shuffle", "noise", "object"}
        assert all((values > 0).all() for values in errors[name].values())
    kinds = ["skip", "shuffle", "noise", "object"]
    assert all((histories["none"][f"made_{kind}"] == 0).all() for kind in kinds)
    for kind in kinds:
        sizes = {len(of_run[kind]) for of_run in errors.values()}
        assert len(sizes) == 1, "every run meets the same pseudo-anomalies"
        np.testing.assert_array_equal(
            histories["inpaint"][f"made_{kind}"], histories["maximize"][f"made_{kind}"]
        )
