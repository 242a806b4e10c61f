"""A server on loopback that does wrong what a test asks it to."""

from __future__ import annotations

import http.server
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class StandIn:
    """What a server was asked, and what it is to do wrong.

    Attributes:
        asked: requests by method and path.
        wrong: {part of a path: what happens to the next requests of it}: a status, "cut" for half
            an answer, "spoilt" for other bytes of the same length.
        ranges: the byte ranges that files were asked for.
    """

    def __init__(self) -> None:
        self.address = ""
        self.asked: Counter[str] = Counter()
        self.wrong: dict[str, list[int | str]] = {}
        self.ranges: list[str | None] = []


class FaultyHandler(http.server.BaseHTTPRequestHandler):
    """Sends JSON and files of the `held` stand-in, with the faults that it is to have."""

    held: StandIn

    def fails(self) -> bool:
        """Whether the request was answered with an error; must be asked once for each."""
        path = self.path.partition("?")[0]
        self.held.asked[f"{self.command} {path}"] += 1
        self.fault = None
        for part, faults in self.held.wrong.items():
            if part in self.path and faults:
                self.fault = faults.pop(0)
                break
        if isinstance(self.fault, int):
            self.send_json(self.fault, {"detail": "Out of order."})
            return True
        return False

    def send_json(self, status: int, content: object) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def send_file(self, content: bytes) -> None:
        """A file, or the range of it that was asked for."""
        asked = self.headers["Range"]
        self.held.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        more = {"ETag": f'"{len(content)}"'}
        if start:
            more["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        kind = "application/octet-stream"
        self._send(206 if start else 200, content[start:], kind, more)

    def _send(
        self, status: int, content: bytes, kind: str, more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.fault == "cut":
            content = content[: len(content) // 2]
        if self.fault == "spoilt":
            content = content[:-1] + bytes([content[-1] ^ 255])
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@contextmanager
def running(held: StandIn, handler: type[FaultyHandler]) -> Iterator[None]:
    """The server, at the `address` that it gives its stand-in."""
    handler = type("Handler", (handler,), {"held": held})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        held.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
