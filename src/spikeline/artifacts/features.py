"""Reference features: 33 numbers that say what kind of unit each one is, and their normalisation.

Features are those of one session, raw and finite for every unit; see horizon/sessions. Their
normalisation is fitted on the training sessions of a cohort, and holds what it was fitted on: a
network that trains on hundreds of sessions reads one file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
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


def _check_session_rows(values: Mapping[str, Any], where: str) -> None:
    rows, sessions = values["session_rows"], values["sessions"]
    if not np.array_equal(np.unique(rows), np.arange(len(sessions))) or (np.diff(rows) < 0).any():
        raise InputError(
            f"{where}: field session_rows: expected rows of the {len(sessions)} sessions in order, "
            "each of some units"
        )


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
    "normalisation/2",
    fields=(
        Field("mean", "float64", ("features",), "over the units of the sessions", finite=True),
        Field("std", "float64", ("features",), "over the units of the sessions", finite=True),
        Field("names", "str", ("features",), "as in the features", distinct=True),
        Field("sessions", "str", ("sessions",), "those it was fitted on", distinct=True),
        Field("references", "float64", ("sessions", 2), "s, their windows", finite=True),
        Field("session_rows", "int64", ("units",), "row of `sessions` that a unit is of"),
        Field("values", "float32", ("units", "features"), "their features, raw", finite=True),
        Field("unit_ids", "str", ("units",), "as in the session"),
        Field("valid", "bool", ("units",), "as in the features"),
        Field("reference_counts", "int64", ("units",), "as in the features"),
    ),
    rules=(_check_std, _check_session_rows),
)
# Of the fields of both, those with one row for each unit.
_OF_UNITS = ("values", "unit_ids", "valid", "reference_counts")


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
    """See NORMALISATION for dims and units.

    Attributes:
        features: of the sessions that it was fitted on, raw.
    """

    mean: np.ndarray
    std: np.ndarray
    features: tuple[Features, ...]

    @property
    def sessions(self) -> tuple[str, ...]:
        """Those it was fitted on."""
        return tuple(one.session for one in self.features)

    def stored(self) -> dict[str, Any]:
        """Its values by field of NORMALISATION."""
        units = [len(one.unit_ids) for one in self.features]
        return {
            "mean": self.mean,
            "std": self.std,
            "names": self.features[0].names,
            "sessions": self.sessions,
            "references": np.array([one.reference for one in self.features]),
            "session_rows": np.repeat(np.arange(len(units)), units),
            **{
                name: np.concatenate([getattr(one, name) for one in self.features])
                for name in _OF_UNITS
            },
        }


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
    NORMALISATION.write(path, normalisation.stored(), record)


def read_normalisation(path: str | os.PathLike[str]) -> Normalisation:
    """Read and check against the contract.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    values = NORMALISATION.read(path)
    names, sessions = tuple(values["names"]), values["sessions"]
    bounds = np.searchsorted(values["session_rows"], np.arange(len(sessions) + 1))
    described = []
    for row, (first, last) in enumerate(pairwise(bounds)):
        of_units = {name: values[name][first:last] for name in _OF_UNITS}
        start, end = values["references"][row]
        described.append(
            Features(**of_units, session=sessions[row], reference=(start, end), names=names)
        )
    return Normalisation(values["mean"], values["std"], tuple(described))
