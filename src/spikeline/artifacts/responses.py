"""Responses: one subject's response to every image, its test rows and its electrode table.

A response is one number per electrode, or one per time bin and electrode. In memory both are rows
of columns: time bins lie side by side, and the electrode table says of which bin a column is. So a
model that knows nothing of time reads them all as it reads electrodes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from spikeline.artifacts.formats import hdf5
from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.errors import InputError

# Means are taken in other precisions and orders by the sources.
MEAN_TOLERANCE = 1e-3
# Column of the electrode table in memory: the time bin, counted from 0.
BIN = "bin"


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
            f"(repetitions, test rows={test[0].sum()}, {_dims(values['values'])})"
        )
    mean = repetitions.mean(axis=0, dtype=np.float32)
    rows = values["values"][test[0]]
    # Half precision rounds to 2^-11 of a value.
    tolerance = 4 * MEAN_TOLERANCE if rows.dtype == np.float16 else MEAN_TOLERANCE
    if not np.allclose(mean, rows, rtol=tolerance, atol=tolerance):
        raise InputError(f"{where}: the mean of field repetitions is not the test rows' values")


def _dims(values: np.ndarray) -> str:
    """The axes of responses after their rows."""
    names = ("bins", "electrodes")[-(values.ndim - 1) :]
    return ", ".join(f"{name}={n}" for name, n in zip(names, values.shape[1:], strict=True))


def check_edges(values: Mapping[str, Any], where: str) -> None:
    """Raise InputError where `edges` are not those of the bins of `values`, its second axis."""
    edges, bins = values["edges"], values["values"].shape[1]
    if len(edges) != bins + 1 or not (np.diff(edges) > 0).all():
        raise InputError(
            f"{where}: field edges has {len(edges)} values, expected {bins + 1} that ascend, one "
            f"more than the {bins} bins"
        )


def _fields(dtype: str, *dims: str) -> tuple[Field, ...]:
    """The fields of a contract whose responses have these dims."""
    return (
        Field(
            "values", dtype, ("rows", *dims),
            "the source's own, a z-score or spike count", finite=True,
        ),
        Field("images", "str", ("rows",), "name of the image, with '/'"),
        Field("categories", "str", ("rows",), "concept, '' where unknown"),
        Field("test", "bool", ("splits", "rows"), "test rows of each split, the others train"),
        Field(
            "source_rows", "int32", ("rows",),
            "row among the source's training or test images; only where it has rows besides",
        ),
        Field(
            "repetitions", dtype, ("repetitions", "test rows", *dims),
            "single presentations of the test rows, as values; only with one split", finite=True,
        ),
        Field("electrodes/region", "str", ("electrodes",), "visual area"),
        Field("electrodes/snr", "float32", ("electrodes",), "ratio, NaN where unknown"),
        Field("electrodes/reliability", "float32", ("electrodes",), "mean r, NaN where unknown"),
        Field("electrodes/oracle", "float32", ("electrodes",), "r, NaN where unknown"),
        Field("electrodes/channel", "int32", ("electrodes",), "0-based column in the source"),
    )  # fmt: skip


CONTRACT = Contract(
    "responses/1",
    fields=_fields("float32", "electrodes"),
    optional=("repetitions", "source_rows"),
    rules=(_check_splits, _check_repetitions),
)
TIME_CONTRACT = Contract(
    "time_responses/1",
    fields=(
        *_fields("float16", "bins", "electrodes"),
        Field("edges", "float32", ("edges",), "ms after stimulus onset, between and around bins"),
    ),
    optional=("repetitions", "source_rows"),
    rules=(_check_splits, _check_repetitions, check_edges),
)


@dataclass(frozen=True)
class Responses:
    """See CONTRACT for dims and units.

    Attributes:
        values: (rows, columns): a column is an electrode or, where there are time bins, a bin of an
            electrode: column `bin * electrodes + electrode`.
        electrodes: name -> (columns,) values; with time bins also `bin`.
        repetitions: (repetitions, test rows, columns), or None.
        edges: (bins + 1,) ms after stimulus onset; None where responses are means over time.
        source_rows: (rows,) or None, where the source has no others.
    """

    values: np.ndarray
    images: np.ndarray
    categories: np.ndarray
    test: np.ndarray
    electrodes: Mapping[str, np.ndarray]
    repetitions: np.ndarray | None = None
    edges: np.ndarray | None = None
    source_rows: np.ndarray | None = None

    def split(self, seed: int) -> np.ndarray:
        """(rows,) bool, the test rows that a seed works with: split `seed` modulo the splits."""
        return self.test[seed % len(self.test)]

    def test_values(self, seed: int, repetitions: np.ndarray | None = None) -> np.ndarray:
        """(test rows, columns): means over all repetitions, or over the chosen ones."""
        if repetitions is None:
            return self.values[self.split(seed)]
        return self.repetitions[repetitions].mean(axis=0, dtype=np.float32)

    def of_rows(self, rows: np.ndarray) -> Responses:
        """These rows, in this order; of test rows all have to be there.

        Args:
            rows: (n,) int, indices of rows.
        """
        test, repetitions = self.test[:, rows], self.repetitions
        if repetitions is not None:
            # Repetitions follow the order of the test rows.
            place = np.cumsum(self.test[0]) - 1
            repetitions = repetitions[:, place[rows[test[0]]]]
        return replace(
            self,
            values=self.values[rows],
            images=self.images[rows],
            categories=self.categories[rows],
            test=test,
            repetitions=repetitions,
            source_rows=None if self.source_rows is None else self.source_rows[rows],
        )

    def repeated(self, chosen: slice) -> Responses:
        """These responses with some of the repetitions only; test values are their means."""
        repetitions = self.repetitions[chosen]
        values = self.values.copy()
        values[self.test[0]] = repetitions.mean(axis=0, dtype=np.float32)
        return replace(self, values=values, repetitions=repetitions)

    def without_first(self, count: int, where: str = "responses") -> Responses:
        """These responses as if the first `count` repetitions of each test image were not there.

        Raises:
            InputError: there are no single repetitions, or no others.
        """
        if not count:
            return self
        known = 0 if self.repetitions is None else len(self.repetitions)
        if count >= known:
            raise InputError(
                f"{where}: {known} single repetitions of the test images, of which "
                f"reserved_repetitions, {count}, leave none; lower it"
            )
        return self.repeated(slice(count, None))


def stored(responses: Responses) -> tuple[Contract, dict[str, Any]]:
    """The contract that these responses follow, and their values as a file holds them."""
    given = {f.name: getattr(responses, f.name) for f in fields(responses)}
    given = {name: value for name, value in given.items() if value is not None}
    if responses.edges is None:
        return CONTRACT, given
    bins = int(responses.electrodes[BIN].max()) + 1
    for name in {"values", "repetitions"} & given.keys():
        given[name] = given[name].reshape(*given[name].shape[:-1], bins, -1)
    count = given["values"].shape[-1]
    table = responses.electrodes.items()
    given["electrodes"] = {name: column[:count] for name, column in table if name != BIN}
    return TIME_CONTRACT, given


def write(path: str | os.PathLike[str], responses: Responses, record: Mapping[str, Any]) -> None:
    """Check against the contract of means or of time bins, and write with provenance."""
    contract, given = stored(responses)
    contract.write(path, given, record)


def read(path: str | os.PathLike[str]) -> Responses:
    """Read and check against the contract that the file names.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of its own.
    """
    with hdf5.opened(path) as handle:
        timed = hdf5.contract_name(handle) == TIME_CONTRACT.name
    if not timed:
        return Responses(**CONTRACT.read(path))
    given = TIME_CONTRACT.read(path)
    _, bins, count = given["values"].shape
    for name in {"values", "repetitions"} & given.keys():
        given[name] = given[name].reshape(*given[name].shape[:-2], -1)
    table = {name: np.tile(column, bins) for name, column in given["electrodes"].items()}
    given["electrodes"] = {**table, BIN: np.repeat(np.arange(bins, dtype=np.int32), count)}
    return Responses(**given)


def resolution(edges: np.ndarray | list[float] | None) -> str:
    """In words what a response is in time, by the edges of its bins."""
    if edges is None:
        return "means over time"
    edges = [float(edge) for edge in edges]
    widths = sorted(set(np.diff(edges).round(3).tolist()))
    bins = "+".join(f"{width:g}" for width in widths)
    return f"{len(edges) - 1} bins of {bins} ms from {edges[0]:g} to {edges[-1]:g} ms"
