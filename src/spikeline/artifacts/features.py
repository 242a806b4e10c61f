"""Reference features: 33 numbers that say what kind of unit each one is, and their normalisation.

Features of one session, raw and finite for every unit:

| field | shape | dtype | meaning |
|---|---|---|---|
| values | (units, 33) | float32 | in the order of `names`; see horizon/sessions |
| names | (33,) | str | what each column is |
| unit_ids | (units,) | str | as in the session |
| valid | (units,) | bool | enough spikes for the features that describe shape |
| reference_counts | (units,) | int64 | spikes in the reference window |
| session, reference | attributes | | name; start and end of the reference window in seconds |

Normalisation, fitted on the training sessions of a cohort:

| field | shape | dtype | meaning |
|---|---|---|---|
| mean, std | (33,) | float64 | of each feature over the units of those sessions |
| names | (33,) | str | as above |
| sessions | (sessions,) | str | the sessions it was fitted on |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.hdf5 import numbers, opened, require, strings, written
from spikeline.errors import InputError

CONTRACT = "reference-features/1"
NORMALISATION_CONTRACT = "feature-normalisation/1"
ISI_BINS = 20
LAGS = 10
NAMES = (
    "log_rate",
    "log_isi_cv",
    *(f"isi_{index:02d}" for index in range(ISI_BINS)),
    *(f"autocorrelation_{index:02d}" for index in range(1, LAGS + 1)),
    "fano",
)


@dataclass(frozen=True)
class Features:
    """See the module's first table."""

    values: np.ndarray
    unit_ids: np.ndarray
    valid: np.ndarray
    reference_counts: np.ndarray
    session: str
    reference: tuple[float, float]
    names: tuple[str, ...] = NAMES

    @property
    def reference_s(self) -> float:
        """Length of the reference window in seconds."""
        return self.reference[1] - self.reference[0]


@dataclass(frozen=True)
class Normalisation:
    """See the module's second table."""

    mean: np.ndarray
    std: np.ndarray
    sessions: tuple[str, ...]
    names: tuple[str, ...] = NAMES


def write(path: str | os.PathLike[str], features: Features, record: Mapping[str, Any]) -> None:
    """Check against the contract and write with provenance."""
    check(features, str(path))
    with written(path, CONTRACT, record) as handle:
        handle["values"] = np.asarray(features.values, np.float32)
        handle["valid"] = np.asarray(features.valid, bool)
        handle["reference_counts"] = np.asarray(features.reference_counts, np.int64)
        handle.create_dataset("names", data=_text(features.names))
        handle.create_dataset("unit_ids", data=_text(features.unit_ids))
        handle.attrs["session"] = features.session
        handle.attrs["reference"] = features.reference


def read(path: str | os.PathLike[str]) -> Features:
    """Read and check against the contract.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    with opened(path, CONTRACT) as handle:
        require(handle, ["values", "valid", "reference_counts", "names", "unit_ids"], path)
        _require_attributes(handle, ("session", "reference"), path)
        features = Features(
            values=numbers(handle["values"]),
            unit_ids=strings(handle["unit_ids"]),
            valid=numbers(handle["valid"]).astype(bool),
            reference_counts=numbers(handle["reference_counts"]),
            session=str(handle.attrs["session"]),
            reference=tuple(float(edge) for edge in handle.attrs["reference"]),
            names=tuple(strings(handle["names"])),
        )
    check(features, str(path))
    return features


def check(features: Features, where: str) -> None:
    """Raise InputError, naming `where`, on any breach of the contract."""
    values = features.values
    if values.ndim != 2 or values.shape[1] != len(features.names) or not len(values):
        raise InputError(
            f"{where}: values have shape {values.shape}; units x {len(features.names)} are due"
        )
    for name in ("unit_ids", "valid", "reference_counts"):
        found = len(getattr(features, name))
        if found != len(values):
            raise InputError(f"{where}: {name} has length {found} where {len(values)} is due")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise InputError(f"{where}: features of unit {features.unit_ids[bad[0]]} are not finite")
    if not features.reference_s > 0:
        raise InputError(f"{where}: reference window {features.reference} has no length")


def write_normalisation(
    path: str | os.PathLike[str], normalisation: Normalisation, record: Mapping[str, Any]
) -> None:
    """Check against the contract and write with provenance."""
    check_normalisation(normalisation, str(path))
    with written(path, NORMALISATION_CONTRACT, record) as handle:
        handle["mean"] = np.asarray(normalisation.mean, np.float64)
        handle["std"] = np.asarray(normalisation.std, np.float64)
        handle.create_dataset("names", data=_text(normalisation.names))
        handle.create_dataset("sessions", data=_text(normalisation.sessions))


def read_normalisation(path: str | os.PathLike[str]) -> Normalisation:
    """Read and check against the contract.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    with opened(path, NORMALISATION_CONTRACT) as handle:
        require(handle, ["mean", "std", "names", "sessions"], path)
        normalisation = Normalisation(
            mean=numbers(handle["mean"]),
            std=numbers(handle["std"]),
            sessions=tuple(strings(handle["sessions"])),
            names=tuple(strings(handle["names"])),
        )
    check_normalisation(normalisation, str(path))
    return normalisation


def check_normalisation(normalisation: Normalisation, where: str) -> None:
    """Raise InputError, naming `where`, on any breach of the contract."""
    due = (len(normalisation.names),)
    for name in ("mean", "std"):
        values = getattr(normalisation, name)
        if values.shape != due or not np.isfinite(values).all():
            raise InputError(f"{where}: {name} is not {due[0]} finite numbers")
    if not (normalisation.std > 0).all():
        raise InputError(f"{where}: std is not positive throughout")
    sessions = normalisation.sessions
    if not sessions or len(set(sessions)) != len(sessions):
        raise InputError(f"{where}: sessions are {list(sessions)}; one or more, all different")


def _require_attributes(handle: Any, names: tuple[str, ...], path: str | os.PathLike[str]) -> None:
    absent = [name for name in names if name not in handle.attrs]
    if absent:
        raise InputError(f"{path}: attribute {', '.join(absent)} is missing; make it again")


def _text(values: Any) -> np.ndarray:
    import h5py

    return np.asarray([str(value) for value in values], dtype=h5py.string_dtype())
