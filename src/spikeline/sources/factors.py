"""Factors of images, such as the shape of the object: a table with one row per image.

Tab-separated with a header: `things_path` (the image's name) and one column for each factor with
the names of its levels. A column `split` (train or test) is none; only training a classifier of
the factors reads it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikeline.errors import InputError
from spikeline.sources.text_tables import read_rows

IMAGE, SPLIT = "things_path", "split"


@dataclass(frozen=True)
class Factors:
    """A table of factors.

    Attributes:
        images: (images,) names.
        levels: {factor: (images,) names of its levels}.
        test: bool (images,), the images of the test; None where the table does not say.
    """

    images: np.ndarray
    levels: dict[str, np.ndarray]
    test: np.ndarray | None = None

    def by_image(self) -> dict[str, dict[str, str]]:
        """{factor: {image: level}}."""
        return {
            factor: dict(zip(self.images, names, strict=True))
            for factor, names in self.levels.items()
        }

    def only(self, wanted: Sequence[str], where: str | os.PathLike[str]) -> Factors:
        """Some of the factors.

        Raises:
            InputError: the table, which is called `where`, has no such column.
        """
        for name in wanted:
            if name not in self.levels:
                raise InputError(
                    f"{where}: has no column {name!r}, only {', '.join(self.levels)}; correct "
                    "`factors`"
                )
        return replace(self, levels={name: self.levels[name] for name in wanted})

    def of(self, names: np.ndarray, where: str | os.PathLike[str]) -> dict[str, np.ndarray]:
        """{factor: (n,)} levels of named images.

        Raises:
            InputError: the table, which is called `where`, lacks an image.
        """
        known = {name: row for row, name in enumerate(self.images)}
        missing = [name for name in names if name not in known]
        if missing:
            raise InputError(
                f"{where}: lacks {len(missing)} of the images, {missing[0]!r} among them; add a "
                "row for each"
            )
        rows = np.array([known[name] for name in names], dtype=int)
        return {factor: levels[rows] for factor, levels in self.levels.items()}


def read_factors(path: str | os.PathLike[str], *, with_split: bool = False) -> Factors:
    """Read such a table.

    Args:
        with_split: whether its column `split` is needed.

    Raises:
        InputError: missing, no text, without these columns, an empty cell, an image twice, or,
            where it is needed, a split without images.
    """
    columns, numbered = read_rows(path, "give a table of factors")
    factors = [name for name in columns if name not in (IMAGE, SPLIT)]
    needed = [IMAGE, SPLIT] if with_split else [IMAGE]
    if not set(needed) <= set(columns) or not factors:
        raise InputError(
            f"{path}: expected tab-separated columns {', '.join(needed)} and a factor, got "
            f"{', '.join(columns[:4]) or 'none'}"
        )
    rows = []
    for number, row in numbered:
        if not all(row[name] for name in (IMAGE, *factors)):
            raise InputError(f"{path}: line {number} lacks a value; give one for each column")
        if with_split and row[SPLIT] not in ("train", "test"):
            raise InputError(f"{path}: line {number} has an unknown split; give train or test")
        rows.append(row)
    images = np.asarray([row[IMAGE] for row in rows], dtype=object)
    if len(set(images)) < len(images):
        raise InputError(f"{path}: names an image twice; keep one row for each")
    if not rows:
        raise InputError(f"{path}: has no row; give one for each image")
    levels = {name: np.asarray([row[name] for row in rows], dtype=object) for name in factors}
    if not with_split:
        return Factors(images, levels)
    test = np.asarray([row[SPLIT] == "test" for row in rows], dtype=bool)
    if test.all() or not test.any():
        raise InputError(f"{path}: expected images of both splits, train and test")
    return Factors(images, levels, test)
