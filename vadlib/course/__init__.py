"""What the notebooks use beside the method: settings, figures, widgets, exercises, inspection.

The method (the rest of `vadlib`) never imports this package. Everything is loaded at first use.
"""

from importlib import import_module

_EXPORTS = {
    "vadlib.course.settings": [
        "profile",
        "tutorial_data",
        "tutorial_detectors",
        "tutorial_patches",
        "run_folder",
        "kill_after",
    ],
    "vadlib.output.figure": ["show"],
    "vadlib.course.exercises": ["check_answer"],
    "vadlib.data.check": ["describe_report"],
    "vadlib.course.dataset_tables": ["load_tests", "frame_changes", "two_truths"],
    "vadlib.data.encode": ["write_video"],
    "vadlib.course.coverage": ["coverage"],
    "vadlib.pseudo.kinds": ["PseudoClip"],
    "vadlib.course.clip_statistics": ["clip_statistics"],
    "vadlib.evaluation.baselines": ["baseline_scores"],
    "vadlib.output.report": ["describe_metrics"],
    "vadlib.output.ablation_table": ["read_ablation"],
    "vadlib.course.explanation": ["explain_clip"],
    "vadlib.course.slots": ["slot_usage", "window_measures", "slot_atlas", "removal_errors"],
    "vadlib.course.pairs": ["paired_windows"],
    "vadlib.course.changed_errors": ["changed_errors"],
    "vadlib.course.dataset_plots": [
        "event_frames",
        "plot_examples",
        "plot_timelines",
        "plot_truths",
        "plot_changes",
    ],
    "vadlib.course.browser": ["browse", "plot_browser", "sample_frames"],
    "vadlib.output.annotation": ["show_annotated"],
    "vadlib.course.pseudo_plots": [
        "plot_pseudo",
        "plot_kinds",
        "plot_strengths",
        "plot_slices",
        "plot_boxes",
        "plot_patches",
        "plot_batch",
    ],
    "vadlib.course.lab": ["lab", "Choice", "plot_lab", "play_lab"],
    "vadlib.course.model_plots": ["plot_idea", "plot_network", "plot_addressing", "plot_paths"],
    "vadlib.course.training_plots": [
        "read_history",
        "read_objectives",
        "plot_history",
        "plot_errors",
    ],
    "vadlib.course.memory_plots": [
        "plot_rebuilt",
        "plot_over_time",
        "plot_attention",
        "plot_slot_maps",
        "plot_usage",
        "plot_atlas",
        "plot_removal",
    ],
    "vadlib.course.explorer": ["explore", "View", "plot_explorer", "sample_views"],
    "vadlib.course.trap_plots": ["plot_by_shift", "plot_gains", "plot_shifts"],
    "vadlib.course.ablation_plots": ["plot_ablation"],
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}
__all__ = [*_HOME]


def __getattr__(name: str):
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(
            f"module 'vadlib.course' has no attribute {name!r}; it has: {', '.join(__all__)}"
        )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
