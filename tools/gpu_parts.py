"""The parts of `python tools/gpu.py measure`; each runs in a process of its own.

python tools/gpu_parts.py PART DEVICE FOLDER RESULT [ROOT]

PART is a name of `PARTS`. On any DEVICE but "cuda" a part is shortened. It keeps its files in
FOLDER and writes its result as JSON to RESULT: again after each step, so that what was measured
before a time limit is not lost. ROOT holds `ped2/`; without it the part uses the rendered street.
A result with the key "fault" says why the part failed, one with the key "not_run" why nothing was
measured.
"""

from __future__ import annotations

import copy
import gc
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

import vadlib
from vadlib.config import PseudoConfig, RunConfig, TrainConfig
from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset
from vadlib.device import autocast, pick_device, pick_precision, steady_memory
from vadlib.evaluation.evaluate import evaluate
from vadlib.files import write_json
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run
from vadlib.pseudo.detectors import find_boxes
from vadlib.pseudo.mixer import PseudoAnomalyMixer, make_mixer
from vadlib.training import trainer as training_loop
from vadlib.training.fit import fit, hold_out
from vadlib.training.samples import Batch, Samples, derived_generator, load_batches
from vadlib.training.trainer import Loss, Trainer

ROOT = Path(__file__).resolve().parents[1]
FIT_SECONDS = 75  # of training on CUDA; the speed decides how many epochs that is
LEAST_EPOCHS = 3
PILOT_STEPS = 120  # that measure the speed of training beforehand
WARM_STEPS = 20  # left out of every speed: the first steps are slow
# A layer's gradient below this share of the whole one's norm is rounding: that of a bias before a
# batch norm is 0 in exact arithmetic.
NEGLIGIBLE = 1e-5
HELD_BATCHES = 4  # that no step of the part "precision" sees
BENCH_ROUNDS = 5
CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
# Changes of a shortened part.
SHORT = {
    "clips": {"length": 8, "size": (80, 120), "shorter_side": None, "crop": (24, 24)},
    "model": {"width": 8, "slots": 16},
    "training": {"epochs": 2, "batch_size": 4},
}
SHORT["clips"]["clip_step"] = 40


class Job(NamedTuple):
    """What a part is given.

    Attributes:
        device: where to compute.
        folder: an empty folder for the part's files.
        root: the folder that holds `ped2/`; None for the rendered street.
        save: writes a result, replacing the last one.
    """

    device: torch.device
    folder: Path
    root: Path | None
    save: Callable[[dict], None]

    @property
    def short(self) -> bool:
        """Whether the part is shortened."""
        return self.device.type != "cuda"


def machine(job: Job) -> dict:
    """Describe the device, and the software that drives it."""
    precision = pick_precision("auto", job.device)
    result = {"device": device_name(job.device), "type": job.device.type}
    result |= {"driver": driver_version(job), "cuda": torch.version.cuda}
    result |= {"torch": torch.__version__, "vadlib": vadlib.__version__}
    result |= {"python": platform.python_version(), "system": platform.platform()}
    result |= {"processors": os.cpu_count(), "threads": torch.get_num_threads()}
    result |= {"precision": precision_name(precision)}
    if job.device.type == "cuda":
        result["cudnn"] = torch.backends.cudnn.version()
        result["memory_bytes"] = torch.cuda.get_device_properties(job.device).total_memory
    return result


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.is_file() else ""
    models = re.findall(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    processor = models[0] if models else platform.processor() or platform.machine()
    return processor if device.type == "cpu" else f"{device.type}, {processor}"


def driver_version(job: Job) -> str | None:
    """Return the version of NVIDIA's driver; None where nvidia-smi is missing, or is not asked."""
    command = shutil.which("nvidia-smi")
    if job.device.type != "cuda" or command is None:
        return None
    query = [command, "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True).stdout.split()
    return answer[0] if answer else None


def precision_name(precision: torch.dtype | None) -> str:
    """Return "bfloat16", or "float32" for None."""
    return str(precision or torch.float32).removeprefix("torch.")


def tests(job: Job) -> dict:
    """Run the tests with the marker `gpu`, and count what became of them."""
    # Only files with such tests: others import what a machine for measurements need not have.
    files = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if "pytest.mark.gpu" in path.read_text(encoding="utf-8"):
            files.append(str(path))
    record = job.folder / "tests.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu"]
    done = subprocess.run([*command, f"--junitxml={record}", *files], cwd=ROOT)
    if not record.is_file():
        return {"fault": f"pytest ended with status {done.returncode} and without a record"}
    return count_outcomes(record.read_text(encoding="utf-8"))


def count_outcomes(record: str) -> dict:
    """Count the tests in JUnit's XML: passed, failed (with names) and skipped (with reasons)."""
    passed = 0
    failures, skips = [], Counter()
    for case in ElementTree.fromstring(record).iter("testcase"):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failures.append(f"{case.get('classname')}::{case.get('name')}")
        elif skipped is not None:
            skips[skipped.get("message", "")] += 1
        else:
            passed += 1
    counts = {"passed": passed, "failed": len(failures), "skipped": skips.total()}
    counts |= {"failures": failures, "reasons": dict(skips)}
    if failures:
        counts["fault"] = f"failed: {', '.join(failures)}"
    elif not passed:
        counts["fault"] = "no test ran"
    return counts


def training(job: Job) -> dict:
    """Train the preset `fast` on Ped2, a part of it or the street, and measure its raw AUC."""
    started = time.monotonic()
    name = "ped2" if job.root else "synthetic"
    train, test = (load_videos(name, split, job.root) for split in ("train", "test"))
    if job.short:
        train, test = train[:3], test[3:5]
    boxes = find_boxes(train, "motion", progress=False)
    mixer = make_mixer(PseudoConfig())
    config = settings(job, "fast")
    clips = ClipDataset(train, config.clips, boxes, progress=False)
    result = {"data": name, "train_videos": len(train), "test_videos": len(test)}
    result |= {"train_frames": sum(map(len, train)), "test_frames": sum(map(len, test))}
    if not job.short:
        rate = pilot_rate(job, clips, mixer, config)
        step, epochs = plan_training(rate, len(hold_out(clips)[0]), FIT_SECONDS)
        clip_step = config.clips.clip_step * step
        config = config.changed({"clips": {"clip_step": clip_step}, "training": {"epochs": epochs}})
        clips = ClipDataset(train, config.clips, boxes, progress=False)
        result["pilot_clips_per_second"] = rate
    result["preparing_seconds"] = time.monotonic() - started
    run = timed_fit(job, clips, mixer, config, name, result)
    job.save(result)

    started = time.monotonic()
    metrics = evaluate(run, test, job.device.type, progress=False).metrics
    result["scoring_seconds"] = time.monotonic() - started
    result["frames_per_second"] = result["test_frames"] / result["scoring_seconds"]
    for scale in ("raw", "calibrated", "per_video"):
        result[f"micro_auc_{scale}"] = metrics[f"micro_auc_{scale}"]
    return result


def timed_fit(
    job: Job,
    clips: ClipDataset,
    mixer: PseudoAnomalyMixer,
    config: RunConfig,
    name: str,
    result: dict,
) -> Run:
    """Train, and add the speed and the errors to the result."""
    training = config.training
    torch.manual_seed(training.seed)
    folder = job.folder / "run"
    started, began = time.monotonic(), time.time()
    model = DualPathAutoencoder(config.model)
    run = fit(model, clips, mixer, training, folder, dataset=name, progress=False)
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    seconds = (folder / "state.pt").stat().st_mtime - began  # without calibration
    count = state["step"] * training.batch_size
    precision = pick_precision(training.precision, job.device)
    result |= {"epochs": training.epochs, "clip_step": config.clips.clip_step}
    result |= {"steps": state["step"], "batch_size": training.batch_size}
    result |= {"clips": count, "precision": precision_name(precision)}
    result |= {"training_seconds": seconds, "clips_per_second": count / seconds}
    result |= {"fit_seconds": time.monotonic() - started}
    result |= {"errors": [row.get("rebuild") for row in state["history"]]}
    return run


def settings(job: Job, preset: str) -> RunConfig:
    """Return a preset's settings for the job's device, or the tiny ones of a shortened part."""
    config = preset_settings(job, preset)
    return config.changed(SHORT) if job.short else config


def preset_settings(job: Job, preset: str) -> RunConfig:
    """Return a preset's settings for grey clips on the job's device."""
    changes = {"clips": {"channels": 1}, "training": {"device": job.device.type}}
    return RunConfig.preset(preset).changed(changes)


def new_run(job: Job, config: RunConfig) -> Run:
    """Return an untrained run in the job's folder."""
    return Run(job.folder, config, DualPathAutoencoder(config.model))


def pilot_rate(job: Job, clips: ClipDataset, mixer: PseudoAnomalyMixer, config: RunConfig) -> float:
    """Return the clips per second of the first steps of a training, reading included."""
    size = config.training.batch_size
    samples = Samples(clips, hold_out(clips)[0], mixer, config.training.seed)
    pilot = Trainer(new_run(job, config), samples)
    batches = samples.batches(0, size)[:PILOT_STEPS]
    times = []
    for batch in load_batches(samples, batches, pilot.workers(), job.device.type == "cuda"):
        pilot.update(batch, 10_000)  # waits for the device: it returns a number
        times.append(time.perf_counter())
    warm = min(WARM_STEPS, len(times) // 2)
    return (len(times) - 1 - warm) * size / (times[-1] - times[warm])


def plan_training(rate: float, clips: int, seconds: float) -> tuple[int, int]:
    """Return (step, epochs): every step-th clip start, so that several epochs fit into the seconds.

    Args:
        rate: clips per second.
        clips: of one epoch, with step = 1.
        seconds: for all epochs.
    """
    for step in (1, 2, 4, 8):
        epochs = int(rate * seconds * step / clips)
        if epochs >= LEAST_EPOCHS:
            return step, min(epochs, TrainConfig.epochs)
    return 8, LEAST_EPOCHS


def bench(job: Job) -> dict:
    """Run `vadlib bench`."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.speed import run_bench

    return run_bench(progress=False, rounds=BENCH_ROUNDS)


def memory(job: Job) -> dict:
    """Measure the peak memory of training steps."""
    rows = []
    presets = ("fast",) if job.short else ("fast", "compact", "paper")
    precisions = ("fp32",) if job.short else ("bf16", "fp32")
    for preset, precision in product(presets, precisions):
        rows.append(memory_row(job, preset, precision))
        job.save({"rows": rows})
    return {"rows": rows}


def memory_row(job: Job, preset: str, precision: str) -> dict:
    """Measure one preset in one precision; all clips are pseudo-anomalies, which take most."""
    config = preset_settings(job, preset).changed({"training": {"precision": precision}})
    gc.collect()
    if job.device.type == "cuda":
        torch.cuda.empty_cache()
    before = memory_in_use(job.device)
    samples = SimpleNamespace(positions=range(10_000), mixer=None)
    measured = Trainer(new_run(job, config), samples)
    clip_shape = (1, config.clips.length, *(config.clips.crop or config.clips.size))
    generator = torch.Generator().manual_seed(0)

    def random_batch(size: int) -> Batch:
        clips = torch.rand(size, *clip_shape, generator=generator) * 2 - 1
        return Batch(clips, clips, torch.ones(size, dtype=torch.bool), [])

    size = config.training.batch_size
    row = {"preset": preset, "precision": precision_name(measured.precision), "batch_size": size}
    batch = random_batch(size)
    reset_peak(job.device)
    with steady_memory():
        for _ in range(3):
            measured.update(batch, 10_000)
    peak = peak_memory(job.device)
    return row | {"peak_bytes": None if peak is None else peak - before}


def memory_in_use(device: torch.device) -> int:
    """Return the bytes that this process holds on the device; of a CPU, on Linux only."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return proc_status("VmRSS") or 0


def reset_peak(device: torch.device) -> None:
    """Begin to look for the largest use of memory from here on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif os.access(CLEAR_REFS, os.W_OK):
        CLEAR_REFS.write_text("5", encoding="ascii")


def peak_memory(device: torch.device) -> int | None:
    """Return the largest number of bytes in use since `reset_peak`; None where it is unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return proc_status("VmHWM") if os.access(CLEAR_REFS, os.W_OK) else None


def proc_status(key: str) -> int | None:
    """Return one of Linux's counts of this process's memory, in bytes; None elsewhere."""
    text = STATUS.read_text(encoding="utf-8") if STATUS.is_file() else ""
    numbers = re.findall(rf"^{key}:\s*(\d+) kB$", text, re.MULTILINE)
    return int(numbers[0]) * 1024 if numbers else None


def resume(job: Job) -> dict:
    """Compare a killed and resumed training with two that were left alone, in the default mode."""
    return compare_trainings(job, "killed")


def resume_deterministic(job: Job) -> dict:
    """Make the same comparison with `torch.use_deterministic_algorithms`."""
    with deterministic_algorithms():
        return compare_trainings(job, "killed_deterministic")


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Use operations that repeat their results bit by bit; those that cannot only warn."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read when cuBLAS is first used
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def compare_trainings(job: Job, killed_part: str) -> dict:
    """Train twice without a break and once with a kill; say what differs.

    Two undisturbed trainings that differ show that the device does not repeat its results: then the
    resumed one may differ, too. If they are equal, it must be equal to them.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        whole = short_training(job, job.folder / "whole")
        repeated = short_training(job, job.folder / "repeated")
        folder = job.folder / "resumed"
        part = [killed_part, job.device.type, str(folder), str(job.folder / "killed.json")]
        done = subprocess.run([sys.executable, __file__, *part])
        if (folder / "calibration.npz").exists() or not (folder / "state.pt").exists():
            return {"fault": f"not stopped within the training; status {done.returncode}"}
        stopped = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)["step"]
        resumed = short_training(job, folder)
    steps = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)["step"]
    result = {"steps": steps, "stopped_at": stopped, "killed_with_status": done.returncode}
    result |= {"repeated": compare_runs(whole, repeated), "resumed": compare_runs(whole, resumed)}
    result["without_deterministic_form"] = nondeterministic_operations(caught)
    if result["repeated"]["equal"] and not result["resumed"]["equal"]:
        result["fault"] = "two undisturbed trainings are equal, but the resumed one differs"
    return result


def killed(job: Job) -> dict:
    """Train with a checkpoint after each step, and kill this process within the second epoch."""
    training_loop.CHECKPOINT_SECONDS = 0
    update = Trainer.update

    def mortal_update(self: Trainer, batch: Batch, steps: int) -> float:
        if self.step == self.per_epoch + self.per_epoch // 2:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        return update(self, batch, steps)

    Trainer.update = mortal_update
    short_training(job, job.folder)
    return {"fault": "the training ended before it was killed"}


def killed_deterministic(job: Job) -> dict:
    """Do the same with `torch.use_deterministic_algorithms`."""
    with deterministic_algorithms():
        return killed(job)


def short_training(job: Job, folder: Path) -> Path:
    """Train on three videos of the street, or resume such a training; returns its folder."""
    config = settings(job, "fast")
    if not job.short:
        config = config.changed({"clips": {"clip_step": 48}, "training": {"epochs": 3}})
    videos = load_videos("synthetic", "train")[:3]
    clips = ClipDataset(videos, config.clips, {}, progress=False)
    mixer = make_mixer(PseudoConfig(("skip", "shuffle", "noise"), 0.5))
    torch.manual_seed(config.training.seed)
    model = DualPathAutoencoder(config.model)
    fit(model, clips, mixer, config.training, folder, resume=True, progress=False)
    return folder


def compare_runs(one: Path, other: Path) -> dict:
    """Compare the weights, history and calibration of two runs."""
    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    differences = {}
    for name, value in first.items():
        differences[name] = float((value.double() - second[name].double()).abs().max())
    tables = [(folder / "history.csv").read_bytes() for folder in (one, other)]
    weights = [(folder / "model.safetensors").read_bytes() for folder in (one, other)]
    with np.load(one / "calibration.npz") as a, np.load(other / "calibration.npz") as b:
        calibrations_equal = all(np.array_equal(a[name], b[name]) for name in a.files)
    equal = weights[0] == weights[1] and tables[0] == tables[1] and calibrations_equal
    return {
        "equal": equal,
        "tensors": len(differences),
        "different_tensors": sum(value > 0 for value in differences.values()),
        "largest_difference": max(differences.values()),
        "history_equal": tables[0] == tables[1],
        "calibration_equal": calibrations_equal,
    }


def nondeterministic_operations(caught: list[warnings.WarningMessage]) -> list[str]:
    """Return the operations that torch warned of: they have no deterministic form."""
    pattern = re.compile(r"^(\S+) does not have a deterministic implementation")
    matches = (pattern.match(str(warning.message)) for warning in caught)
    return sorted({match[1] for match in matches if match})


def precision(job: Job) -> dict:
    """Compare bf16 with float32: clips per second, final errors, and gradients layer by layer."""
    if job.device.type == "mps":
        return {"not_run": "bf16 is not supported on mps"}
    result = {}
    for preset in ("fast",) if job.short else ("fast", "compact"):
        result[preset] = compare_precisions(job, preset, 8 if job.short else 80)
        job.save(result)
    return result


def compare_precisions(job: Job, preset: str, steps: int) -> dict:
    """Train the same steps in both precisions; the batches are read beforehand."""
    config = settings(job, preset)
    seed, size = config.training.seed, config.training.batch_size
    clips = ClipDataset(load_videos("synthetic", "train")[:2], config.clips, {}, progress=False)
    mixer = make_mixer(PseudoConfig(("skip", "shuffle", "noise"), 0.5))
    samples = Samples(clips, np.arange(len(clips)), mixer, seed)
    keys = samples.batches(0, size)[: steps + HELD_BATCHES]
    batches = list(load_batches(samples, keys, 0, False))
    held, seen = batches[:HELD_BATCHES], batches[HELD_BATCHES:]

    result = {"steps": steps, "batch_size": size}
    for name in ("bf16", "fp32"):
        torch.manual_seed(seed)
        run = new_run(job, config.changed({"training": {"precision": name}}))
        trainer = Trainer(run, samples)
        model = run.model
        model.fill_memories(seen[0].normal.to(job.device), derived_generator(seed, 0, 0, 0))
        times = []
        for step in range(steps):
            trainer.update(seen[step % len(seen)], steps)
            times.append(time.perf_counter())
        warm = min(WARM_STEPS, steps // 2)
        rate = (steps - 1 - warm) * size / (times[-1] - times[warm])
        result[name] = {"clips_per_second": rate, "final_error": normal_error(model, held, job)}
    result["speedup"] = result["bf16"]["clips_per_second"] / result["fp32"]["clips_per_second"]
    # The model is now the one trained in float32.
    exact = gradients(model, held[0], config.training, job, None, tf32=False)
    compared = {"bf16": gradients(model, held[0], config.training, job, torch.bfloat16, tf32=False)}
    if job.device.type == "cuda":
        compared["tf32"] = gradients(model, held[0], config.training, job, None, tf32=True)
    result["gradients"] = {}
    for name, rounded in compared.items():
        result["gradients"][name] = compare_gradients(exact, rounded)
    return result


def normal_error(model: DualPathAutoencoder, batches: list[Batch], job: Job) -> float:
    """Return the mean squared error of D_n on normal clips, computed in float32."""
    model.eval()
    errors = []
    with torch.no_grad():
        for batch in batches:
            clips = batch.normal.to(job.device)
            errors.append(float((model(clips).reconstruction - clips).square().mean()))
    model.train()
    return sum(errors) / len(errors)


def gradients(
    model: DualPathAutoencoder,
    batch: Batch,
    config: TrainConfig,
    job: Job,
    dtype: torch.dtype | None,
    tf32: bool,
) -> dict[str, Tensor]:
    """Return the gradient of the loss for each parameter that has one, on the CPU.

    Args:
        dtype: of autocast; None computes in float32.
        tf32: allow a GPU to round the factors of float32 products to 10 bits, as torch's
            convolutions do by default.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = tf32
    loss = Loss(copy.deepcopy(model), config)  # batch norm counts what passes through it
    clips = [part.to(job.device) for part in batch[:3]]
    with autocast(job.device, dtype):
        value, _ = loss(*clips)
    value.backward()
    torch.backends.cudnn.allow_tf32 = before
    named = loss.model.named_parameters()
    return {name: p.grad.double().cpu() for name, p in named if p.grad is not None}


def compare_gradients(exact: dict[str, Tensor], rounded: dict[str, Tensor]) -> dict:
    """Return each layer's relative difference, |g - exact| / |exact|, and the largest of them."""
    whole = torch.stack([gradient.norm() for gradient in exact.values()]).norm()
    layers, negligible = {}, []
    for name, gradient in exact.items():
        if gradient.norm() > NEGLIGIBLE * whole:
            layers[name] = float((rounded[name] - gradient).norm() / gradient.norm())
        else:
            negligible.append(name)
    worst = max(layers, key=layers.get)
    return {
        "largest": layers[worst],
        "largest_in": worst,
        "median": median(layers.values()),
        "layers": layers,
        "negligible": negligible,
    }


PARTS = {
    "machine": machine,
    "tests": tests,
    "training": training,
    "bench": bench,
    "memory": memory,
    "resume": resume,
    "resume_deterministic": resume_deterministic,
    "precision": precision,
}
KILLED_PARTS = {"killed": killed, "killed_deterministic": killed_deterministic}


def main() -> None:
    name, device = sys.argv[1:3]
    folder, path = map(Path, sys.argv[3:5])
    root = Path(sys.argv[5]) if len(sys.argv) > 5 else None
    folder.mkdir(parents=True, exist_ok=True)
    save = partial(write_json, path)
    save((PARTS | KILLED_PARTS)[name](Job(pick_device(device), folder, root, save)))


if __name__ == "__main__":
    main()
