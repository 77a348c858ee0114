"""Measure vadlib on a machine with a GPU, and put the reports into docs/gpu.md.

python tools/gpu.py measure   a report of this machine, benchmarks/gpu/NAME.json; 8 minutes at most
python tools/gpu.py table     the rows of docs/gpu.md, from benchmarks/gpu/*.json
python tools/gpu.py subset    a small grey copy of Ped2 in build/gpu/data, for another machine

`measure` needs no network. It trains on Ped2 below --root (else VADLIB_DATA), else on the copy that
`subset` made, else on the rendered street. Without a GPU it is shortened, and its report,
build/gpu/cpu.json, only shows that everything runs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "gpu.md"
SCRIPT = ROOT / "tools" / "gpu_parts.py"
REPORTS = ROOT / "benchmarks" / "gpu"
BUILD = ROOT / "build" / "gpu"
SUBSET = BUILD / "data"
BEGIN, END = "<!-- gpu rows: python tools/gpu.py table -->", "<!-- end -->"
VERSION = 1  # of the reports; raise it when a key that `table` reads changes its meaning
MODULES = "torch torchvision accelerate numpy scipy sklearn cv2 PIL av pooch requests tqdm"
MODULES += " safetensors platformdirs psutil pytest hypothesis"
PIP_NAMES = {"sklearn": "scikit-learn", "cv2": "opencv-python", "PIL": "pillow"}
# Seconds that each part may take on a GPU; together less than 8 minutes.
LIMITS = {
    "machine": 30,
    "tests": 60,
    "training": 160,
    "bench": 40,
    "memory": 35,
    "resume": 55,
    "resume_deterministic": 55,
    "precision": 45,
}
CPU_LIMIT = 120  # seconds for each part of the shortened form, which takes a tenth of that
NO_BENCH = "takes four minutes without a GPU; `vadlib bench` runs it"
SUBSET_TRAINING = range(1, 9)
SUBSET_TESTING = (1, 2, 4, 7)  # begin normal and become abnormal
SUBSET_QUALITY = 60  # of JPEG: 15 MB in all, which leaves room for packages that travel with it


class Column(NamedTuple):
    """A column of the page's table: its title, the part that it shows, and the text of a result."""

    title: str
    part: str
    text: Callable[[dict], str]


def missing_packages() -> list[str]:
    """Return pip's names of the packages that the parts need and this Python does not have."""
    missing = [name for name in MODULES.split() if importlib.util.find_spec(name) is None]
    return [PIP_NAMES.get(name, name) for name in missing]


def measure(arguments: argparse.Namespace) -> None:
    """Run all parts, write the report, and end with 1 if a part failed."""
    missing = missing_packages()
    if missing:
        install = f"{sys.executable} -m pip install {' '.join(missing)}"
        sys.exit(f"packages are missing; run {install}, or make gpu GPU_PYTHON=another-python")
    device = arguments.device or default_device()
    root = ped2_root(arguments.root)
    started = time.monotonic()
    shutil.rmtree(BUILD / "work", ignore_errors=True)
    parts = {}
    for name, limit in LIMITS.items():
        print(f"{name} ...", end=" ", flush=True)
        if name == "bench" and device != "cuda":
            parts[name] = {"status": "skipped", "seconds": 0.0, "reason": NO_BENCH, "result": {}}
        else:
            parts[name] = run_part(name, device, limit if device == "cuda" else CPU_LIMIT, root)
        print(describe_part(parts[name]), flush=True)
    report = {"version": VERSION, "date": datetime.now(UTC).isoformat(timespec="seconds")}
    report |= {"commit": arguments.commit or git_commit(), "shortened": device != "cuda"}
    report |= {"seconds": round(time.monotonic() - started, 1)}
    report |= {"failed": [name for name, part in parts.items() if part["status"] == "failed"]}
    report |= {"machine": parts.pop("machine"), "parts": parts}
    path = arguments.out or default_path(report)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{report['seconds']:.0f} s; the report is {path}")
    if report["failed"]:
        sys.exit(f"failed: {', '.join(report['failed'])}; their output is in {BUILD / 'work'}")


def default_device() -> str:
    """Return the type of this machine's accelerator, else "cpu"."""
    import torch

    if not torch.accelerator.is_available():
        return "cpu"
    return torch.accelerator.current_accelerator().type


def ped2_root(asked: Path | None) -> Path | None:
    """Return the folder that holds `ped2/`: the one asked for, VADLIB_DATA, or that of `subset`."""
    if asked is not None and not (asked / "ped2").is_dir():
        sys.exit(f"{asked}: holds no folder ped2")
    for folder in (asked, os.environ.get("VADLIB_DATA"), SUBSET):
        if folder and (Path(folder) / "ped2").is_dir():
            return Path(folder).resolve()
    return None


def run_part(name: str, device: str, limit: float, root: Path | None) -> dict:
    """Run one part in a process of its own; kill it, and all that it started, at its limit.

    Returns:
        status ("done", "skipped" or "failed"), seconds, result (of a failed part what there was of
        it) and, of a failed part, error.
    """
    folder = BUILD / "work" / name
    folder.mkdir(parents=True)
    result_path, log_path = folder / "result.json", folder / "output.txt"
    environment = os.environ | {"VADLIB_CACHE": str(BUILD / "work" / "cache")}
    # vadlib need not be installed.
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    command = [sys.executable, str(SCRIPT), name, device]
    command += [str(folder / "files"), str(result_path)]
    command += [str(root)] if root and device == "cuda" else []  # shortened, the street will do
    started = time.monotonic()
    with log_path.open("w", encoding="utf-8") as log:
        status = wait_for(command, environment, log, limit)
    part = {"status": "done", "seconds": round(time.monotonic() - started, 1)}
    result = json.loads(result_path.read_text(encoding="utf-8")) if result_path.is_file() else {}
    if status is None:
        part |= {"status": "failed", "error": f"stopped at its limit of {limit} s"}
    elif status != 0:
        lines = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        part |= {"status": "failed", "error": lines[-1] if lines else f"status {status}"}
    elif "fault" in result:
        part |= {"status": "failed", "error": result.pop("fault")}
    elif "not_run" in result:
        part |= {"status": "skipped", "reason": result.pop("not_run")}
    return part | {"result": result}


def wait_for(command: list[str], environment: dict, log: object, limit: float) -> int | None:
    """Return the exit status of a command; None if it was killed at its limit."""
    posix = os.name == "posix"
    options = {"stdout": log, "stderr": subprocess.STDOUT, "start_new_session": posix}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, **options)
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL) if posix else process.kill()
            process.wait()


def describe_part(part: dict) -> str:
    """Return how a part ended, in one line."""
    detail = part.get("error") or part.get("reason")
    text = f"{part['status']}, {part['seconds']:.0f} s"
    return f"{text}: {detail}" if detail else text


def git_commit() -> str | None:
    """Return the commit of the working tree, with "+" if files differ from it; None without git."""
    git = shutil.which("git")
    if git is None:
        return None
    options = {"cwd": ROOT, "capture_output": True, "text": True}
    commit = subprocess.run([git, "rev-parse", "--short=12", "HEAD"], **options)
    changes = subprocess.run([git, "status", "--porcelain"], **options)
    if commit.returncode:
        return None
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")


def default_path(report: dict) -> Path:
    """Return the path of a report: a GPU's beside the others, a shortened one in build/gpu."""
    machine = report["machine"]["result"]
    if report["shortened"]:
        return BUILD / f"{machine.get('type', 'unknown')}.json"
    name = re.sub(r"[^a-z0-9]+", "-", machine.get("device", "unknown").lower())
    return REPORTS / f"{name.strip('-')}.json"


def table(arguments: argparse.Namespace) -> None:
    """Write the rows of all reports into docs/gpu.md."""
    text = replace_rows(PAGE.read_text(encoding="utf-8"), markdown_table(read_reports()))
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    print(f"{PAGE.relative_to(ROOT)} shows the reports of {REPORTS.relative_to(ROOT)}")


def read_reports(folder: Path = REPORTS) -> list[dict]:
    """Return the reports of a folder, in the order of their files' names."""
    reports = []
    for path in sorted(folder.glob("*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        if report.get("version") != VERSION:
            sys.exit(f"{path}: version {report.get('version')}; expected {VERSION}: measure again")
        if report["shortened"]:
            sys.exit(f"{path}: a shortened report, of a machine without a GPU; remove it")
        reports.append(report)
    return reports


def replace_rows(text: str, rows: str) -> str:
    """Return the text with new rows between the two markers."""
    pieces = re.split(f"({re.escape(BEGIN)}\n|{re.escape(END)})", text)
    if len(pieces) != 5:
        sys.exit(f"{PAGE}: expected one line {BEGIN} and one {END}, in this order")
    pieces[2] = f"\n{rows}\n\n"
    return "".join(pieces)


def markdown_table(reports: list[dict]) -> str:
    """Return one row for each report; without any, a row that says so."""
    titles = ["GPU", "software", *(column.title for column in COLUMNS)]
    rows = []
    for report in reports:
        rows.append(machine_cells(report) + [cell(report, column) for column in COLUMNS])
    if not rows:
        rows = [["none yet", *("not measured" for _ in titles[1:])]]
    lines = [titles, ["---" for _ in titles], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine_cells(report: dict) -> list[str]:
    """Return the device's name, and the software, date and commit that it was measured with."""
    machine = report["machine"]["result"]
    versions = [f"{name} {machine.get(name.lower())}" for name in ("torch", "CUDA", "driver")]
    when = f"{report['date'][:10]}, commit {report['commit'] or 'unknown'}"
    return [str(machine.get("device")), f"{', '.join(versions)}; {when}"]


def cell(report: dict, column: Column) -> str:
    """Return a column's text for a report: numbers, or that there are none."""
    part = report["parts"].get(column.part, {"status": "not measured"})
    return column.text(part["result"]) if part["status"] == "done" else part["status"]


def tests_text(result: dict) -> str:
    """Return how many tests passed and were skipped."""
    return f"{result['passed']} passed, {result['skipped']} skipped"


def training_text(result: dict) -> str:
    """Return what was trained, and how fast."""
    data = f"{result['data']}, {result['train_videos']} videos, {result['epochs']} epochs"
    speed = f"{result['clips_per_second']:.0f} clips/s, {result['training_seconds']:.0f} s"
    return f"{data}: {speed}"


def auc_text(result: dict) -> str:
    """Return the raw AUC and the number of test videos."""
    return f"{result['micro_auc_raw']:.3f} ({result['test_videos']} test videos)"


def bench_text(result: dict) -> str:
    """Return the ratios of training and scoring to the published recipe."""
    compact = f"`compact` {result['train_ratio']:.1f} x, {result['score_ratio']:.1f} x"
    fast = f"`fast` {result['fast_train_ratio']:.1f} x, {result['fast_score_ratio']:.1f} x"
    return f"{compact}; {fast}"


def memory_text(result: dict) -> str:
    """Return the peak memory of training steps, for each preset and precision."""
    texts = []
    for row in result["rows"]:
        if row["peak_bytes"]:
            size = f"{row['peak_bytes'] / 1e9:.1f} GB"
            texts.append(f"{size} (`{row['preset']}`, {row['precision']})")
    return ", ".join(texts) or "not measured"


def resume_text(result: dict) -> str:
    """Return whether a resumed training has the bytes of an undisturbed one."""
    if result["resumed"]["equal"]:
        return "equal"
    resumed, repeated = result["resumed"], result["repeated"]
    texts = [f"weights differ by up to {resumed['largest_difference']:.0e}"]
    difference = repeated["largest_difference"]
    texts.append(f"those of a repetition without a kill by {difference:.0e}")
    if result["without_deterministic_form"]:
        texts.append(f"not deterministic: {', '.join(result['without_deterministic_form'])}")
    return "; ".join(texts)


def precision_text(result: dict) -> str:
    """Return bf16's speed, final errors and gradients beside float32's, for each preset."""
    texts = []
    for preset, measured in result.items():
        final = [measured[name]["final_error"] for name in ("bf16", "fp32")]
        errors = f"{final[0]:.4f} against {final[1]:.4f}"
        worst = f"gradients differ by up to {measured['gradients']['bf16']['largest']:.1%}"
        texts.append(f"`{preset}` {measured['speedup']:.2f} x, error {errors}, {worst}")
    return "; ".join(texts)


COLUMNS = [
    Column("device tests", "tests", tests_text),
    Column("training of `fast`", "training", training_text),
    Column("raw AUC", "training", auc_text),
    Column("`vadlib bench`: training, scoring", "bench", bench_text),
    Column("peak memory", "memory", memory_text),
    Column("resumed after a kill", "resume", resume_text),
    Column("the same, deterministic", "resume_deterministic", resume_text),
    Column("bf16 against float32", "precision", precision_text),
]


def subset(arguments: argparse.Namespace) -> None:
    """Write 8 training and 4 test videos of Ped2 as grey JPEG, with labels and masks."""
    source = arguments.root or os.environ.get("VADLIB_DATA")
    if not source or not (Path(source) / "ped2" / "training" / "frames").is_dir():
        sys.exit(f"{source}: expected a folder that holds ped2/training/frames/01/000.jpg ...")
    size = write_subset(Path(source) / "ped2", SUBSET / "ped2")
    print(f"{SUBSET / 'ped2'}: {size / 2**20:.1f} MB. Do not publish it: Ped2 is not ours")


def write_subset(source: Path, target: Path) -> int:
    """Write the subset again and return its size in bytes.

    Args:
        source: a copy of Ped2 in the community layout.
        target: the folder to replace.
    """
    from PIL import Image

    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for labels in ("ped2.mat", "frame_labels_ped2.npy"):
        if (source / labels).is_file():
            shutil.copy(source / labels, target)
    splits = {"training/frames": SUBSET_TRAINING, "testing/frames": SUBSET_TESTING}
    for split, numbers in splits.items():
        for number in numbers:
            folder = target / split / f"{number:02d}"
            folder.mkdir(parents=True)
            for path in sorted((source / split / f"{number:02d}").iterdir()):
                with Image.open(path) as picture:
                    picture.convert("L").save(folder / f"{path.stem}.jpg", quality=SUBSET_QUALITY)
    for number in SUBSET_TESTING:
        masks = source / "testing" / "masks" / f"{number:02d}"
        if masks.is_dir():
            shutil.copytree(masks, target / "testing" / "masks" / f"{number:02d}")
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    commands = parser.add_subparsers(required=True)
    measuring = commands.add_parser("measure", help="a report of this machine")
    measuring.add_argument("--out", type=Path, help="path of the report")
    measuring.add_argument("--device", choices=("cuda", "mps", "cpu"), help="default: the best")
    measuring.add_argument("--root", type=Path, help="folder that holds ped2/")
    measuring.add_argument("--commit", help="commit to name in the report; default: git's")
    measuring.set_defaults(command=measure)
    commands.add_parser("table", help="write the rows of docs/gpu.md").set_defaults(command=table)
    copying = commands.add_parser("subset", help="a small grey copy of Ped2")
    copying.add_argument("--root", type=Path, help="folder that holds ped2/; default: VADLIB_DATA")
    copying.set_defaults(command=subset)
    arguments = parser.parse_args()
    arguments.command(arguments)


if __name__ == "__main__":
    main()
