"""Video anomaly detection, from a folder of frames to an AUC and a score curve.

The names are listed in the order in which the data flows. Everything is loaded at first use
(PEP 562), so `import vadlib` is fast, and matplotlib, ipywidgets and ultralytics are loaded only
where they are needed. `vadlib.metrics` and `vadlib.plots` are modules. What only the notebooks use
is in `vadlib.course`.
"""

from importlib import import_module

__version__ = "0.1.0"

_EXPORTS = {
    "vadlib.errors": "InputError",
    "vadlib.config": "RunConfig ClipConfig PseudoConfig ModelConfig TrainConfig ScoreConfig",
    "vadlib.data.catalog": "load_videos list_datasets",
    "vadlib.data.check": "check_dataset",
    "vadlib.data.video": "Video",
    "vadlib.data.clips": "Clip ClipDataset",
    "vadlib.pseudo.detectors": "find_boxes",
    "vadlib.pseudo.patches": "load_patches",
    "vadlib.pseudo.kinds": "SkipFrames ShuffleMotion AddNoise PasteObjects",
    "vadlib.pseudo.mixer": "PseudoAnomalyMixer",
    "vadlib.model.network": "DualPathAutoencoder",
    "vadlib.training.fit": "fit",
    "vadlib.model.run": "Run load_pretrained",
    "vadlib.evaluation.result": "Result",
    "vadlib.evaluation.evaluate": "evaluate",
    "vadlib.evaluation.baselines": "measure_baselines best_baseline",
    "vadlib.jobs": "train_run evaluate_run score_video",
    "vadlib.ablation": "ablate",
}
_MODULES = {"metrics": "vadlib.evaluation.metrics", "plots": "vadlib.output.plots"}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names.split()}
__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'vadlib' has no attribute {name!r}; it has: {__all__}")
    if name in _MODULES:
        return import_module(_MODULES[name])
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
