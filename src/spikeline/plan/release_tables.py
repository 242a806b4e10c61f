"""Release tables: a file that names many sessions at once, which a cohort takes by one name."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from typing import Any

from spikeline.errors import InputError
from spikeline.plan.locations import location
from spikeline.settings.schema import unknown

_COLUMNS = ("eid", "probe_name")
_TABS = (".tsv", ".tab", ".txt")
# What a session may be called: its name becomes a part of file names and of wildcards.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

Sessions = dict[str, dict[str, Any]]


def sessions_of_table(name: str, entry: Mapping[str, Any]) -> dict[str, Sessions]:
    """What a cohort may name of a table: {name: its sessions, {name: entry}}.

    The table itself, and of a table of arrays with a `group` also TABLE-VALUE for each value.

    Raises:
        InputError: the table cannot be read, lacks a column, or names two sessions alike.
    """
    path = location(entry["table"])
    rows = _rows(path, f"config session_tables.{name}")
    return (_ibl if entry["kind"] == "ibl" else _arrays)(name, entry, path, rows)


def _rows(path: str, where: str) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            return list(csv.DictReader(handle, delimiter="\t" if path.endswith(_TABS) else ","))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InputError(f"{where}: {path} cannot be read; download the table first") from None


def _ibl(
    name: str, entry: Mapping[str, Any], path: str, rows: Sequence[Mapping[str, str]]
) -> dict[str, Sessions]:
    """The probes of one recording together."""
    if not rows or any(column not in rows[0] for column in _COLUMNS):
        raise InputError(f"{path}: expected a CSV with the columns {', '.join(_COLUMNS)}")
    shared = {key: value for key, value in entry.items() if key != "table"}
    sessions: Sessions = {}
    for row in rows:
        session = sessions.setdefault(
            f"{name}-{row['eid'][:8]}", {**shared, "session": row["eid"], "probes": []}
        )
        if session["session"] != row["eid"]:
            raise InputError(f"{path}: two eids start with {row['eid'][:8]}")
        session["probes"] = sorted({*session["probes"], row["probe_name"]})
    # By eid, which is random, so that the first sessions of a cohort are from many laboratories.
    return {name: dict(sorted(sessions.items()))}


def _arrays(
    name: str, entry: Mapping[str, Any], path: str, rows: Sequence[Mapping[str, str]]
) -> dict[str, Sessions]:
    """One session for each row; paths take what its columns say."""
    where = f"config session_tables.{name}"
    if not rows:
        raise InputError(f"{path}: names no session")
    for key in ("name", "group"):
        if entry[key] is not None and entry[key] not in rows[0]:
            raise unknown("column", entry[key], rows[0], f"{where}.{key}")
    shared = {k: v for k, v in entry.items() if k not in ("table", "name", "group")}
    named: dict[str, Sessions] = {name: {}}
    for row in rows:
        session = row[entry["name"]] or ""
        if not _NAME.fullmatch(session):
            raise InputError(
                f"{path}: session {session!r}: a name begins with a letter and has letters, "
                "digits, '_' and '-' only"
            )
        if session in named[name]:
            raise InputError(f"{path}: two rows are named {session!r}")
        filled = {key: _filled(value, row, f"{where}.{key}") for key, value in shared.items()}
        named[name][session] = filled
        if entry["group"] is not None:
            group = named.setdefault(f"{name}-{row[entry['group']]}", {})
            group[session] = filled
    return {key: _in_turn(sessions, named, name) for key, sessions in named.items()}


def _filled(value: Any, row: Mapping[str, str], where: str) -> Any:
    """A path with {COLUMN} replaced by the row's value; anything else as it is."""
    if not isinstance(value, str):
        return value

    def column(match: re.Match[str]) -> str:
        if match[1] not in row:
            raise unknown("column", match[1], row, where)
        return row[match[1]]

    # $VARIABLES may be written with braces too
    return re.sub(r"(?<!\$)\{(\w+)\}", column, value)


def _in_turn(sessions: Sessions, named: Mapping[str, Sessions], name: str) -> Sessions:
    """One of each group in turn, so that the first sessions of a cohort are of many animals."""
    groups = [list(found) for key, found in named.items() if key != name]
    place = {session: (k, g) for g, one in enumerate(groups) for k, session in enumerate(one)}
    order = sorted(sessions, key=lambda session: place.get(session, (0, 0)))
    return {session: sessions[session] for session in order}
