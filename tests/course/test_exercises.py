"""The exercises: each notebook's solution is right, and each of several known mistakes gets a hint
of its own.

The cells are those of the notebooks' sources, run on small data. A mutant takes the solution's
place, as a student would write it.
"""

import contextlib
import io
import itertools
import json
from decimal import Decimal
from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import jupytext
import numpy as np
import pytest
import torch
from refusals import refused
from test_notebooks import ROOT, tools

import vadlib as vad
from vadlib import course
from vadlib.config import ModelConfig
from vadlib.course.exercises import EXERCISES, check_answer
from vadlib.course.exercises.key import Key, judge
from vadlib.evaluation import metrics
from vadlib.model.network import DualPathAutoencoder


def exercise_cells():
    """Each exercise's id -> the source of its cell."""
    found = {}
    for path in tools.sources():
        for cell in jupytext.read(path, fmt="py:percent").cells:
            if "exercise" in cell.metadata.get("tags", []):
                solution, check = tools.split_exercise(cell.source)
                found[check.split('"')[1]] = solution, check
    return found


CELLS = exercise_cells()


def curves(seed, lift=0.0):
    """Scores of four videos of 40 frames, those of abnormal frames higher by `lift`, and their
    labels.
    """
    rng = np.random.default_rng(seed)
    labels = {str(i): (np.arange(40) // 10 % 2 == i % 2).astype(np.uint8) for i in range(4)}
    return {name: rng.normal(size=40) + lift * truth for name, truth in labels.items()}, labels


@pytest.fixture(scope="module")
def namespaces(array_video, make_clip, tmp_path_factory):
    """What the cells of each notebook find: number -> names. Small, but such that mistakes make a
    difference.
    """
    rng = np.random.default_rng(0)
    common = {"np": np, "vad": vad, "course": course, "torch": torch, "itertools": itertools}
    raw, labels = curves(0, 1.0)

    def video(name, areas, truth):
        masks = np.zeros((len(truth), 10, 100), bool)
        for mask, area in zip(masks, areas, strict=True):
            mask.flat[:area] = True
        return array_video(
            np.zeros((len(truth), 10, 100, 1)), name, labels=np.uint8(truth), masks=masks
        )

    videos = [
        video("a", [0, 3, 4, 20, 70, 0], [0, 1, 1, 1, 1, 0]),
        video("b", [0, 2, 30, 30, 0, 0], [0, 1, 1, 1, 0, 0]),
    ]
    clip = make_clip()
    empty = clip._replace(boxes=[np.zeros((0, 4), np.float32)] * 16)
    skipped = vad.SkipFrames(1.0)(clip, torch.Generator().manual_seed(0))
    shuffled = vad.ShuffleMotion(1.0)(clip, torch.Generator().manual_seed(0)).tensor
    ends = [clip._replace(lookahead=clip.lookahead[:0])] * 3
    kinds = {
        "skip": vad.SkipFrames,
        "shuffle": vad.ShuffleMotion,
        "noise": vad.AddNoise,
        "object": partial(vad.PasteObjects, "builtin"),
    }

    def rescore(scale, causal=False):
        return curves(1 + 2 * (scale == "raw") + causal, 1.0)[0]

    torch.manual_seed(0)
    model = DualPathAutoencoder(ModelConfig.preset("fast", width=8, slots=8)).eval()
    with torch.no_grad():
        for memory in (model.normal_memory, model.pseudo_memory):
            memory.slots.mul_(40)  # so that a slot more or less is seen in what is rebuilt
    windows = [torch.rand(1, 16, 24, 24) * contrast for contrast in (0.1, 0.6, 1.0)]
    shares = {
        group: {
            memory: part / part.sum()
            for memory, part in (("M_n", rng.random(8) ** 6), ("M_p", rng.random(8) + 0.1))
        }
        for group in ("normal", "pseudo")
    }
    shares["normal"]["M_n"] = np.array([0.0007, 0.3, 0.0045, 0.57, 0.0, 0.0248, 0.06, 0.04])
    shares["pseudo"]["M_n"] = np.array([0.0005, 0.3, 0.0003, 0.0002, 0.3, 0.299, 0.0005, 0.0995])
    pooled, truth = (np.concatenate(list(part.values())) for part in (raw, labels))
    order = np.argsort(-pooled)
    true_rate, false_rate = (
        np.append(0, np.cumsum(truth[order] == kind)) / np.count_nonzero(truth == kind)
        for kind in (1, 0)
    )
    folder = tmp_path_factory.mktemp("scores")
    (folder / "scores.csv").write_text(
        "frame,abnormal\n" + "".join(f"{i},{b}\n" for i, b in enumerate([0, 1, 1, 0, 0, 1, 1, 1]))
    )
    rows = {row["row"]: row for row in course.read_ablation()}
    plain = {}
    for name, row in rows.items():
        if row["plain_calibrated"] is not None:
            plain[name] = row["plain_calibrated"]
    return {
        "00": common
        | {
            "threshold": 0.9,
            "pooled": pooled,
            "truth": truth,
        },
        "01": common | {"datasets": {"synthetic": videos}},
        "02": common | {"clip": clip, "skipped": skipped, "shuffled": shuffled},
        "03": common
        | {
            "clip": clip,
            "small": [clip, clip, clip, empty],
            "paste": partial(vad.PasteObjects, "builtin"),
        },
        "04": common
        | {"clips": {"boxes": [*ends, clip, clip, empty]}, "detector": "boxes", "kinds": kinds},
        "05": common,
        "06": common,
        "07": common
        | {
            "result": SimpleNamespace(raw=raw, labels=labels, rescore=rescore),
            "true_rate": true_rate,
            "false_rate": false_rate,
        },
        "08": common
        | {"usage": shares, "run": SimpleNamespace(model=model), "groups": {"pseudo": windows}},
        "09": common | {"raw": raw, "labels": labels, "honest": 0.5, "metrics": metrics},
        "10": common | {"rows": rows, "plain": plain, "seeds": [0.9, 0.87, 0.94]},
        "11": common
        | {"out": folder, "calm": np.r_[np.linspace(0, 1, 30), np.linspace(0.25, 1.1, 50)]},
    }


def run(code, namespace):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "cell", "exec"), dict(namespace))
    return printed.getvalue().splitlines()[-1]


# id -> what a student writes, and a part of the hint that it should get.
MUTANTS = {
    "00-1": [
        ("answer = 2 + 1", "divide by the number of pairs"),
        ("answer = 1 / 4", "wrong order"),
        ("answer = 1 / 2", "four pairs"),
        ("answer = 0.6", "in how many of the four pairs"),
    ],
    "00-2": [
        ("answer = (pooled[truth == 0] <= threshold).mean()", "raise no alarm"),
        ("answer = (pooled > threshold).mean()", "share of all frames"),
        (
            "answer = ((pooled > threshold) & (truth == 0)).mean()",
            "divide by the number of normal frames",
        ),
        ("answer = (truth[pooled > threshold] == 0).mean()", "share of the alarms that are false"),
        ("answer = (pooled[truth == 1] > threshold).mean()", "abnormal frames that are found"),
        ("answer = (pooled[truth == 0] > threshold).sum()", "which share has a score above"),
    ],
    "01-1": [
        (
            'answer = np.mean([v.masks[t].mean() >= 0.005 for v in datasets["synthetic"] for t in np.flatnonzero(v.labels)])',
            "larger ones",
        ),
        (
            'answer = np.mean([m.mean() < 0.005 for v in datasets["synthetic"] for m in v.masks])',
            "empty mask",
        ),
        (
            "videos = datasets['synthetic']\n"
            "answer = sum(v.masks[t].mean() < 0.005 for v in videos for t in np.flatnonzero(v.labels)) / sum(map(len, videos))",
            "not of all",
        ),
        (
            'answer = np.mean([v.masks[t].mean() < 0.05 for v in datasets["synthetic"] for t in np.flatnonzero(v.labels)])',
            "0.005",
        ),
        (
            'answer = sum(v.masks[t].mean() < 0.005 for v in datasets["synthetic"] for t in np.flatnonzero(v.labels))',
            "that is how many",
        ),
        ("answer = 17", "over all test videos"),
    ],
    "01-2": [
        (
            'answer = sum(int((np.diff(v.labels.astype(int)) == 1).sum()) for v in datasets["synthetic"])',
            "number of events",
        ),
        (
            'answer = sum((np.roll(v.labels, 1) != v.labels).sum() for v in datasets["synthetic"]) / sum(map(len, datasets["synthetic"]))',
            "not a share",
        ),
        (
            'answer = sum(int((np.roll(v.labels, 2) != v.labels).sum()) for v in datasets["synthetic"])',
            "two frames",
        ),
        (
            'answer = sum(int(np.abs(np.roll(v.labels, 1) - v.labels).sum()) for v in datasets["synthetic"])',
            "!=",
        ),
        ("answer = 0", "video by video"),
    ],
    "02-1": [
        ("answer = max(s for s in range(120) if s + 2 * 15 <= 119)", "119 exists"),
        ("answer = 120 - 15", "stride 1"),
        ("answer = 120 - 2 * 16", "31 frames, not 32"),
        ("answer = 60", "which s makes it 120"),
    ],
    "02-2": [
        ("answer = len(list(itertools.permutations(range(5))))", "all orders"),
        (
            "orders = itertools.permutations(range(5))\n"
            "answer = sum(any(abs(a - b) == 1 for a, b in itertools.pairwise(order)) for order in orders)",
            "do keep neighbours",
        ),
        (
            "orders = itertools.permutations(range(5))\nanswer = sum(all(b - a != 1 for a, b in itertools.pairwise(o)) for o in orders)",
            "4 and then 3",
        ),
        ("answer = 14 / 120", "how many"),
        ("answer = 13", "one apart in time"),
    ],
    "02-3": [
        ("skip, shuffle = skipped.tensor - clip.tensor, shuffled - clip.tensor", None),
        ("answer = shuffle.abs().mean() / skip.abs().mean()", "the other way round"),
        ("answer = skip.abs().mean() / shuffle.abs().mean() - 1", "not by how much more"),
        ("answer = skip.abs().mean() - shuffle.abs().mean()", "do not subtract"),
        ("answer = skip.square().mean() / shuffle.square().mean()", "not squared"),
        ("answer = skip.mean() / shuffle.mean()", "before the mean"),
        ("answer = 77", "(changed - clip.tensor)"),
    ],
    "03-1": [
        ("answer = 0.81 * 0.5 * float(clip.tensor.std())", "2 wide"),
        ("answer = 0.81 * 0.5 * float(clip.tensor.std()) * 255", "twice too much"),
        ("answer = 0.81 * 0.5 * 127.5", "relative to the clip"),
        ("answer = 1", "how many grey levels are 1"),
    ],
    "03-2": [
        (
            "answer = np.mean([paste(strength=1.0)(c, torch.Generator()) is not None for c in small])",
            "somebody to paste onto",
        ),
        (
            "answer = sum(paste(strength=1.0)(c, torch.Generator()) is None for c in small)",
            "that is how many",
        ),
        ("answer = 0.5", "returns None"),
    ],
    "04-1": [
        ("answer = 0.01 * 0.99", "two ways"),
        ("answer = 1 - 0.99**2", "at least one"),
        ("answer = 0.01**2", "both are turned"),
        ("answer = 2 * 0.01", "leave out the batches"),
        ("answer = 0.99**2", "none is turned"),
        ("answer = 0.5", "exactly one of two"),
    ],
    "04-2": [
        ("answer = 'object'", "somebody"),
        ("answer = 'shuffle'", "always be shuffled"),
        ("answer = 'noise'", "always be added"),
        ("answer = 'pasting'", "name of one of the mixer's kinds"),
    ],
    "05-1": [
        ("answer = next(n for n in range(1, 9999) if 1 / n <= 0.0025) - 1", "at least 1/399"),
        ("answer = next(n for n in range(1, 9999) if 1 / n < 0.0025)", "exactly 0.0025"),
        ("answer = 2000", "the paper's"),
        ("answer = 0.0025", "largest one of at least 1/N"),
    ],
    "05-2": [
        ("answer = 12_394_722 - 1500 * 256", "two memories"),
        ("answer = 12_394_722 - 2 * 500 * 256", "1500 go"),
        ("answer = 12_394_722 - 2 * 1500", "256 values"),
        ("answer = 2 * 1500 * 256", "how many are left"),
        ("answer = 12_394_722", "does one slot have"),
    ],
    "06-1": [
        ("answer = {'pseudo_memory', 'pseudo_decoder'}", "stop gradient (sg)"),
        ("answer = {'E', 'M_p', 'D_p'}", "names that are given"),
        ("answer = ['encoder', 'pseudo_decoder']", "D_p decodes what M_p returns"),
        ("answer = {'encoder', 'normal_memory', 'normal_decoder'}", "none in this batch"),
        (
            "answer = {'encoder', 'normal_memory', 'normal_decoder', 'pseudo_memory', 'pseudo_decoder'}",
            "learn from normal clips only",
        ),
        ("answer = 'encoder'", "which terms of the table"),
    ],
    "06-2": [
        ("answer = 137", "saves nothing"),
        ("answer = -(-137 // 46) * 46", "was not finished"),
        ("answer = 46", "was finished, too"),
        ("answer = 0", "end came before"),
        ("answer = 100", "at the end of each epoch"),
    ],
    "07-1": [
        ("answer = -vad.metrics.micro_auc(result.labels, result.raw)", "never negative"),
        ("answer = vad.metrics.micro_auc(result.labels, result.raw)", "as they are"),
        ("answer = 0.5", "in the right order"),
    ],
    "07-2": [
        ("answer = np.argmax(true_rate >= 0.8)", "place in the array"),
        ("answer = true_rate[np.argmax(true_rate >= 0.8)]", "the other axis"),
        ("answer = true_rate[np.argmax(false_rate >= 0.8)]", "false-positive rate reaches 0.8"),
        ("answer = 0.9876", "first place where found"),
    ],
    "07-3": [
        (
            "answer = vad.metrics.micro_auc(result.labels, result.rescore('calibrated'))",
            "look ahead",
        ),
        (
            "answer = vad.metrics.micro_auc(result.labels, result.rescore('raw', causal=True))",
            "ask for the scale",
        ),
        (
            "answer = vad.metrics.micro_auc(result.labels, result.rescore('raw'))",
            "raw, and centred",
        ),
        ("answer = 0.5", "rescore with the scale"),
    ],
    "08-1": [
        ("answer = (usage['normal']['M_n'] >= 0.001).sum()", "that are read"),
        ("answer = (usage['normal']['M_n'] < 0.001).mean()", "not which share"),
        ("answer = (usage['normal']['M_p'] < 0.001).sum()", "that is M_p"),
        ("answer = (usage['pseudo']['M_n'] < 0.001).sum()", "another group"),
        ("answer = (usage['normal']['M_n'] < 0.01).sum()", "a thousandth is 0.001"),
        ("answer = (usage['normal']['M_n'] <= 0).sum()", "never read"),
        ("answer = -3", "count the shares"),
    ],
    "08-2": [
        (
            "answer = np.searchsorted(np.cumsum(np.sort(usage['normal']['M_n'])[::-1]), 0.9)",
            "counted from 0",
        ),
        (
            "answer = np.searchsorted(np.cumsum(np.sort(usage['normal']['M_n'])), 0.9) + 1",
            "sorts upwards",
        ),
        ("answer = np.searchsorted(np.cumsum(usage['normal']['M_n']), 0.9) + 1", "sort before"),
        (
            "answer = (np.searchsorted(np.cumsum(np.sort(usage['normal']['M_n'])[::-1]), 0.9) + 1) / 8",
            "not which share",
        ),
        ("answer = 200", "sort downwards"),
    ],
    "08-3": [
        (
            "found = course.removal_errors(run, groups['pseudo'], {'it': [usage['pseudo']['M_p'].argmax()]}, 'pseudo')",
            None,
        ),
        ("answer = found['nothing'].mean() / found['it'].mean()", "not the other way round"),
        ("answer = found['it'].mean() / found['nothing'].mean() - 1", "the ratio is asked for"),
        ("answer = found['it'].mean()", "divide it by the old one"),
        ("answer = (found['it'] / found['nothing']).mean()", "mean errors first"),
        (
            "found = course.removal_errors(run, groups['pseudo'], {'it': [usage['pseudo']['M_p'].argmax()]})\n"
            "answer = found['it'].mean() / found['nothing'].mean()",
            "error of D_n",
        ),
        (
            "found = course.removal_errors(run, groups['pseudo'][::2], {'it': [usage['pseudo']['M_p'].argmax()]}, 'pseudo')\n"
            "answer = found['it'].mean() / found['nothing'].mean()",
            "every second one",
        ),
        (
            "found = course.removal_errors(run, groups['pseudo'], {'it': [usage['pseudo']['M_n'].argmax()]}, 'pseudo')\n"
            "answer = found['it'].mean() / found['nothing'].mean()",
            "not that of M_n",
        ),
        ("answer = 100", "with all slots"),
    ],
    "09-1": [
        ("answer = 8", "which sign"),
        ("answer = -7", "has eight frames before it"),
        ("answer = 7", "mind the sign"),
        ("answer = -15", "not to its end"),
        ("answer = 0", "where does the score of frame 8 stand"),
    ],
    "09-2": [
        ("answer = {'micro', 'per_video'}", "takes such a number away"),
        ("answer = ['macro', 'micro']", "the order of the frames stays"),
        ("answer = {'micro', 'per_video', 'macro'}", "one video at a time"),
        ("answer = set()", "shifted differently"),
        ("answer = 'macro'", "a frame of one video with a frame of another"),
    ],
    "10-1": [
        ("answer = np.std(seeds, ddof=1)", "one run"),
        ("answer = 2 * np.std(seeds, ddof=1)", "do not add up"),
        ("answer = 2 * np.var(seeds, ddof=1)", "take the root"),
        ("answer = 0", "does not cancel out"),
        ("answer = np.sqrt(2) * np.std(seeds)", "ddof=1"),
        ("answer = 1", "sum of their variances"),
    ],
    "10-2": [
        (
            "answer = {n for n in plain if rows[n]['micro_auc_calibrated'] != plain[n]}",
            "plays a part",
        ),
        (
            "answer = {n for n in plain if rows[n]['micro_auc_calibrated'] < plain[n]}",
            "lose by the contrast",
        ),
        (
            "answer = {'best baseline'} | {n for n in plain if rows[n]['micro_auc_calibrated'] == plain[n]}",
            "is not trained",
        ),
        ("answer = 'p = 0'", "not only there"),
        (
            "answer = {'one decoder'} | {n for n in plain if rows[n]['micro_auc_calibrated'] == plain[n]}",
            "two reads to compare",
        ),
        ("answer = {'default'}", "to the last digit"),
    ],
    "10-3": [
        ("answer = 24", "root of 2"),
        ("answer = 6", "wider"),
        ("answer = 192", "a quarter"),
        ("answer = 13", "root of the number"),
    ],
    "11-1": [
        ("answer = 30", "camera's rate"),
        ("answer = 10 / 30", "three frames for one"),
        ("answer = 3 * 16", "stays 16"),
        ("answer = 1", "a thirtieth"),
        ("answer = 2", "a tenth of a second"),
    ],
    "11-2": [
        (
            "abnormal = np.genfromtxt(out / 'scores.csv', delimiter=',', names=True)['abnormal']",
            None,
        ),
        ("answer = np.count_nonzero(abnormal)", "counts once"),
        (
            "answer = np.count_nonzero(np.diff(abnormal, prepend=0, append=0))",
            "a beginning and an end",
        ),
        ("answer = 0", "steps from 0 to 1"),
    ],
    "11-3": [
        ("answer = calm[:-16].max()", "no frame at all"),
        (
            "answer = np.lib.stride_tricks.sliding_window_view(calm[:-16], 9).min(axis=1).max()",
            "nine frames",
        ),
        (
            "answer = np.lib.stride_tricks.sliding_window_view(calm[:-16], 11).min(axis=1).max()",
            "too many already",
        ),
        (
            "answer = np.lib.stride_tricks.sliding_window_view(calm, 10).min(axis=1).max()",
            "last 16 frames out",
        ),
        ("answer = np.sort(calm[:-16])[-10]", "anywhere in the film"),
        ("answer = 5", "the smallest of them"),
    ],
}
each_exercise = pytest.mark.parametrize("exercise", list(EXERCISES))


def test_every_exercise_has_a_cell_a_key_and_mutants():
    assert list(CELLS) == list(EXERCISES) == list(MUTANTS)
    for source in tools.sources():
        assert 2 <= sum(name.startswith(source.stem[:2]) for name in CELLS) <= 4, source.stem
    assert all(sum(hint is not None for _, hint in mutants) >= 2 for mutants in MUTANTS.values())


@each_exercise
def test_the_solution_is_right_and_a_stub_is_not_done_yet(exercise, namespaces):
    solution, check = CELLS[exercise]
    names = namespaces[exercise[:2]]
    assert run(f"{solution}\n{check}", names) == f"{exercise}: right"
    assert run(f"{tools.STUB}\n{check}", names) == f"{exercise}: not done yet"


@each_exercise
def test_each_known_mistake_gets_a_hint_of_its_own(exercise, namespaces, monkeypatch):
    check, names, hints = CELLS[exercise][1], namespaces[exercise[:2]], []
    # what several mutants share
    start = "".join(f"{code}\n" for code, hint in MUTANTS[exercise] if hint is None)
    for code, hint in MUTANTS[exercise]:
        if hint is not None:
            said = run(f"{start}{code}\n{check}", names)
            assert said.startswith(f"{exercise}: not yet: "), code
            assert hint in said, code
            hints.append(said)
    assert len(set(hints)) == len(hints)
    keys = []
    monkeypatch.setattr("vadlib.course.exercises.judge", lambda answer, key: keys.append(key) or "")
    run(f"{CELLS[exercise][0]}\n{check}", names)
    assert {said.removeprefix(f"{exercise}: not yet: ") for said in hints} == {
        *keys[0].wrong,
        keys[0].hint,
    }, "a hint that no mutant gets"


def test_answers_of_another_sort_are_told_what_is_expected():
    number, name, names = Key(0.5, {}, "hint"), Key("a", {}, "hint"), Key({"a"}, {}, "hint")
    for odd in (
        "0.5",
        [1, 2],
        print,
        np.array("x"),
        np.array(None),
        np.arange(2),
        torch.arange(2),
        1j,
        {},
    ):
        assert "a number" in judge(odd, number)
    assert "a name" in judge(3, name)
    for odd in (3, [["a"]], "a, b", np.arange(2)):
        assert "a set of names" in judge(odd, names)


def test_one_answer_may_come_in_many_types():
    number, names = Key(0.5, {}, "hint"), Key({"a"}, {}, "hint")
    for half in (
        np.float32(0.5),
        Fraction(1, 2),
        Decimal("0.5"),
        np.array([0.5]),
        torch.tensor(0.5, dtype=torch.bfloat16, requires_grad=True),
    ):
        assert judge(half, number) == "right"
    for one in ("a", ["a"], ("a",), frozenset("a"), np.array(["a"]), {"a": 1}.keys()):
        assert judge(one, names) == "right"
    assert judge({}, names) == judge(float("nan"), number) == "not yet: hint"
    assert judge(np.int64(3), Key(3, {}, "hint")) == judge(3.0, Key(3, {}, "hint")) == "right"


@pytest.mark.parametrize(
    ("answer", "key", "said"),
    [
        (0.1429, 1 / 7, "right"),
        (0.0123, 0.01234, "right"),
        (14.2371, 14.23714, "right"),
        (0.33, 1 / 3, "rounded"),
        (0.333, 1 / 3, "rounded"),
        (14.24, 14.23714, "rounded"),
        (0.3, 1 / 3, "not yet: hint"),
        (0, 0.003, "not yet: hint"),
        (50, 0.5, "100"),  # in percent
    ],
)
def test_four_digits_after_the_point_are_enough(answer, key, said):
    assert said in judge(answer, Key(key, {}, "hint"))


def test_an_unknown_exercise_is_an_error():
    with refused("unknown-name", field="exercise"):
        check_answer("7-1", 1)


def test_the_students_edition_holds_the_questions_and_no_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(tools, "STUDENT", tmp_path)
    tools.student()
    notebooks = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {path.name for path in tmp_path.iterdir()} == notebooks | {"field.md", "glossary.md"}
    for source in tools.sources():
        text = (tmp_path / f"{source.stem}.ipynb").read_text(encoding="utf-8")
        assert "**Answer" not in text
        for exercise in (name for name in CELLS if name.startswith(source.stem[:2])):
            assert json.dumps(CELLS[exercise][0])[1:-1] not in text
        assert (
            text.count("**Exercise")
            == text.count(tools.STUB)
            == sum(name.startswith(source.stem[:2]) for name in CELLS)
        )
