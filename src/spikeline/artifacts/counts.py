"""Counts: one session's spikes in bins of 20 ms, with what the animal did and saw in each bin.

Bin k covers [k bin_s, (k+1) bin_s) of the session. The counts lie in the file in one piece and
uncompressed, so that they can be mapped into memory instead of being read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.errors import InputError

BIN_S = 0.02
NO_DOMAIN, TRAIN, VALID, TEST = range(4)
# A blank screen, and one of which nothing is known: gratings, or nothing that was recorded.
NO_IMAGE, UNKNOWN_IMAGE = -1, -2


def _check_codes(values: Mapping[str, Any], where: str) -> None:
    domains, images, names = values["domains"], values["images"], values["image_names"]
    if domains.max() > TEST:
        raise InputError(f"{where}: field domains holds {domains.max()}, expected 0 to {TEST}")
    if images.min() < UNKNOWN_IMAGE or images.max() >= len(names):
        raise InputError(f"{where}: field images points outside the {len(names)} image_names")


def _check_times(values: Mapping[str, Any], where: str) -> None:
    if not values["bin_s"] > 0:
        raise InputError(
            f"{where}: attribute bin_s is {values['bin_s']}, expected a positive number"
        )
    (start, end), bins = values["reference"], len(values["counts"])
    if not 0 <= start < end <= bins:
        raise InputError(
            f"{where}: attribute reference is bins {start} to {end}, expected a window within "
            f"the {bins} bins"
        )


CONTRACT = Contract(
    "counts/1",
    fields=(
        Field("counts", "uint8", ("bins", "units"), "spikes of a unit in a bin"),
        Field("unit_ids", "str", ("units",), "the source's own names"),
        Field("regions", "str", ("units",), "the source's own names, '' where unknown"),
        Field(
            "behaviour", "float32", ("bins",),
            "mean velocity, delayed so that it knows nothing of the future; NaN where unknown",
        ),
        Field(
            "position", "float32", ("bins", "axes"),
            "mean position, in the source's unit, as late as the velocity; NaN where unknown",
        ),
        Field(
            "images", "int32", ("bins",),
            f"row of image_names on screen in mid-bin, {NO_IMAGE} blank, {UNKNOWN_IMAGE} unknown",
        ),
        Field("image_names", "str", ("images",), "names in the stimulus archive"),
        Field(
            "domains", "uint8", ("bins",),
            f"the domain that holds the whole bin: {NO_DOMAIN} none, {TRAIN} train, {VALID} valid, "
            f"{TEST} test",
        ),
    ),
    attributes=(
        Field("bin_s", "float64", (), "s, width of a bin", finite=True),
        Field("origin_s", "float64", (), "s, when bin 0 starts on the source's clock", finite=True),
        Field("session", "str", (), "name"),
        Field("source", "str", (), "where the session was recorded"),
        Field("behaviour_kind", "str", (), "what moved, '' where there is no behaviour"),
        Field("reference", "int64", (2,), "first bin of the window, and the one after its last"),
    ),
    # Without behaviour there is no position.
    optional=("position",),
    may_be_empty=("images",),
    rules=(_check_codes, _check_times),
)  # fmt: skip


@dataclass(frozen=True)
class Counts:
    """See CONTRACT for dims and units."""

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
    position: np.ndarray | None = None


def write(path: str | os.PathLike[str], counts: Counts, record: Mapping[str, Any]) -> None:
    """Check against the contract and write with provenance."""
    values = {name: value for name, value in vars(counts).items() if value is not None}
    CONTRACT.write(path, values, record)


def read(path: str | os.PathLike[str], mapped: bool = False) -> Counts:
    """Read and check against the contract.

    Args:
        path: a file that `write` made.
        mapped: the counts as a read-only np.memmap; nothing of them is read before it is used.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    return Counts(**CONTRACT.read(path, mapped=("counts",) if mapped else ()))
