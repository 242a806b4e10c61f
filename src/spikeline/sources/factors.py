"""Factors that generated a simulated image: a table with one row per image.

Tab-separated with a header: `things_path` (the image's name), `split` (train or test), and one
column for each factor, such as `shape`, with the names of its levels.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikeline.errors import InputError

IMAGE, SPLIT = "things_path", "split"


@dataclass(frozen=True)
class Factors:
    """A table of factors.

    Attributes:
        images: (images,) names.
        test: bool (images,), the images of the test.
        levels: {factor: (images,) names of its levels}.
    """

    images: np.ndarray
    test: np.ndarray
    levels: dict[str, np.ndarray]

    def by_image(self) -> dict[str, dict[str, str]]:
        """{factor: {image: level}}."""
        return {
            factor: dict(zip(self.images, names, strict=True))
            for factor, names in self.levels.items()
        }


def read_factors(path: str | os.PathLike[str]) -> Factors:
    """Read such a table.

    Raises:
        InputError: missing, no text, without these columns, an empty cell, an image twice, or a
            split without images.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a table of factors") from None
    except (OSError, ValueError):
        raise InputError(f"{path}: is not UTF-8 text; give a tab-separated table") from None
    reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    columns = reader.fieldnames or []
    factors = [name for name in columns if name not in (IMAGE, SPLIT)]
    if not {IMAGE, SPLIT} <= set(columns) or not factors:
        raise InputError(
            f"{path}: expected tab-separated columns {IMAGE}, {SPLIT} and a factor, got "
            f"{', '.join(columns[:4]) or 'none'}"
        )
    rows = list(reader)
    for number, row in enumerate(rows, 2):
        if not all(row[name] for name in columns) or row[SPLIT] not in ("train", "test"):
            raise InputError(f"{path}: line {number} lacks a value, or its split is unknown")
    images = np.asarray([row[IMAGE] for row in rows], dtype=object)
    if len(set(images)) < len(images):
        raise InputError(f"{path}: names an image twice; keep one row for each")
    test = np.asarray([row[SPLIT] == "test" for row in rows], dtype=bool)
    if test.all() or not test.any():
        raise InputError(f"{path}: expected images of both splits, train and test")
    levels = {name: np.asarray([row[name] for row in rows], dtype=object) for name in factors}
    return Factors(images, test, levels)
