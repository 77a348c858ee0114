"""The exercises: solutions are right, stubs are not done, and known mistakes get their own hint.

The cells are those of the notebooks' sources, run on small data. A mistake of mistakes.txt takes
the solution's place, as a student would write it.
"""

import contextlib
import io
import itertools
import json
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jupytext
import numpy as np
import pytest
import torch
from refusals import refused
from test_notebooks import ROOT, tools

import vadlib as vad
from vadlib import course
from vadlib.course.exercises import EXERCISES, check_answer, judge


def exercise_cells():
    """Exercise -> the code of its solution and of its check."""
    cells = {}
    for path in tools.sources():
        for cell in jupytext.read(path, fmt="py:percent").cells:
            if "exercise" in cell.metadata.get("tags", []):
                solution, check = tools.split_exercise(cell.source)
                cells[check.split('"')[1]] = solution, check
    return cells


def known_mistakes():
    """Exercise -> (code, part of the hint) of each mistake."""
    mistakes = {}
    for line in Path(__file__).with_name("mistakes.txt").read_text().splitlines():
        if not line.startswith("#"):
            fields = line.split(" => ")
            mistakes.setdefault(fields[0], []).append(fields[1:])
    return mistakes


CELLS, MISTAKES = exercise_cells(), known_mistakes()


def curves(seed):
    """Scores of four videos of 40 frames, those of abnormal frames higher, and their labels."""
    rng = np.random.default_rng(seed)
    labels = {str(i): (np.arange(40) // 10 % 2 == i % 2).astype(np.uint8) for i in range(4)}
    return {name: rng.normal(size=40) + truth for name, truth in labels.items()}, labels


def masked_video(array_video, name, areas, labels):
    masks = np.arange(1000).reshape(10, 100) < np.array(areas)[:, None, None]
    return array_video(np.zeros((6, 10, 100, 1)), name, labels=np.uint8(labels), masks=masks)


def memory_names():
    torch.manual_seed(0)
    model = vad.DualPathAutoencoder(vad.ModelConfig.preset("fast", width=8, slots=8)).eval()
    with torch.no_grad():
        for memory in (model.normal_memory, model.pseudo_memory):
            memory.slots.mul_(40)  # so that a slot more or less shows in the reconstruction
    usage = {"normal": {"M_p": np.full(8, 0.125)}, "pseudo": {"M_p": np.array([0.1] * 7 + [0.3])}}
    usage["normal"]["M_n"] = np.array([0.0007, 0.3, 0.0045, 0.57, 0.0, 0.0248, 0.06, 0.04])
    usage["pseudo"]["M_n"] = np.array([0.0005, 0.3, 0.0003, 0.0002, 0.3, 0.299, 0.0005, 0.0995])
    windows = [torch.rand(1, 16, 24, 24) * contrast for contrast in (0.1, 0.6, 1.0)]
    return {"usage": usage, "run": SimpleNamespace(model=model), "groups": {"pseudo": windows}}


def score_names():
    raw, labels = curves(0)
    scores, truth = np.concatenate(list(raw.values())), np.concatenate(list(labels.values()))
    names = {"threshold": 0.9, "pooled": scores, "truth": truth}
    for name, kind in (("true_rate", 1), ("false_rate", 0)):
        hits = np.cumsum(truth[np.argsort(-scores)] == kind)
        names[name] = np.append(0, hits) / np.sum(truth == kind)

    def rescore(scale, causal=False):
        return curves(1 + 2 * (scale == "raw") + causal)[0]

    return names | {"result": SimpleNamespace(raw=raw, labels=labels, rescore=rescore)}


@pytest.fixture(scope="module")
def namespace(array_video, make_clip, tmp_path_factory):
    """(notebook) -> the names that its cells use: small, but such that mistakes differ."""
    areas, labels = [0, 3, 4, 20, 70, 0], [0, 1, 1, 1, 1, 0]
    videos = [masked_video(array_video, "a", areas, labels)]
    videos.append(masked_video(array_video, "b", [0, 2, 30, 30, 0, 0], [0, 1, 1, 1, 0, 0]))
    clip, paste = make_clip(), partial(vad.PasteObjects, "builtin")
    empty = clip._replace(boxes=[np.zeros((0, 4), np.float32)] * 16)
    last = clip._replace(lookahead=clip.lookahead[:0])
    kinds = {"skip": vad.SkipFrames, "shuffle": vad.ShuffleMotion, "noise": vad.AddNoise}
    seed = torch.Generator().manual_seed
    temporal = {"clip": clip, "skipped": vad.SkipFrames(1.0)(clip, seed(0))}
    temporal["shuffled"] = vad.ShuffleMotion(1.0)(clip, seed(0)).tensor
    out = tmp_path_factory.mktemp("scores")
    lines = [f"{i},{abnormal}" for i, abnormal in enumerate([0, 1, 1, 0, 0, 1, 1, 1])]
    (out / "scores.csv").write_text("\n".join(["frame,abnormal", *lines]))
    rows = {row["row"]: row for row in course.read_ablation()}
    plain = {name: row["plain_calibrated"] for name, row in rows.items()}
    plain = {name: area for name, area in plain.items() if area is not None}
    notebooks = {
        "00": score_names(),
        "01": {"datasets": {"synthetic": videos}},
        "02": temporal,
        "03": {"clip": clip, "small": [clip, clip, clip, empty], "paste": paste},
        "04": {"clips": {"boxes": [last, last, last, clip, clip, empty]}, "detector": "boxes"},
        "07": score_names(),
        "08": memory_names(),
        "10": {"rows": rows, "plain": plain, "seeds": [0.9, 0.87, 0.94]},
        "11": {"out": out, "calm": np.r_[np.linspace(0, 1, 30), np.linspace(0.25, 1.1, 50)]},
    }
    notebooks["04"]["kinds"] = kinds | {"object": paste}
    modules = {"np": np, "vad": vad, "course": course, "torch": torch, "itertools": itertools}
    return lambda notebook: modules | notebooks.get(notebook, {})


def run(code, names):
    """Run the code of a cell; return the last line that it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "cell", "exec"), dict(names))
    return printed.getvalue().splitlines()[-1]


def test_every_exercise_has_a_cell_a_key_and_mistakes():
    assert list(CELLS) == list(EXERCISES)
    assert [name for name, texts in EXERCISES.items() if "function" in texts] == list(MISTAKES)
    for source in tools.sources():
        assert 2 <= sum(name.startswith(source.stem[:2]) for name in CELLS) <= 4, source.stem


@pytest.mark.parametrize("exercise", list(EXERCISES))
def test_solution_stub_and_each_known_mistake(exercise, namespace):
    names, (solution, check) = namespace(exercise[:2]), CELLS[exercise]
    assert run(f"{solution}\n{check}", names) == f"{exercise}: right"
    assert run(f"{tools.STUB}\n{check}", names) == f"{exercise}: not done yet"
    constants = [(f"answer = {wrong}", hint) for wrong, hint in EXERCISES[exercise]["mistakes"]]
    hints = set()
    for code, hint in MISTAKES.get(exercise, constants):
        verdict = run(f"{code}\n{check}", names)
        assert verdict.startswith(f"{exercise}: not yet: "), code
        assert hint in verdict, code
        assert verdict not in hints, "two mistakes with one hint"
        hints.add(verdict)
    if exercise in MISTAKES and exercise != "04-2":  # there one of the mistakes is right
        assert len(hints) == len(constants) + 1, "a hint that no mistake gets"


@pytest.mark.parametrize(
    ("right", "expected", "answers"),
    [
        (0.5, "a number", ["0.5", [1, 2], print, np.arange(2), torch.arange(2), 1j]),
        ("a", "a name", [3]),
        ({"a"}, "a set of names", [3, [["a"]], "a, b", np.arange(2)]),
    ],
)
def test_answers_of_another_sort_are_told_what_is_expected(right, expected, answers):
    for answer in answers:
        assert f"expected {expected}, " in judge(answer, right, "hint")


ROUNDED = "not yet: it is rounded; give four digits after the point"


@pytest.mark.parametrize(
    ("answer", "right", "verdict"),
    [
        (np.float32(0.5), 0.5, "right"),
        (Fraction(1, 2), 0.5, "right"),
        (torch.tensor(0.5, dtype=torch.bfloat16, requires_grad=True), 0.5, "right"),
        (float("nan"), 0.5, "not yet: hint"),
        ({"a": 1}.keys(), {"a"}, "right"),
        ("a", {"a"}, "right"),
        ({}, {"a"}, "not yet: hint"),
        # four digits after the point are enough, and counts are exact
        (0.1429, 1 / 7, "right"),
        (14.2371, 14.23714, "right"),
        (11_626_000, 11_626_722, "not yet: hint"),
        (0.333, 1 / 3, ROUNDED),
        (14.24, 14.23714, ROUNDED),
        (0.3, 1 / 3, "not yet: hint"),
        (0, 0.003, "not yet: hint"),
        (50, 0.5, "not yet: a share lies between 0 and 1; divide by 100"),
    ],
)
def test_one_answer_may_come_in_many_types_and_with_four_digits(answer, right, verdict):
    assert judge(answer, right, "hint") == verdict


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
        exercises = [name for name in CELLS if name.startswith(source.stem[:2])]
        assert "**Answer" not in text
        for exercise in exercises:
            assert json.dumps(CELLS[exercise][0])[1:-1] not in text
        assert text.count("**Exercise") == text.count(tools.STUB) == len(exercises)
