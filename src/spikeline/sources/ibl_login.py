"""One login to an Alyx database for all jobs that read from it.

ONE keeps the token in its own parameter file in the user's home, which one job writes; every other
job finds the token there and writes neither that file nor cache tables that others use. Runs in the
client's environment (envs/ibl.txt).
"""

from __future__ import annotations

import json
import logging
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from spikeline.artifacts.files import write_text
from spikeline.errors import InputError

log = logging.getLogger(__name__)

STALL_S = 60  # without a packet, a download is taken for broken off
# ONE waits up to a minute before each try of a busy server, 8 times; `retried` tries again too.
BUSY_TRIES = 4


class DamagedDownloadError(ConnectionError):
    """A downloaded file is not the one that the database describes; worth another try."""


def log_in(
    url: str,
    cache: str,
    user: str | None,
    password: str | None,
    token: str | None,
    data_server: str | None = None,
) -> str:
    """Have ONE log in and keep its token; the name of the user it belongs to.

    Args:
        url: address of the database.
        cache: folder that downloads are kept in.
        data_server: address of the files; None takes IBL's public ones.

    Raises:
        InputError: no user and password, and no token; or the database does not accept them.
    """
    import one.params
    import requests
    from one.webclient import AlyxClient

    if not (token or (user and password)):
        lacking = "ONE_USER" if password and not user else "ONE_PASSWORD"
        raise InputError(
            f"{url}: needs an account: register at {url}/signup, then set the environment "
            f"variables ONE_USER and ONE_PASSWORD, or ONE_TOKEN to the token that {url}/me shows; "
            f"{lacking} is not set"
        )
    # Without it ONE would ask, or write its defaults over what it knows of this database.
    if not _known(url):
        one.params.setup(client=url, silent=True, cache_dir=cache)
    parameters = one.params.get(client=url, silent=True)
    if data_server and data_server != parameters.HTTP_DATA_SERVER:
        one.params.save(parameters.set("HTTP_DATA_SERVER", data_server), url)
    os.chmod(_parameter_file(url), 0o600)
    try:
        client = AlyxClient(
            base_url=url, username=user or None, token=token or None, silent=True, cache_dir=cache,
            password=None if token else password,
        )  # fmt: skip
    except requests.HTTPError as error:
        if error.response is not None and error.response.status_code in (400, 401, 403):
            given = "ONE_TOKEN" if token else "ONE_USER and ONE_PASSWORD"
            raise InputError(
                f"{url}: does not accept {given}; correct them, or register at {url}/signup"
            ) from None
        raise
    except ValueError:
        raise InputError(
            f"{url}: does not say whose token ONE_TOKEN is; set ONE_USER too"
        ) from None
    return str(client.user)


def keep(path: str | os.PathLike[str], url: str, user: str) -> None:
    """Write down who is logged in where; the token stays in ONE's own file."""
    write_text(path, json.dumps({"url": url, "user": user}, sort_keys=True) + "\n")


def user_of(path: str | os.PathLike[str], url: str) -> str:
    """Who is logged in.

    Raises:
        InputError: the file is missing or of another database, or ONE has no token any more.
    """
    from one.params import get

    try:
        login = json.loads(Path(path).read_text(encoding="utf-8"))
        user = login["user"] if login["url"] == url else None
    except (OSError, ValueError, KeyError, TypeError):
        user = None
    if user is None:
        raise InputError(f"{path}: is no login to {url}; remove it and run again")
    if not _known(url) or user not in (getattr(get(client=url, silent=True), "TOKEN", None) or {}):
        _refuse(path, url)
    return user


def opened(url: str, cache: str, login: str | os.PathLike[str]) -> Any:
    """ONE on a database, as `fetch-ibl-login` left it, proving each file that it downloads.

    Raises:
        InputError: there is no valid login.
    """
    from one.api import ONE

    socket.setdefaulttimeout(STALL_S)
    one = ONE(base_url=url, username=user_of(login, url), silent=True, cache_dir=cache)
    # Other jobs download into the same folder: tables and answers are kept for this one alone.
    private = tempfile.TemporaryDirectory(prefix="one-")
    one.alyx.rest_cache_dir = Path(private.name, ".rest")
    one.alyx.private = private
    one.save_cache = lambda *arguments, **options: None
    # What ONE does when its token is refused would change the file that others read.
    one.alyx.authenticate = one.alyx.logout = lambda *a, **k: _refuse(login, url)
    one.alyx.max_retry_attempts = BUSY_TRIES
    one._download_datasets = _proved(one._download_datasets)
    return one


def _proved(download: Callable[..., list[Path | None]]) -> Callable[..., list[Path | None]]:
    """ONE takes any file that arrives for the one it asked for, cut ones included."""

    def downloaded(datasets: Any, **options: Any) -> list[Path | None]:
        import pandas as pd
        from iblutil.io import hashfile

        files = download(datasets, **options)
        for (_, record), file in zip(datasets.iterrows(), files, strict=True):
            if file is None:
                continue
            for what, expected, found in (
                ("bytes", record["file_size"], lambda file=file: file.stat().st_size),
                ("md5", record["hash"], lambda file=file: hashfile.md5(file)),
            ):
                if not pd.isna(expected) and expected and found() != expected:
                    told = f"{file.name}: {what} {found()}, expected {expected}"
                    # ONE would find it on the next try, and keep it if it has no checksum.
                    Path(file).unlink()
                    raise DamagedDownloadError(told)
        return files

    return downloaded


def _refuse(login: str | os.PathLike[str], url: str) -> NoReturn:
    raise InputError(
        f"{url}: the login is no longer valid; remove {login} and run again, with ONE_USER and "
        "ONE_PASSWORD or ONE_TOKEN set"
    )


def _known(url: str) -> bool:
    """Whether ONE has parameters of this database."""
    import one.params
    from iblutil.io import params

    caches = params.as_dict(params.read("one/caches", {})) or {}
    known = one.params._key_from_url(url) in caches.get("CLIENT_MAP", {})
    return known and _parameter_file(url).is_file()


def _parameter_file(url: str) -> Path:
    import one.params
    from iblutil.io import params

    return Path(params.getfile(f"one/{one.params._key_from_url(url)}"))
