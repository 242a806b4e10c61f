"""Where an artifact came from: origin, settings, code, inputs and versions, kept inside the file.

Formats that cannot hold it (copies of foreign files, TSV) have it next to them, in
`FILE.provenance.json`; a folder holds `provenance.json`.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import zipfile
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from spikeline import __version__
from spikeline.artifacts.files import sha256, write_text
from spikeline.errors import InputError
from spikeline.settings.code_digest import code_digest, module_digests

KEY = "provenance"
RECORDED_VERSIONS = (
    "numpy", "scipy", "h5py", "torch", "torch_brain", "open_clip_torch", "datalad", "git-annex",
    "pynwb", "ONE-api", "ibllib", "allensdk",
)  # fmt: skip


# What JSON that is not ours raises; brackets in brackets without end are the latter.
_UNREADABLE = (ValueError, RecursionError)


def describe(
    module: str,
    settings: Mapping[str, Any],
    inputs: Iterable[str | os.PathLike[str]] = (),
    origin: Mapping[str, Any] | None = None,
    large: Iterable[str | os.PathLike[str]] = (),
    **more: Any,
) -> dict[str, Any]:
    """The record of one step.

    Args:
        module: the subcommand's module, e.g. ``spikeline.cli.train``.
        settings: the settings of the step.
        inputs: files the step read; their checksums and origins are recorded.
        origin: source and commit or checksum, for the steps that bring data in.
        large: further files that the step read, too large to be read again for a checksum; their
            size stands for it.
        more: further plain facts, such as a seed.
    """
    checksums = {Path(path).as_posix(): _checksum(Path(path)) for path in inputs}
    sizes = {Path(path).as_posix(): f"{Path(path).stat().st_size} bytes" for path in large}
    origins = {} if origin is None else {origin["name"]: dict(origin)}
    for path, told in (checksums | sizes).items():
        # A file that no step of the workflow made is an origin itself.
        raw = {path: {"name": path, "size" if path in sizes else "sha256": told}}
        for name, inherited in _origins(Path(path), raw).items():
            origins.setdefault(name, inherited)
    return {
        "step": module.rpartition(".")[2].replace("_", "-"),
        "settings": dict(settings),
        **more,
        "origins": origins,
        "inputs": checksums | sizes,
        "code": code_digest(module),
        "modules": module_digests(module),
        "versions": versions(),
    }


def dumps(record: Mapping[str, Any]) -> str:
    """Canonical JSON: the same record gives the same bytes."""
    return json.dumps(record, sort_keys=True)


def write_beside(path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Write the record next to a file, or into a folder."""
    write_text(_record_path(Path(path)), json.dumps(record, sort_keys=True, indent=1) + "\n")


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The record of an artifact of any kind.

    Raises:
        InputError: the file is missing or carries none.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; make it with snakemake -- {path}")
    record = _record_path(path)
    if record.is_file():
        try:
            return dict(json.loads(record.read_text(encoding="utf-8")).items())
        except (*_UNREADABLE, AttributeError):
            raise InputError(f"{record}: is damaged; make {path} again") from None
    reader = _READERS.get(path.suffix) if path.is_file() else None
    try:
        text = reader(path) if reader else None
        if text:
            return dict(json.loads(text).items())
    except InputError:
        raise
    # What readers of five formats raise on bytes that are not theirs.
    except Exception:
        raise InputError(f"{path}: is damaged or not a {path.suffix} file; make it again") from None
    raise InputError(f"{path}: carries no provenance; it was not made by this workflow")


def writer(record: Any) -> str:
    """The version of this package that a record names, or "of an unknown version"."""
    try:
        record = json.loads(record) if isinstance(record, str) else record
        return str(record["versions"]["spikeline"])
    except (*_UNREADABLE, LookupError, TypeError):
        return "of an unknown version"


def versions() -> dict[str, str]:
    """Of this package, Python and those of `RECORDED_VERSIONS` that are installed here."""
    found = {"spikeline": __version__, "python": platform.python_version()}
    for package in RECORDED_VERSIONS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _record_path(path: Path) -> Path:
    if path.is_dir():
        return path / "provenance.json"
    return path.with_name(path.name + ".provenance.json")


def _checksum(path: Path) -> str:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    return sha256(path)


def _origins(path: Path, default: dict[str, Any]) -> dict[str, Any]:
    try:
        return read(path).get("origins", {})
    except InputError:
        return default


def _from_hdf5(path: Path) -> str | None:
    import h5py

    from spikeline.artifacts.formats.heaps import heaps_end
    from spikeline.artifacts.formats.seal import MAPPED_BYTES

    # Larger files are not read through for their record.
    whole = path.stat().st_size > MAPPED_BYTES or heaps_end(path)
    if not h5py.is_hdf5(path) or not whole:
        raise InputError(f"{path}: is not an HDF5 file or is truncated; make it again")
    with h5py.File(path, "r") as handle:
        return handle.attrs.get(KEY)


def _from_json(path: Path) -> str | None:
    content = json.loads(path.read_text(encoding="utf-8"))
    return json.dumps(content[KEY]) if isinstance(content, dict) and KEY in content else None


def _from_safetensors(path: Path) -> str | None:
    with open(path, "rb") as handle:
        (length,) = struct.unpack("<Q", handle.read(8))
        header = json.loads(handle.read(min(length, path.stat().st_size)))
    for described in header.get("__metadata__", {}).values():
        record = json.loads(described).get(KEY)
        if record is not None:
            return json.dumps(record)
    return None


def _from_zip(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        comment = archive.comment.decode(errors="replace")
    # A comment that another program wrote is not a record.
    return comment if comment.startswith("{") else None


def _from_png(path: Path) -> str | None:
    from PIL import Image

    with Image.open(path) as image:
        return image.info.get(KEY)


_READERS = {
    ".h5": _from_hdf5,
    ".json": _from_json,
    ".safetensors": _from_safetensors,
    ".zip": _from_zip,
    ".png": _from_png,
}
