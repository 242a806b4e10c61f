"""Files out of a DataLad dataset: clone, get through git-annex, copy to a plain file."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from spikeline.artifacts.files import atomic_path
from spikeline.errors import InputError

log = logging.getLogger(__name__)

IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "spikeline"), ("EMAIL", "spikeline@localhost"))
}


def environment() -> dict[str, str]:
    """The process environment with the tools of this Python first and a git identity.

    git-annex commits to its own branch, so it needs an identity even to read; a user's own
    settings win. Prompts are off: a job would wait for an answer forever.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**IDENTITY, **os.environ, "PATH": path, "GIT_TERMINAL_PROMPT": "0"}


def fetch(
    url: str,
    files: Mapping[str, str | os.PathLike[str]],
    clone: str | os.PathLike[str],
    commit: str | None = None,
    attempts: int = 3,
    pause: float = 5.0,
) -> dict[str, str]:
    """Copy `files` (path in the dataset -> destination) out of the dataset at `url`.

    The clone stays at `clone`, so that a second subject, or a retry after a broken transfer,
    continues from what is there. It is cloned again when the origin has moved on.

    Args:
        url: a local path, file:// or https:// address.
        commit: the version to read; None takes the origin's current one.
        attempts: tries of each network step, `pause` seconds apart, doubling.

    Returns:
        the origin record: name, url, commit, and each file's annex key or blob hash.

    Raises:
        InputError: the dataset cannot be cloned, or a file is not in it or has no content there.
    """
    clone = Path(clone)
    if url.startswith("-") or re.match(r"\w+::", url):
        # git would take it for an option, or for a program to run.
        raise InputError(f"{url}: is no address of a dataset; give a path or an https:// address")
    if "://" not in url:
        url = str(Path(url).resolve())
    clone.parent.mkdir(parents=True, exist_ok=True)
    with open(clone.with_name(f".{clone.name}.lock"), "w") as lock:
        # Two subjects of one dataset may be fetched at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        _refresh(url, clone, commit, attempts, pause)
        keys = {}
        for name, destination in files.items():
            _get(url, clone, name, attempts, pause)
            keys[name] = _annex_key(clone / name)
            with atomic_path(destination) as temporary:
                shutil.copyfile(clone / name, temporary)
    return {"name": url, "url": url, "commit": _head(clone), "files": keys}


def _refresh(url: str, clone: Path, commit: str | None, attempts: int, pause: float) -> None:
    wanted = commit or _remote_head(url, attempts, pause)
    if clone.exists():
        # A commit may be given by its first digits.
        if _head(clone).startswith(wanted) and _remote_url(clone) == url:
            return
        log.info("%s: the origin has moved on, cloning again", clone)
        remove(clone)
    log.info("cloning %s", url)
    # An interrupted clone must not be taken for a complete one.
    temporary = clone.with_name(f".{clone.name}.partial")

    def attempt() -> subprocess.CompletedProcess[str]:
        remove(temporary)
        return _run(["datalad", "clone", url, str(temporary)])

    _retry(attempt, f"{url}: cannot be cloned", attempts, pause)
    if commit is not None:
        done = _run(["git", "-C", str(temporary), "checkout", "-q", commit])
        if done.returncode:
            raise InputError(f"{url}: has no commit {commit}; {_last_line(done)}")
    temporary.rename(clone)


def _get(url: str, clone: Path, name: str, attempts: int, pause: float) -> None:
    path = clone / name
    outside = Path(name).is_absolute() or ".." in Path(name).parts
    if outside or not os.path.lexists(path) or path.is_dir():
        raise InputError(f"{url}: has no file {name}; check the dataset's layout and the config")
    if path.exists():
        _check_link(url, clone, name)
        return
    log.info("getting %s", name)
    _retry(
        lambda: _run(["datalad", "-C", str(clone), "get", name]),
        f"{url}: the content of {name} is not available there (dropped, or never uploaded?)",
        attempts,
        pause,
    )
    if not path.exists():
        raise InputError(f"{url}: git-annex reported success, but {name} has no content")
    _check_link(url, clone, name)


def _check_link(url: str, clone: Path, name: str) -> None:
    target = (clone / name).resolve()
    if not target.is_relative_to(clone.resolve()):
        raise InputError(f"{url}: {name} is a link to {target}, outside the dataset; refused")


def _retry(call, failure: str, attempts: int, pause: float) -> None:
    for attempt in range(attempts):
        done = call()
        if done.returncode == 0:
            return
        log.warning("attempt %d of %d: %s", attempt + 1, attempts, _last_line(done))
        if attempt + 1 < attempts:
            time.sleep(pause * 2**attempt)
    raise InputError(f"{failure}: {_last_line(done)}")


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise InputError(f"{command[0]}: not installed; see envs/workflow.txt") from None


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines()]
    telling = [line for line in lines if line and not line.startswith(("action summary", "get ("))]
    errors = [line for line in telling if "rror" in line or "fatal" in line or "not " in line]
    return (errors or telling or [f"exit status {done.returncode}"])[0][:300]


def _head(clone: Path) -> str:
    return _run(["git", "-C", str(clone), "rev-parse", "HEAD"]).stdout.strip()


def _remote_url(clone: Path) -> str:
    return _run(["git", "-C", str(clone), "remote", "get-url", "origin"]).stdout.strip()


def _remote_head(url: str, attempts: int, pause: float) -> str:
    found = []

    def attempt() -> subprocess.CompletedProcess[str]:
        done = _run(["git", "ls-remote", "--", url, "HEAD"])
        found[:] = done.stdout.split()[:1]
        return done

    _retry(attempt, f"{url}: cannot be reached or is not a dataset", attempts, pause)
    if not found:
        raise InputError(f"{url}: is an empty repository")
    return found[0]


def _annex_key(path: Path) -> str:
    return Path(os.readlink(path)).name if path.is_symlink() else "in git"


def remove(folder: str | os.PathLike[str]) -> None:
    """Delete a clone; git-annex keeps its objects read-only, so open them up first."""
    folder = Path(folder)
    if not folder.exists():
        return
    for parent, _, _ in os.walk(folder):
        os.chmod(parent, 0o755)
    shutil.rmtree(folder)
