"""The regression of a session as one safetensors file: weights, settings, the session's role."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikeline.artifacts.formats import safetensors_file
from spikeline.horizon.regression.covariates import Covariates
from spikeline.horizon.regression.model import ARRAYS, COVARIATES, Regression

CONTRACT = "regression/3"


@dataclass(frozen=True)
class SessionRegression:
    """A session's regression.

    Attributes:
        session: its name.
        role: seen, fitted on the train and valid domains; held_out, on the reference window alone.
        unit_ids: of its units, in the order of the regression's arrays.
        settings: resolved, of the model.
    """

    session: str
    role: str
    unit_ids: Sequence[str]
    settings: Mapping[str, Any]
    regression: Regression

    @property
    def parameters(self) -> int:
        """Fitted numbers."""
        arrays = ("mean_rate", "centre", "directions", "weights", "gains")
        return sum(getattr(self.regression, name).size for name in arrays)


def save(
    path: str | os.PathLike[str], fitted: SessionRegression, record: Mapping[str, Any]
) -> None:
    """Write atomically, with provenance in the header."""
    description = {
        "kind": "regression",
        "settings": dict(fitted.settings),
        "session": fitted.session,
        "role": fitted.role,
        "unit_ids": list(map(str, fitted.unit_ids)),
        "bin_s": fitted.regression.bin_s,
    }
    arrays = {name: getattr(fitted.regression, name) for name in ARRAYS}
    covariates = fitted.regression.covariates
    if covariates is not None:
        arrays |= {name: getattr(covariates, name) for name in COVARIATES}
    safetensors_file.write(path, CONTRACT, arrays, description, record)


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds a regression, rather than another kind of forecaster.

    Raises:
        InputError: missing or damaged.
    """
    return CONTRACT in safetensors_file.contracts(path)


def load(path: str | os.PathLike[str]) -> SessionRegression:
    """Read what `save` wrote.

    Raises:
        InputError: missing, damaged, or no regression.
    """
    facts, arrays = safetensors_file.read(path, CONTRACT)
    with safetensors_file.whole(path):
        covariates = None
        if COVARIATES[0] in arrays:
            covariates = Covariates(**{name: arrays[name] for name in COVARIATES})
        return SessionRegression(
            facts["session"],
            facts["role"],
            facts["unit_ids"],
            facts["settings"],
            Regression(
                **{name: arrays[name] for name in ARRAYS},
                bin_s=facts["bin_s"],
                covariates=covariates,
            ),
        )
