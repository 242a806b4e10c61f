"""Zip archives that anyone may have written: opened, and members read within stated bounds."""

from __future__ import annotations

import lzma
import os
import stat
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from spikeline.errors import InputError

# Larger than any image file; a member is read into memory whole.
MEMBER_BYTES = 1 << 29
# Control characters, line ends, and bytes that are no UTF-8.
_UNWRITABLE = {"Cc", "Cs", "Zl", "Zp"}
# What reading a member raises where its bytes are wrong.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


def opened(path: str | os.PathLike[str]) -> zipfile.ZipFile:
    """An archive open for reading.

    Raises:
        InputError: missing, no zip archive, truncated, or with members that share their bytes.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; correct the path in the config")
    try:
        archive = zipfile.ZipFile(path)
    except (*_DAMAGE, NotImplementedError, RuntimeError):
        raise InputError(f"{path}: is not a zip archive or is truncated; fetch it again") from None
    # A few megabytes whose members lie over each other unpack to petabytes.
    if sum(info.compress_size for info in archive.infolist()) > path.stat().st_size:
        archive.close()
        raise InputError(f"{path}: claims more than its size holds, as zip bombs do; refused")
    return archive


def content(
    archive: zipfile.ZipFile, member: str | zipfile.ZipInfo, password: bytes | None = None
) -> bytes:
    """All bytes of a member.

    Raises:
        InputError: damaged, larger than `MEMBER_BYTES`, a link, or locked by another password.
    """
    info = member if isinstance(member, zipfile.ZipInfo) else archive.getinfo(member)
    what = f"{archive.filename}: member {info.filename!r}"
    if info.file_size > MEMBER_BYTES:
        raise InputError(
            f"{what} unpacks to {info.file_size / 1e6:.0f} MB, more than the "
            f"{MEMBER_BYTES / 1e6:.0f} MB that an image may have; refused"
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise InputError(f"{what} is a link; refused, pack the file that it stands for")
    try:
        # No more is unpacked than the member says it holds; zipfile lets it be less.
        read = archive.read(info, pwd=password)
    except NotImplementedError as error:
        raise InputError(f"{what}: {error}; unpack the archive to a folder") from None
    except RuntimeError:
        told = "needs a password" if password is None else "has another password than the first"
        raise InputError(f"{what} {told}") from None
    except _DAMAGE:
        raise InputError(f"{what} is damaged; fetch the archive again") from None
    if len(read) != info.file_size:
        raise InputError(f"{what} is damaged; fetch the archive again")
    return read


def inside(name: str, where: str) -> str:
    """A member's name with '/' between its folders.

    Raises:
        InputError: it points outside the archive.
    """
    name = name.replace("\\", "/")
    if ".." in PurePosixPath(name).parts or name.startswith("/") or name[1:3] == ":/":
        raise InputError(f"{where}: member {name!r} points outside the archive; refused")
    return name


def check_name(name: str, where: str) -> None:
    """Raise InputError where a name cannot stand on one line of a list or in a cell of a table."""
    if any(unicodedata.category(character) in _UNWRITABLE for character in name):
        raise InputError(
            f"{where}: {name!r} has a character in its name that no list or table can hold; "
            "rename it"
        )
