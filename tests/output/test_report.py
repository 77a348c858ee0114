"""The table of metrics says what is in `metrics.json`, and nothing else."""

import re

from vadlib.output.report import describe_metrics

METRICS = {
    **{"micro_auc_raw": 0.90987, "micro_auc_calibrated": 0.90976, "micro_auc_per_video": 0.89362},
    **{"macro_auc": 0.92575, "macro_auc_left_out": 4, "eer": 0.18021, "detection_delay": None},
    "intervals": {"micro_auc_raw": (0.8337, 0.96497), "micro_auc_calibrated": None},
    **{"events": 12, "events_found": 11, "false_alarms": 6, "false_alarms_per_hour": 596.685},
    **{"kind_auc": {"cart": 0.98212}, "videos": 12, "frames": 2010, "abnormal_frames": 1648},
    **{"ground_truth": "vol", "dataset": "avenue"},
}


def test_every_number_stands_in_its_row():
    text = describe_metrics(METRICS)
    first, heads, *rest = text.splitlines()
    assert "avenue" in first
    assert re.findall(r"\d+", first) == ["12", "2010", "1648", "4", "11", "12", "6"]
    assert "vol" in heads
    rows = [line for line in rest if re.match(r"[a-z_]+  |AUC of", line)]
    cells = dict(re.split(r"  +", row, maxsplit=1) for row in rows)
    assert cells == {
        "micro_auc_per_video": "0.894",
        "micro_auc_raw": "0.910 [0.834, 0.965]",
        "micro_auc_calibrated": "0.910",
        "macro_auc": "0.926",
        "eer": "0.180",
        "detection_delay": "-",
        "false_alarms_per_hour": "597",
        "AUC of cart": "0.982",
    }


def test_protocols_truths_and_the_best_baseline_are_columns():
    other = {"micro_auc_raw": 0.5, "intervals": {"micro_auc_raw": (0.4, 0.6)}}
    first = {"micro_auc_raw": 0.873, "micro_auc_per_video": 0.7, "macro_auc": None}
    second = {"micro_auc_raw": 0.6, "micro_auc_per_video": 0.8, "macro_auc": None}
    baselines = {"first": first, "second": second}
    more = {"protocols": {"all, community": other}, "baselines": baselines}
    lines = describe_metrics(METRICS | more).splitlines()
    rows = {line.split("  ")[0]: re.split(r"  +", line.strip()) for line in reversed(lines)}
    heads = next(line for line in lines if "best baseline" in line)
    assert re.split(r"  +", heads.strip()) == ["all, vol", "all, community", "best baseline"]
    expected = ["0.910 [0.834, 0.965]", "0.500 [0.400, 0.600]", "0.873"]
    assert rows["micro_auc_raw"] == ["micro_auc_raw", *expected]
    assert rows["micro_auc_per_video"][-1] == "0.800"
    assert rows["second"] == ["second", "0.600", "0.800", "-"]
    assert rows["the best"] == ["the best", "0.873", "0.800", "-"]
