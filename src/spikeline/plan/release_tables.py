"""Release tables: a CSV that names many sessions at once, one row per probe insertion."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import Any

from spikeline.errors import InputError
from spikeline.plan.locations import location

_COLUMNS = ("eid", "probe_name")


def sessions_of_table(name: str, entry: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The sessions that a table names, {name: entry}, the probes of one recording together.

    Raises:
        InputError: the table cannot be read, lacks a column, or two eids begin alike.
    """
    path = location(entry["table"])
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InputError(
            f"config session_tables.{name}: {path} cannot be read; download the table first"
        ) from None
    if not rows or any(column not in rows[0] for column in _COLUMNS):
        raise InputError(f"{path}: expected a CSV with the columns {', '.join(_COLUMNS)}")
    shared = {key: value for key, value in entry.items() if key != "table"}
    sessions: dict[str, dict[str, Any]] = {}
    for row in rows:
        session = sessions.setdefault(
            f"{name}-{row['eid'][:8]}", {**shared, "session": row["eid"], "probes": []}
        )
        if session["session"] != row["eid"]:
            raise InputError(f"{path}: two eids start with {row['eid'][:8]}")
        session["probes"] = sorted({*session["probes"], row["probe_name"]})
    # By eid, which is random, so that the first sessions of a cohort are from many laboratories.
    return dict(sorted(sessions.items()))
