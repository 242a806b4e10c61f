"""Write MATLAB v7.3 files as MATLAB does: HDF5 behind a 512-byte header, with class attributes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created by: Spikeline HDF5 schema 1.00 ."
_USERBLOCK = 512
_CLASSES = {
    "float64": "double",
    "float32": "single",
    "bool": "logical",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


@dataclass(frozen=True)
class Blocks:
    """A numeric array that is written without ever being whole in memory.

    Attributes:
        shape: of the whole array, at least two axes.
        dtype: of each block.
        blocks: gives the blocks in order, joined along the second axis; the same each time.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Callable[[], Iterator[np.ndarray]]


def write_matlab(path: str | Path, variables: Mapping[str, Any]) -> None:
    """Write variables to a v7.3 .mat file; the same variables give the same bytes.

    Args:
        path: the file, replaced if it exists.
        variables: name -> numeric array, with axes as h5py reads them (MATLAB's reversed);
            blocks of one; a sequence of strings, which becomes a cell array, (N, 1) as h5py reads;
            or a mapping of these, which becomes a struct.
    """
    path = Path(path)
    with h5py.File(path, "w", userblock_size=_USERBLOCK, libver=("earliest", "v110")) as file:
        _write_group(file, variables)
    # 116 bytes of text, 8 of subsystem offset, the version 2.0 and the byte order.
    block = _HEADER.ljust(116) + bytes(8) + b"\x00\x02IM"
    with open(path, "r+b") as handle:
        handle.write(block.ljust(_USERBLOCK, b"\x00"))


def _write_group(group: h5py.Group, variables: Mapping[str, Any]) -> None:
    for name, value in variables.items():
        if isinstance(value, Mapping):
            child = group.create_group(name)
            child.attrs["MATLAB_class"] = np.bytes_("struct")
            _write_group(child, value)
        elif isinstance(value, np.ndarray) and value.dtype.name in _CLASSES:
            dataset = group.create_dataset(name, data=value)
            dataset.attrs["MATLAB_class"] = np.bytes_(_CLASSES[value.dtype.name])
        elif isinstance(value, Blocks):
            dataset = group.create_dataset(name, value.shape, value.dtype)
            dataset.attrs["MATLAB_class"] = np.bytes_(_CLASSES[value.dtype.name])
            first = 0
            for block in value.blocks():
                dataset[:, first : first + block.shape[1]] = block
                first += block.shape[1]
        else:
            _write_cell(group, name, value)


def _write_cell(group: h5py.Group, name: str, strings: Sequence[str]) -> None:
    """A cell array of row strings: references to character arrays under `#refs#`."""
    store = group.file.require_group("#refs#")
    kept = {}
    references = np.empty((len(strings), 1), dtype=h5py.ref_dtype)
    for row, string in enumerate(strings):
        string = str(string)
        if string not in kept:
            kept[string] = _write_string(store, string)
        references[row, 0] = kept[string]
    dataset = group.create_dataset(name, data=references, dtype=h5py.ref_dtype)
    dataset.attrs["MATLAB_class"] = np.bytes_("cell")


def _write_string(store: h5py.Group, string: str) -> h5py.Reference:
    name = f"s{len(store)}"
    codes = np.frombuffer(string.encode("utf-16-le"), dtype="<u2")
    if len(codes):
        dataset = store.create_dataset(name, data=codes[:, None])
    else:
        # MATLAB keeps the shape of an empty array as its content.
        dataset = store.create_dataset(name, data=np.zeros(2, dtype=np.uint64))
        dataset.attrs["MATLAB_empty"] = np.uint8(1)
    dataset.attrs["MATLAB_class"] = np.bytes_("char")
    dataset.attrs["MATLAB_int_decode"] = np.int32(2)
    return dataset.ref
