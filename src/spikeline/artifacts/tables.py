"""Tables: tidy TSV, one row per condition, as written, read and shown in a terminal.

The first columns name a row: `model` (canonical name, overrides included), one column for each
varied setting (lists joined by '+', 'none' for null), then `subject` or `session`. All other
columns but `category`, `role`, `row`, `similarity_unit` and `target` hold numbers: X_low and X_high
are the 95 % interval of X, X_sd its standard deviation between seeds. Counts have no decimals,
other numbers four; an empty cell means "not available". Which columns a table has:
bridge/tables.py, bridge/reconstruction/scores/table.py, horizon/scores/tables.py and
horizon/wheel/table.py.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_text
from spikeline.errors import InputError

# The last of the columns that name a row: everything after it but TEXT_COLUMNS is a number.
ROW_NAMES = ("subject", "session")
TEXT_COLUMNS = ("model", *ROW_NAMES, "category", "role", "row", "similarity_unit", "target")
# The column `row` of a table of the Bridge; differences are from the reference. A ceiling is told
# what it should decode.
REFERENCE, MODEL, CONTROL, CEILING = "reference", "model", "control", "ceiling"


def write(path: str | os.PathLike[str], table: pd.DataFrame, record: Mapping[str, Any]) -> None:
    """Write the TSV atomically, with its provenance; the same table gives the same bytes."""
    lines = ["\t".join(table.columns)]
    for row in table.itertuples(index=False):
        lines.append("\t".join(_cell(value) for value in row))
    write_text(path, "\n".join(lines) + "\n")
    provenance.write_beside(path, record)


def read(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A table as written: names and varied settings as text, all else as numbers.

    Raises:
        InputError: missing, empty, or without a column that names its rows.
    """
    try:
        table = pd.read_csv(
            path,
            sep="\t",
            dtype=str,
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,
            encoding="utf-8",
        )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError):
        raise InputError(f"{path}: not a table; delete it and rerun") from None
    try:
        keys = _key_columns(table)
    except InputError as error:
        raise InputError(f"{path}: {error}; delete it and rerun") from None
    names = [*keys, *(name for name in TEXT_COLUMNS if name in table)]
    try:
        return table.assign(
            **{name: pd.to_numeric(table[name]) for name in table if name not in names}
        )
    except ValueError as error:
        raise InputError(f"{path}: {error}; delete it and rerun") from None


def varied_columns(table: pd.DataFrame) -> list[str]:
    """The settings that a table varies: the columns between `model` and the row's name."""
    return [name for name in _key_columns(table) if name not in TEXT_COLUMNS]


def condition_labels(table: pd.DataFrame, settings: bool = False) -> list[str]:
    """One label per row, in as few words as distinguish all conditions; a control's is "control".

    Args:
        table: as written.
        settings: name the varied setting even where there is only one: `regions=IT`.
    """
    controls = table["row"] == CONTROL if "row" in table else np.zeros(len(table), bool)
    if any(controls):
        others = iter(condition_labels(table[~controls], settings))
        return [CONTROL if control else next(others) for control in controls]
    varied, models = varied_columns(table), list(table["model"])
    entries = [model.partition("@")[0] for model in models]
    labels = []
    for index, entry in enumerate(entries):
        values = {name: table[name].iloc[index] for name in varied}
        short = len(varied) == 1 and not settings
        parts = [value if short else f"{k}={value}" for k, value in values.items() if value != ""]
        labels.append(" ".join(parts if len(set(entries)) == 1 else [entry, *parts]))
    distinct = len(set(zip(labels, models, strict=True))) == len(set(labels)) == len(set(models))
    return labels if distinct and all(labels) else models


def as_text(table: pd.DataFrame) -> str:
    """The table aligned for a terminal.

    A table of retrieval shows top-1 of neural to image and its paired difference from the
    reference, then top-5, with intervals, and top-1 of image to neural and as repetitions go to
    infinity.

    A table of reconstruction shows pixel correlation, structural similarity and two-way
    identifications with intervals, then hits and the factors that are right.

    A table of forecasts shows bits per spike at each horizon, pooled over sessions. Any other
    table is shown whole, intervals next to their scores.
    """
    if table.empty:
        return "\t".join(table.columns)
    shown: dict[str, list[str]] = {}
    if "neural_to_image_top1" in table:
        shown["model"] = condition_labels(table)
        shown["subject"] = list(table["subject"])
        columns = {
            "neural_to_image_top1": "top-1 [95 %]",
            "difference_top1": "difference [95 %]",
            "neural_to_image_top5": "top-5 [95 %]",
            "image_to_neural_top1": "image->neural",
            "infinite_repetitions_top1": "inf. reps",
            "gallery": "N",
            "seeds": "seeds",
        }
        varied = varied_columns(table)
        if varied and shown["model"] != list(table["model"]):
            name = " ".join(varied) if len(varied) == 1 else "condition"
            shown = {name: shown["model"], "subject": shown["subject"]}
    elif "pixcorr" in table:
        shown["model"] = list(table["model"])
        shown |= {name: list(table[name]) for name in (*varied_columns(table), "subject", "row")}
        columns = {name: f"{name} [95 %]" for name in ("pixcorr", "ssim", *two_way_measures(table))}
        further = [name for name in table if name.endswith(("_top1", "_correct"))]
        columns |= {name: name for name in further if f"others_{name}" in table}
        columns |= {"gallery": "N", "seeds": "seeds"}
    elif "bits_per_spike" in table:
        table = _horizons_side_by_side(table[table["session"] == "all"])
        shown["model"] = list(table["model"])
        columns = {name: name for name in table if name not in ("model", *_ends(table))}
    else:
        columns = {name: name for name in table if name not in _ends(table)}
    for column, title in columns.items():
        if column in table:
            interval = "[" in title or (column == title and "pixcorr" not in table)
            texts = [_as_text(row, column, interval) for row in table.to_dict("records")]
            if any(texts):
                shown[title] = texts
    widths = {title: max(map(len, [title, *texts])) for title, texts in shown.items()}
    lines = ["  ".join(title.ljust(width) for title, width in widths.items())]
    lines.append("  ".join("-" * width for width in widths.values()))
    for index in range(len(table)):
        lines.append("  ".join(shown[title][index].ljust(width) for title, width in widths.items()))
    return "\n".join(line.rstrip() for line in lines)


def two_way_measures(table: pd.DataFrame) -> list[str]:
    """The two-way identifications of a table of reconstruction: chance is .5, not k / N."""
    chances = [name.removeprefix("chance_") for name in table if name.startswith("chance_")]
    return [name for name in chances if not name.endswith(("_top1", "_top5"))]


def _ends(table: pd.DataFrame) -> tuple[str, ...]:
    """The columns that hold the ends of another column's interval."""
    return tuple(f"{name}{end}" for name in table for end in ("_low", "_high"))


def _horizons_side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """One row per model and role, with one column of bits per spike per horizon."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    longest = max(table["horizon_ms"], default=0)
    for row in table.to_dict("records"):
        known = {key: row[key] for key in ("model", "role", "sessions", "units", "seeds")}
        wide = rows.setdefault((row["model"], row["role"]), known)
        name = f"{row['horizon_ms']:g} ms"
        wide |= {f"{name}{end}": row[f"bits_per_spike{end}"] for end in ("", "_low", "_high")}
        if row["horizon_ms"] == longest:
            for end in ("", "_low", "_high"):
                wide[f"difference {name}{end}"] = row.get(f"difference{end}")
            for control in ("shuffled", "co_smoothing"):
                wide[f"{control} {name}"] = row.get(control)
    return pd.DataFrame(list(rows.values()))


# --- cells ----------------------------------------------------------------------------------------


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, (float, np.floating)) and math.isnan(value)):
        return ""
    if isinstance(value, (float, np.floating)):
        # Adding 0 turns -0.0 into 0.0.
        return f"{round(float(value), 4) + 0.0:.4f}"
    text = str(value)
    if any(mark in text for mark in "\t\n\r"):
        raise InputError(f"table: {text!r} contains a tab or line end; rename it")
    return text


def _key_columns(table: pd.DataFrame) -> list[str]:
    columns = list(table.columns)
    for last in ROW_NAMES:
        if last in columns:
            return columns[: columns.index(last) + 1]
    raise InputError(f"table: expected a column {' or '.join(ROW_NAMES)}, got {columns}")


def _as_text(row: Mapping[str, Any], column: str, interval: bool) -> str:
    """A cell as shown in a terminal: three decimals, with its interval if wanted and known."""
    value = row[column]
    if isinstance(value, str):
        return value
    if value is None or math.isnan(value):
        return ""
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    if low is None or math.isnan(low):
        low = None
    if low is None and (isinstance(value, int) or (value > 1 and float(value).is_integer())):
        return str(int(value))
    if not interval or low is None:
        return f"{value:.3f}"
    between = ", " if low < 0 else "-"
    return f"{value:.3f} [{low:.3f}{between}{high:.3f}]"
