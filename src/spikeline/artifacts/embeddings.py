"""Embeddings: one vector for every image of a stimulus set, by one encoder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.errors import InputError


def _check_encoder(values: Mapping[str, Any], where: str) -> None:
    if not values["encoder"]:
        raise InputError(f"{where}: attribute encoder is empty, expected the encoder's identity")


CONTRACT = Contract(
    "embeddings/1",
    fields=(
        Field(
            "values", "float32", ("images", "dim"), "as the encoder gives them, not normalised",
            finite=True,
        ),
        Field("images", "str", ("images",), "names, with '/'", distinct=True),
    ),
    attributes=(
        Field("encoder", "str", (), "the encoder's identity: name and digest of its settings"),
    ),
    rules=(_check_encoder,),
)  # fmt: skip


@dataclass(frozen=True)
class Embeddings:
    """See CONTRACT for dims and units."""

    values: np.ndarray
    images: np.ndarray
    encoder: str

    def rows_of(self, images: np.ndarray, where: str = "embeddings") -> np.ndarray:
        """(len(images), dim) in the order of `images`.

        Raises:
            InputError: an image has no embedding here.
        """
        row = {name: index for index, name in enumerate(self.images)}
        missing = [name for name in images if name not in row]
        if missing:
            raise InputError(
                f"{where}: has no embedding of {missing[0]!r} and {len(missing) - 1} more of "
                f"{len(images)} images; embed this subject's own image list"
            )
        return self.values[[row[name] for name in images]]


def identity(name: str, made_by: str) -> str:
    """The string that decoders and embeddings must agree on: a name and a digest of `made_by`."""
    return f"{name}:{hashlib.sha256(made_by.encode()).hexdigest()[:12]}"


def write(path: str | os.PathLike[str], embeddings: Embeddings, record: Mapping[str, Any]) -> None:
    """Check against the contract and write with provenance."""
    CONTRACT.write(path, vars(embeddings), record)


def read(path: str | os.PathLike[str]) -> Embeddings:
    """Read and check against the contract.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    return Embeddings(**CONTRACT.read(path))
