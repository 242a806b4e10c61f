"""Stimulus images as one plain zip, from which every step reads them by name.

The zip stores the images unencrypted and uncompressed (they are JPEG or PNG already), so a single
file with one checksum replaces tens of thousands, and any image can be read at random. If asked,
images are stored at the resolution that an encoder sees, without loss.
"""

from __future__ import annotations

import hashlib
import io
import logging
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

log = logging.getLogger(__name__)

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp"}
PROVED = 4  # members that a password is tried on before the archive is read
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
    shorter_side: int | None = None,
) -> int:
    """Repack a folder or zip of images into a plain zip and return how many images it holds.

    Args:
        prefix: leading folders to strip, e.g. ``object_images/``; members outside are left out.
        password: of an encrypted archive.
        password_variable: the environment variable that the error names when it is missing.
        shorter_side: in pixels, that larger images are reduced to; None keeps the files.

    Raises:
        InputError: no such file, no images, an encrypted archive without its password or with a
            wrong one, a damaged member, or a name that leaves the archive.
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
                if shorter_side is not None:
                    content = _reduced(content, shorter_side, f"{source}: image {name!r}")
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


def _reduced(content: bytes, shorter_side: int, where: str) -> bytes:
    """An image as encoders' own preprocessing resizes it: RGB, bicubic, the shorter side given.

    A step that resizes to the same size then finds nothing to do, so an encoder that sees this
    size sees the same pixels as from the whole file. Smaller images are kept as they are.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            scale = shorter_side / min(width, height)
            if scale >= 1:
                return content
            # The longer side is cut to a whole number, as torchvision does.
            size = (
                (shorter_side, int(shorter_side * height / width))
                if width <= height
                else (int(shorter_side * width / height), shorter_side)
            )
            reduced = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    except (UnidentifiedImageError, OSError, SyntaxError):
        raise InputError(f"{where} cannot be decoded") from None
    buffer = io.BytesIO()
    reduced.save(buffer, "PNG")
    return buffer.getvalue()


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
        if password is not None:
            _prove_password(archive, infos, password, f"{source}: the password in {variable}")
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
                raise InputError(
                    f"{source}: member {info.filename!r} has another password than the first ones"
                ) from None
            except (zipfile.BadZipFile, zlib.error, OSError, EOFError):
                raise InputError(f"{source}: member {info.filename!r} is damaged") from None


def _prove_password(
    archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo], password: bytes, what: str
) -> None:
    """Try the password on a few members' headers, and have the rest decrypted by compiled code.

    A header tells a wrong password from the right one in 255 of 256 cases.
    """
    locked = [info for info in infos if info.flag_bits & 1]
    if not locked:
        return
    try:
        # Replaces the decryption of zipfile, which does a few megabytes a second.
        import fast_zip_decryption  # noqa: F401
    except ImportError:
        log.warning("fast_zip_decryption is not installed: the archive is decrypted slowly")
    for info in locked[:PROVED]:
        try:
            archive.open(info, pwd=password).close()
        except RuntimeError:
            raise InputError(f"{what} is wrong") from None
        except (NotImplementedError, zipfile.BadZipFile, OSError, EOFError):
            return  # What is wrong with the member is said when it is read.


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
