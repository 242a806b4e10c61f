"""Tables of forecasts: tidy TSV, one row for each condition, session and horizon, and pooled rows.

| column | meaning |
|---|---|
| model | canonical name, overrides included; or a baseline |
| one for each varied setting | its value, as in artifacts/tables.py; empty for a baseline |
| session | its name, or "all": pooled over the sessions of a role |
| role | seen (test blocks of training sessions) or held_out (sessions never trained on) |
| horizon_ms | length of the forecast windows |
| seeds | trained models that the row averages; 0 for a baseline |
| sessions, units, windows, spikes | how much was scored; spikes and windows of one seed |
| bits_per_spike | pooled over units and windows, against the unit's training mean |
| bits_per_spike_test_null | the same against the mean of the scored bins, as NLB does |
| unit_median | median over units of each unit's own bits per spike |
| log_likelihood | Poisson, nats per unit and bin of 20 ms |
| rate_correlation | mean over units of the correlation of rate and count over bins |
| r2 | share of the variance about the unit's mean, mean over sessions |
| shuffled | bits per spike of forecasts from histories of another time, far away |
| co_smoothing | bits per spike of units whose own past was hidden, from that of the others |
| further | facts about the model, e.g. parameters |

X_low and X_high are the 95 % interval of a bootstrap over pieces of some 5 s of the test blocks,
X_sd the standard deviation between seeds. Four decimals; an empty cell means "not available".
Co-smoothing elsewhere (NLB, IBL-MtM) sees the other units in the very bins that it fills in: those
numbers are higher, and another quantity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from spikeline.artifacts.forecasts import Forecasts, Sums
from spikeline.errors import InputError
from spikeline.horizon.scores.bits_per_spike import block_bits, pooled_bits, unit_bits
from spikeline.settings.entries import format_value
from spikeline.statistics import RESAMPLES, bootstrap_ratio

POOLED = "all"
ROLES = ("seen", "held_out")
CONTROL, CO_SMOOTHING = "shuffled", "co_smoothing"


@dataclass(frozen=True)
class Scored:
    """One forecaster on one session at one horizon: its sums, one for each seed."""

    session: str
    units: int
    seeds: Sequence[Sums]


def forecast_table(
    forecasts: Sequence[Forecasts],
    conditions: Sequence[Mapping[str, Any]],
    baselines: Sequence[Forecasts],
    seeds: int | None = None,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """All conditions in their order, then the baselines of the same sessions.

    Args:
        forecasts: one for each condition.
        conditions: {"model": name, "varied": {setting: value}}.
        baselines: of each session.
        seeds: take the first so many of each model; None takes all.
        resamples: of the bootstrap.

    Raises:
        InputError: the numbers of conditions and forecasts differ, or a session has no baselines.
    """
    if len(conditions) != len(forecasts) or not conditions:
        raise InputError(
            f"conditions: {len(conditions)} for {len(forecasts)} forecasts; give one for each"
        )
    varied = list(dict.fromkeys(name for c in conditions for name in c["varied"]))
    plain = {name: one for part in baselines for name, one in part.sessions.items()}
    rows: list[dict[str, Any]] = []
    roles: dict[str, dict[str, None]] = {role: {} for role in ROLES}
    memberships: dict[str, set[tuple[str, ...]]] = {role: set() for role in ROLES}
    for forecast, condition in zip(forecasts, conditions, strict=True):
        values = condition["varied"]
        names = {"model": condition["model"]} | {
            key: format_value(values[key]) if key in values else "" for key in varied
        }
        labels = seed_labels(forecast, seeds)
        for role in ROLES:
            members = [n for n, one in forecast.sessions.items() if one.role == role]
            roles[role].update(dict.fromkeys(members))
            memberships[role].add(tuple(sorted(members)))
            rows += _rows(names, role, forecast, members, labels, forecast.facts, resamples)
    every = Forecasts({}, plain)
    for role, members in roles.items():
        missing = sorted(set(members) - set(plain))
        if missing:
            raise InputError(f"baselines: none for session {missing[0]}")
        for label in dict.fromkeys(x for name in members for x in plain[name].forecasters):
            known = [name for name in members if label in plain[name].forecasters]
            names = {"model": label, **dict.fromkeys(varied, "")}
            # Pooled where all conditions pool the same sessions: else it compares with none.
            pooled = len(memberships[role]) == 1
            rows += _rows(names, role, every, known, [label], {}, resamples, pooled)
    return pd.DataFrame(rows, dtype=object)


def seed_labels(forecast: Forecasts, count: int | None) -> list[str]:
    """The labels of a model's first `count` seeds."""
    first = next(iter(forecast.sessions.values()))
    labels = [label for label in first.forecasters if label.startswith("seed")]
    return sorted(labels, key=lambda label: int(label.removeprefix("seed")))[:count]


# --- rows -----------------------------------------------------------------------------------------


def _rows(
    names: Mapping[str, str],
    role: str,
    forecast: Forecasts,
    members: Sequence[str],
    labels: Sequence[str],
    facts: Mapping[str, Any],
    resamples: int,
    pooled: bool = True,
) -> list[dict[str, Any]]:
    """A row for each session and horizon, then for all sessions together if they are pooled."""
    rows = []
    trained = labels[0].startswith("seed") if labels else False
    horizons = list(
        dict.fromkeys(h for n in members for h in forecast.sessions[n].forecasters[labels[0]])
    )
    groups = [(name, [name]) for name in members]
    groups += [(POOLED, list(members))] if members and pooled else []
    for session, group in groups:
        for horizon in horizons:
            scored = _scored(forecast, group, labels, horizon)
            row = {
                **names,
                "session": session,
                "role": role,
                "horizon_ms": int(horizon),
                "seeds": len(labels) if trained else 0,
                **_scores(scored, resamples),
            }
            for extra in (CONTROL, CO_SMOOTHING):
                also = _scored(forecast, group, [f"{extra}:{x}" for x in labels], horizon)
                row |= _interval(extra, also, resamples)
            rows.append(row | {k: v for k, v in facts.items() if k not in row})
    return rows


def _scored(
    forecast: Forecasts, group: Sequence[str], labels: Sequence[str], horizon: str
) -> list[Scored]:
    """What each session has under these labels at a horizon; sessions without it are left out."""
    found = []
    for name in group:
        session = forecast.sessions[name]
        kept = [session.forecasters.get(label, {}).get(horizon) for label in labels]
        if all(sums is not None for sums in kept):
            found.append(Scored(name, session.units, kept))
    return found


def _scores(scored: Sequence[Scored], resamples: int) -> dict[str, Any]:
    every = [sums for one in scored for sums in one.seeds]
    of_seed = list(zip(*(one.seeds for one in scored), strict=True))
    first = [one.seeds[0] for one in scored]
    row: dict[str, Any] = {
        "sessions": len(scored),
        "units": sum(one.units for one in scored),
        "windows": sum(sums.windows for sums in first),
        "spikes": int(sum(sums.blocks["spikes"].sum() for sums in first)),
        **_interval("bits_per_spike", scored, resamples),
    }
    per_seed = [pooled_bits(sums) for sums in of_seed]
    row["bits_per_spike_sd"] = float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else None
    row["bits_per_spike_test_null"] = pooled_bits(every, "test_null")
    row["unit_median"] = _mean(
        [np.nanmedian(np.concatenate(list(map(unit_bits, sums)))) for sums in of_seed]
    )
    nats = sum(float(sums.blocks["nll"].sum()) for sums in every)
    row["log_likelihood"] = -nats / sum(s.bins * len(s.units["nll"]) for s in every)
    row["rate_correlation"] = _mean(np.concatenate([s.units["correlation"] for s in every]))
    row["r2"] = _mean([sums.r2 for sums in every])
    return row


def _interval(name: str, scored: Sequence[Scored], resamples: int) -> dict[str, float | None]:
    """Pooled bits per spike with its interval; pieces are resampled, with all seeds."""
    if not scored:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    gains, spikes, clusters = [], [], []
    for one in scored:
        for sums in one.seeds:
            gain, fired = block_bits(sums)
            gains.append(gain)
            spikes.append(fired)
            clusters += [f"{one.session}:{block}" for block in range(len(fired))]
    interval = bootstrap_ratio(np.concatenate(gains), np.concatenate(spikes), clusters, resamples)
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    """Of what is there: a constant rate has no correlation."""
    values = np.asarray(values, np.float64)
    return float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else None
