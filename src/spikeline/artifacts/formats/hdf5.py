"""HDF5 files built in memory and written at once, so a full disk cannot leave half of one."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_bytes
from spikeline.artifacts.formats import seal
from spikeline.artifacts.formats.heaps import heaps_end
from spikeline.artifacts.formats.other import another
from spikeline.errors import InputError

# Attribute of the file that names its contract.
CONTRACT_KEY = "contract"
TEXT = h5py.string_dtype()
# The best that deflate, HDF5's usual filter, does; a file that claims more holds nothing of it.
COMPRESSION = 1032
# Groups in groups; a group may even hold itself.
DEPTH = 16


@contextmanager
def written(
    path: str | os.PathLike[str], contract: str, record: Mapping[str, Any]
) -> Iterator[h5py.File]:
    """An open file that lands at `path`, with its contract's name and provenance, on success."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as handle:
        handle.attrs[CONTRACT_KEY] = contract
        handle.attrs[provenance.KEY] = provenance.dumps(record)
        yield handle
        seal.seal(handle)
    write_bytes(path, buffer.getbuffer())


@contextmanager
def opened(path: str | os.PathLike[str], contract: str | None = None) -> Iterator[h5py.File]:
    """An HDF5 file open for reading.

    Raises:
        InputError: missing, truncated, not HDF5, or of another contract.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        handle = h5py.File(path, "r")
    except OSError as error:
        reason = "truncated" if "truncated" in str(error) else "not an HDF5 file"
        raise InputError(f"{path}: {reason}; fetch or make it again") from None
    if not heaps_end(path):
        handle.close()
        raise InputError(f"{path}: is damaged (a heap without an end); make it again")
    with handle:
        try:
            with intact(path):
                check_own(handle)
                found = contract_name(handle)
            if contract is not None and found != contract:
                raise InputError(f"{path}: {another(found, contract, handle.attrs)}")
            yield handle
        except (OSError, RuntimeError) as error:
            # What h5py raises on damage. A full disk, or an error of another file, is passed on.
            if isinstance(error, OSError) and (error.errno or error.filename):
                raise
            reason = " ".join(str(error).split())[:120]
            raise InputError(f"{path}: is damaged ({reason}); make it again") from None


@contextmanager
def intact(path: str | os.PathLike[str], advice: str = "make it again") -> Iterator[None]:
    """Wraps the reading of an open file, and nothing else: whatever h5py raises is damage.

    Raises:
        InputError: instead of the exception that the bad bytes caused.
    """
    try:
        yield
    except InputError:
        raise
    except seal.DAMAGE as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: is damaged ({reason}); {advice}") from None


def contract_name(handle: h5py.File) -> str | None:
    """The contract that an open file names; None where another program wrote it."""
    try:
        found = handle.attrs.get(CONTRACT_KEY)
        return found if found is None else str(found)
    except KeyError as error:
        raise RuntimeError(error) from None


def require(handle: h5py.File, names: Iterable[str]) -> None:
    """Raise InputError naming the fields that the file lacks."""
    missing = [name for name in names if name not in handle]
    if missing:
        raise InputError(
            f"{handle.filename}: field {', '.join(missing)} is missing; it has {list(handle)}; "
            "make it again"
        )


def array(dataset: h5py.Dataset) -> np.ndarray:
    """A dataset in memory: text as str objects, numbers and booleans as they are.

    Raises:
        InputError: it is a group or holds something else, or its bytes are damaged.
    """
    where = f"{dataset.file.filename}: field {dataset.name[1:]}"
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{where} is a group, expected a dataset; make it again")
    text = is_text(dataset)
    if not text and dataset.dtype.kind not in "fiub":
        raise InputError(f"{where} holds {dataset.dtype}, neither numbers nor text; make it again")
    try:
        return np.asarray(dataset.asstr()[...], dtype=object) if text else dataset[...]
    except OSError:
        raise InputError(f"{where} cannot be read; the file is damaged, make it again") from None


def mapped(dataset: h5py.Dataset) -> np.ndarray:
    """A contiguous numeric dataset as a read-only np.memmap, of which nothing is read yet.

    A dataset that cannot be mapped is read as by `array`.
    """
    numeric = isinstance(dataset, h5py.Dataset) and dataset.dtype.kind in "fiub"
    place = dataset.id.get_offset() if numeric and dataset.size else None
    if place is None or dataset.external:
        return array(dataset)
    return np.memmap(dataset.file.filename, dataset.dtype, "r", place, dataset.shape)


def check_own(group: h5py.Group, depth: int = 0) -> None:
    """Raise InputError where a file's values are not its own.

    HDF5 lets a name stand for a field of another file, a dataset for bytes of any file, and a
    dataset claim a size that nothing fills.
    """
    path = group.file.filename
    size = os.path.getsize(path)
    for name in group:
        # MATLAB's own groups, such as #refs#, are reached by references, which stay in a file.
        if name.startswith("#"):
            continue
        where = f"{path}: field {name}"
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            item = group[name]
            if isinstance(item, h5py.Group):
                if depth == DEPTH:
                    raise InputError(f"{where} lies too deep; refused")
                check_own(item, depth + 1)
            if not isinstance(item, h5py.Dataset):
                continue
            if item.nbytes > COMPRESSION * size:
                raise InputError(
                    f"{where} claims {item.nbytes} bytes in a file of {size}; it is damaged, get "
                    "it again"
                )
            if not (item.external or item.is_virtual):
                continue
        raise InputError(f"{where} stands for another place; refused, copy its values into {name}")


def is_text(dataset: h5py.Dataset) -> bool:
    return h5py.check_string_dtype(dataset.dtype) is not None


def text(values: Iterable[Any]) -> np.ndarray:
    """Strings in the dtype that h5py stores as UTF-8 of any length."""
    return np.asarray([str(value) for value in values], dtype=TEXT)
