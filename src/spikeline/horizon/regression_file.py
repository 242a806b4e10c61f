"""Regressions of several sessions as one safetensors file: weights, settings, roles."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikeline.artifacts import safetensors_file
from spikeline.horizon.regression import ARRAYS, Regression

CONTRACT = "spikeline-regressions-1"


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
    arrays = {
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
    }
    safetensors_file.write(path, CONTRACT, arrays, description, record)


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds regressions, rather than another kind of forecaster.

    Raises:
        InputError: missing or damaged.
    """
    return CONTRACT in safetensors_file.contracts(path)


def load(path: str | os.PathLike[str]) -> Regressions:
    """Read what `save` wrote.

    Raises:
        InputError: missing, damaged, or no regressions.
    """
    description, arrays = safetensors_file.read(path, CONTRACT)
    with safetensors_file.whole(path):
        sessions = {
            name: SessionRegression(
                facts["role"],
                facts["unit_ids"],
                Regression(
                    **{array: arrays[f"{name}/{array}"] for array in ARRAYS}, bin_s=facts["bin_s"]
                ),
            )
            for name, facts in description["sessions"].items()
        }
        return Regressions(description["settings"], description["seed"], sessions)
