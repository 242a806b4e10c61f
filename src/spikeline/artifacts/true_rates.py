"""True rates: what a simulation expects in each bin of a session, for each unit fit for use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.errors import InputError


def _check_sign(values: Mapping[str, Any], where: str) -> None:
    if (values["rates"] < 0).any():
        raise InputError(f"{where}: field rates holds negative values")


CONTRACT = Contract(
    "true_rates/1",
    fields=(Field("rates", "float32", ("bins", "units"), "expected spikes per bin", finite=True),),
    attributes=(Field("bin_s", "float64", (), "s, width of a bin", finite=True),),
    # A session too poor to use may have no unit at all.
    may_be_empty=("units",),
    rules=(_check_sign,),
)


def write(
    path: str | os.PathLike[str], rates: np.ndarray, bin_s: float, record: Mapping[str, Any]
) -> None:
    """Check rates of (bins, units) against the contract and write with provenance."""
    CONTRACT.write(path, {"rates": rates, "bin_s": bin_s}, record)


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """(bins, units) expected spikes per bin.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    return CONTRACT.read(path)["rates"]
