"""HDF5 files built in memory and written at once, so a full disk cannot leave half of one."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_bytes
from spikeline.errors import InputError

CONTRACT = "contract"


@contextmanager
def written(
    path: str | os.PathLike[str], contract: str, record: Mapping[str, Any]
) -> Iterator[h5py.File]:
    """An open file that lands at `path`, with its contract's name and provenance, on success."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as handle:
        handle.attrs[CONTRACT] = contract
        handle.attrs[provenance.KEY] = provenance.dumps(record)
        yield handle
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
    with handle:
        try:
            found = _contract(handle)
            if contract is not None and found != contract:
                raise InputError(f"{path}: holds {found!r} where {contract!r} is due")
            yield handle
        except (OSError, RuntimeError) as error:
            # h5py's words for damage; a full disk or another file of the caller's is none.
            if isinstance(error, OSError) and (error.errno or error.filename):
                raise
            reason = " ".join(str(error).split())[:120]
            raise InputError(f"{path}: is damaged ({reason}); make it again") from None


def _contract(handle: h5py.File) -> str | None:
    try:
        return handle.attrs.get(CONTRACT)
    except KeyError as error:
        raise RuntimeError(error) from None


def strings(dataset: h5py.Dataset) -> np.ndarray:
    """A string dataset as an array of str objects.

    Raises:
        InputError: it holds something else.
    """
    if not isinstance(dataset, h5py.Dataset) or h5py.check_string_dtype(dataset.dtype) is None:
        raise InputError(f"{dataset.file.filename}: field {dataset.name[1:]} holds no strings")
    return np.asarray(dataset.asstr()[...], dtype=object)


def numbers(dataset: h5py.Dataset) -> np.ndarray:
    """A numeric or boolean dataset as an array.

    Raises:
        InputError: it holds something else, or its bytes are damaged.
    """
    where = f"{dataset.file.filename}: field {dataset.name[1:]}"
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiub":
        raise InputError(f"{where} holds no numbers")
    try:
        return dataset[...]
    except OSError:
        raise InputError(f"{where} cannot be read; the file is damaged, make it again") from None


def require(handle: h5py.File, names: Iterator[str], path: str | os.PathLike[str]) -> None:
    """Raise InputError naming the fields that the file lacks."""
    missing = [name for name in names if name not in handle]
    if missing:
        raise InputError(f"{path}: field {', '.join(missing)} is missing; it has {list(handle)}")
