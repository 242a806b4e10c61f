"""Checksums of what an artifact holds, kept in it: a flipped bit is noticed when it is read.

CRC-32 finds every flip of up to 32 neighbouring bits and costs less than reading the disk. Files
without a seal, of earlier versions, are read as they are.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Mapping
from typing import Any

import h5py
import numpy as np

from spikeline.errors import InputError

KEY = "seal"
# A dataset that is only mapped is checked up to this size: seconds, where the disk gives 1 GB/s.
MAPPED_BYTES = 2**31
# What a damaged file makes h5py and NumPy raise.
DAMAGE = (OSError, RuntimeError, LookupError, TypeError, ValueError, MemoryError, OverflowError)


def of_json(content: Any) -> str:
    """Of what JSON gives back: the order of keys means nothing."""
    plain = json.loads(json.dumps(content))
    return f"{zlib.crc32(json.dumps(plain, sort_keys=True).encode()):08x}"


def of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """Of named arrays of any shapes and dtypes."""
    total = 0
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total = zlib.crc32(f"{name}{array.shape}{array.dtype.str}".encode(), total)
        total = zlib.crc32(array.reshape(-1).view(np.uint8), total)
    return f"{total:08x}"


def seal(handle: h5py.File) -> None:
    """Store the checksum of every dataset and group of an open HDF5 file, attributes included."""
    handle.attrs[KEY] = json.dumps(_checksums(handle, ()), sort_keys=True)


def check(handle: h5py.File, mapped: Collection[str] = ()) -> None:
    """Compare an open HDF5 file with its seal.

    Args:
        mapped: datasets of which little is read; they are left out if larger than `MAPPED_BYTES`.

    Raises:
        InputError: what it holds is not what was written.
    """
    where = handle.filename
    try:
        stored = handle.attrs.get(KEY)
        if stored is None:
            return
        unread = [n for n in mapped if n in handle and handle[n].nbytes > MAPPED_BYTES]
        told = dict(json.loads(stored))
        expected = {name: told[name] for name in told if name not in unread}
        found = _checksums(handle, unread)
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{where}: is damaged ({reason}); make it again") from None
    if found != expected:
        changed = sorted(
            name or "its attributes"
            for name in found.keys() | expected.keys()
            if found.get(name) != expected.get(name)
        )
        raise InputError(
            f"{where}: is damaged: {changed[0]} is not what was written; make it again"
        )


def _checksums(handle: h5py.File, unread: Collection[str]) -> dict[str, str]:
    found = {"": _of_attributes(handle)}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if name in unread:
            return
        found[name] = _of_attributes(item)
        if isinstance(item, h5py.Dataset):
            found[name] += _of_values(_values(item), item.dtype)

    handle.visititems(visit)
    return found


def _values(dataset: h5py.Dataset) -> Any:
    """A dataset's values, mapped where they can be: a checksum needs none of them in memory."""
    plain = dataset.dtype.kind in "fiub" and dataset.file.mode == "r" and dataset.size
    place = dataset.id.get_offset() if plain else None
    if place is None:
        return dataset[()]
    return np.memmap(dataset.file.filename, dataset.dtype, "r", place, dataset.shape)


def _of_attributes(item: h5py.Group | h5py.Dataset) -> str:
    total = 0
    for name in sorted(item.attrs):
        if name != KEY:
            value = item.attrs[name]
            told = _of_values(value, getattr(value, "dtype", None))
            total = zlib.crc32(f"{name}={told};".encode(), total)
    return f"{total:08x}"


def _of_values(value: Any, dtype: Any) -> str:
    array = np.ascontiguousarray(value)
    told = f"{array.shape}{dtype}".encode()
    if array.dtype.kind in "OUS":
        told += "\0".join(
            item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else str(item)
            for item in array.ravel()
        ).encode("utf-8", "surrogateescape")
        return f"{zlib.crc32(told):08x}"
    return f"{zlib.crc32(array.reshape(-1).view(np.uint8), zlib.crc32(told)):08x}"
