"""An Alyx database and its file server on loopback, as far as the pinned ONE client asks them.

It serves an ALF tree: logins, users, the schema, sessions with their datasets, and files under
/public, their names with the dataset's id as the real server has them. It has no S3 repository, so
that ONE falls back to the file server.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
import urllib.parse
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, PASSWORD, TOKEN = "somebody", "pass word 7c1e", "4d2a9c55f0"
ENDPOINTS = ("sessions", "datasets", "data-repository", "files")
FIELDS = ("django", "subject", "date_range", "number", "exists")


class AlyxStandIn:
    """What the server holds, what it was asked, and what it is to do wrong.

    Attributes:
        asked: requests by method and path, identifiers left out of file names.
        wrong: {part of a path: what happens to the next requests of it}: a status, "cut" for half
            an answer, "spoilt" for other bytes of the same length.
        tokens: those that are accepted.
    """

    def __init__(self, tree: Path) -> None:
        self.tree, self.address = tree, ""
        self.asked: Counter[str] = Counter()
        self.wrong: dict[str, list[int | str]] = {}
        self.tokens = {TOKEN}
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


class _Handler(http.server.BaseHTTPRequestHandler):
    alyx: AlyxStandIn

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        given = {key: values[0] for key, values in urllib.parse.parse_qs(body).items()}
        if self._fails():
            return
        if self.path != "/auth-token":
            return self._json(404, {"detail": "Not found."})
        if given.get("username") != USER or given.get("password") != PASSWORD:
            return self._json(400, {"non_field_errors": ["Unable to log in."]})
        self._json(200, {"token": TOKEN})

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if self._fails():
            return
        if path.startswith("/public/"):
            return self._file(path)
        if self.headers.get("Authorization", "").removeprefix("Token ") not in self.alyx.tokens:
            return self._json(403, {"detail": "Invalid token."})
        values = {key: found[0] for key, found in urllib.parse.parse_qs(query).items()}
        if path == "/me":
            return self._json(200, {"username": USER})
        if path == "/api/schema":
            found = {"get": {"parameters": [{"name": name} for name in FIELDS]}}
            paths = {f"/{name}": found for name in ENDPOINTS}
            paths |= {f"/{name}/{{id}}": found for name in ENDPOINTS}
            return self._json(200, {"paths": paths, "components": {"schemas": {}}})
        if path == "/sessions":
            return self._json(200, self.alyx.listed(values))
        session = self.alyx.session(path.rpartition("/")[2])
        if path.startswith("/sessions/") and session:
            return self._json(200, session)
        self._json(404, {"detail": "Not found."})

    def _file(self, path: str) -> None:
        name = Path(path.removeprefix("/public/"))
        stem, _, _ = name.stem.rpartition(".")
        held = self.alyx.tree / name.with_name(f"{stem}{name.suffix}")
        if not held.is_file():
            return self._json(404, {})
        self._send(200, held.read_bytes(), "application/octet-stream")

    def _fails(self) -> bool:
        path = self.path.partition("?")[0]
        self.alyx.asked[f"{self.command} {path}"] += 1
        self.fault = None
        for part, faults in self.alyx.wrong.items():
            if part in path and faults:
                self.fault = faults.pop(0)
                break
        if isinstance(self.fault, int):
            self._json(self.fault, {"detail": "Out of order."})
            return True
        return False

    def _json(self, status: int, content: object) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.fault == "cut":
            content = content[: len(content) // 2]
        if self.fault == "spoilt":
            content = content[:-1] + bytes([content[-1] ^ 255])
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@contextmanager
def serving(tree: Path) -> Iterator[AlyxStandIn]:
    """The stand-in, running at its `address`."""
    alyx = AlyxStandIn(tree)
    handler = type("Handler", (_Handler,), {"alyx": alyx})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        alyx.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield alyx
        finally:
            server.shutdown()
