"""Forecasts: sums from which every score of every forecaster, session and horizon follows.

A JSON object; baselines and models write the same:

| key | value |
|---|---|
| contract | "forecasts/2" |
| settings | of the evaluation |
| facts | plain numbers about the model, such as its parameters |
| sessions | {name: {role, source, units, forecasters}} |
| provenance | see artifacts/provenance.py |

`role` is "seen", "held_out" or "-". `forecasters` is {label: {horizon in ms: Sums}}; labels are
names of baselines, or "seed0", "seed1" ... for models, and "shuffled:seed0", "co_smoothing:seed0".
Sums are kept by the second and by the unit, not as ratios, so that sessions pool, and a table can
form the pieces of its intervals as long as its scores are correlated.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeline.artifacts.formats import json_file
from spikeline.errors import InputError

CONTRACT = "forecasts/2"
ROLES = ("seen", "held_out", "-")
NLLS = ("nll", "null_nll", "test_null_nll", "spikes")
STEPS = (*NLLS, "bins", "squared_error", "variation")
# Nats per block or unit: a ten-thousandth of a spike's information is far below any difference.
DECIMALS = 4


@dataclass(frozen=True)
class Sums:
    """Scores of one forecaster on one session at one horizon, before any division.

    Attributes:
        windows: forecast windows scored.
        bins: bins scored, windows x bins of a window.
        blocks: each (steps,) float64, summed over the windows that begin in a step of a block, a
            second or one window if that is longer, and over all units: `nll`, `null_nll` and
            `test_null_nll` in nats; `spikes`; `squared_error` of the rates and `variation` of the
            counts about their unit's mean, both in squared counts. `bins` (not times units) is 0
            in the one empty step that stands between two blocks.
        units: NLLS, each (units,) float64, summed over all windows; and `correlation`,
            each unit's correlation between rate and count over bins, NaN where either is constant.
        r2: share of the counts' variance about each unit's own mean that the rates explain, pooled.
    """

    windows: int
    bins: int
    blocks: Mapping[str, np.ndarray]
    units: Mapping[str, np.ndarray]
    r2: float


@dataclass(frozen=True)
class SessionForecasts:
    """All forecasters of one session: {label: {horizon in ms, as text: Sums}}."""

    role: str
    source: str
    units: int
    forecasters: Mapping[str, Mapping[str, Sums]]


@dataclass(frozen=True)
class Forecasts:
    """See the module's table."""

    settings: Mapping[str, Any]
    sessions: Mapping[str, SessionForecasts]
    facts: Mapping[str, Any] = field(default_factory=dict)


def write(path: str | os.PathLike[str], forecasts: Forecasts, record: Mapping[str, Any]) -> None:
    """Check against the contract and write with provenance, atomically."""
    check(forecasts, str(path))
    content = {
        "settings": dict(forecasts.settings),
        "facts": dict(forecasts.facts),
        "sessions": {name: _to_json(one) for name, one in forecasts.sessions.items()},
    }
    json_file.write(path, CONTRACT, content, record)


def read(path: str | os.PathLike[str]) -> Forecasts:
    """Read and check against the contract.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    content = json_file.read(path, CONTRACT)
    with json_file.fields(path):
        forecasts = Forecasts(
            settings=content["settings"],
            facts=content["facts"],
            sessions={name: _from_json(one) for name, one in content["sessions"].items()},
        )
        check(forecasts, str(path))
    return forecasts


def check(forecasts: Forecasts, where: str) -> None:
    """Raise InputError, naming `where`, on any breach of the contract."""
    if not forecasts.sessions:
        raise InputError(f"{where}: holds no session")
    for name, session in forecasts.sessions.items():
        place = f"{where}: session {name}"
        if session.role not in ROLES:
            raise InputError(f"{place}: role {session.role!r}, expected one of {list(ROLES)}")
        if not session.forecasters:
            raise InputError(f"{place}: holds no forecaster")
        for label, horizons in session.forecasters.items():
            for horizon, sums in horizons.items():
                _check_sums(sums, session.units, f"{place}: {label} at {horizon} ms")


def _check_sums(sums: Sums, units: int, where: str) -> None:
    for group, values in (("blocks", sums.blocks), ("units", sums.units)):
        keys = STEPS if group == "blocks" else (*NLLS, "correlation")
        length = len(values["nll"]) if group == "blocks" else units
        for key in keys:
            if values[key].shape != (length,):
                raise InputError(
                    f"{where}: expected {length} numbers of {group}/{key}, got shape "
                    f"{values[key].shape}"
                )
            if key != "correlation" and not np.isfinite(values[key]).all():
                raise InputError(f"{where}: {group}/{key} is not finite")
    if sums.windows < 1 or sums.bins < sums.windows:
        raise InputError(f"{where}: {sums.windows} windows of {sums.bins} bins")


def _to_json(session: SessionForecasts) -> dict[str, Any]:
    return {
        "role": session.role,
        "source": session.source,
        "units": int(session.units),
        "forecasters": {
            label: {str(horizon): _sums_to_json(sums) for horizon, sums in horizons.items()}
            for label, horizons in session.forecasters.items()
        },
    }


def _from_json(content: Mapping[str, Any]) -> SessionForecasts:
    return SessionForecasts(
        role=content["role"],
        source=content["source"],
        units=int(content["units"]),
        forecasters={
            label: {horizon: _sums_from_json(sums) for horizon, sums in horizons.items()}
            for label, horizons in content["forecasters"].items()
        },
    )


def _sums_to_json(sums: Sums) -> dict[str, Any]:
    return {
        "windows": int(sums.windows),
        "bins": int(sums.bins),
        "r2": _number(sums.r2),
        "blocks": {key: [_number(v) for v in sums.blocks[key]] for key in STEPS},
        "units": {key: [_number(v) for v in sums.units[key]] for key in (*NLLS, "correlation")},
    }


def _sums_from_json(content: Mapping[str, Any]) -> Sums:
    def array(values: list[float | None]) -> np.ndarray:
        return np.array([np.nan if v is None else v for v in values], np.float64)

    r2 = content["r2"]
    return Sums(
        windows=int(content["windows"]),
        bins=int(content["bins"]),
        r2=float("nan") if r2 is None else float(r2),
        blocks={key: array(content["blocks"][key]) for key in STEPS},
        units={key: array(content["units"][key]) for key in (*NLLS, "correlation")},
    )


def _number(value: float) -> float | int | None:
    """Rounded; whole numbers without '.0'; null for what is not finite, which JSON cannot say."""
    value = float(value)
    if not np.isfinite(value):
        return None
    value = round(value, DECIMALS)
    return int(value) if value == int(value) else value
