"""An Alyx database and its file server on loopback, as far as the pinned ONE client asks them.

It serves an ALF tree: logins, users, the schema, sessions with their datasets, and files under
/public, their names with the dataset's id as the real server has them. It has no S3 repository, so
that ONE falls back to the file server.
"""

from __future__ import annotations

import hashlib
import urllib.parse
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loopback import FaultyHandler, StandIn, running

USER, PASSWORD, TOKEN = "somebody", "pass word 7c1e", "4d2a9c55f0"
ENDPOINTS = ("sessions", "datasets", "data-repository", "files")
FIELDS = ("django", "subject", "date_range", "number", "exists")


class AlyxStandIn(StandIn):
    """The sessions of a tree, and the tokens that are accepted."""

    def __init__(self, tree: Path) -> None:
        super().__init__()
        self.tree, self.tokens = tree, {TOKEN}
        self.sessions = {}
        for folder in sorted(tree.glob("*/Subjects/*/*/*")):
            lab, _, subject, date, number = folder.relative_to(tree).parts
            eid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{subject}/{date}/{number}"))
            self.sessions[eid] = {
                "id": eid, "subject": subject, "lab": lab, "number": int(number), "projects": [],
                "start_time": f"{date}T09:00:00", "task_protocol": "",
                "files": sorted(path for path in folder.rglob("*") if path.is_file()),
            }  # fmt: skip

    def eid(self, subject: str) -> str:
        return next(eid for eid, held in self.sessions.items() if held["subject"] == subject)

    def session(self, eid: str) -> dict | None:
        held = self.sessions.get(eid)
        if held is None:
            return None
        record = {**held, "url": f"{self.address}/sessions/{eid}"}
        record["data_dataset_session_related"] = [self._dataset(p) for p in record.pop("files")]
        return record

    def listed(self, query: dict[str, str]) -> list[dict]:
        found = []
        for eid, held in self.sessions.items():
            asked = [
                query.get("django", "").removeprefix("pk,") in ("", eid),
                query.get("subject", held["subject"]) == held["subject"],
                query.get("number", str(held["number"])).lstrip("0") == str(held["number"]),
                query.get("date_range", held["start_time"])[:10] == held["start_time"][:10],
            ]
            if all(asked):
                found.append({key: held[key] for key in held if key != "files"})
                found[-1]["url"] = f"{self.address}/sessions/{eid}"
        return found

    def _dataset(self, path: Path) -> dict:
        relative = path.relative_to(self.tree)
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, str(relative)))
        served = relative.with_name(f"{path.stem}.{name}{path.suffix}")
        return {
            "id": name, "name": path.name, "file_size": path.stat().st_size, "qc": "NOT_SET",
            "hash": hashlib.md5(path.read_bytes()).hexdigest(), "default_revision": "True",
            "data_url": f"{self.address}/public/{served}", "collection": str(relative.parent),
        }  # fmt: skip


class _Handler(FaultyHandler):
    held: AlyxStandIn

    def do_POST(self):  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        given = {key: values[0] for key, values in urllib.parse.parse_qs(body).items()}
        if self.fails():
            return
        if self.path != "/auth-token":
            return self.send_json(404, {"detail": "Not found."})
        if given.get("username") != USER or given.get("password") != PASSWORD:
            return self.send_json(400, {"non_field_errors": ["Unable to log in."]})
        self.send_json(200, {"token": TOKEN})

    def do_GET(self):  # noqa: N802
        path, _, query = self.path.partition("?")
        if self.fails():
            return
        if path.startswith("/public/"):
            return self._file(path)
        if self.headers.get("Authorization", "").removeprefix("Token ") not in self.held.tokens:
            return self.send_json(403, {"detail": "Invalid token."})
        values = {key: found[0] for key, found in urllib.parse.parse_qs(query).items()}
        if path == "/me":
            return self.send_json(200, {"username": USER})
        if path == "/api/schema":
            found = {"get": {"parameters": [{"name": name} for name in FIELDS]}}
            paths = {f"/{name}": found for name in ENDPOINTS}
            paths |= {f"/{name}/{{id}}": found for name in ENDPOINTS}
            return self.send_json(200, {"paths": paths, "components": {"schemas": {}}})
        if path == "/sessions":
            return self.send_json(200, self.held.listed(values))
        session = self.held.session(path.rpartition("/")[2])
        if path.startswith("/sessions/") and session:
            return self.send_json(200, session)
        self.send_json(404, {"detail": "Not found."})

    def _file(self, path: str) -> None:
        name = Path(path.removeprefix("/public/"))
        stem, _, _ = name.stem.rpartition(".")
        held = self.held.tree / name.with_name(f"{stem}{name.suffix}")
        if not held.is_file():
            return self.send_json(404, {})
        self.send_file(held.read_bytes())


@contextmanager
def serving(tree: Path) -> Iterator[AlyxStandIn]:
    """The stand-in, running at its `address`."""
    alyx = AlyxStandIn(tree)
    with running(alyx, _Handler):
        yield alyx
