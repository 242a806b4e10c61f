"""Reconstructions: the images that were given back for the test images of one seed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.formats.contract import Contract, Field

CONTRACT = Contract(
    "reconstructions/1",
    fields=(
        Field("images", "str", ("images",), "names of the images shown, with '/'", distinct=True),
        Field("pixels", "uint8", ("images", "height", "width", 3), "given back, RGB"),
        Field("low_level", "uint8", ("images", "height", "width", 3), "decoded latents alone, RGB"),
        Field("retrieved", "str", ("images",), "the training image that was found"),
    ),
    attributes=(
        Field("settings", "str", (), "of the drawing, with its seed, as JSON"),
        Field("generator", "str", (), "the folder that drew, or decoded latents"),
    ),
    optional=("low_level", "retrieved"),
)


@dataclass(frozen=True)
class Reconstructions:
    """See CONTRACT for dims and units."""

    images: np.ndarray
    pixels: np.ndarray
    settings: str
    generator: str
    low_level: np.ndarray | None = None
    retrieved: np.ndarray | None = None


def write(
    path: str | os.PathLike[str], reconstructions: Reconstructions, record: Mapping[str, Any]
) -> None:
    """Check against the contract and write with provenance."""
    given = {name: value for name, value in vars(reconstructions).items() if value is not None}
    CONTRACT.write(path, given, record)


def read(path: str | os.PathLike[str]) -> Reconstructions:
    """Read and check against the contract.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    return Reconstructions(**CONTRACT.read(path))
