"""The caption of a table of reconstruction: what it shows, said from its numbers alone.

Which decoder is best by identification and by pixels, where the others stand against the reference,
whether controls are at chance and how high the ceilings are; last, what was not computed and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from spikeline.artifacts.tables import (
    CEILING,
    CONTROL,
    MODEL,
    REFERENCE,
    condition_labels,
    two_way_measures,
)

PIXCORR = "pixcorr"
CHANCE = 0.5
_NAMES = {"clip": "CLIP", "pixcorr": "pixel correlation"}
Row = dict[str, Any]


def caption(table: pd.DataFrame, missing: Mapping[str, str] | None = None) -> str:
    """One line per subject or group, and one for each reason why measures are missing.

    Args:
        table: as `reconstruction_table` or `artifacts.tables.read` give it.
        missing: {measure: why it was not computed}.

    Returns:
        Sentences with 95 % intervals in brackets; identification in percent.
    """
    table = table.assign(label=row_labels(table))
    lines = []
    for _, rows in table.groupby("group" if "group" in table else "subject", sort=False):
        if rows["subject"].nunique() > 1:
            rows = rows.assign(label=rows["label"] + " on " + rows["subject"])
        identified = identification(rows)
        sentences = _best(rows, identified) if identified else []
        sentences += _best(rows, PIXCORR)
        if identified:
            sentences += _controls(rows, identified)
        sentences += _ceilings(rows, identified)
        lines.append(f"{rows['subject'].iloc[0]}: {' '.join(sentences)}")
    return "\n".join([*lines, *_missing(missing or {})])


def identification(table: pd.DataFrame) -> str | None:
    """The two-way identification that speaks for a table: CLIP's, else the last computed."""
    known = [name for name in two_way_measures(table) if table[name].notna().any()]
    return "clip" if "clip" in known else (known[-1] if known else None)


def row_labels(table: pd.DataFrame) -> list[str]:
    """One label per row in as few words as tell all apart, controls too."""
    return condition_labels(table.drop(columns="row"), settings=True)


def _best(rows: pd.DataFrame, measure: str) -> list[str]:
    """Which decoder is best by a measure, and how the others compare with the reference."""
    decoders = [
        row
        for row in rows.to_dict("records")
        if row["row"] in (REFERENCE, MODEL) and pd.notna(row[measure])
    ]
    if not decoders:
        return []
    best = max(decoders, key=lambda row: row[measure])
    told = [_value(measure, best)]
    if pd.notna(best[f"others_{measure}"]):
        above = f"above_others_{measure}"
        verdict = "" if best[f"{above}_low"] > 0 else ", which it is NOT clearly above"
        other = _number(measure, best[f"others_{measure}"])
        told.append(f"images made from other responses have {other}{verdict}")
    which = f"by {measure_name(measure)} {best['label']} is best"
    which += f" of {len(decoders)} decoders" if len(decoders) > 1 else ""
    sentences = [f"{which[0].upper()}{which[1:]}: {'; '.join(told)}."]
    compared = [row for row in decoders if pd.notna(row[f"difference_{measure}"])]
    if compared:
        (reference,) = (row["label"] for row in decoders if row["row"] == REFERENCE)
        parts = "; ".join(_compared(row, measure) for row in compared)
        sentences.append(f"Compared with {reference} image by image, {parts}.")
    return sentences


def _compared(row: Row, measure: str) -> str:
    name = f"difference_{measure}"
    size, ends = row[name], _ends(measure, row, name)
    if row[f"{name}_low"] <= 0 <= row[f"{name}_high"]:
        return f"{row['label']} does not clearly differ {ends}"
    way = "higher" if size > 0 else "lower"
    unit = " points" if measure != PIXCORR else ""
    told = _number(measure, abs(size), plain=True)
    return f"{row['label']} is {way} by {told}{unit} {ends}"


def _controls(rows: pd.DataFrame, measure: str) -> list[str]:
    """Which controls are at chance, and loudly which are not."""
    controls = [
        row for row in rows.to_dict("records") if row["row"] == CONTROL and pd.notna(row[measure])
    ]
    if not controls:
        return ["There is no control."]
    above = [row for row in controls if row[f"{measure}_low"] > CHANCE]
    others = [row for row in controls if row not in above]
    sentences = []
    if others:
        told = _listed(f"{row['label']} ({_value(measure, row)})" for row in others)
        verb = "does" if len(others) == 1 else "do"
        kind = "control" if len(others) == 1 else "controls"
        sentences.append(f"The {kind} {told} {verb} not exceed chance, 50 %.")
    if above:
        told = _listed(f"{row['label']} ({_value(measure, row)})" for row in above)
        sentences.append(
            f"NOT at chance, 50 %: {told}, so something other than the responses tells these "
            "images apart."
        )
    return sentences


def _ceilings(rows: pd.DataFrame, measure: str | None) -> list[str]:
    told = []
    for row in rows[rows["row"] == CEILING].to_dict("records"):
        parts = [
            f"{measure_name(name)} {_value(name, row)}"
            for name in (measure, PIXCORR)
            if name and pd.notna(row[name])
        ]
        told.append(f"{row['label']} ({', '.join(parts)})")
    return [f"Told the truth instead of responses: {_listed(told)}."] if told else []


def _missing(missing: Mapping[str, str]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for measure, reason in missing.items():
        by_reason.setdefault(reason, []).append(measure)
    return [f"{', '.join(names)}: not computed: {reason}." for reason, names in by_reason.items()]


def measure_name(measure: str) -> str:
    """A measure in words."""
    name = _NAMES.get(measure, measure.replace("_", " "))
    return name if measure == PIXCORR else f"two-way {name} identification"


def _value(measure: str, row: Row) -> str:
    return f"{_number(measure, row[measure])} {_ends(measure, row, measure)}"


def _ends(measure: str, row: Row, name: str) -> str:
    ends = (_number(measure, row[f"{name}{end}"], plain=True) for end in ("_low", "_high"))
    return f"[{', '.join(ends)}]"


def _number(measure: str, value: float, plain: bool = False) -> str:
    """Two decimals of a correlation; a share in percent, without its sign if plain."""
    # Adding 0 turns -0.0 into 0.0.
    if measure == PIXCORR:
        return f"{round(value, 2) + 0.0:.2f}"
    return f"{round(100 * value, 1) + 0.0:g}{'' if plain else ' %'}"


def _listed(parts: Iterable[str]) -> str:
    parts = list(parts)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
