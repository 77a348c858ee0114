"""The ablation's table as a file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from vadlib.errors import InputError, require
from vadlib.files import atomic, expand_home
from vadlib.model.run import PRETRAINED

TEXT = ("row", "data")  # columns of words; all others hold numbers


def write_ablation(path: Path, table: Sequence[dict]) -> None:
    """Write the table as CSV, atomically; None becomes an empty field."""
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file, list(dict.fromkeys(key for row in table for key in row)), restval=""
        )
        writer.writeheader()
        writer.writerows(table)


def read_ablation(path: str | Path | None = None) -> list[dict]:
    """The table that `vadlib ablate` wrote, a dict a row; see `vadlib.ablation.ablate` for its
    columns. Empty fields are None.

    Args:
        path: its `ablation.csv`; None: the table of Ped2 that ships with vadlib.

    Raises:
        InputError: no such file, or not such a table.
    """
    path = expand_home(path or PRETRAINED / "ablation.csv")
    require(
        path.is_file(),
        f"{path}: no such file; expected a table written by `vadlib ablate`",
        "missing-file",
        file=path,
    )
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = [
                {
                    key: value if key in TEXT else float(value) if value else None
                    for key, value in row.items()
                }
                for row in csv.DictReader(file)
            ]
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: not a table of an ablation ({error}); write it again with `vadlib ablate`",
            "wrong-format",
            file=path,
        ) from error
    require(
        bool(table) and "row" in table[0],
        f"{path}: no column 'row', or no rows; write it again with `vadlib ablate`",
        "wrong-format",
        file=path,
        field="row",
    )
    return table
