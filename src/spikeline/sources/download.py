"""One file from a local path or an https address, its checksum verified before it is used."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

from spikeline.artifacts.files import atomic_path, sha256
from spikeline.errors import InputError

log = logging.getLogger(__name__)

CHUNK = 1 << 20
TIMEOUT = (15, 60)  # seconds to connect, and between two packets


def is_url(location: str) -> bool:
    return location.startswith(("https://", "http://"))


def fetch(
    location: str,
    destination: str | os.PathLike[str],
    checksum: str | None = None,
    attempts: int = 3,
    pause: float = 5.0,
) -> dict[str, Any]:
    """Copy or download `location` to `destination` and return the origin record.

    Args:
        checksum: the sha256 that the content must have; None accepts any.

    Raises:
        InputError: no such file, a failed download, or another checksum.
    """
    with atomic_path(destination) as temporary:
        if is_url(location):
            _download(location, temporary, attempts, pause)
        elif Path(location).is_file():
            shutil.copyfile(location, temporary)
        else:
            raise InputError(f"{location}: no such file; correct the path in the config")
        found = sha256(temporary)
        if checksum is not None and found != checksum:
            raise InputError(
                f"{location}: sha256 is {found}, expected {checksum}; "
                "the file is damaged or has changed"
            )
    return {"name": location, "sha256": found}


def _download(url: str, path: Path, attempts: int, pause: float) -> None:
    import requests
    from tqdm import tqdm

    for attempt in range(attempts):
        try:
            with requests.get(url, stream=True, timeout=TIMEOUT) as response:
                response.raise_for_status()
                size = int(response.headers.get("content-length", 0)) or None
                with (
                    open(path, "wb") as handle,
                    tqdm(total=size, unit="B", unit_scale=True, desc=Path(url).name) as bar,
                ):
                    for chunk in response.iter_content(CHUNK):
                        handle.write(chunk)
                        bar.update(len(chunk))
            return
        except requests.RequestException as error:
            reason = " ".join(str(error).split())
            log.warning("attempt %d of %d: %s", attempt + 1, attempts, reason)
            status = 0 if error.response is None else error.response.status_code
            if 400 <= status < 500 and status not in (408, 429):
                break  # A client error: the server would answer the same again.
            if attempt + 1 < attempts:
                time.sleep(pause * 2**attempt)
    raise InputError(f"{url}: cannot be downloaded: {reason[:200]}")
