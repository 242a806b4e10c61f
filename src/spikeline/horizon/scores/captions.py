"""The caption of a table of forecasts: what its pooled rows show, said from its numbers alone.

A row is told to be higher or lower than the reference only where the interval of the paired
difference excludes zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from spikeline.artifacts.tables import REFERENCE
from spikeline.horizon.scores.figures import DIFFERENCE, ROLES, SCORE, labels
from spikeline.horizon.scores.rotations import FOLD
from spikeline.horizon.scores.tables import POOLED

TEST_NULL = f"{SCORE}_test_null"
# With more forecasters than this, those that differ are counted and only the farthest are named.
MOST_NAMED = 4
# Bits per spike between the two nulls that are worth a word.
DRIFT = 0.02
# Seconds of a stretch that is no block of an interleaved split: such a short one differs by chance.
STRETCH_S = 60


def caption(table: pd.DataFrame) -> str:
    """One line per role: the reference, what differs from it, and how far rates drift.

    Args:
        table: as `forecast_table` or `artifacts.tables.read` give it.

    Returns:
        Sentences about bits per spike pooled over sessions, 95 % intervals in brackets.
    """
    table = table.assign(label=labels(table))
    table = table[table["session"] == POOLED]
    lines = []
    for role, name in ROLES.items():
        rows = table[table["role"] == role].to_dict("records")
        if rows:
            reference = [row for row in rows if row["row"] == REFERENCE]
            sentences = [_identified(name, reference)] if reference else [f"{_first(name)}:"]
            sentences += [*_compared(rows), *_drift(rows)]
            lines.append(" ".join(sentences))
    return "\n".join(lines)


def _identified(name: str, rows: Sequence[dict[str, Any]]) -> str:
    sessions, what = int(rows[0]["sessions"]), "fold" if rows[0]["role"] == FOLD else "session"
    scores = _listed([f"{_number(row[SCORE])}{_interval(row, SCORE)}" for row in rows])
    short = not any(_known(row, SCORE) for row in rows)
    horizons = _listed([f"{row['horizon_ms']:g}" for row in rows])
    return (
        f"{_first(name)} ({sessions} {what}{'s' * (sessions > 1)}), {rows[0]['label']}: {scores} "
        f"bits per spike at {horizons} ms"
        f"{', too short for an interval' * short}."
    )


def _compared(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What the differences show, by forecaster."""
    others: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["row"] != REFERENCE and not pd.isna(row[DIFFERENCE]):
            others.setdefault(row["label"], []).append(row)
    known = {k: v for k, v in others.items() if any(_known(row, DIFFERENCE) for row in v)}
    if not others:
        return []
    if not known:
        return ["The test is too short for an interval of any difference from it."]
    parts, unclear = [], dict(known)
    for side, word in ((1, "higher"), (-1, "lower")):
        found = {k: [row for row in v if _side(row) == side] for k, v in known.items()}
        found = {k: v for k, v in found.items() if v}
        unclear = {k: v for k, v in unclear.items() if k not in found}
        if len(found) <= MOST_NAMED and (side > 0 or len(known) <= MOST_NAMED):
            parts += [f"{k} is {word} by {_by(v)}" for k, v in found.items()]
        else:
            name, rows = max(found.items(), key=lambda one: _farthest(one[1]))
            most = [max(rows, key=lambda row: abs(row[DIFFERENCE]))]
            verb = "is" if len(found) == 1 else "are"
            which = "" if len(found) == 1 else "most: "
            parts.append(f"{len(found)} {verb} {word} ({which}{name}, by {_by(most)})")
    if unclear:
        which = _listed(list(unclear)) if len(unclear) <= MOST_NAMED else str(len(unclear))
        parts.append(f"for {which} no interval excludes zero")
    of = f"of {len(known)} others " if len(known) > MOST_NAMED else ""
    return [f"Compared with it on the same windows, {of}{'; '.join(parts)}."]


def _drift(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Where the test is one long stretch, as after all that was fitted, and its null differs."""
    late = [
        row
        for row in rows
        if row["row"] == REFERENCE
        and row["role"] != FOLD
        and row["blocks"] == row["sessions"]
        and row["windows"] * row["horizon_ms"] >= 1000 * STRETCH_S * row["sessions"]
    ]
    if not late:
        return []
    row = max(late, key=lambda row: abs(row[SCORE] - row[TEST_NULL]))
    if abs(row[SCORE] - row[TEST_NULL]) <= DRIFT:
        return []
    return [
        "Each session's test is one unbroken stretch, and rates drift until then: against the "
        f"units' mean rates of the test itself {row['label']} scores {_number(row[TEST_NULL])} at "
        f"{row['horizon_ms']:g} ms, not {_number(row[SCORE])}."
    ]


def _by(rows: Sequence[dict[str, Any]]) -> str:
    parts = [
        f"{_number(abs(row[DIFFERENCE]))}{_interval(row, DIFFERENCE)} at {row['horizon_ms']:g} ms"
        for row in rows
    ]
    return _listed(parts)


def _farthest(rows: Sequence[dict[str, Any]]) -> float:
    return max(abs(row[DIFFERENCE]) for row in rows)


def _side(row: dict[str, Any]) -> int:
    """1 or -1 where the interval of the difference excludes zero, else 0."""
    if not _known(row, DIFFERENCE):
        return 0
    return int(row[f"{DIFFERENCE}_low"] > 0) - int(row[f"{DIFFERENCE}_high"] < 0)


def _known(row: dict[str, Any], name: str) -> bool:
    return not pd.isna(row[f"{name}_low"])


def _interval(row: dict[str, Any], name: str) -> str:
    if not _known(row, name):
        return ""
    return f" [{_number(row[f'{name}_low'])}, {_number(row[f'{name}_high'])}]"


def _number(value: float) -> str:
    # Adding 0 turns -0.0 into 0.0.
    return f"{round(value, 3) + 0.0:.3f}" if abs(value) < 1000 else f"{value:.2g}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _first(name: str) -> str:
    return name[0].upper() + name[1:]
