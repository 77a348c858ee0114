"""The ablation: its rows, its numbers, and that it goes on where it stopped."""

import re
import shutil
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from refusals import refused
from trees import own_videos

from vadlib import ablation, cli
from vadlib.ablation import BASE, MEASURES, ROWS, ablate, describe_ablation, read_ablation
from vadlib.config import DEFAULT_KINDS, ModelConfig, PseudoConfig, TrainConfig
from vadlib.data.catalog import load_videos
from vadlib.evaluation.baselines import METRICS, baseline_scores, best_baseline, measure_baselines
from vadlib.evaluation.metrics import bootstrap, micro_auc
from vadlib.evaluation.result import Result
from vadlib.model.run import Run

TINY = {"clips": {"clip_step": 8, "crop": [24, 24]}, "training": {"epochs": 1}}
TINY["model"] = {"width": 8, "slots": 8}
SOME = [BASE, "seed 1", "p = 0", "maximize"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(root, folder of the ablation, its table)."""
    root = tmp_path_factory.mktemp("own") / "mine"
    own_videos(root, "csv")
    out = root.parent / "ablation"
    return root, out, ablate(out, "folder", root, SOME, TINY)


def test_each_row_changes_one_part_of_the_default():
    defaults = {"pseudo": PseudoConfig(), "training": TrainConfig(), "model": ModelConfig()}
    for name, changes in ROWS.items():
        changed = [(part, key) for part, values in changes.items() for key in values]
        assert len(changed) <= 1 or name == "one memory, one decoder"
        for part, key in changed:
            assert getattr(defaults[part], key) != changes[part][key], f"{name} is the default"


def modification_times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("model.safetensors")}


def test_a_table_is_read_as_it_was_written(done, tmp_path):
    _, out, table = done
    for row, stored in zip(table, read_ablation(out / "ablation.csv"), strict=True):
        assert stored == dict.fromkeys(stored) | row
    lines = describe_ablation(table).splitlines()
    for row, line in zip(table, lines[1:], strict=True):
        assert f"{row['micro_auc_raw']:.3f}" in line


def test_the_table_says_what_the_runs_in_its_folder_say(done):
    _, out, table = done
    assert [row["row"] for row in table] == ["best baseline", *SOME]
    base, row = Result.load(out / "default"), table[-1]
    result = Result.load(out / "maximize")
    assert [row[name] for name in MEASURES] == [result.metrics[name] for name in MEASURES]
    interval = bootstrap(result.labels, result.scores, base.scores)
    assert (row["micro_auc_calibrated_low"], row["micro_auc_calibrated_high"]) == interval
    # where D_p is made to fail nothing is compared with it
    assert row["plain_calibrated"] == row["micro_auc_calibrated"]
    plain = base.rescore("calibrated", contrast=0)
    assert table[1]["plain_calibrated"] == micro_auc(base.labels, plain)
    configs = [Run.load(out / name).config for name in ("default", "seed_1", "p_0", "maximize")]
    assert [c.training.seed for c in configs] == [0, 1, 0, 0] == [r["seed"] for r in table[1:]]
    assert [c.pseudo.p for c in configs] == [PseudoConfig().p] * 2 + [0, PseudoConfig().p]
    assert [c.training.objective for c in configs] == ["inpaint"] * 3 + ["maximize"]
    assert "micro_auc_raw_low" not in table[1]  # the default against itself
    assert table[0]["micro_auc_calibrated"] is None


def test_finished_rows_are_not_computed_again(done, monkeypatch):
    root, out, table = done
    monkeypatch.setattr("vadlib.jobs.evaluate_videos", None)
    before = modification_times(out)
    assert ablate(out, "folder", root, SOME, TINY) == table
    assert modification_times(out) == before


def test_fewer_test_videos_are_scored_again_and_nothing_is_trained_again(done, tmp_path):
    root, out, _ = done
    few = tmp_path / "few"
    shutil.copytree(out, few)
    before = modification_times(few)
    with refused("other-run", file=few / "ablation.csv"):
        ablate(few, "folder", root, SOME, TINY, every=2)
    with refused("out-of-range", field="every"):
        ablate(few, "folder", root, SOME, TINY, every=0)
    with refused("other-run", file=few / "default" / "config.json", field="training.epochs"):
        ablate(few, "folder", root, SOME, TINY | {"training": {"epochs": 2}})
    (few / "ablation.csv").unlink()
    table = ablate(few, "folder", root, SOME, TINY, every=2)
    for row in table[1:]:
        folder = row["row"].replace(" = ", "_").replace(" ", "_")
        result, whole = Result.load(few / folder), Result.load(out / folder)
        assert len(result.videos) == row["videos"] == 1
        raw = {name: whole.raw[name] for name in result.videos}
        assert row["micro_auc_raw"] == pytest.approx(micro_auc(result.labels, raw))
    assert modification_times(few) == before


def test_what_is_no_table_is_refused(tmp_path):
    path = tmp_path / "ablation.csv"
    with refused("missing-file", file=path):
        read_ablation(path)
    for content in ("row,a\ndefault,high\n", "name,a\n1,0.5\n", "row,a\n", "row,a\nb,0.5,0.6\n"):
        path.write_text(content, encoding="utf-8")
        with refused("wrong-format", file=path):
            read_ablation(path)


def test_rows_and_labels_are_asked_for_before_anything_is_trained(tmp_path):
    with refused("unknown-name", field="rows"):
        ablate(tmp_path / "out", rows=[BASE, "p=0"])
    with refused("conflict", field="rows"):
        ablate(tmp_path / "out", rows=["p = 0"])
    own_videos(tmp_path / "mine", None)
    with refused("missing-labels", field="data"):
        ablate(tmp_path / "out", "folder", tmp_path / "mine")
    assert not (tmp_path / "out").exists()


def test_what_was_measured_earlier_stays_in_the_table(done, tmp_path, monkeypatch):
    """An ablation that is called for a few rows, or fails at the second one, keeps the rest."""
    root, out, table = done
    shutil.copytree(out, tmp_path / "out")
    ablate(tmp_path / "out", "folder", root, SOME[:2], TINY)
    names = [row["row"] for row in read_ablation(tmp_path / "out" / "ablation.csv")]
    assert names == [row["row"] for row in table]
    (tmp_path / "out" / "seed_1" / "scores.npz").unlink()
    monkeypatch.setattr("vadlib.jobs.evaluate_videos", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ablate(tmp_path / "out", "folder", root, SOME, TINY)
    rows = read_ablation(tmp_path / "out" / "ablation.csv")
    assert {row["row"]: row["minutes"] for row in rows} == {
        row["row"]: row.get("minutes") for row in table
    }


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
        name, raw, scaled = row["row"], row["micro_auc_raw"], row["micro_auc_per_video"]
        pattern = rf"^\| `{re.escape(name)}` \| {raw:.3f} \| .* \| {scaled:.3f} \|"
        assert re.search(pattern, page, re.MULTILINE), name


def test_what_notebook_10_says_of_the_table_holds():
    """Its text compares rows in words; another table would want other words."""
    rows = {row["row"]: row for row in read_ablation()}
    columns = {}
    for key in (*MEASURES, "plain_calibrated"):
        columns[key] = {name: row[key] for name, row in rows.items() if row[key] is not None}
    raw, calibrated = columns["micro_auc_raw"], columns["micro_auc_calibrated"]
    per_video, plain = columns["micro_auc_per_video"], columns["plain_calibrated"]

    def clear(name, measure="micro_auc_raw"):
        return not rows[name][f"{measure}_low"] <= 0 <= rows[name][f"{measure}_high"]

    few = ["p = 0", "p = 0.01", "p = 0.05", "p = 0.2"]
    alone = [f"only {kind}" for kind in DEFAULT_KINDS]
    # sections 1 and 4
    assert max(raw, key=raw.get) == "seed 1"
    assert all(column["none"] == column["p = 0"] for column in columns.values())
    assert max(plain, key=plain.get) == "only skip"
    assert all(calibrated[name] < plain[name] for name in [*alone, "one decoder"])
    gains = {name: calibrated[name] - plain[name] for name in ("default", "seed 1", "seed 2")}
    assert max(gains, key=gains.get) == "default"
    assert abs(plain["p = 0"] - plain["default"]) < 0.005
    # section 5
    assert -0.001 < rows["only object"]["micro_auc_raw_high"] < 0
    assert not clear("best baseline")
    best = rows["best baseline"]
    assert best["micro_auc_per_video_low"] == pytest.approx(0.01, abs=0.005)
    assert best["micro_auc_per_video_high"] == pytest.approx(0.14, abs=0.005)
    # section 6, point by point
    assert all(raw[name] < raw[BASE] for name in alone)
    assert [name for name in alone if clear(name)] == ["only skip", "only shuffle", "only object"]
    assert [name for name in alone if per_video[name] > per_video[BASE]] == ["only noise"]
    assert [name for name in alone if plain[name] > plain[BASE]] == ["only skip"]
    assert calibrated[BASE] - calibrated["one decoder"] > 0.1
    assert (
        plain[BASE] - plain["one decoder"] < 0.02 < plain[BASE] - plain["one memory, one decoder"]
    )
    assert raw["p = 0.01"] < raw["p = 0.05"] < raw["p = 0.2"]
    learned = per_video.keys() - {"best baseline"}
    assert max(learned, key=per_video.get) == "p = 0.05"
    assert not any(clear(name, measure) for name in [*few, "maximize"] for measure in MEASURES)
    assert all(column["maximize"] < column[BASE] for column in columns.values())
    better = [key for key, column in columns.items() if column["one memory"] > column[BASE]]
    assert better == [*MEASURES]
    assert clear("no memory", "micro_auc_calibrated")
    assert not clear("no memory", "micro_auc_per_video")
