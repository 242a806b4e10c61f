"""Embeddings: one vector for every image of a stimulus set, by one encoder.

| field | shape | dtype | unit |
|---|---|---|---|
| values | (images, dim) | float32 | as the encoder gives them, not normalised |
| images | (images,) | str | distinct names, with '/' |
| encoder (attribute) | | str | the encoder's identity: its name and a digest of its settings |
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.hdf5 import numbers, opened, require, strings, written
from spikeline.errors import InputError

CONTRACT = "embeddings/1"


@dataclass(frozen=True)
class Embeddings:
    """See the module's table for shapes and units."""

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
    import h5py

    check(embeddings, str(path))
    with written(path, CONTRACT, record) as handle:
        handle["values"] = np.asarray(embeddings.values, np.float32)
        handle.create_dataset(
            "images", data=np.asarray(list(embeddings.images), dtype=h5py.string_dtype())
        )
        handle.attrs["encoder"] = embeddings.encoder


def read(path: str | os.PathLike[str]) -> Embeddings:
    """Read and check against the contract."""
    with opened(path, CONTRACT) as handle:
        require(handle, ["values", "images"], path)
        embeddings = Embeddings(
            values=numbers(handle["values"]),
            images=strings(handle["images"]),
            encoder=str(handle.attrs.get("encoder", "")),
        )
    check(embeddings, str(path))
    return embeddings


def check(embeddings: Embeddings, where: str) -> None:
    """Raise InputError, naming `where`, on any breach of the contract."""
    values, images = embeddings.values, embeddings.images
    if values.ndim != 2 or len(values) != len(images) or 0 in values.shape:
        raise InputError(
            f"{where}: values have shape {values.shape} for {len(images)} images; "
            "images x dimensions are due"
        )
    if len(set(images)) != len(images):
        raise InputError(f"{where}: image names are not distinct")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise InputError(f"{where}: the embedding of {images[bad[0]]!r} is not finite")
    if not embeddings.encoder:
        raise InputError(f"{where}: does not say which encoder made it")
