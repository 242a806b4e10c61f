"""Counts: one session's spikes in bins of 20 ms, with what the animal did and saw in each bin.

| field | shape | dtype | unit |
|---|---|---|---|
| counts | (bins, units) | uint8 | spikes of a unit in a bin |
| unit_ids, regions | (units,) | str | the source's own names; '' where unknown |
| behaviour | (bins,) | float32 | mean velocity, late enough to know no future; NaN unknown |
| images | (bins,) | int32 | row of image_names on screen in mid-bin, -1: blank, -2: unknown |
| image_names | (images,) | str | names in the stimulus archive |
| domains | (bins,) | uint8 | 0 none, 1 train, 2 valid, 3 test: the bin lies wholly inside |
| bin_s, origin_s | attributes | | seconds; when bin 0 starts on the source's clock |
| session, source, behaviour_kind | attributes | str | names |
| reference | attribute (2,) | int | first bin of the reference window, and the bin after it |

Bin k covers [k bin_s, (k+1) bin_s) of the session. The counts lie in the file in one piece and
uncompressed, so that they can be mapped into memory instead of being read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.hdf5 import numbers, opened, require, strings, written
from spikeline.errors import InputError

CONTRACT = "counts/1"
BIN_S = 0.02
NO_DOMAIN, TRAIN, VALID, TEST = range(4)
# A blank screen, and one of which nothing is known: gratings, or nothing that was recorded.
NO_IMAGE, UNKNOWN_IMAGE = -1, -2
ARRAYS = {
    "counts": np.uint8,
    "behaviour": np.float32,
    "images": np.int32,
    "domains": np.uint8,
}
NAMES = ("unit_ids", "regions", "image_names")
ATTRIBUTES = ("bin_s", "origin_s", "session", "source", "behaviour_kind", "reference")


@dataclass(frozen=True)
class Counts:
    """See the module's table for shapes and units; `behaviour_kind` is '' where there is none."""

    counts: np.ndarray
    unit_ids: np.ndarray
    regions: np.ndarray
    behaviour: np.ndarray
    images: np.ndarray
    image_names: np.ndarray
    domains: np.ndarray
    reference: tuple[int, int]
    session: str
    source: str
    behaviour_kind: str = ""
    bin_s: float = BIN_S
    origin_s: float = 0.0


def write(path: str | os.PathLike[str], counts: Counts, record: Mapping[str, Any]) -> None:
    """Check against the contract and write with provenance."""
    check(counts, str(path))
    with written(path, CONTRACT, record) as handle:
        for name, dtype in ARRAYS.items():
            handle.create_dataset(name, data=np.ascontiguousarray(getattr(counts, name), dtype))
        for name in NAMES:
            handle.create_dataset(name, data=_text(getattr(counts, name)))
        for name in ATTRIBUTES:
            handle.attrs[name] = getattr(counts, name)


def read(path: str | os.PathLike[str], mapped: bool = False) -> Counts:
    """Read and check against the contract.

    Args:
        path: a file that `write` made.
        mapped: the counts as a read-only np.memmap; nothing of them is read before it is used.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    with opened(path, CONTRACT) as handle:
        require(handle, [*ARRAYS, *NAMES], path)
        absent = [name for name in ATTRIBUTES if name not in handle.attrs]
        if absent:
            raise InputError(f"{path}: attribute {', '.join(absent)} is missing; make it again")
        fields = {name: numbers(handle[name]) for name in ARRAYS if name != "counts"}
        dataset = handle["counts"]
        place = dataset.id.get_offset() if mapped and dataset.size else None
        if place is None:
            fields["counts"] = numbers(dataset)
        else:
            fields["counts"] = np.memmap(path, np.uint8, "r", offset=place, shape=dataset.shape)
        fields.update({name: strings(handle[name]) for name in NAMES})
        counts = Counts(
            **fields,
            reference=tuple(int(edge) for edge in handle.attrs["reference"]),
            bin_s=float(handle.attrs["bin_s"]),
            origin_s=float(handle.attrs["origin_s"]),
            **{name: str(handle.attrs[name]) for name in ("session", "source", "behaviour_kind")},
        )
    check(counts, str(path))
    return counts


def check(counts: Counts, where: str) -> None:
    """Raise InputError, naming `where`, on any breach of the contract."""
    values = counts.counts
    if values.ndim != 2 or values.dtype != np.uint8:
        raise InputError(
            f"{where}: counts are {values.dtype} of shape {values.shape}; "
            "uint8, bins x units, is due"
        )
    bins, units = values.shape
    if not bins or not units:
        raise InputError(f"{where}: counts have {bins} bins and {units} units; make them again")
    lengths = {
        **{name: (len(getattr(counts, name)), units) for name in ("unit_ids", "regions")},
        **{n: (len(getattr(counts, n)), bins) for n in ("behaviour", "images", "domains")},
    }
    for name, (found, due) in lengths.items():
        if found != due:
            raise InputError(f"{where}: {name} has length {found} where {due} is due")
    if not counts.bin_s > 0:
        raise InputError(f"{where}: bin_s is {counts.bin_s}; a positive number is due")
    if counts.domains.max() > TEST:
        raise InputError(f"{where}: domains hold {counts.domains.max()}; 0..{TEST} are due")
    if counts.images.min() < UNKNOWN_IMAGE or counts.images.max() >= len(counts.image_names):
        raise InputError(f"{where}: images point outside {len(counts.image_names)} image_names")
    start, end = counts.reference
    if not 0 <= start < end <= bins:
        raise InputError(
            f"{where}: the reference window is bins {start} to {end} of {bins}; "
            "a stretch within the session is due"
        )


def _text(values: np.ndarray) -> np.ndarray:
    import h5py

    return np.asarray([str(value) for value in values], dtype=h5py.string_dtype())
