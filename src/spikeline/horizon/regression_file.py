"""Regressions of several sessions as one safetensors file: weights, settings, roles."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import safetensors
import safetensors.numpy

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_bytes
from spikeline.errors import InputError
from spikeline.horizon.regression import ARRAYS, Regression

FORMAT = "spikeline-regressions-1"


@dataclass(frozen=True)
class SessionRegression:
    """A session's regression.

    Attributes:
        role: seen, fitted on the train and valid domains; held_out, on the reference window alone.
        unit_ids: of its units, in the order of the regression's arrays.
    """

    role: str
    unit_ids: Sequence[str]
    regression: Regression


@dataclass(frozen=True)
class Regressions:
    """Those of all sessions of a cohort, by name."""

    settings: Mapping[str, Any]
    seed: int
    sessions: Mapping[str, SessionRegression]

    @property
    def parameters(self) -> int:
        """Fitted numbers, over all sessions."""
        arrays = ("mean_rate", "centre", "directions", "weights", "gains")
        return sum(
            getattr(one.regression, name).size for one in self.sessions.values() for name in arrays
        )


def save(path: str | os.PathLike[str], fitted: Regressions, record: Mapping[str, Any]) -> None:
    """Write atomically, with provenance in the header."""
    tensors = {
        f"{name}/{array}": getattr(one.regression, array)
        for name, one in fitted.sessions.items()
        for array in ARRAYS
    }
    description = {
        "kind": "regression",
        "settings": dict(fitted.settings),
        "seed": fitted.seed,
        "sessions": {
            name: {
                "role": one.role,
                "unit_ids": list(map(str, one.unit_ids)),
                "bin_s": one.regression.bin_s,
            }
            for name, one in fitted.sessions.items()
        },
        provenance.KEY: dict(record),
    }
    header = {FORMAT: json.dumps(description, sort_keys=True)}
    write_bytes(path, safetensors.numpy.save(tensors, metadata=header))


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds regressions, rather than another kind of forecaster.

    Raises:
        InputError: missing or damaged.
    """
    return FORMAT in _read(path)[0]


def load(path: str | os.PathLike[str]) -> Regressions:
    """Read what `save` wrote.

    Raises:
        InputError: missing, damaged, or no regressions.
    """
    header, tensors = _read(path, with_tensors=True)
    if FORMAT not in header:
        raise InputError(f"{path}: holds no regressions of this version; fit them again")
    description = json.loads(header[FORMAT])
    sessions = {
        name: SessionRegression(
            facts["role"],
            facts["unit_ids"],
            Regression(
                **{array: tensors[f"{name}/{array}"] for array in ARRAYS}, bin_s=facts["bin_s"]
            ),
        )
        for name, facts in description["sessions"].items()
    }
    return Regressions(description["settings"], description["seed"], sessions)


def _read(path: str | os.PathLike[str], with_tensors: bool = False):
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            names = file.keys() if with_tensors else ()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{path}: cannot be read as a forecaster ({error}); make it again"
        ) from None
