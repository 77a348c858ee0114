"""The course: settings, figures, widgets, exercises and inspection tools of the notebooks.

Notebooks import `vadlib as vad` and this package, and nothing else of vadlib. The method (the rest
of `vadlib`) never imports it. Each name loads its module at first use.
"""

from importlib import import_module

# Module -> its names that notebooks use
_EXPORTS = {
    # Settings of the notebooks, their runs and their exercises
    "course.settings": (
        "profile tutorial_data tutorial_detectors tutorial_patches run_folder kill_after"
    ),
    "course.display": "show show_annotated",
    "course.exercises": "check_answer",
    # Data
    "data.check": "describe_report",
    "data.encode": "write_video",
    "data.folder": "open_video",
    "data.store": "resize_frame",
    "course.dataset_tables": "load_test_videos frame_changes two_ground_truths widen_events",
    "course.figures.datasets": (
        "event_frames plot_examples plot_timelines plot_ground_truths plot_frame_changes "
        "plot_browser sample_frames"
    ),
    "course.widgets.browser": "Browser",
    # Pseudo-anomalies
    "course.pseudo_measures": "clip_statistics coverage",
    "course.figures.pseudo": (
        "plot_pseudo plot_kinds plot_strengths plot_xt_slices plot_boxes plot_patches "
        "plot_training_batch LabSettings plot_lab"
    ),
    "course.widgets.lab": "Lab",
    # Model and training
    "model.memory": "address EPSILON",
    "course.figures.model": "plot_method plot_network plot_addressing plot_path_reconstructions",
    "device": "pick_device pick_precision",
    "model.losses": "objective_terms",
    "training.fit": "hold_out",
    "training.samples": "Samples load_batches",
    "course.figures.training": "read_history read_objectives plot_history plot_clip_errors",
    "course.inspection.windows": "errors_by_kind paired_windows",
    # Scores
    "jobs": "evaluate_once",
    "evaluation.baselines": "baseline_scores",
    "evaluation.error_maps": "scored_frames",
    "evaluation.scores": "smooth",
    "output.report": "describe_metrics",
    "course.figures.explorer": "ExplorerView plot_explorer sample_views",
    "course.widgets.explorer": "Explorer",
    # Memory and attention
    "course.inspection.explanation": "explain_clip",
    "course.inspection.slots": "slot_usage window_measures slot_atlas removal_errors",
    "course.figures.memory": (
        "plot_reconstruction plot_reconstruction_over_time plot_attention plot_slot_maps "
        "plot_slot_usage plot_slot_atlas plot_slot_removal"
    ),
    # Evaluation traps and ablations
    "course.traps": "shift_labels cut_into_pieces oracle_gap split_gains",
    "ablation": "describe_ablation read_ablation",
    "course.figures.evaluation": (
        "ABLATION_MEASURES BASELINE_ROW plot_ablation "
        "plot_auc_by_label_shift plot_selection_gains plot_auc_shifts"
    ),
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names.split()}
__all__ = [*_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'vadlib.course' has no attribute {name!r}")
    value: object = getattr(import_module(f"vadlib.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
