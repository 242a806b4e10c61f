"""The figures of a table of forecasts: conditions, horizons or sessions next to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from spikeline import plotting
from spikeline.artifacts import tables
from spikeline.horizon.scores.rotations import FOLD
from spikeline.horizon.scores.tables import POOLED

ROLES = {
    "held_out": "sessions never seen",
    "seen": "test blocks of training sessions",
    FOLD: "folds, each forecast by models of the others",
}
VALUE = "bits per spike against\nthe unit's training mean (95 % interval)"
# Baselines that get a line of their own while there is room, most telling first.
LINES = ("oracle", "running_glm", "poisson_glm", "running_mean", "poisson_glm_reference")
SCORE, DIFFERENCE = "bits_per_spike", "difference"


def draw(table: pd.DataFrame, rows: str, title: str, caption: str = "") -> Any:
    """The figure of a table of forecasts.

    Args:
        table: as `forecast_table` or `tables.read` give it.
        rows: "conditions" (one row each, one mark per horizon), "horizons" (one curve per
            forecaster over the horizon) or "sessions" (one row each, one mark per forecaster).
        title: of the figure.
        caption: text below the panels.

    Returns:
        A matplotlib Figure.
    """
    table = table.assign(label=labels(table))
    if rows == "sessions":
        return _by_session(table, title, caption)
    pooled = table[table["session"] == POOLED]
    pooled = pooled.assign(subject=pooled["role"].map(ROLES))
    pooled = pooled.sort_values("role", key=lambda role: role != "held_out", kind="stable")
    values = dict.fromkeys(ROLES.values(), VALUE)
    if rows == "horizons":
        wide = _wide(pooled, ["subject", "horizon_ms"], _lines(table))
        return plotting.curves_figure(
            wide,
            wide["horizon_ms"],
            [_measure(name) for name in _lines(table)],
            title,
            values,
            "forecast window (ms)",
            shares=False,
            caption=caption,
        )
    pooled = pooled.assign(mark=pooled["horizon_ms"].map(str))
    horizons = sorted(pooled["mark"].unique(), key=int)
    wide = _wide(pooled.assign(name=pooled["label"]), ["subject", "name"], horizons, "mark")
    measures = [_measure(name, f"{name} ms") for name in horizons]
    # What was varied often differs by far less than it does from the baselines.
    models = set(pooled.loc[pooled["seeds"].astype(float) > 0, "label"])
    return plotting.conditions_figure(
        wide, list(wide["name"]), measures, title, values, shares=False, caption=caption,
        focus=models,
    )  # fmt: skip


def _by_session(table: pd.DataFrame, title: str, caption: str) -> Any:
    """A panel for the shortest and the longest horizon."""
    horizons = sorted({int(h) for h in table["horizon_ms"]})
    horizons = list(dict.fromkeys([horizons[0], horizons[-1]]))
    single = table[(table["session"] != POOLED) & table["horizon_ms"].isin(horizons)]
    single = single.assign(
        subject=single["horizon_ms"].map(lambda h: f"forecasts of {int(h)} ms"),
        name=single["session"] + single["role"].map({"held_out": " (never seen)"}).fillna(""),
    )
    names = _lines(table)
    wide = _wide(single, ["subject", "name"], names)
    measures = [_measure(name) for name in names]
    values = dict.fromkeys(wide["subject"], VALUE)
    return plotting.conditions_figure(
        wide, list(wide["name"]), measures, title, values, "session", shares=False, caption=caption
    )


def labels(table: pd.DataFrame) -> list[str]:
    """A condition by its varied settings where there are any; a baseline by its name."""
    varied = tables.varied_columns(table)
    trained = table["seeds"].astype(float) > 0
    entries = table.loc[trained, "model"].str.partition("@")[0].unique()
    found = []
    for row, is_trained in zip(table.to_dict("records"), trained, strict=True):
        values = [str(row[name]) for name in varied if row[name] != ""]
        same = is_trained and values and len(entries) == 1
        parts = [f"{k} {v}" for k, v in zip(varied, values, strict=False)] if len(varied) > 1 else (
            values
        )  # fmt: skip
        found.append(" ".join(parts) if same else row["model"].replace("_", " "))
    return found if len(set(zip(found, table["model"], strict=True))) == len(set(found)) else (
        list(table["model"])
    )  # fmt: skip


def _measure(column: str, label: str = "") -> plotting.Measure:
    label = label or column.replace("_", " ")
    return plotting.Measure(column, label, difference=f"{column}_{DIFFERENCE}")


def _lines(table: pd.DataFrame) -> list[str]:
    """The forecasters that get a line of their own: models first, then baselines, six at most."""
    trained = table["seeds"].astype(float) > 0
    models = list(dict.fromkeys(table.loc[trained, "label"]))
    plain = [n.replace("_", " ") for n in LINES if n in set(table.loc[~trained, "model"])]
    return (models + plain)[: len(plotting.COLOURS)]


def _wide(
    table: pd.DataFrame, keys: list[str], names: Sequence[str], mark: str = "label"
) -> pd.DataFrame:
    """A row for each combination of `keys`, the score of each mark as columns with interval."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in table.to_dict("records"):
        if row[mark] in names:
            place = tuple(row[key] for key in keys)
            wide = rows.setdefault(place, dict(zip(keys, place, strict=True)))
            for end in ("", "_low", "_high"):
                wide[f"{row[mark]}{end}"] = row[f"{SCORE}{end}"]
                wide[f"{row[mark]}_{DIFFERENCE}{end}"] = row[f"{DIFFERENCE}{end}"]
    return pd.DataFrame(list(rows.values()))
