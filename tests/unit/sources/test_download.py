"""One file from a path or an address, its checksum proved."""

from __future__ import annotations

import fcntl
import hashlib
import http.server
import threading
from collections import Counter
from typing import ClassVar

import pytest

from spikeline.errors import InputError
from spikeline.sources.download import fetch, is_url

CONTENT = b"".join(hashlib.sha256(bytes([k])).digest() for k in range(256)) * 64
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()
CUT = 200_000  # bytes after which the server breaks a transfer off


class Handler(http.server.BaseHTTPRequestHandler):
    """What the server does with a file is the start of its path.

    whole answers; flaky fails twice first; cut breaks off, and again when it is continued; dead
    breaks off and then sends nothing more; plain breaks off and knows no ranges; nameless names no
    version; moved redirects to cut; short says less than it sends; all else is 404.
    """

    asked: ClassVar[Counter[str]] = Counter()
    ranges: ClassVar[list[str | None]] = []
    tag: ClassVar[str] = '"1"'

    def do_GET(self):
        self.asked[self.path] += 1
        kind = self.path.split("-")[0]
        if kind == "/flaky" and self.asked[self.path] < 3:
            return self.send_error(503)
        if kind == "/moved":
            self.send_response(302)
            self.send_header("Location", self.path.replace("moved", "cut"))
            return self.end_headers()
        if kind not in ("/whole", "/flaky", "/cut", "/dead", "/plain", "/nameless"):
            return self.send_error(404)
        self.ranges.append(self.headers["Range"])
        start = self.start_of_range() if kind != "/plain" else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if kind != "/nameless":
            self.send_header("ETag", self.tag)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        cut = kind in ("/cut", "/plain", "/nameless", "/dead")
        stop = start + CUT if cut else len(CONTENT)
        self.wfile.write(CONTENT[start : 0 if kind == "/dead" and start else stop])

    def start_of_range(self):
        if self.headers["If-Range"] not in (None, self.tag) or not self.headers["Range"]:
            return 0
        return int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    Handler.asked.clear()
    Handler.ranges.clear()
    Handler.tag = '"1"'
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)


def refusal(tmp_path, location, **options):
    with pytest.raises(InputError) as caught:
        fetch(location, tmp_path / "out" / "a.npy", pause=0, **options)
    text = str(caught.value)
    assert text.startswith(f"{location}: ") and "\n" not in text
    assert not [path for path in (tmp_path / "out").glob("*") if ".part" not in path.name]
    return text


def test_an_address_is_told_from_a_path():
    assert is_url("https://example.org/a") and is_url("http://127.0.0.1/a")
    assert not is_url("/data/a.npy") and not is_url("data/https/a.npy")


def test_a_local_file_is_copied_and_its_checksum_recorded(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    record = fetch(str(tmp_path / "a"), tmp_path / "out" / "b", checksum=CHECKSUM)
    assert (tmp_path / "out" / "b").read_bytes() == CONTENT
    assert record == {"name": str(tmp_path / "a"), "sha256": CHECKSUM}


def test_a_download_is_the_file_and_its_address_is_the_origin(server, tmp_path):
    record = fetch(f"{server}/whole", tmp_path / "a", checksum=CHECKSUM)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert record == {"name": f"{server}/whole", "sha256": CHECKSUM}
    assert Handler.asked == {"/whole": 1}


def test_a_failing_server_is_asked_again(server, tmp_path):
    fetch(f"{server}/flaky", tmp_path / "a", checksum=CHECKSUM, pause=0)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert Handler.asked == {"/flaky": 3}


def test_after_the_last_attempt_it_gives_up(server, tmp_path):
    assert "503" in refusal(tmp_path, f"{server}/flaky", attempts=2)
    assert Handler.asked == {"/flaky": 2}


def test_a_page_that_is_not_there_is_said(server, tmp_path):
    assert "404" in refusal(tmp_path, f"{server}/gone", attempts=1)


def test_a_page_that_is_not_there_is_asked_for_once(server, tmp_path):
    refusal(tmp_path, f"{server}/gone", attempts=3)
    assert Handler.asked == {"/gone": 1}


def test_a_transfer_that_breaks_off_is_continued_where_it_broke_off(server, tmp_path):
    fetch(f"{server}/cut", tmp_path / "a", checksum=CHECKSUM, pause=0)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert Handler.ranges == [None, "bytes=196608-", "bytes=393216-"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_redirected_download_is_continued_too(server, tmp_path):
    fetch(f"{server}/moved", tmp_path / "a", pause=0)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert Handler.ranges[1:] == ["bytes=196608-", "bytes=393216-"]


def test_the_next_run_continues_what_the_last_one_left(server, tmp_path):
    refusal(tmp_path, f"{server}/dead", attempts=2)
    first = list(Handler.ranges)
    Handler.ranges.clear()
    refusal(tmp_path, f"{server}/dead", attempts=1)
    assert first == [None, "bytes=196608-", "bytes=196608-"] and Handler.ranges == first[1:2]


def test_a_server_that_brings_nothing_new_is_given_up(server, tmp_path):
    assert "cannot be downloaded" in refusal(tmp_path, f"{server}/plain", attempts=3)
    assert Handler.asked == {"/plain": 4}


def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(server, tmp_path):
    refusal(tmp_path, f"{server}/dead", attempts=1)
    part = tmp_path / "out" / ".a.npy.part"
    part.write_bytes(b"x" * part.stat().st_size)
    note = part.with_name(".a.npy.part.json")
    note.write_text(note.read_text().replace("dead", "whole"))
    Handler.tag = '"2"'
    fetch(f"{server}/whole", tmp_path / "out" / "a.npy", pause=0)
    assert (tmp_path / "out" / "a.npy").read_bytes() == CONTENT


def test_what_has_no_version_is_continued_only_where_a_checksum_proves_it(server, tmp_path):
    refusal(tmp_path, f"{server}/nameless", attempts=2)
    assert set(Handler.ranges) == {None}
    fetch(f"{server}/nameless", tmp_path / "out" / "a.npy", checksum=CHECKSUM, pause=0)
    assert Handler.ranges[-1] == "bytes=393216-"
    assert (tmp_path / "out" / "a.npy").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_dropped(server, tmp_path):
    refusal(tmp_path, f"{server}/dead", attempts=1)
    (tmp_path / "out" / ".a.npy.part").write_bytes(CONTENT + b"more")
    note = tmp_path / "out" / ".a.npy.part.json"
    note.write_text(note.read_text().replace("dead", "cut"))
    Handler.ranges.clear()
    fetch(f"{server}/cut", tmp_path / "out" / "a.npy", pause=0)
    assert Handler.ranges[:2] == [f"bytes={len(CONTENT) + 4}-", None]
    assert (tmp_path / "out" / "a.npy").read_bytes() == CONTENT


def test_a_part_that_is_the_whole_file_is_taken(server, tmp_path):
    refusal(tmp_path, f"{server}/dead", attempts=1)
    (tmp_path / "out" / ".a.npy.part").write_bytes(CONTENT)
    Handler.ranges.clear()
    fetch(f"{server}/dead", tmp_path / "out" / "a.npy", pause=0)
    assert Handler.ranges == [f"bytes={len(CONTENT)}-"]
    assert (tmp_path / "out" / "a.npy").read_bytes() == CONTENT


def test_a_continued_file_of_another_checksum_is_dropped_whole(server, tmp_path):
    refusal(tmp_path, f"{server}/dead", attempts=1)
    part = tmp_path / "out" / ".a.npy.part"
    part.write_bytes(b"x" * part.stat().st_size)
    note = part.with_name(".a.npy.part.json")
    note.write_text(note.read_text().replace("dead", "cut"))
    assert "damaged" in refusal(tmp_path, f"{server}/cut", checksum=CHECKSUM)
    assert list((tmp_path / "out").iterdir()) == []


def test_one_download_of_a_file_runs_at_a_time(server, tmp_path):
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".a.npy.part", "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=r"a.npy: is being downloaded by another process"):
            fetch(f"{server}/whole", tmp_path / "out" / "a.npy")
    assert Handler.asked == {}


def test_a_download_that_takes_too_long_says_how_to_go_on(server, tmp_path):
    text = refusal(tmp_path, f"{server}/cut", minutes=1e-9)
    assert "not done in 1e-09 minutes; run again to continue" in text


def test_a_server_that_is_not_there_is_said(tmp_path):
    assert "cannot be downloaded" in refusal(tmp_path, "http://127.0.0.1:9/a", attempts=1)


def test_another_content_than_promised_is_refused(server, tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    for location in (f"{server}/whole", str(tmp_path / "a")):
        text = refusal(tmp_path, location, checksum="0" * 64)
        assert CHECKSUM in text and "0" * 64 in text


def test_a_missing_local_file_is_named(tmp_path):
    assert "no such file" in refusal(tmp_path, str(tmp_path / "gone"))


def test_a_folder_is_no_file(tmp_path):
    assert "no such file" in refusal(tmp_path, str(tmp_path))
