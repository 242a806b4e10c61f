"""Files appear whole or not at all: written next to their place, synced, then renamed.

A temporary name tells the machine and the process that writes, so that what a killed one left can
be swept. A job of an interrupted run may go on and end after its successor: where an output of a
command changed hands since the command began, it is not overwritten.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spikeline.errors import InputError

# Files of this process's command, as they were when it began: (inode, time of change), or None.
_CLAIMED: dict[str, tuple[int, int] | None] = {}
_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:4]
_TEMPORARY = re.compile(r"\..+\.([0-9a-f]{4})-(\d+)-\w{8}(\.\w+)?")
# Whether a process of another machine lives is not seen from here; no job lasts that long.
OTHER_MACHINES_S = 30 * 86400


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary sibling to write to; it becomes `path` on success and vanishes on failure."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        _check_claim(path)
        os.replace(temporary, path)
        _renew_claim(path)
    except OSError as error:
        # The error of a full disk names no file, or the temporary one.
        if error.errno and str(error.filename) in ("None", str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write `content` to `path` atomically; a full disk raises OSError and leaves nothing."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """Write UTF-8 text to `path` atomically."""
    write_bytes(path, content.encode())


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary sibling folder that becomes `path` on success and vanishes on failure."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=_prefix(path), dir=path.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        _check_claim(path)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
        _renew_claim(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def claim(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Note how files are that this command may write, before it computes them; forget others.

    Writing one of them raises InputError where another process has written it meanwhile.
    """
    _CLAIMED.clear()
    _CLAIMED.update({os.path.abspath(path): _identity(path) for path in paths})


def sweep(folders: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Remove what killed processes left half written below some folders; what was removed.

    Temporary files of living processes stay, and those of other machines for thirty days.
    """
    removed = []
    for folder in folders:
        for parent, inner, names in os.walk(folder):
            for name in [*inner, *names]:
                path = Path(parent, name)
                if (match := _TEMPORARY.fullmatch(name)) and _abandoned(path, *match.groups()[:2]):
                    if path.is_dir():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink(missing_ok=True)
                    removed.append(path)
            inner[:] = [name for name in inner if not _TEMPORARY.fullmatch(name)]
    return removed


def sha256(path: str | os.PathLike[str]) -> str:
    """The hex digest of a file, or of a folder's files with their relative names."""
    path = Path(path)
    if path.is_file():
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    digest = hashlib.sha256()
    for member in sorted(item for item in path.rglob("*") if item.is_file()):
        digest.update(f"{member.relative_to(path)}\0{sha256(member)}\n".encode())
    return digest.hexdigest()


def _prefix(path: Path) -> str:
    # Names of models may be long, and a name has 255 bytes at most.
    return f".{path.name[:180]}.{_MACHINE}-{os.getpid()}-"


def _abandoned(path: Path, machine: str, process: str) -> bool:
    if machine != _MACHINE:
        return time.time() - path.lstat().st_mtime > OTHER_MACHINES_S
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        # It lives, and is another user's.
        pass
    return False


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        # Not there, or no path at all.
        return None
    return found.st_ino, found.st_mtime_ns


def _check_claim(path: Path) -> None:
    if _CLAIMED.get(key := os.path.abspath(path), found := _identity(path)) != found:
        raise InputError(
            f"{key}: changed while this process computed it, so it is not overwritten; another "
            f"run's job wrote or removed it: let no other run go on in this folder, then run again"
        )


def _renew_claim(path: Path) -> None:
    if (key := os.path.abspath(path)) in _CLAIMED:
        _CLAIMED[key] = _identity(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
