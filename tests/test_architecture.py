"""Boundaries: who may import whom, which names are public, and what `import vadlib` loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vadlib

PACKAGE = Path(vadlib.__file__).parent
# Each room imports only from itself and from rooms before it, in the order in which the data flows.
ROOMS = ["data", "pseudo", "model", "evaluation", "engine", "view"]
SHARED = {"errors", "config", "device", "files", "tutorial"}  # below all rooms; they import none
JOBS = {"recipe", "bench", "ablation", "exercises", "cli", "__main__", "__init__"}  # above all rooms

PUBLIC = [
    "InputError",
    "profile",
    "tutorial_data",
    "tutorial_detectors",
    "tutorial_patches",
    "run_folder",
    "kill_after",
    "load_videos",
    "list_datasets",
    "check_dataset",
    "describe_report",
    "Video",
    "DataConfig",
    "Clip",
    "ClipDataset",
    "load_tests",
    "frame_changes",
    "two_truths",
    "write_video",
    "find_boxes",
    "coverage",
    "load_patches",
    "PseudoClip",
    "SkipFrames",
    "ShuffleMotion",
    "AddNoise",
    "PasteObjects",
    "PseudoAnomalyMixer",
    "clip_statistics",
    "ModelConfig",
    "DualPathAutoencoder",
    "Run",
    "load_pretrained",
    "ScoreConfig",
    "micro_auc",
    "macro_auc",
    "per_video",
    "average_precision",
    "equal_error_rate",
    "alarm_metrics",
    "bootstrap",
    "Result",
    "evaluate",
    "describe_metrics",
    "read_ablation",
    "explain_clip",
    "slot_usage",
    "window_measures",
    "slot_atlas",
    "removal_errors",
    "paired_windows",
    "changed_errors",
    "yardstick_scores",
    "TrainConfig",
    "fit",
    "plot_frames",
    "plot_scores",
    "plot_roc",
    "plot_rebuilt",
    "plot_over_time",
    "plot_attention",
    "plot_slot_maps",
    "plot_usage",
    "plot_atlas",
    "plot_removal",
    "plot_network",
    "plot_addressing",
    "plot_paths",
    "read_history",
    "plot_history",
    "plot_errors",
    "plot_examples",
    "plot_timelines",
    "plot_truths",
    "plot_changes",
    "browse",
    "plot_browser",
    "sample_frames",
    "explore",
    "View",
    "plot_explorer",
    "sample_views",
    "plot_pseudo",
    "plot_strengths",
    "plot_slices",
    "plot_boxes",
    "plot_patches",
    "plot_batch",
    "lab",
    "Choice",
    "plot_lab",
    "play_lab",
    "plot_by_shift",
    "plot_gains",
    "plot_shifts",
    "plot_ablation",
    "show",
    "ablate",
    "check_answer",
]


def imports(path):
    """Top-level rooms or modules of vadlib that a file imports, at module level or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else []
        )
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
        at_home = path.relative_to(PACKAGE).parts[0] in ROOMS
        assert not (at_home and "vadlib" in names), f"{path}: `import vadlib` would go around the rooms"
        found |= {name.split(".")[1] for name in names if name.startswith("vadlib.")}
    return found


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py"))


def test_every_module_has_a_place():
    places = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert places == {*ROOMS, *SHARED, *JOBS}


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_rooms_import_only_from_rooms_before_them(path):
    home = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if home in JOBS:
        return
    allowed = set(SHARED) if home in SHARED else {*SHARED, *ROOMS[: ROOMS.index(home) + 1]}
    assert imports(path) <= allowed


def test_public_names_are_these_in_the_order_of_the_data():
    assert vadlib.__all__ == PUBLIC
    assert len(set(PUBLIC)) == len(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(vadlib, name)
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Foo'"):
        vadlib.Foo  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import vadlib", {"torch", "matplotlib", "ipywidgets", "ultralytics", "cv2"}),
        ("import vadlib; vadlib.fit, vadlib.evaluate, vadlib.load_videos", {"matplotlib", "ipywidgets", "ultralytics"}),
        ("import vadlib.cli", {"torch", "matplotlib", "ultralytics"}),
    ],
)
def test_heavy_libraries_load_only_when_used(statement, absent):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not absent & set(loaded)
