"""Latents: what an autoencoder makes of every image of a stimulus set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.errors import InputError

CONTRACT = Contract(
    "latents/1",
    fields=(
        Field(
            "values", "float32", ("images", "channels", "height", "width"),
            "mean latents, scaled as a diffusion model reads them", finite=True,
        ),
        Field("images", "str", ("images",), "names, with '/'", distinct=True),
    ),
    attributes=(
        Field("autoencoder", "str", (), "its identity: name and digest of its weights"),
        Field("scaling_factor", "float64", (), "value here per value of the autoencoder"),
        Field("image_size", "int64", (), "side of the images that were encoded, pixels"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Latents:
    """See CONTRACT for dims and units."""

    values: np.ndarray
    images: np.ndarray
    autoencoder: str
    scaling_factor: float
    image_size: int

    def rows_of(self, images: np.ndarray, where: str = "latents") -> np.ndarray:
        """(len(images), channels, height, width) in the order of `images`.

        Raises:
            InputError: an image has no latents here.
        """
        row = {name: index for index, name in enumerate(self.images)}
        missing = [name for name in images if name not in row]
        if missing:
            raise InputError(
                f"{where}: has no latents of {missing[0]!r} and {len(missing) - 1} more of "
                f"{len(images)} images; encode this subject's own image list"
            )
        return np.asarray(self.values[[row[name] for name in images]])


def write(path: str | os.PathLike[str], latents: Latents, record: Mapping[str, Any]) -> None:
    """Check against the contract and write with provenance."""
    CONTRACT.write(path, vars(latents), record)


def read(path: str | os.PathLike[str]) -> Latents:
    """Read and check against the contract; `values` are mapped: only what is used is read.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    return Latents(**CONTRACT.read(path, mapped=("values",)))
