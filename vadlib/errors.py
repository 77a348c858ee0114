"""`InputError`: invalid data, runs or values, as opposed to bugs in vadlib."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

# Every code of an `InputError`, and what it means. Codes are stable; the wording of messages may
# change.
CODES = {
    # values
    "out-of-range": "a number, size or position outside its range",
    "unknown-name": "a name that is not in its list, such as a preset, a dataset or a scene",
    "unknown-key": "a key or option that does not exist",
    "wrong-type": "a value of another type than expected",
    "wrong-shape": "an array or frame of another shape, size or number of channels than expected",
    "wrong-format": "text or bytes that cannot be parsed, such as invalid JSON or a malformed URL",
    "conflict": "two values or settings that do not fit together",
    "duplicate-name": "two things with the same name",
    "too-few": "fewer videos, clips, frames, runs or words than needed",
    "too-short": "a video shorter than a clip",
    "nothing-to-do": "an empty selection: no clip, box or frame of the requested kind",
    # files
    "missing-file": "a file or folder that does not exist",
    "empty-file": "a file without content",
    "damaged-file": "a file that is truncated or corrupt",
    "wrong-kind-of-file": "a file of another type, or a file where a folder is expected",
    "changed-file": "a file that was changed, moved or removed since it was loaded",
    "not-readable": "a file or folder that the operating system does not let us read",
    "not-writable": "a file or folder that the operating system does not let us write",
    "disk-full": "not enough room on the disk",
    "already-exists": "a file or run that would be overwritten",
    # datasets
    "git-lfs-pointer": "a pointer of Git LFS in place of a file",
    "pickle": "a Python pickle, which is never loaded",
    "missing-frame": "a clip that lacks frames",
    "mixed-sizes": "frames or masks of different sizes in one video",
    "frame-count": "a video that declares another number of frames than it holds",
    "missing-labels": "test videos or clips without the labels that are needed",
    "labels-without-frames": "labels for which there are no frames",
    "label-length": "labels or masks whose number differs from the number of frames",
    "label-values": "labels other than 0 and 1, or intervals outside the video",
    "unexpected-clip": "a clip or file that the dataset does not know",
    # runs
    "not-a-run": "a folder that does not hold a run, or not all of it",
    "other-run": "weights, a checkpoint, a calibration or scores of another run or configuration",
    "diverged": "a training whose loss or weights are not finite",
    # the machine
    "not-available": "a device, precision, compiler or package that this machine does not have",
    "out-of-memory": "more memory needed than there is",
    "download": "a download that failed, or a file with another checksum than expected",
}

Place = str | Path | None


class InputError(ValueError):
    """Report bad input. The message names the file or value, what was expected, what was found, and
    how to fix it.

    The command line prints it as one line and exits with status 1. Every other exception is a bug
    of ours and keeps its traceback.

    Args:
        message: one line of text. Its wording may change; test `code`, `file` and `field` instead.
        code: a key of `CODES`.
        file: the file or folder at fault, if there is one.
        field: the setting, argument or column at fault, such as "TrainConfig.epochs" or "--root";
            "" if there is none.
    """

    def __init__(self, message: str, code: str, *, file: Place = None, field: str = ""):
        super().__init__(message)
        self.code = code
        self.file = None if file is None else Path(file)
        self.field = field


def require(ok: bool, message: str, code: str, *, file: Place = None, field: str = "") -> None:
    """Raise `InputError(message, code, file=file, field=field)` unless a condition is met."""
    if not ok:
        raise InputError(message, code, file=file, field=field)


def require_known(value: object, known: Collection[object], what: str, *, field: str = "") -> None:
    """Raise `InputError` with the code "unknown-name" unless the value is one of the known ones.

    Args:
        value: the name to look for.
        known: the names to choose from; the message lists them.
        what: the sort of name for the message, such as "preset".
        field: the setting, argument or option at fault; "" means that it is called `what`.
    """
    message = f"{what} {value!r} is unknown; expected one of: {', '.join(map(str, known))}"
    require(value in list(known), message, "unknown-name", field=field or what)
