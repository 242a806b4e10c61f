"""Stimulus images as one plain zip, from which every step reads them by name.

The zip stores the images unencrypted and uncompressed (they are JPEG or PNG already), so a single
file with one checksum replaces tens of thousands, and any image can be read at random.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from spikeline.artifacts.files import atomic_path
from spikeline.errors import InputError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp"}
LICENCE = (
    "the THINGS images are password-protected: read and accept their licence at "
    "https://osf.io/jum2f, then set {variable} to the password given there"
)


def pack(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    provenance: str,
    prefix: str = "",
    password: bytes | None = None,
    password_variable: str = "",
) -> int:
    """Repack a folder or zip of images into a plain zip and return how many images it holds.

    Args:
        prefix: leading folders to strip, e.g. ``object_images/``; members outside are left out.
        password: of an encrypted archive.
        password_variable: the environment variable that the error names when it is missing.

    Raises:
        InputError: no such file, no images, an encrypted archive without its password, a damaged
            member, or a name that leaves the archive.
    """
    source = Path(source)
    prefix = f"{prefix.rstrip('/')}/" if prefix else ""
    packed = set()
    with atomic_path(destination) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as plain:
            for name, content in _members(source, prefix, password, password_variable):
                if name in packed:
                    raise InputError(f"{source}: holds two images named {name!r}")
                packed.add(name)
                # A fixed date: the same images give the same bytes.
                info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                plain.writestr(info, content)
            if not packed:
                raise InputError(f"{source}: holds no images below {prefix or 'its top'!r}")
            plain.comment = provenance.encode()
    return len(packed)


def names(path: str | os.PathLike[str]) -> np.ndarray:
    """Sorted names of the images in a packed zip."""
    with _opened(Path(path)) as archive:
        return np.asarray(sorted(archive.namelist()), object)


def first_names(path: str | os.PathLike[str]) -> np.ndarray:
    """For each sorted name the first name in a packed zip whose file has the same bytes.

    A set may hold a picture under two names; a decoder trained on one knows the other.
    """
    first: dict[bytes, str] = {}
    with _opened(Path(path)) as archive:
        found = []
        for name in sorted(archive.namelist()):
            digest = hashlib.sha256(archive.read(name)).digest()
            found.append(first.setdefault(digest, name))
    return np.asarray(found, object)


def load(path: str | os.PathLike[str], images: np.ndarray) -> Iterator[Image.Image]:
    """The named images as RGB, in order.

    Raises:
        InputError: an image is missing or cannot be decoded; it is named.
    """
    with _opened(Path(path)) as archive:
        present = set(archive.namelist())
        missing = [name for name in images if name not in present]
        if missing:
            raise InputError(f"{path}: image {missing[0]!r} is missing ({len(missing)} in all)")
        for name in images:
            try:
                with Image.open(io.BytesIO(archive.read(name))) as image:
                    yield image.convert("RGB")
            except (UnidentifiedImageError, OSError, zipfile.BadZipFile, SyntaxError):
                raise InputError(f"{path}: image {name!r} cannot be decoded") from None


def _members(
    source: Path, prefix: str, password: bytes | None, variable: str
) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        paths = sorted(path for path in source.rglob("*") if path.is_file())
        for path in tqdm(paths, desc="images", mininterval=2):
            name = _kept(path.relative_to(source).as_posix(), prefix, source)
            if name:
                yield name, path.read_bytes()
        return
    with _opened(source) as archive:
        infos = sorted(archive.infolist(), key=lambda info: info.filename)
        for info in tqdm(infos, desc="images", mininterval=2):
            name = None if info.is_dir() else _kept(info.filename, prefix, source)
            if not name:
                continue
            if info.flag_bits & 1 and password is None:
                reason = LICENCE.format(variable=variable or "password_variable in the config")
                raise InputError(f"{source}: {reason}")
            try:
                yield name, archive.read(info, pwd=password)
            except NotImplementedError as error:
                raise InputError(
                    f"{source}: member {info.filename!r}: {error}; unpack the archive to a folder"
                ) from None
            except RuntimeError:
                raise InputError(f"{source}: the password in {variable} is wrong") from None
            except (zipfile.BadZipFile, zlib.error, OSError, EOFError):
                raise InputError(f"{source}: member {info.filename!r} is damaged") from None


def _kept(name: str, prefix: str, source: Path) -> str | None:
    name = name.replace("\\", "/")
    if ".." in PurePosixPath(name).parts or name.startswith("/"):
        raise InputError(f"{source}: member {name!r} points outside the archive; refused")
    if not name.startswith(prefix) or PurePosixPath(name).suffix.lower() not in SUFFIXES:
        return None
    if "__MACOSX" in name or PurePosixPath(name).name.startswith("."):
        return None
    return name.removeprefix(prefix)


def _opened(path: Path) -> zipfile.ZipFile:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; correct the path in the config")
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise InputError(f"{path}: is not a zip archive or is truncated; fetch it again") from None
