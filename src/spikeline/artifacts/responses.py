"""Responses: one subject's response to every image, its test rows and its electrode table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.errors import InputError

# Means are taken in other precisions and orders by the sources.
MEAN_TOLERANCE = 1e-3


def _check_splits(values: Mapping[str, Any], where: str) -> None:
    test = values["test"]
    if not test.any(axis=1).all() or test.all(axis=1).any():
        raise InputError(f"{where}: each split of field test needs test rows and training rows")
    for split in test:
        names = values["images"][split]
        if len(set(names)) != len(names):
            raise InputError(f"{where}: the test images of a split are not distinct")


def _check_repetitions(values: Mapping[str, Any], where: str) -> None:
    if "repetitions" not in values:
        return
    repetitions, test = values["repetitions"], values["test"]
    if len(test) != 1:
        raise InputError(
            f"{where}: field repetitions comes with {len(test)} splits, expected one split"
        )
    if repetitions.shape[1] != test[0].sum():
        raise InputError(
            f"{where}: field repetitions has shape {repetitions.shape}, expected "
            f"(repetitions, test rows={test[0].sum()}, electrodes={repetitions.shape[2]})"
        )
    mean = repetitions.mean(axis=0)
    rows = values["values"][test[0]]
    if not np.allclose(mean, rows, rtol=MEAN_TOLERANCE, atol=MEAN_TOLERANCE):
        raise InputError(f"{where}: the mean of field repetitions is not the test rows' values")


CONTRACT = Contract(
    "responses/1",
    fields=(
        Field(
            "values", "float32", ("rows", "electrodes"),
            "the source's own, a z-score or spike count", finite=True,
        ),
        Field("images", "str", ("rows",), "name of the image, with '/'"),
        Field("categories", "str", ("rows",), "concept, '' where unknown"),
        Field("test", "bool", ("splits", "rows"), "test rows of each split, the others train"),
        Field(
            "repetitions", "float32", ("repetitions", "test rows", "electrodes"),
            "single presentations of the test rows, as values; only with one split", finite=True,
        ),
        Field("electrodes/region", "str", ("electrodes",), "visual area"),
        Field("electrodes/snr", "float32", ("electrodes",), "ratio, NaN where unknown"),
        Field("electrodes/reliability", "float32", ("electrodes",), "mean r, NaN where unknown"),
        Field("electrodes/oracle", "float32", ("electrodes",), "r, NaN where unknown"),
        Field("electrodes/channel", "int32", ("electrodes",), "0-based column in the source"),
    ),
    optional=("repetitions",),
    rules=(_check_splits, _check_repetitions),
)  # fmt: skip


@dataclass(frozen=True)
class Responses:
    """See CONTRACT for dims and units; `electrodes` is column -> values."""

    values: np.ndarray
    images: np.ndarray
    categories: np.ndarray
    test: np.ndarray
    electrodes: Mapping[str, np.ndarray]
    repetitions: np.ndarray | None = None

    def split(self, seed: int) -> np.ndarray:
        """(rows,) bool, the test rows that a seed works with: split `seed` modulo the splits."""
        return self.test[seed % len(self.test)]

    def test_values(self, seed: int, repetitions: np.ndarray | None = None) -> np.ndarray:
        """(test rows, electrodes): means over all repetitions, or over the chosen ones."""
        if repetitions is None:
            return self.values[self.split(seed)]
        return self.repetitions[repetitions].mean(axis=0)


def write(path: str | os.PathLike[str], responses: Responses, record: Mapping[str, Any]) -> None:
    """Check against the contract and write with provenance."""
    given = {name: value for name, value in vars(responses).items() if value is not None}
    CONTRACT.write(path, given, record)


def read(path: str | os.PathLike[str]) -> Responses:
    """Read and check against the contract.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    return Responses(**CONTRACT.read(path))
