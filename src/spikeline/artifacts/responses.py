"""Responses: one subject's response to every image, its test rows and its electrode table.

| field | shape | dtype | unit |
|---|---|---|---|
| values | (rows, electrodes) | float32 | the source's own (z-score, spike count) |
| images | (rows,) | str | name of the image, with '/' |
| categories | (rows,) | str | concept, '' where unknown |
| test | (splits, rows) | bool | True: a test row of that split; the rest are its training rows |
| repetitions | (repetitions, test rows, electrodes) | float32 | as values; only beside one split |
| electrodes/region | (electrodes,) | str | visual area |
| electrodes/snr, reliability, oracle | (electrodes,) | float32 | ratio, r, r; NaN where unknown |
| electrodes/channel | (electrodes,) | int32 | 0-based column in the source |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.hdf5 import numbers, opened, require, strings, written
from spikeline.errors import InputError

CONTRACT = "responses/1"
# Means are taken in other precisions and orders by the sources.
MEAN_TOLERANCE = 1e-3
ELECTRODE_NUMBERS = {
    "snr": np.float32,
    "reliability": np.float32,
    "oracle": np.float32,
    "channel": np.int32,
}


@dataclass(frozen=True)
class Responses:
    """See the module's table for shapes and units."""

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
    check(responses, str(path))
    with written(path, CONTRACT, record) as handle:
        handle["values"] = np.asarray(responses.values, np.float32)
        handle["test"] = np.asarray(responses.test, bool)
        for name in ("images", "categories"):
            handle.create_dataset(name, data=_text(getattr(responses, name)))
        if responses.repetitions is not None:
            handle["repetitions"] = np.asarray(responses.repetitions, np.float32)
        table = handle.create_group("electrodes")
        table.create_dataset("region", data=_text(responses.electrodes["region"]))
        for name, dtype in ELECTRODE_NUMBERS.items():
            table[name] = np.asarray(responses.electrodes[name], dtype)


def read(path: str | os.PathLike[str]) -> Responses:
    """Read and check against the contract."""
    with opened(path, CONTRACT) as handle:
        names = ["values", "images", "categories", "test", "electrodes/region"]
        require(handle, names + [f"electrodes/{name}" for name in ELECTRODE_NUMBERS], path)
        responses = Responses(
            values=numbers(handle["values"]),
            images=strings(handle["images"]),
            categories=strings(handle["categories"]),
            test=numbers(handle["test"]),
            repetitions=numbers(handle["repetitions"]) if "repetitions" in handle else None,
            electrodes={
                "region": strings(handle["electrodes/region"]),
                **{name: numbers(handle[f"electrodes/{name}"]) for name in ELECTRODE_NUMBERS},
            },
        )
    check(responses, str(path))
    return responses


def check(responses: Responses, where: str) -> None:
    """Raise InputError, naming `where`, on any breach of the contract."""
    values, test = responses.values, responses.test
    if values.ndim != 2 or 0 in values.shape:
        raise InputError(f"{where}: values have shape {values.shape}; rows x electrodes are due")
    missing = [n for n in ("region", *ELECTRODE_NUMBERS) if n not in responses.electrodes]
    if missing:
        raise InputError(f"{where}: field electrodes/{missing[0]} is missing")
    if test.ndim != 2 or test.dtype != bool or not len(test):
        raise InputError(
            f"{where}: test is {test.dtype} of shape {test.shape}; bool, splits x rows, is due"
        )
    rows, electrodes = values.shape
    lengths = {
        "images": (len(responses.images), rows),
        "categories": (len(responses.categories), rows),
        "test": (test.shape[-1], rows),
        **{f"electrodes/{k}": (len(v), electrodes) for k, v in responses.electrodes.items()},
    }
    for name, (found, due) in lengths.items():
        if found != due:
            raise InputError(f"{where}: {name} has length {found} where {due} is due")
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=0))
        raise InputError(f"{where}: values of electrode column(s) {_few(bad)} are not finite")
    if not test.any(axis=1).all() or test.all(axis=1).any():
        raise InputError(f"{where}: each split needs test images and training images")
    for split in test:
        names = responses.images[split]
        if len(set(names)) != len(names):
            raise InputError(f"{where}: the test images of a split are not distinct")
    if responses.repetitions is not None:
        due = (test[0].sum(), electrodes)
        shape = responses.repetitions.shape
        if len(test) != 1 or shape[1:] != due or not shape[0]:
            raise InputError(
                f"{where}: repetitions have shape {shape}; "
                f"(repetitions, {due[0]}, {due[1]}) beside one split is due"
            )
        if not np.isfinite(responses.repetitions).all():
            raise InputError(f"{where}: repetitions are not finite")
        mean = responses.repetitions.mean(axis=0)
        if not np.allclose(mean, values[test[0]], rtol=MEAN_TOLERANCE, atol=MEAN_TOLERANCE):
            raise InputError(f"{where}: the mean of the repetitions is not the test rows' values")


def _few(items: np.ndarray, most: int = 5) -> str:
    shown = ", ".join(map(str, items[:most]))
    return shown + (f" and {len(items) - most} more" if len(items) > most else "")


def _text(values: np.ndarray) -> np.ndarray:
    import h5py

    return np.asarray([str(v) for v in values], dtype=h5py.string_dtype())
