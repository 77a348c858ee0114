"""The course: settings, figures, widgets, exercises and inspection tools of the notebooks.

Notebooks import `vadlib as vad` and this package, and nothing else of vadlib. The method (the rest
of `vadlib`) never imports it. Each name loads its module at first use.
"""

from importlib import import_module

# Module -> its names that notebooks use
_EXPORTS = {
    # Settings of the notebooks, their runs and their exercises
    "vadlib.course.settings": (
        "profile tutorial_data tutorial_detectors tutorial_patches run_folder kill_after"
    ),
    "vadlib.course.display": "show show_annotated",
    "vadlib.course.exercises": "check_answer",
    # Data
    "vadlib.data.check": "describe_report",
    "vadlib.data.encode": "write_video",
    "vadlib.data.folder": "open_video",
    "vadlib.data.store": "resize_frame",
    "vadlib.course.dataset_tables": "load_test_videos frame_changes two_ground_truths widen_events",
    "vadlib.course.figures.datasets": (
        "event_frames plot_examples plot_timelines plot_ground_truths plot_frame_changes"
    ),
    "vadlib.course.figures.browser": "plot_browser sample_frames",
    "vadlib.course.widgets.browser": "Browser",
    # Pseudo-anomalies
    "vadlib.course.pseudo_measures": "clip_statistics coverage",
    "vadlib.course.figures.pseudo": (
        "plot_pseudo plot_kinds plot_strengths plot_xt_slices plot_boxes plot_patches "
        "plot_training_batch"
    ),
    "vadlib.course.figures.lab": "LabSettings plot_lab",
    "vadlib.course.widgets.lab": "Lab",
    # Model
    "vadlib.model.memory": "address EPSILON",
    "vadlib.course.figures.model": (
        "plot_method plot_network plot_addressing plot_path_reconstructions"
    ),
    # Training
    "vadlib.device": "pick_device pick_precision",
    "vadlib.model.losses": "objective_terms",
    "vadlib.training.fit": "hold_out",
    "vadlib.training.samples": "Samples load_batches",
    "vadlib.course.figures.training": "read_history read_objectives plot_history plot_clip_errors",
    "vadlib.course.inspection.errors_by_kind": "errors_by_kind",
    # Scores
    "vadlib.jobs": "evaluate_once",
    "vadlib.evaluation.baselines": "baseline_scores",
    "vadlib.evaluation.error_maps": "scored_frames",
    "vadlib.evaluation.scores": "smooth",
    "vadlib.output.report": "describe_metrics",
    "vadlib.course.figures.explorer": "ExplorerView plot_explorer sample_views",
    "vadlib.course.widgets.explorer": "Explorer",
    # Memory and attention
    "vadlib.course.inspection.explanation": "explain_clip",
    "vadlib.course.inspection.slots": "slot_usage window_measures slot_atlas removal_errors",
    "vadlib.course.inspection.paired_windows": "paired_windows",
    "vadlib.course.figures.memory": (
        "plot_reconstruction plot_reconstruction_over_time plot_attention plot_slot_maps "
        "plot_slot_usage plot_slot_atlas plot_slot_removal"
    ),
    # Evaluation traps
    "vadlib.course.traps": "shift_labels cut_into_pieces oracle_gap split_gains",
    "vadlib.course.figures.traps": "plot_auc_by_label_shift plot_selection_gains plot_auc_shifts",
    # Ablations
    "vadlib.ablation": "describe_ablation read_ablation",
    "vadlib.course.figures.ablation": "ABLATION_MEASURES BASELINE_ROW plot_ablation",
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names.split()}
__all__ = [*_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(
            f"module 'vadlib.course' has no attribute {name!r}; it has: {', '.join(__all__)}"
        )
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
