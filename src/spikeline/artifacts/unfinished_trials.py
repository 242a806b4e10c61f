"""A trials file while it is written: it grows by blocks, and a killed conversion continues it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_text
from spikeline.artifacts.formats import hdf5
from spikeline.artifacts.trials import CONTRACT
from spikeline.errors import InputError

log = logging.getLogger(__name__)

_GROWING = ("values", "means")
_BLOCK_BYTES = 32 * 2**20


class UnfinishedTrials:
    """Presentations on their way to a trials file.

    The datasets that grow are allocated at once and uncompressed, so that blocks are written as
    plain bytes at their place, and nothing of them stays in memory.

    Attributes:
        done: presentations that are safely written.
        offset, scale: (electrodes,) of the stored values; None before the first block.

    Args:
        folder: of states; on the file system of `output`.
        output: the file that this becomes.
        identity: what tells this conversion from others of the same output: settings, code, inputs.
        interval_s: least time between two notes of the progress, seconds.

    Raises:
        InputError: a negative interval, or `folder` on another file system.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        output: str | os.PathLike[str],
        identity: Sequence[Any],
        interval_s: float = 20.0,
    ):
        if not interval_s >= 0:
            raise InputError(f"--state-interval: {interval_s}; expected seconds from 0")
        folder, self.output = Path(folder), Path(output)
        for needed in (folder, self.output.parent):
            needed.mkdir(parents=True, exist_ok=True)
        if folder.stat().st_dev != self.output.parent.stat().st_dev:
            raise InputError(
                f"--states: {folder} is on another file system than {output}; give a folder there"
            )
        name = hashlib.sha256(str(output).encode()).hexdigest()[:24]
        self._file, self._progress = folder / f"{name}.trials.h5", folder / f"{name}.trials.json"
        told = json.dumps(list(identity), sort_keys=True)
        self._identity = hashlib.sha256(told.encode()).hexdigest()
        self._interval_s, self._noted = interval_s, time.monotonic()
        self.done, self._written, self._places = 0, 0, {}
        self.offset = self.scale = None
        self._resume()

    def start(self, presentations: int, bins: int, offset: np.ndarray, scale: np.ndarray) -> None:
        """Make the file, when the first block has told the offset and scale."""
        electrodes = len(offset)
        shapes = {"values": (presentations, bins, electrodes), "means": (presentations, electrodes)}
        dtypes = {field.name: field.dtype for field in CONTRACT.fields}
        self._progress.unlink(missing_ok=True)
        with h5py.File(self._file, "w") as handle:
            for name, shape in shapes.items():
                _allocate(handle, name, shape, np.dtype(dtypes[name]))
            handle["electrodes/offset"], handle["electrodes/scale"] = offset, scale
        self._open()

    def append(self, values: np.ndarray, means: np.ndarray) -> None:
        """Write the next presentations.

        Args:
            values: (rows, bins, electrodes) float16.
            means: (rows, electrodes) float64.
        """
        descriptor = os.open(self._file, os.O_WRONLY)
        try:
            for name, block in zip(_GROWING, (values, means), strict=True):
                place, row_bytes = self._places[name]
                _write_at(
                    descriptor, np.ascontiguousarray(block), place + self._written * row_bytes
                )
            self._written += len(values)
            if time.monotonic() - self._noted >= self._interval_s:
                os.fsync(descriptor)
                note = {"identity": self._identity, "done": self._written}
                write_text(self._progress, json.dumps(note))
                self.done, self._noted = self._written, time.monotonic()
        finally:
            os.close(descriptor)

    def means(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows and (rows, electrodes) means of what is written, block by block."""
        place, row_bytes = self._places["means"]
        rows = max(1, _BLOCK_BYTES // row_bytes)
        for first in range(0, self._written, rows):
            own = slice(first, min(first + rows, self._written))
            count = (own.stop - first) * row_bytes // 8
            block = np.fromfile(self._file, np.float64, count, offset=place + first * row_bytes)
            yield own, block.reshape(own.stop - first, -1)

    def finish(self, fields: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """Add the fields that do not grow, check the whole against the contract, and move it.

        Args:
            fields: all of CONTRACT but values, means, and the electrodes' offset and scale.

        Raises:
            InputError: in breach of the contract; nothing is moved.
        """
        table = {**fields["electrodes"], "offset": self.offset, "scale": self.scale}
        with h5py.File(self._file, "r") as handle:
            growing = {name: hdf5.mapped(handle[name]) for name in _GROWING}
        CONTRACT.check({**fields, **growing, "electrodes": table}, str(self.output))
        with h5py.File(self._file, "r+") as handle:
            handle.attrs[hdf5.CONTRACT_KEY] = CONTRACT.name
            handle.attrs[provenance.KEY] = provenance.dumps(record)
            for field in CONTRACT.fields:
                group, _, column = field.name.partition("/")
                if field.name not in handle:
                    value = fields[group][column] if column else fields[group]
                    text = field.dtype == "str"
                    handle[field.name] = hdf5.text(value) if text else value.astype(field.dtype)
        with open(self._file, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(self._file, self.output)
        self._progress.unlink(missing_ok=True)

    def discard(self) -> None:
        """Leave nothing behind: the source proved unsound."""
        for path in (self._file, self._progress):
            path.unlink(missing_ok=True)

    def _resume(self) -> None:
        if not (self._file.exists() and self._progress.exists()):
            return
        try:
            note = json.loads(self._progress.read_text(encoding="utf-8"))
            if note["identity"] != self._identity:
                log.warning("%s: of other settings, code or input; starting anew", self._file)
                return
            self._open()
            self.done = self._written = note["done"]
        except (OSError, ValueError, KeyError, TypeError):
            log.warning("%s: is unreadable; starting anew", self._progress)
            return
        log.info("resuming after presentation %d", self.done)

    def _open(self) -> None:
        with h5py.File(self._file, "r") as handle:
            for name in _GROWING:
                dataset = handle[name]
                row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))
                self._places[name] = (dataset.id.get_offset(), row_bytes)
            self.offset = handle["electrodes/offset"][...]
            self.scale = handle["electrodes/scale"][...]


def _allocate(handle: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """A dataset in one piece that has its place in the file before anything is written."""
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_layout(h5py.h5d.CONTIGUOUS)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    # The same values give the same bytes.
    layout.set_obj_track_times(False)
    kind, space = h5py.h5t.py_create(dtype), h5py.h5s.create_simple(shape)
    h5py.h5d.create(handle.id, name.encode(), kind, space, layout)


def _write_at(descriptor: int, block: np.ndarray, place: int) -> None:
    left = memoryview(block).cast("B")
    while left:
        count = os.pwrite(descriptor, left, place)
        left, place = left[count:], place + count
