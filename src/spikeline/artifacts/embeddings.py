"""Embeddings: the layers of one encoder, joined to one vector for every image of a stimulus set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeline.artifacts.formats import hdf5
from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.errors import InputError

# The layer that is an encoder's own output: CLIP's image embedding, say.
OUTPUT = "embedding"


def _check_encoder(values: Mapping[str, Any], where: str) -> None:
    if not values["encoder"]:
        raise InputError(f"{where}: attribute encoder is empty, expected the encoder's identity")


def _check_layers(values: Mapping[str, Any], where: str) -> None:
    dims, joined = np.asarray(values["layer_dims"]), np.shape(values["values"])[-1]
    if dims.min() < 1 or dims.sum() != joined:
        raise InputError(
            f"{where}: field layer_dims sums to {dims.sum()}, expected {joined} as in values"
        )


_FIELDS = (
    Field("images", "str", ("images",), "names, with '/'", distinct=True),
    Field("layers", "str", ("layers",), f"names; {OUTPUT} is the encoder's output", distinct=True),
    Field("layer_dims", "int32", ("layers",), "columns of each layer in values"),
)
_ATTRIBUTES = (
    Field("encoder", "str", (), "the encoder's identity: name and digest of its settings"),
)
_RULES = (_check_encoder, _check_layers)

CONTRACT = Contract(
    "embeddings/2",
    fields=(
        Field(
            "values", "float32", ("images", "dim"),
            "as the encoder gives them, not normalised; one layer after the other", finite=True,
        ),
        *_FIELDS,
    ),
    attributes=_ATTRIBUTES,
    rules=_RULES,
)  # fmt: skip
# Layers along axes that the training images of each split have.
REDUCED = Contract(
    "reduced_embeddings/1",
    fields=(
        Field(
            "values", "float32", ("splits", "images", "dim"),
            "principal components of each layer, fitted to the split's training images",
            finite=True,
        ),
        *_FIELDS,
    ),
    attributes=_ATTRIBUTES,
    rules=_RULES,
)  # fmt: skip


@dataclass(frozen=True)
class Embeddings:
    """See CONTRACT for dims and units.

    Attributes:
        layers: {name: columns}, in the order of `values`; by default all is the encoder's output.
    """

    values: np.ndarray
    images: np.ndarray
    encoder: str
    layers: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.layers:
            object.__setattr__(self, "layers", {OUTPUT: self.values.shape[-1]})

    @classmethod
    def joined(
        cls, layers: Mapping[str, np.ndarray], images: np.ndarray, encoder: str
    ) -> Embeddings:
        """Of {layer: values (images, columns)}."""
        values = np.concatenate(list(layers.values()), axis=1, dtype=np.float32)
        dims = {name: part.shape[1] for name, part in layers.items()}
        return cls(values, images, encoder, dims)

    def rows_of(
        self, images: np.ndarray, where: str = "embeddings", layers: Sequence[str] | None = None
    ) -> np.ndarray:
        """(len(images), columns) in the order of `images`.

        Args:
            layers: whose columns; see `columns_of`. None takes all that `values` has.

        Raises:
            InputError: an image has no embedding here, or there is no such layer.
        """
        row = {name: index for index, name in enumerate(self.images)}
        missing = [name for name in images if name not in row]
        if missing:
            raise InputError(
                f"{where}: has no embedding of {missing[0]!r} and {len(missing) - 1} more of "
                f"{len(images)} images; embed this subject's own image list"
            )
        rows = [row[name] for name in images]
        if layers is None:
            return np.asarray(self.values[rows])
        parts = self.columns_of(layers, where)
        return np.concatenate([self.values[rows, part.start : part.stop] for part in parts], 1)

    def columns_of(self, layers: Sequence[str], where: str = "embeddings") -> list[range]:
        """The columns of each of these layers; without any, those of the encoder's output.

        Raises:
            InputError: there is no such layer.
        """
        ends = np.cumsum(list(self.layers.values())).tolist()
        columns = {
            name: range(end - size, end)
            for (name, size), end in zip(self.layers.items(), ends, strict=True)
        }
        wanted = list(layers) or [OUTPUT]
        for name in wanted:
            if name not in columns:
                raise InputError(
                    f"{where}: has no layer {name!r}, only {', '.join(columns)}; "
                    "name one of them in target_layers, or add it to the encoder's layers"
                )
        return [columns[name] for name in wanted]


def identity(name: str, made_by: str) -> str:
    """The string that decoders and embeddings must agree on: a name and a digest of `made_by`."""
    return f"{name}:{hashlib.sha256(made_by.encode()).hexdigest()[:12]}"


def write(path: str | os.PathLike[str], embeddings: Embeddings, record: Mapping[str, Any]) -> None:
    """Check against the contract and write with provenance."""
    CONTRACT.write(path, _fields(embeddings), record)


def write_reduced(
    path: str | os.PathLike[str], splits: Sequence[Embeddings], record: Mapping[str, Any]
) -> None:
    """Write the reduced layers of every split, which have the same images and layers."""
    values = np.stack([embeddings.values for embeddings in splits])
    REDUCED.write(path, {**_fields(splits[0]), "values": values}, record)


def read(path: str | os.PathLike[str], seed: int = 0) -> Embeddings:
    """Read and check against the contract; `values` are mapped: only what is used is read.

    Args:
        seed: of a decoder, whose split counts where layers were reduced for each.

    Raises:
        InputError: missing, truncated, of another contract, or in breach of this one.
    """
    with hdf5.opened(path) as handle:
        reduced = hdf5.contract_name(handle) == REDUCED.name
    found = (REDUCED if reduced else CONTRACT).read(path, mapped=("values",))
    if reduced:
        found["values"] = found["values"][seed % len(found["values"])]
    layers = dict(zip(found.pop("layers"), found.pop("layer_dims").tolist(), strict=True))
    return Embeddings(**found, layers=layers)


def _fields(embeddings: Embeddings) -> dict[str, Any]:
    dims = np.array(list(embeddings.layers.values()), dtype=np.int32)
    return {**vars(embeddings), "layers": np.array(list(embeddings.layers)), "layer_dims": dims}
