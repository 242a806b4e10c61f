"""Tables of a recording as tab-separated text that loses no digit.

Only the standard library and numpy are needed, so that every client environment can write them.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spikeline.errors import InputError


def write_columns(path: str | os.PathLike[str], columns: Mapping[str, np.ndarray]) -> None:
    """Write columns of one length; numbers as the shortest text that reads back the same."""
    values = [np.asarray(column).tolist() for column in columns.values()]
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*values, strict=True))


def read_columns(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Columns by name: float64 where every field is a number or nan, else str.

    Raises:
        InputError: missing, or rows of different length.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; fetch the recording again")
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            header, *rows = csv.reader(handle, delimiter="\t")
    except (ValueError, csv.Error):
        raise InputError(f"{path}: is not a table; fetch the recording again") from None
    if any(len(row) != len(header) for row in rows):
        raise InputError(f"{path}: has rows of different length; fetch the recording again")
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return {name: _parsed(fields) for name, fields in zip(header, columns, strict=True)}


def _parsed(fields: tuple[str, ...]) -> np.ndarray:
    try:
        return np.asarray([float(field) for field in fields], np.float64)
    except ValueError:
        return np.asarray(fields, np.str_)
