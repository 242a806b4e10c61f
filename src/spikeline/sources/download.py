"""One file from a local path or an https address, continued where a transfer broke off.

What has arrived waits beside its place, as .NAME.part, until the file is whole and its checksum
is proved; a rerun continues it with an HTTP range request if the server still has the same file.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikeline.artifacts.files import atomic_path, sha256
from spikeline.errors import InputError

log = logging.getLogger(__name__)

CHUNK = 1 << 16
TIMEOUT = (15, 60)  # seconds to connect, and between two packets


class _IncompleteError(Exception):
    """The server sent less, or another file, than it said."""


def is_url(location: str) -> bool:
    return location.startswith(("https://", "http://"))


def fetch(
    location: str,
    destination: str | os.PathLike[str],
    checksum: str | None = None,
    attempts: int = 3,
    pause: float = 5.0,
    minutes: float | None = None,
) -> dict[str, Any]:
    """Copy or download `location` to `destination` and return the origin record.

    Args:
        checksum: the sha256 that the content must have; None accepts any.
        attempts: tries in a row that may bring nothing new.
        pause: seconds after the first of them; doubled after each.
        minutes: how long a download may take; None sets no limit.

    Raises:
        InputError: no such file, a failed download, or another checksum.
    """
    destination = Path(destination)
    if is_url(location):
        with _part(destination) as part:
            _download(location, part, bool(checksum), attempts, pause, minutes)
            found = _placed(part, os.replace, destination, location, checksum)
    elif Path(location).is_file():
        found = _placed(Path(location), shutil.copyfile, destination, location, checksum)
    else:
        raise InputError(f"{location}: no such file; correct the path in the config")
    return {"name": location, "sha256": found}


def _placed(
    source: Path, place: Callable[..., Any], destination: Path, name: str, checksum: str | None
) -> str:
    """Copy or move a file to its place, and return its checksum if it is the one expected."""
    with atomic_path(destination) as temporary:
        place(source, temporary)
        found = sha256(temporary)
        if checksum is not None and found != checksum:
            raise InputError(
                f"{name}: sha256 is {found}, expected {checksum}; the file is damaged or has "
                "changed"
            )
    return found


@contextmanager
def _part(destination: Path) -> Iterator[Path]:
    """The file that a download grows in; only one process at a time may hold it."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(f".{destination.name}.part")
    with open(part, "ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{destination}: is being downloaded by another process; wait for it"
            ) from None
        except OSError:
            pass  # A file system without locks.
        try:
            yield part
        finally:
            # In its place by now, or refused, or nothing has arrived.
            if not part.exists() or not part.stat().st_size:
                part.unlink(missing_ok=True)
                _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    """Where it is written of which version of which file a part is."""
    return part.with_name(f"{part.name}.json")


def _download(
    url: str, part: Path, proved: bool, attempts: int, pause: float, minutes: float | None
) -> None:
    import requests

    latest = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    failures = 0
    while True:
        before = part.stat().st_size
        try:
            return _receive(url, part, proved, latest)
        except (requests.RequestException, _IncompleteError) as error:
            reason = " ".join(str(error).split())[:200]
            response = getattr(error, "response", None)
        status = 0 if response is None else response.status_code
        if time.monotonic() > latest:
            raise InputError(
                f"{url}: not done in {minutes:g} minutes; run again to continue, with more time"
            )
        # A line that breaks now and then is no failure as long as each try gets further.
        arrived = part.stat().st_size
        failures = 0 if arrived > before else failures + 1
        log.warning("%s: broke off at %d bytes: %s", url, arrived, reason)
        refused = 400 <= status < 500 and status not in (408, 416, 429)
        if refused or failures >= attempts:
            raise InputError(f"{url}: cannot be downloaded: {reason}")
        time.sleep(pause * 2 ** max(failures - 1, 0))


def _receive(url: str, part: Path, proved: bool, latest: float) -> None:
    """Ask once for what is missing of the file, and append it."""
    import requests
    from tqdm import tqdm

    headers = {"Accept-Encoding": "identity", **_resuming(url, part, proved)}
    start = part.stat().st_size if "Range" in headers else 0
    with requests.get(url, stream=True, timeout=TIMEOUT, headers=headers) as response:
        if response.status_code == 416:
            if response.headers.get("Content-Range", "").endswith(f"*/{start}"):
                return  # Nothing is missing.
            # The part is longer than the file: it is of another one.
            os.truncate(part, 0)
        response.raise_for_status()
        if response.status_code != 206:
            start = 0
        total = _total(response, start)
        _keep_note(url, part, response)
        with (
            open(part, "r+b") as handle,
            tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.name) as bar,
        ):
            handle.truncate(start)
            handle.seek(start)
            for chunk in response.iter_content(CHUNK):
                handle.write(chunk)
                bar.update(len(chunk))
                if time.monotonic() > latest:
                    raise _IncompleteError("out of time")
    size = part.stat().st_size
    if total is not None and size != total:
        raise _IncompleteError(f"got {size} of {total} bytes")


def _resuming(url: str, part: Path, proved: bool) -> dict[str, str]:
    """Headers that ask for the rest of a part, if it is known to be of the same file."""
    size = part.stat().st_size
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        note = {}
    if not size or note.get("url") != url:
        return {}
    if note.get("version"):
        return {"Range": f"bytes={size}-", "If-Range": note["version"]}
    # The server names no version; a checksum tells at the end.
    return {"Range": f"bytes={size}-"} if proved else {}


def _keep_note(url: str, part: Path, response: Any) -> None:
    tag = response.headers.get("ETag", "")
    # A weak tag promises the same meaning, not the same bytes.
    version = response.headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag
    _note(part).write_text(json.dumps({"url": url, "version": version}), encoding="utf-8")


def _total(response: Any, start: int) -> int | None:
    """Bytes of the whole file, as far as the server says.

    Raises:
        _IncompleteError: it answers with another range than was asked for.
    """
    if response.status_code == 206:
        # bytes FIRST-LAST/TOTAL
        span, _, total = response.headers.get("Content-Range", "").rpartition("/")
        if span.partition(" ")[2].partition("-")[0] != str(start):
            raise _IncompleteError(f"the server sent {span!r} instead of what follows byte {start}")
        return int(total) if total.isdigit() else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None
