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
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from tqdm import tqdm

from spikeline.artifacts.files import atomic_path
from spikeline.errors import InputError
from spikeline.sources import archives
from spikeline.sources.pictures import decoded

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
            wrong one, a damaged member, more than the disk holds, or a name or link that leaves
            the source.
    """
    source = Path(source)
    prefix = f"{prefix.rstrip('/')}/" if prefix else ""
    packed = set()
    with atomic_path(destination) as temporary:
        if shorter_side is None:
            _check_room(source, prefix, temporary.parent)
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
    with archives.opened(path) as archive:
        return np.asarray(sorted(archive.namelist()), object)


def first_names(path: str | os.PathLike[str]) -> np.ndarray:
    """For each sorted name the first name in a packed zip whose file has the same bytes.

    A set may hold a picture under two names; a decoder trained on one knows the other.
    """
    first: dict[bytes, str] = {}
    with archives.opened(path) as archive:
        found = []
        for name in sorted(archive.namelist()):
            digest = hashlib.sha256(archives.content(archive, name)).digest()
            found.append(first.setdefault(digest, name))
    return np.asarray(found, object)


def load(path: str | os.PathLike[str], images: np.ndarray) -> Iterator[Image.Image]:
    """The named images as RGB, in order.

    Raises:
        InputError: an image is missing or cannot be decoded; it is named.
    """
    with archives.opened(path) as archive:
        present = set(archive.namelist())
        missing = [name for name in images if name not in present]
        if missing:
            raise InputError(f"{path}: image {missing[0]!r} is missing ({len(missing)} in all)")
        for name in images:
            yield decoded(archives.content(archive, name), f"{path}: image {name!r}")


def _reduced(content: bytes, shorter_side: int, where: str) -> bytes:
    """An image as encoders' own preprocessing resizes it: RGB, bicubic, the shorter side given.

    A step that resizes to the same size then finds nothing to do, so an encoder that sees this
    size sees the same pixels as from the whole file. Smaller images are kept as they are.
    """
    image = decoded(content, where)
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
    reduced = image.resize(size, Image.Resampling.BICUBIC)
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
                _check_link(path, source)
                yield name, path.read_bytes()
        return
    with archives.opened(source) as archive:
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
            yield name, archives.content(archive, info, password)


def _check_link(path: Path, source: Path) -> None:
    """Raise InputError where a link takes a file from outside the folder.

    A DataLad dataset's files are links to its store, which may lie above a folder of images.
    """
    target = path.resolve()
    stored = "/.git/annex/objects/" in target.as_posix()
    if not (stored or target.is_relative_to(source.resolve())):
        raise InputError(
            f"{source}: {path.relative_to(source).as_posix()!r} is a link to {target}, outside "
            "the folder; refused, copy the file there"
        )


def _check_room(source: Path, prefix: str, destination: Path) -> None:
    """Raise InputError where an archive's images, unpacked, are more than the disk holds."""
    if source.is_dir():
        return
    with archives.opened(source) as archive:
        kept = [info for info in archive.infolist() if _kept(info.filename, prefix, source)]
    needed, free = sum(info.file_size for info in kept), shutil.disk_usage(destination).free
    if needed > free:
        raise InputError(
            f"{source}: its images unpack to {needed / 1e9:.1f} GB, and {destination} has "
            f"{free / 1e9:.1f} GB free; make room, or refuse the archive if it should be small"
        )


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
    name = archives.inside(name, str(source))
    if not name.startswith(prefix) or PurePosixPath(name).suffix.lower() not in SUFFIXES:
        return None
    if "__MACOSX" in name or PurePosixPath(name).name.startswith("."):
        return None
    archives.check_name(name, str(source))
    return name.removeprefix(prefix)
