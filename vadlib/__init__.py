"""vadlib: video anomaly detection, from a folder of frames to an AUC and a score curve.

Names stand in the order in which the data flows. Everything is loaded when first used (PEP 562), so
that `import vadlib` is quick and matplotlib, ipywidgets and ultralytics load only where they are
needed.
"""

from importlib import import_module

__version__ = "0.1.0"

_EXPORTS = {
    "vadlib.errors": ["InputError"],
    "vadlib.tutorial": [
        "profile",
        "tutorial_data",
        "tutorial_detectors",
        "tutorial_patches",
        "run_folder",
        "kill_after",
    ],
    "vadlib.data.catalog": ["load_videos", "list_datasets"],
    "vadlib.data.check": ["check_dataset", "describe_report"],
    "vadlib.data.video": ["Video"],
    "vadlib.data.clips": ["DataConfig", "Clip", "ClipDataset"],
    "vadlib.data.statistics": ["load_tests", "frame_changes", "two_truths"],
    "vadlib.data.encode": ["write_video"],
    "vadlib.pseudo.detectors": ["find_boxes", "coverage"],
    "vadlib.pseudo.patches": ["load_patches"],
    "vadlib.pseudo.kinds": [
        "PseudoClip",
        "SkipFrames",
        "ShuffleMotion",
        "AddNoise",
        "PasteObjects",
    ],
    "vadlib.pseudo.mixer": ["PseudoAnomalyMixer"],
    "vadlib.pseudo.statistics": ["clip_statistics"],
    "vadlib.model.network": ["ModelConfig", "DualPathAutoencoder"],
    "vadlib.model.run": ["Run", "load_pretrained"],
    "vadlib.evaluation.scores": ["ScoreConfig"],
    "vadlib.evaluation.metrics": [
        "micro_auc",
        "macro_auc",
        "per_video",
        "average_precision",
        "equal_error_rate",
        "alarm_metrics",
        "bootstrap",
    ],
    "vadlib.evaluation.evaluate": ["Result", "evaluate"],
    "vadlib.evaluation.report": ["describe_metrics"],
    "vadlib.evaluation.table": ["read_ablation"],
    "vadlib.evaluation.explain": ["explain_clip"],
    "vadlib.evaluation.slots": ["slot_usage", "window_measures", "slot_atlas", "removal_errors"],
    "vadlib.evaluation.pairs": ["paired_windows"],
    "vadlib.evaluation.changed": ["changed_errors"],
    "vadlib.evaluation.baselines": ["baseline_scores", "best_baseline", "measure_baselines"],
    "vadlib.engine.config": ["TrainConfig"],
    "vadlib.engine.fit": ["fit"],
    "vadlib.view.plots": ["plot_frames", "plot_scores", "plot_roc"],
    "vadlib.view.memory": [
        "plot_rebuilt",
        "plot_over_time",
        "plot_attention",
        "plot_slot_maps",
        "plot_usage",
        "plot_atlas",
        "plot_removal",
    ],
    "vadlib.view.model": ["plot_idea", "plot_network", "plot_addressing", "plot_paths"],
    "vadlib.view.training": ["read_history", "read_objectives", "plot_history", "plot_errors"],
    "vadlib.view.datasets": [
        "event_frames",
        "plot_examples",
        "plot_timelines",
        "plot_truths",
        "plot_changes",
    ],
    "vadlib.view.browse": ["browse", "plot_browser", "sample_frames"],
    "vadlib.view.annotate": ["show_annotated"],
    "vadlib.view.explorer": ["explore", "View", "plot_explorer", "sample_views"],
    "vadlib.view.pseudo": [
        "plot_pseudo",
        "plot_kinds",
        "plot_strengths",
        "plot_slices",
        "plot_boxes",
        "plot_patches",
        "plot_batch",
    ],
    "vadlib.view.lab": ["lab", "Choice", "plot_lab", "play_lab"],
    "vadlib.view.traps": ["plot_by_shift", "plot_gains", "plot_shifts"],
    "vadlib.view.ablation": ["plot_ablation"],
    "vadlib.view.figure": ["show"],
    "vadlib.ablation": ["ablate"],
    "vadlib.exercises": ["check_answer"],
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}
__all__ = list(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(
            f"module 'vadlib' has no attribute {name!r}; it has: {', '.join(__all__)}"
        )
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
