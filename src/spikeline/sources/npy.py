"""A .npy file of one column, mapped, so that a long recording is never in memory twice."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import numpy as np

from spikeline.errors import InputError


class Npy:
    """Stands in for an array of shape (n,) where only its length and slices are asked for.

    Raises:
        InputError: missing, truncated, not a .npy file, pickled objects, or more than one column.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: no such file; correct the path in the config")
        try:
            with open(self.path, "rb") as handle:
                version = np.lib.format.read_magic(handle)
                header = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, self.dtype = header(handle)
                self.offset = handle.tell()
        # The header is the text of a Python literal: what reading it raises is as many kinds as
        # there are bytes. Nothing in it is run.
        except Exception:
            raise InputError(f"{path}: is not a .npy file or is damaged; write it again") from None
        if self.dtype.kind not in "fiu":
            raise InputError(f"{path}: holds {self.dtype}, expected numbers")
        # MATLAB and Phy write columns as (n, 1).
        if len(shape) != 1 and tuple(shape[1:]) != (1,):
            raise InputError(f"{path}: has shape {shape}, expected one value per row")
        self.length = shape[0]
        if self.length < 0:
            raise InputError(f"{path}: has shape {shape}; it is damaged, write it again")
        found = self.path.stat().st_size - self.offset
        if found < self.length * self.dtype.itemsize:
            raise InputError(f"{path}: is truncated; write it again")

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> np.ndarray:
        return self.mapped[part]

    @cached_property
    def mapped(self) -> np.ndarray:
        """All of it, (n,), read-only; its pages are read on first use and not copied."""
        if not self.length:
            return np.empty(0, self.dtype)
        return np.asarray(np.memmap(self.path, self.dtype, "r", self.offset, (self.length,)))
