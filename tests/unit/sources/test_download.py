"""One file from a path or an address, its checksum proved."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections import Counter
from typing import ClassVar

import pytest

from spikeline.errors import InputError
from spikeline.sources.download import fetch, is_url

CONTENT = bytes(range(256)) * 40
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """/whole answers; /flaky fails twice first; /cut breaks off half-way; all else is 404."""

    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self):
        self.asked[self.path] += 1
        if self.path == "/flaky" and self.asked[self.path] < 3:
            return self.send_error(503)
        if self.path not in ("/whole", "/flaky", "/cut"):
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:5000] if self.path == "/cut" else CONTENT)

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
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)


def refusal(tmp_path, location, **options):
    with pytest.raises(InputError) as caught:
        fetch(location, tmp_path / "out" / "a.npy", pause=0, **options)
    text = str(caught.value)
    assert text.startswith(f"{location}: ") and "\n" not in text
    assert list((tmp_path / "out").iterdir()) == []
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


def test_a_transfer_that_breaks_off_leaves_nothing(server, tmp_path):
    refusal(tmp_path, f"{server}/cut", attempts=2)
    assert Handler.asked == {"/cut": 2}


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
