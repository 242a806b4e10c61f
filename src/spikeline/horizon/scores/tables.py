"""Tables of forecasts: tidy TSV, one row for each condition, session and horizon, and pooled rows.

| column | meaning |
|---|---|
| model | canonical name, overrides included; or a baseline |
| one for each varied setting | its value, as in artifacts/tables.py; empty for a baseline |
| session | its name, or "all": pooled over the sessions of a role |
| role | seen (test blocks of training sessions), held_out (sessions never trained on) or fold |
| | (stretches of a recording, each forecast by models of the others) |
| row | reference (of the differences), model or baseline |
| horizon_ms | length of the forecast windows |
| seeds | trained models that the row averages; 0 for a baseline |
| sessions, units, windows, spikes | how much was scored; spikes and windows of one seed. A fold |
| | counts as a session, and its units count in each |
| blocks | unbroken stretches of test, of all sessions: one each where the test comes last |
| bits_per_spike | pooled over units and windows, against the unit's training mean |
| bits_per_spike_test_null | the same against the mean of the scored bins, as NLB does |
| piece_s, pieces | mean length and number of the pieces of its interval; see below |
| difference | of bits_per_spike from the reference's, paired: on the same windows and pieces |
| difference_piece_s, difference_pieces | of the interval of the difference |
| bits_per_spike_sd | standard deviation between seeds |
| unit_median | median over units of each unit's own bits per spike |
| log_likelihood | Poisson, nats per unit and bin of 20 ms |
| rate_correlation | mean over units of the correlation of rate and count over bins |
| r2 | share of the variance about the unit's mean, mean over sessions |
| r2_piece_s, r2_pieces | of its interval |
| shuffled | bits per spike of forecasts from histories of another time, far away |
| co_smoothing | bits per spike of units whose own past was hidden, from that of the others |
| further | facts about the model, e.g. parameters |

X_low and X_high are the 95 % interval: of one session by pieces of its test blocks, of pooled rows
by sessions (horizon/scores/intervals.py, spikeline/time_series.py). They are empty where the test
is too short for an interval: fewer than ten pieces. Only a difference whose interval excludes zero
is evidence that a row is better. It is of the sessions that row and reference share, and empty for
the reference itself. Four decimals; an empty cell means "not available".
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
from spikeline.artifacts.tables import MODEL, REFERENCE
from spikeline.errors import InputError
from spikeline.horizon.scores.bits_per_spike import pooled_bits, unit_bits
from spikeline.horizon.scores.intervals import (
    Estimate,
    bits_series,
    difference,
    pooled,
    runs_of,
    unexplained_series,
)
from spikeline.horizon.scores.rotations import FOLD
from spikeline.settings.entries import format_value

POOLED = "all"
ROLES = ("seen", "held_out", FOLD)
BASELINE = "baseline"
CONTROL, CO_SMOOTHING = "shuffled", "co_smoothing"
# {(session, horizon in ms): the reference's sums, one for each seed}
Reference = Mapping[tuple[str, str], Sequence[Sums]]


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
    reference: str | None = None,
) -> pd.DataFrame:
    """All conditions in their order, then the baselines of the same sessions.

    Args:
        forecasts: one for each condition.
        conditions: {"model": name, "varied": {setting: value}}.
        baselines: of each session.
        seeds: take the first so many of each model; None takes all.
        reference: the condition or baseline that differences are from; None takes the first
            condition.

    Raises:
        InputError: the numbers of conditions and forecasts differ, a session has no baselines, or
            the reference is neither a condition nor a baseline.
    """
    if len(conditions) != len(forecasts) or not conditions:
        raise InputError(
            f"conditions: {len(conditions)} for {len(forecasts)} forecasts; give one for each"
        )
    varied = list(dict.fromkeys(name for c in conditions for name in c["varied"]))
    every = Forecasts({}, {n: one for part in baselines for n, one in part.sessions.items()})
    plain = every.sessions
    reference = conditions[0]["model"] if reference is None else reference
    compared = _reference(reference, conditions, forecasts, every, seeds)
    rows: list[dict[str, Any]] = []
    roles: dict[str, dict[str, None]] = {role: {} for role in ROLES}
    memberships: dict[str, set[tuple[str, ...]]] = {role: set() for role in ROLES}
    for forecast, condition in zip(forecasts, conditions, strict=True):
        values, model = condition["varied"], condition["model"]
        names = {"model": model} | {
            key: format_value(values[key]) if key in values else "" for key in varied
        }
        labels = seed_labels(forecast, seeds)
        kind = REFERENCE if model == reference else MODEL
        for role in ROLES:
            members = [n for n, one in forecast.sessions.items() if one.role == role]
            roles[role].update(dict.fromkeys(members))
            memberships[role].add(tuple(sorted(members)))
            part = _Part(names, role, kind, forecast, members, labels, forecast.facts)
            rows += _rows(part, compared)
    for role, members in roles.items():
        missing = sorted(set(members) - set(plain))
        if missing:
            raise InputError(f"baselines: none for session {missing[0]}")
        for label in dict.fromkeys(x for name in members for x in plain[name].forecasters):
            known = [name for name in members if label in plain[name].forecasters]
            names = {"model": label, **dict.fromkeys(varied, "")}
            kind = REFERENCE if label == reference else BASELINE
            # Pooled where all conditions pool the same sessions: else it compares with none.
            together = len(memberships[role]) == 1
            part = _Part(names, role, kind, every, known, [label], {}, together)
            rows += _rows(part, compared)
    return pd.DataFrame(rows, dtype=object)


def seed_labels(forecast: Forecasts, count: int | None) -> list[str]:
    """The labels of a model's first `count` seeds."""
    first = next(iter(forecast.sessions.values()))
    labels = [label for label in first.forecasters if label.startswith("seed")]
    return sorted(labels, key=lambda label: int(label.removeprefix("seed")))[:count]


# --- rows -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """The rows of one forecaster in one role; `together`: its sessions are pooled as well."""

    names: Mapping[str, str]
    role: str
    kind: str
    forecast: Forecasts
    members: Sequence[str]
    labels: Sequence[str]
    facts: Mapping[str, Any]
    together: bool = True


def _reference(
    name: str,
    conditions: Sequence[Mapping[str, Any]],
    forecasts: Sequence[Forecasts],
    baselines: Forecasts,
    seeds: int | None,
) -> Reference:
    models = [condition["model"] for condition in conditions]
    plain = list(dict.fromkeys(x for s in baselines.sessions.values() for x in s.forecasters))
    if name in models:
        found = forecasts[models.index(name)]
        labels = seed_labels(found, seeds)
    elif name in plain:
        found, labels = baselines, [name]
    else:
        raise InputError(
            f"reference: {name!r} is neither a condition nor a baseline of this table; "
            f"known are {', '.join([*models, *plain])}"
        )
    return {
        (session, horizon): [one.forecasters[label][horizon] for label in labels]
        for session, one in found.sessions.items()
        if all(label in one.forecasters for label in labels)
        for horizon in one.forecasters[labels[0]]
    }


def _rows(part: _Part, reference: Reference) -> list[dict[str, Any]]:
    """A row for each session and horizon, then for all sessions together if they are pooled."""
    rows = []
    labels, sessions = part.labels, part.forecast.sessions
    trained = labels[0].startswith("seed") if labels else False
    horizons = list(
        dict.fromkeys(h for n in part.members for h in sessions[n].forecasters[labels[0]])
    )
    groups = [(name, [name]) for name in part.members]
    groups += [(POOLED, list(part.members))] if part.members and part.together else []
    for session, group in groups:
        for horizon in horizons:
            scored = _scored(part.forecast, group, labels, horizon)
            row = {
                **part.names,
                "session": session,
                "role": part.role,
                "row": part.kind,
                "horizon_ms": int(horizon),
                "seeds": len(labels) if trained else 0,
                **_scores(scored, horizon, {} if part.kind == REFERENCE else reference),
            }
            for extra in (CONTROL, CO_SMOOTHING):
                also = _scored(part.forecast, group, [f"{extra}:{x}" for x in labels], horizon)
                row |= _columns(extra, pooled([bits_series(s.seeds, int(horizon)) for s in also]))
            # facts of a session, such as weights, are no numbers of a column
            numbers = {k: v for k, v in part.facts.items() if not isinstance(v, Mapping)}
            rows.append(row | {k: v for k, v in numbers.items() if k not in row})
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


def _scores(scored: Sequence[Scored], horizon: str, reference: Reference) -> dict[str, Any]:
    every = [sums for one in scored for sums in one.seeds]
    of_seed = list(zip(*(one.seeds for one in scored), strict=True))
    first = [one.seeds[0] for one in scored]
    bits = {one.session: bits_series(one.seeds, int(horizon)) for one in scored}
    score = pooled(list(bits.values()))
    row: dict[str, Any] = {
        "sessions": len(scored),
        "units": sum(one.units for one in scored),
        "windows": sum(sums.windows for sums in first),
        "blocks": sum(len(runs_of(sums.blocks["bins"])) for sums in first),
        "spikes": int(sum(sums.blocks["spikes"].sum() for sums in first)),
        **_columns("bits_per_spike", score),
        "bits_per_spike_test_null": pooled_bits(every, "test_null"),
        "piece_s": score.piece_s,
        "pieces": score.pieces,
    }
    differences = [
        difference(one, bits_series(reference[session, horizon], int(horizon)), session)
        for session, one in bits.items()
        if (session, horizon) in reference
    ]
    row |= _with_pieces("difference", pooled(differences))
    per_seed = [pooled_bits(sums) for sums in of_seed]
    row["bits_per_spike_sd"] = float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else None
    row["unit_median"] = _mean(
        [np.nanmedian(np.concatenate(list(map(unit_bits, sums)))) for sums in of_seed]
    )
    nats = sum(float(sums.blocks["nll"].sum()) for sums in every)
    row["log_likelihood"] = -nats / sum(s.bins * len(s.units["nll"]) for s in every)
    row["rate_correlation"] = _mean(np.concatenate([s.units["correlation"] for s in every]))
    unexplained = [unexplained_series(one.seeds, int(horizon)) for one in scored]
    rest = pooled(unexplained, by_session=True)
    return row | _with_pieces("r2", _complement(rest))


def _columns(name: str, found: Estimate) -> dict[str, float | None]:
    return {name: found.score, f"{name}_low": found.low, f"{name}_high": found.high}


def _with_pieces(name: str, found: Estimate) -> dict[str, float | None]:
    pieces = found.pieces or None
    return _columns(name, found) | {f"{name}_piece_s": found.piece_s, f"{name}_pieces": pieces}


def _complement(found: Estimate) -> Estimate:
    """1 - a score, its ends exchanged."""
    score, low, high = (None if one is None else 1 - one for one in found[:3])
    return found._replace(score=score, low=high, high=low)


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    """Of what is there: a constant rate has no correlation."""
    values = np.asarray(values, np.float64)
    return float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else None
