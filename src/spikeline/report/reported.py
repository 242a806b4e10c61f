"""What others reported, beside what was measured here on the same data; never on other data.

`reported.tsv` in this folder holds the figures with their source. A figure gets one of ours beside
it only where all of this holds; otherwise `ours` stays empty and `why_empty` says why:

- the recordings come from the very source, told by the origin that provenance recorded (a twin, or
  another monkey or session, has another);
- one of our tables has the row and the column that the figure is about;
- as many images or sessions were candidates (N).

| column | meaning |
|---|---|
| system, source, data, condition | whose figure, of which recordings, of which model |
| N | candidates of a retrieval, sessions of an average; empty where it has none |
| metric, definition | what was computed; a definition that differs from ours says so |
| reported, reported_sd | as its source gives it, in shares; `note` says sd of what |
| ours, ours_low, ours_high | ours, with its 95 % interval |
| ours_from | table and row that it is taken from |
| why_empty | no such table or row, other data, other N, or a metric that is not computed here |
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from spikeline.artifacts import provenance
from spikeline.errors import InputError

TOLD = ("system", "source", "data", "condition", "N", "metric", "definition")
COLUMNS = (*TOLD, "reported", "reported_sd", "ours", "ours_low", "ours_high", "ours_from",
           "why_empty", "note")  # fmt: skip
NUMBERS = ("N", "reported", "reported_sd", "ours", "ours_low", "ours_high")
BY_ORIGIN = "origin"
NOT_COMPUTED = "not computed here by that definition"
NO_TABLE, NO_ROW = "its table was not made", "its table has no such row"
OTHER_DATA, OTHER_N = "other data", "other N"


def reported() -> pd.DataFrame:
    """The figures as they are told, all cells as text."""
    text = files(__package__).joinpath("reported.tsv").read_text(encoding="utf-8")
    return pd.read_csv(StringIO(text), sep="\t", dtype=str, keep_default_na=False)


def reported_table(
    tables: Mapping[str, str | os.PathLike[str]], figures: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Every figure with ours beside it; columns as in the module's table.

    Args:
        tables: {name: path} of the tables that were made, `sessions` among them if it was.
        figures: as `reported` gives them, which is the default.

    Raises:
        InputError: a table carries no provenance.
    """
    figures = reported() if figures is None else figures
    found = {
        name: pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        for name, path in tables.items()
    }
    rows = []
    for told in figures.to_dict("records"):
        row: dict[str, Any] = {name: told.get(name, "") for name in COLUMNS}
        rows.append(row | _ours(told, found, tables))
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)


def _ours(
    told: Mapping[str, str],
    tables: Mapping[str, pd.DataFrame],
    paths: Mapping[str, str | os.PathLike[str]],
) -> dict[str, str]:
    """Our figure, or why there is none."""
    if not told["table"]:
        return {"why_empty": NOT_COMPUTED}
    if told["table"] not in tables:
        return {"why_empty": NO_TABLE}
    table, path = tables[told["table"]], paths[told["table"]]
    if told["row"] == BY_ORIGIN:
        return _of_session(told, table, path)
    rows = table
    for condition in told["row"].split(";"):
        name, _, value = condition.partition("=")
        rows = rows[rows[name] == value] if name in rows else rows[:0]
    if rows.empty or told["column"] not in table or rows.iloc[0][told["column"]] == "":
        return {"why_empty": NO_ROW}
    row = rows.iloc[0]
    if not _same_data(told["origin"], _inputs(path, row["model"], row["subject"])):
        return {"why_empty": OTHER_DATA}
    if told["N"] and float(row.get("gallery") or 0) != float(told["N"]):
        return {"why_empty": OTHER_N}
    return _figures(row, told["column"], f"{path}: {row['model']}, {row['subject']}")


def _of_session(
    told: Mapping[str, str], table: pd.DataFrame, path: str | os.PathLike[str]
) -> dict[str, str]:
    """Our figure of the session that has this very origin."""
    for file in provenance.read(path)["inputs"]:
        if _same_data(told["origin"], [file]):
            rows = table[table["session"] == Path(file).stem]
            if len(rows):
                name = rows.iloc[0]["session"]
                return _figures(rows.iloc[0], told["column"], f"{path}: {name}")
    return {"why_empty": OTHER_DATA}


def _figures(row: pd.Series, column: str, where: str) -> dict[str, str]:
    ends = {f"ours{end}": row.get(f"{column}{end}", "") for end in ("", "_low", "_high")}
    return {**ends, "ours_from": where}


def _inputs(path: str | os.PathLike[str], model: str, subject: str) -> list[str]:
    """The files that a row of a table was made from: those of its model and subject."""
    named = (f"/{model}/{subject}.", f"/{model}/{subject}/")
    return [file for file in provenance.read(path)["inputs"] if any(n in file for n in named)]


def _same_data(origin: str, inputs: Sequence[str]) -> bool:
    """Whether an origin of one of the files is of this name, an address without its scheme."""
    for file in inputs:
        try:
            names = provenance.read(file).get("origins", {})
        except InputError:
            continue
        if any(name.removesuffix("/").removesuffix(".git").endswith(origin) for name in names):
            return True
    return False
