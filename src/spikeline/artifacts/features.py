"""Reference features: 33 numbers that say what kind of unit each one is, and their normalisation.

Features are those of one session, raw and finite for every unit; see horizon/sessions. Their
normalisation is fitted on the training sessions of a cohort.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.errors import InputError

ISI_BINS = 20
LAGS = 10
NAMES = (
    "log_rate",
    "log_isi_cv",
    *(f"isi_{index:02d}" for index in range(ISI_BINS)),
    *(f"autocorrelation_{index:02d}" for index in range(1, LAGS + 1)),
    "fano",
)


def _check_reference(values: Mapping[str, Any], where: str) -> None:
    start, end = values["reference"]
    if not start < end:
        raise InputError(
            f"{where}: attribute reference is {start} to {end} s, expected a window of some length"
        )


def _check_std(values: Mapping[str, Any], where: str) -> None:
    bad = np.flatnonzero(values["std"] <= 0)
    if len(bad):
        name, std = values["names"][bad[0]], values["std"][bad[0]]
        raise InputError(f"{where}: field std is {std} for {name}, expected positive numbers")


CONTRACT = Contract(
    "features/1",
    fields=(
        Field("values", "float32", ("units", "features"), "raw, see names", finite=True),
        Field("unit_ids", "str", ("units",), "as in the session"),
        Field("valid", "bool", ("units",), "enough spikes for the features that describe shape"),
        Field("reference_counts", "int64", ("units",), "spikes in the reference window"),
        Field("names", "str", ("features",), "what each column is", distinct=True),
    ),
    attributes=(
        Field("session", "str", (), "name"),
        Field("reference", "float64", (2,), "s, start and end of the window", finite=True),
    ),
    rules=(_check_reference,),
)
NORMALISATION = Contract(
    "normalisation/1",
    fields=(
        Field("mean", "float64", ("features",), "over the units of the sessions", finite=True),
        Field("std", "float64", ("features",), "over the units of the sessions", finite=True),
        Field("names", "str", ("features",), "as in the features", distinct=True),
        Field("sessions", "str", ("sessions",), "those it was fitted on", distinct=True),
    ),
    rules=(_check_std,),
)


@dataclass(frozen=True)
class Features:
    """See CONTRACT for dims and units."""

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
    """See NORMALISATION for dims and units."""

    mean: np.ndarray
    std: np.ndarray
    sessions: tuple[str, ...]
    names: tuple[str, ...] = NAMES


def write(path: str | os.PathLike[str], features: Features, record: Mapping[str, Any]) -> None:
    """Check against the contract and write with provenance."""
    CONTRACT.write(path, vars(features), record)


def read(path: str | os.PathLike[str]) -> Features:
    """Read and check against the contract.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    values = CONTRACT.read(path)
    return Features(**{**values, "names": tuple(values["names"])})


def write_normalisation(
    path: str | os.PathLike[str], normalisation: Normalisation, record: Mapping[str, Any]
) -> None:
    """Check against the contract and write with provenance."""
    NORMALISATION.write(path, vars(normalisation), record)


def read_normalisation(path: str | os.PathLike[str]) -> Normalisation:
    """Read and check against the contract.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    values = NORMALISATION.read(path)
    return Normalisation(
        values["mean"], values["std"], tuple(values["sessions"]), tuple(values["names"])
    )
