"""The ablation: its rows, its numbers, and that it goes on where it stopped."""

import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from refusals import refused
from trees import own_videos

from vadlib import ablation, cli
from vadlib.ablation import BASE, MEASURES, ROWS, ablate, describe_ablation, read_ablation
from vadlib.config import DEFAULT_KINDS, RunConfig
from vadlib.data.catalog import load_videos
from vadlib.evaluation.baselines import METRICS, baseline_scores, best_baseline, measure_baselines
from vadlib.evaluation.metrics import bootstrap, micro_auc
from vadlib.evaluation.result import Result
from vadlib.model.run import Run

TINY = {"clips": {"clip_step": 8, "crop": [24, 24]}, "training": {"epochs": 1}}
TINY["model"] = {"width": 8, "slots": 8}
FOLDERS = {BASE: "default", "seed 1": "seed_1", "p = 0": "p_0", "maximize": "maximize"}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """An ablation of a few rows: its `root`, its folder `out`, and its `table`."""
    root = tmp_path_factory.mktemp("own") / "mine"
    own_videos(root, "csv")
    out = root.parent / "ablation"
    return SimpleNamespace(root=root, out=out, table=ablate(out, "folder", root, FOLDERS, TINY))


def test_each_row_changes_one_part_of_the_default():
    for name, changes in ROWS.items():
        assert (RunConfig().changed(changes) == RunConfig()) == (name == BASE)
        assert sum(map(len, changes.values())) <= 1 or name == "one memory, one decoder"


def weights_times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("model.safetensors")}


def test_the_table_says_what_the_runs_in_its_folder_say(done):
    assert [row["row"] for row in done.table] == ["best baseline", *FOLDERS]
    base, result = Result.load(done.out / BASE), Result.load(done.out / "maximize")
    row = done.table[-1]
    assert [row[name] for name in MEASURES] == [result.metrics[name] for name in MEASURES]
    interval = bootstrap(result.labels, result.scores, base.scores)
    assert (row["micro_auc_calibrated_low"], row["micro_auc_calibrated_high"]) == interval
    # where D_p is made to fail nothing is compared with it
    assert row["plain_calibrated"] == row["micro_auc_calibrated"]
    plain = base.rescore("calibrated", contrast=0)
    assert done.table[1]["plain_calibrated"] == micro_auc(base.labels, plain)
    for row in done.table[1:]:
        config = Run.load(done.out / FOLDERS[row["row"]]).config
        expected = RunConfig().changed(ROWS[row["row"]])
        assert (config.pseudo.p, row["seed"]) == (expected.pseudo.p, expected.training.seed)
        assert config.training.objective == expected.training.objective
    assert "micro_auc_raw_low" not in done.table[1]  # the default against itself
    assert done.table[0]["micro_auc_calibrated"] is None


def test_a_table_is_read_as_it_was_written_and_not_computed_again(done, monkeypatch):
    monkeypatch.setattr("vadlib.jobs.evaluate_videos", None)
    before = weights_times(done.out)
    assert ablate(done.out, "folder", done.root, FOLDERS, TINY) == done.table
    assert weights_times(done.out) == before
    lines = describe_ablation(done.table).splitlines()[1:]
    stored = read_ablation(done.out / "ablation.csv")
    for row, again, line in zip(done.table, stored, lines, strict=True):
        assert again == dict.fromkeys(again) | row
        assert f"{row['micro_auc_raw']:.3f}" in line


def test_fewer_test_videos_are_scored_again_and_nothing_is_trained_again(done, tmp_path):
    few = Path(shutil.copytree(done.out, tmp_path / "few"))
    before = weights_times(few)
    with refused("other-run", file=few / "ablation.csv"):
        ablate(few, "folder", done.root, FOLDERS, TINY, every=2)
    (few / "ablation.csv").unlink()
    for row in ablate(few, "folder", done.root, FOLDERS, TINY, every=2)[1:]:
        result, whole = (Result.load(out / FOLDERS[row["row"]]) for out in (few, done.out))
        assert len(result.videos) == row["videos"] == 1
        raw = {name: whole.raw[name] for name in result.videos}
        assert row["micro_auc_raw"] == pytest.approx(micro_auc(result.labels, raw))
    assert weights_times(few) == before


def test_what_is_no_table_is_refused(tmp_path):
    path = tmp_path / "ablation.csv"
    with refused("missing-file", file=path):
        read_ablation(path)
    head = "row,data,a\n"
    for content in (f"{head}b,c,high\n", "name,a\n1,0.5\n", head, f"{head}b,c,0.5,0.6\n"):
        path.write_text(content, encoding="utf-8")
        with refused("wrong-format", file=path):
            read_ablation(path)


def test_rows_and_labels_are_asked_for_before_anything_is_trained(tmp_path):
    own_videos(tmp_path / "mine", None)
    for code, field, options in (
        ("unknown-name", "rows", {"rows": [BASE, "p=0"]}),
        ("conflict", "rows", {"rows": ["p = 0"]}),
        ("out-of-range", "every", {"every": 0}),
        ("missing-labels", "data", {}),
    ):
        with refused(code, field=field):
            ablate(tmp_path / "out", "folder", tmp_path / "mine", **options)
    assert not (tmp_path / "out").exists()


def test_what_was_measured_earlier_stays_in_the_table(done, tmp_path, monkeypatch):
    """An ablation that is called for a few rows, or fails at the second one, keeps the rest."""
    out = Path(shutil.copytree(done.out, tmp_path / "out"))
    expected = [(row["row"], row.get("minutes")) for row in done.table]
    ablate(out, "folder", done.root, [*FOLDERS][:2], TINY)
    (out / "seed_1" / "scores.npz").unlink()
    monkeypatch.setattr("vadlib.jobs.evaluate_videos", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ablate(out, "folder", done.root, FOLDERS, TINY)
    assert [(row["row"], row["minutes"]) for row in read_ablation(out / "ablation.csv")] == expected


def test_the_command_needs_no_more_than_a_folder(monkeypatch, capsys, tmp_path):
    """What it trains takes an hour, so a stand-in does it here."""
    stand_in = Mock(return_value=[{"row": "default", **dict.fromkeys(MEASURES, 0.5)}])
    monkeypatch.setattr(ablation, "ablate", stand_in)
    monkeypatch.setattr(sys, "argv", ["vadlib", "ablate", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    stand_in.assert_called_once_with(tmp_path, "synthetic", None, device=None)
    assert str(tmp_path / "ablation.csv") in capsys.readouterr().out


def test_the_table_that_ships_is_whole_and_is_in_the_results_page(real_data):
    table = read_ablation()
    assert [row["row"] for row in table] == ["best baseline", *ROWS]
    videos = {split: load_videos("ped2", split, real_data) for split in ("train", "test")}
    labels = {video.name: video.labels for video in videos["test"]}
    measured = measure_baselines(baseline_scores(videos["train"], videos["test"]), labels)
    for metric in METRICS[:2]:
        area = measured[best_baseline(measured, metric)][metric]
        assert table[0][metric] == pytest.approx(area, abs=5e-4)
    page = (Path(__file__).parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    for row in table:
        raw, scaled = row["micro_auc_raw"], row["micro_auc_per_video"]
        pattern = rf"^\| `{re.escape(row['row'])}` \| {raw:.3f} \| .* \| {scaled:.3f} \|"
        assert re.search(pattern, page, re.MULTILINE), row["row"]


def test_what_notebook_10_says_of_the_table_holds():
    """Its text compares rows in words; another table would want other words."""
    rows = {row["row"]: row for row in read_ablation()}
    best, base = rows.pop("best baseline"), rows[BASE]
    alone = [f"only {kind}" for kind in DEFAULT_KINDS]

    def ranked(measure):
        return sorted(rows, key=lambda name: rows[name][measure])

    def clear(row, measure="micro_auc_raw"):
        return not row[f"{measure}_low"] <= 0 <= row[f"{measure}_high"]

    def change(name, measure="plain_calibrated"):
        return rows[name][measure] - base[measure]

    tops = [ranked(measure)[-1] for measure in ("micro_auc_raw", "micro_auc_per_video")]
    assert [*tops, ranked("plain_calibrated")[-1]] == ["seed 1", "p = 0.05", "only skip"]
    assert all(rows["none"][name] == rows["p = 0"][name] for name in MEASURES)
    assert all(change(name, "micro_auc_raw") < 0 for name in alone)
    assert [name for name in alone if not clear(rows[name])] == ["only noise"]
    assert [name for name in alone if change(name, "micro_auc_per_video") > 0] == ["only noise"]
    assert all(change("maximize", name) < 0 < change("one memory", name) for name in MEASURES)
    assert not any(clear(rows["maximize"], name) for name in MEASURES)
    assert change("one decoder", "micro_auc_calibrated") < -0.1
    assert change("one memory, one decoder") < -0.02 < change("one decoder")
    assert clear(rows["no memory"], "micro_auc_calibrated")
    assert (clear(best), clear(best, "micro_auc_per_video")) == (False, True)
