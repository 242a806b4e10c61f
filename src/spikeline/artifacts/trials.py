"""Trials: every presentation to one subject in time bins, in the order of the source's file.

Half precision keeps 11 bits of a number, too few for a small response on a large baseline. So an
electrode's values are stored less its offset and over its scale, both of the first presentations.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.artifacts.responses import check_edges
from spikeline.errors import InputError

NORMALISATIONS = ("published", "training")
_OF_DAY = "of the means of an electrode on a day, NaN where there are too few"


def _check_rows(values: Mapping[str, Any], where: str) -> None:
    if ((values["train_row"] < 0) == (values["test_row"] < 0)).any():
        raise InputError(f"{where}: a presentation is of no image, or of two")
    days = len(values["published"]["offset"])
    if not values["told"][values["test_row"] >= 0].all():
        raise InputError(f"{where}: field told leaves out a presentation of a test image")
    if values["day"].min() < 0 or values["day"].max() >= days:
        raise InputError(f"{where}: field day points outside the {days} days")


CONTRACT = Contract(
    "trials/2",
    fields=(
        Field(
            "values", "float16", ("presentations", "bins", "electrodes"),
            "mean over the bin, less the electrode's offset, over its scale; NaN where unknown",
        ),
        Field(
            "means", "float64", ("presentations", "electrodes"),
            "the source's own unit, over the published window; NaN where a sample is unknown",
        ),
        Field("edges", "float32", ("edges",), "ms after stimulus onset, between and around bins"),
        Field("train_row", "int32", ("presentations",), "training image, from 0; -1 for a test's"),
        Field("test_row", "int32", ("presentations",), "test image, from 0; -1 for a training's"),
        Field("repetition", "int32", ("presentations",), "of a test image, from 0"),
        Field("day", "int32", ("presentations",), "row of published and training"),
        Field("told", "bool", ("presentations",), "usable electrodes are finite throughout"),
        Field("electrodes/region", "str", ("electrodes",), "visual area"),
        Field("electrodes/usable", "bool", ("electrodes",), "finite in all told, not constant"),
        Field("electrodes/offset", "float64", ("electrodes",), "of values, as means", finite=True),
        Field("electrodes/scale", "float64", ("electrodes",), "of values, as means", finite=True),
        *(
            Field(f"{name}/{what}", "float64", ("days", "electrodes"), f"{text} {_OF_DAY}")
            for name in NORMALISATIONS
            for what, text in (("offset", "mean"), ("scale", "standard deviation"))
        ),
    ),
    rules=(check_edges, _check_rows),
)  # fmt: skip


@dataclass(frozen=True)
class Trials:
    """See CONTRACT for dims and units. `published` scales by test images, `training` by training.

    Attributes:
        values: a read-only np.memmap of the file.
        means: the same.
        published, training: `offset` and `scale`, each (days, electrodes).
    """

    values: np.ndarray
    means: np.ndarray
    edges: np.ndarray
    train_row: np.ndarray
    test_row: np.ndarray
    repetition: np.ndarray
    day: np.ndarray
    told: np.ndarray
    electrodes: Mapping[str, np.ndarray]
    published: Mapping[str, np.ndarray]
    training: Mapping[str, np.ndarray]


def read(path: str | os.PathLike[str]) -> Trials:
    """Open and check; presentations stay on disk until they are used.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    return Trials(**CONTRACT.read(path, mapped=("values", "means")))
