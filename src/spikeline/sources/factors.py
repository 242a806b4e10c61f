"""Factors that generated a simulated image: a table with one row per image.

Tab-separated with a header: `things_path` (the image's name), `split` (train or test), and one
column for each factor, such as `shape`, with the names of its levels.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from spikeline.errors import InputError
from spikeline.sources.text_tables import read_rows

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
    columns, numbered = read_rows(path, "give a table of factors")
    factors = [name for name in columns if name not in (IMAGE, SPLIT)]
    if not {IMAGE, SPLIT} <= set(columns) or not factors:
        raise InputError(
            f"{path}: expected tab-separated columns {IMAGE}, {SPLIT} and a factor, got "
            f"{', '.join(columns[:4]) or 'none'}"
        )
    for number, row in numbered:
        if not all(row[name] for name in columns) or row[SPLIT] not in ("train", "test"):
            raise InputError(f"{path}: line {number} lacks a value, or its split is unknown")
    rows = [row for _, row in numbered]
    images = np.asarray([row[IMAGE] for row in rows], dtype=object)
    if len(set(images)) < len(images):
        raise InputError(f"{path}: names an image twice; keep one row for each")
    test = np.asarray([row[SPLIT] == "test" for row in rows], dtype=bool)
    if test.all() or not test.any():
        raise InputError(f"{path}: expected images of both splits, train and test")
    levels = {name: np.asarray([row[name] for row in rows], dtype=object) for name in factors}
    return Factors(images, test, levels)
