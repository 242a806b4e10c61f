"""The Allen Institute's warehouse on loopback, as far as the pinned AllenSDK asks it.

It serves the tables of a simulated cache as answers to RMA queries, and its files as well-known
files, which it sends from any byte on.
"""

from __future__ import annotations

import csv
import re
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loopback import FaultyHandler, StandIn, running

TABLES = {
    "EcephysProbe": "probes", "EcephysChannel": "channels", "EcephysUnit": "units",
    "EcephysSession": "sessions",
}  # fmt: skip


class WarehouseStandIn(StandIn):
    """The tables and files of a cache."""

    def __init__(self, cache: Path) -> None:
        super().__init__()
        self.cache = cache

    def rows(self, query: str) -> list[dict]:
        model = re.search(r"model::(\w+)", query)[1]
        if model == "WellKnownFile":
            return self._files(query)
        with open(self.cache / f"{TABLES[model]}.csv", newline="") as handle:
            rows = [
                {name: _value(text) for name, text in row.items()} for row in csv.DictReader(handle)
            ]
        return [_RECORDS.get(model, dict)(row) for row in rows]

    def _files(self, query: str) -> list[dict]:
        session = re.search(r"EcephysSession'\]\[attachable_id\$eq(\d+)", query)
        if session:
            names = [f"session_{session[1]}/session_{session[1]}.nwb"]
        else:
            names = ["natural_movie_templates/natural_movie_1.h5"]
        return [
            {
                "id": number, "download_link": f"/api/v2/well_known_file_download/{name}",
                # The warehouse has movies as what they are, arrays.
                "path": f"/somewhere/{name.replace('.h5', '.npy')}",
            }
            for number, name in enumerate(names) if (self.cache / name).is_file()
        ]  # fmt: skip


def _session(row: dict) -> dict:
    donor = {
        "age": {"days": row.pop("age_in_days")}, "sex": row.pop("sex"),
        "full_genotype": row.pop("genotype"),
    }  # fmt: skip
    row.pop("has_nwb")
    return {
        **row, "stimulus_name": row.pop("session_type"), "specimen": {"donor": donor},
        "fail_eye_tracking": True,
        "well_known_files": [{"well_known_file_type": {"name": "EcephysNwb"}}],
    }  # fmt: skip


def _probe(row: dict) -> dict:
    return {**row, "use_lfp_data": row.pop("has_lfp_data")}


_RECORDS = {"EcephysSession": _session, "EcephysProbe": _probe}


def _value(text: str) -> object:
    if text in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[text]
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text


class _Handler(FaultyHandler):
    held: WarehouseStandIn

    def do_GET(self):  # noqa: N802
        if self.fails():
            return
        path, _, query = self.path.partition("?")
        if path == "/api/v2/data/query.json":
            rows = self.held.rows(urllib.parse.unquote(query))
            answer = {"success": True, "num_rows": len(rows), "total_rows": len(rows), "msg": rows}
            return self.send_json(200, answer)
        file = self.held.cache / path.removeprefix("/api/v2/well_known_file_download/")
        if not file.is_file():
            return self.send_json(404, {})
        self.send_file(file.read_bytes())


@contextmanager
def serving(cache: Path) -> Iterator[WarehouseStandIn]:
    """The stand-in, running at its `address`."""
    warehouse = WarehouseStandIn(cache)
    with running(warehouse, _Handler):
        yield warehouse
