"""A decoder: one space for responses and images, where the cosine says how well they match.

A decoder is a mean of *members*. Each member can embed both sides on its own: it holds electrode
indices, the fitted scaler and the fitted maps. The space of an ensemble is the concatenation
of its members' spaces, each scaled by the square root of its weight, so that its cosine is the
weighted mean of theirs.

The cosines of one kind of decoder may lie within a few hundredths of each other and those of
another spread from -1 to 1. A decoder therefore stores its *spread*, by which an ensemble weights
it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from spikeline.artifacts.formats import safetensors_file
from spikeline.bridge.aligned_member import AlignedMember
from spikeline.bridge.bayesian.member import BayesianMember
from spikeline.errors import InputError

CONTRACT = "decoder/2"
# Rows on which the spread is measured: enough pairs for two or three digits.
SPREAD_ROWS = 500

# A smaller spread of float32 cosines is rounding error.
_ROUNDING = 1e-6

Member = AlignedMember | BayesianMember


@dataclass(frozen=True)
class Decoder:
    """Members that read the same responses file and the same image embeddings.

    Attributes:
        n_electrodes: electrodes of the responses file, before selection.
        members: see `Member`.
        metadata: what else the file records (settings, provenance); JSON.
        n_columns: of the embeddings file, of which each member reads its `columns`, those of some
            layers; 0: as many as the members read.
        spread: standard deviation of the similarity of training responses to training images that
            are not their own; see `with_spread`. 1 if not measured.
    """

    n_electrodes: int
    members: tuple[Member, ...]
    metadata: dict[str, Any] = field(default_factory=dict)
    n_columns: int = 0
    spread: float = 1.0

    @property
    def embedding_dim(self) -> int:
        """Length of the image embeddings that `embed_images` takes."""
        return self.n_columns or self.members[0].embedding_dim

    @property
    def similarity_unit(self) -> str:
        """What the inner product of a response and an image is; "weighted mean" of several."""
        units = {member.similarity_unit for member in self.members}
        return units.pop() if len(units) == 1 else "weighted mean"

    def embed_responses(self, values: np.ndarray) -> np.ndarray:
        """Responses (n, n_electrodes) to unit rows (n, k) float32.

        Raises:
            InputError: the number of electrodes differs from training.
        """
        values = np.asarray(values, dtype=np.float32)
        if values.ndim != 2 or values.shape[1] != self.n_electrodes:
            raise InputError(
                f"responses have shape {values.shape}; the decoder was trained on "
                f"{self.n_electrodes} electrodes; evaluate it on responses of the same file"
            )
        return self._concatenated([member.embed_responses(values) for member in self.members])

    def embed_images(self, embeddings: np.ndarray) -> np.ndarray:
        """Image embeddings (n, embedding_dim) to unit rows (n, k) float32.

        Raises:
            InputError: the length of embeddings differs from training.
        """
        embeddings = np.asarray(embeddings, dtype=np.float32)
        if embeddings.ndim != 2 or embeddings.shape[1] != self.embedding_dim:
            raise InputError(
                f"embeddings have shape {embeddings.shape}; the decoder was trained on vectors of "
                f"length {self.embedding_dim}; use the encoder it was trained with"
            )
        return self._concatenated(
            [
                member.embed_images(
                    embeddings if member.columns is None else embeddings[:, member.columns]
                )
                for member in self.members
            ]
        )

    def _concatenated(self, parts: list[np.ndarray]) -> np.ndarray:
        weights = [np.float32(member.weight**0.5) for member in self.members]
        return np.concatenate([p * w for p, w in zip(parts, weights, strict=True)], axis=1)

    def reading(self, columns: np.ndarray, n_columns: int) -> Decoder:
        """This decoder, trained on some columns of embeddings, as one that picks them itself.

        Args:
            columns: (embedding_dim,) indices, below `n_columns`.
        """
        columns = np.asarray(columns, dtype=np.int32)
        if np.array_equal(columns, np.arange(n_columns)):
            return self
        members = tuple(replace(member, columns=columns) for member in self.members)
        return replace(self, members=members, n_columns=n_columns)

    def with_spread(
        self, responses: np.ndarray, embeddings: np.ndarray, images: np.ndarray
    ) -> Decoder:
        """This decoder with its spread measured on at most `SPREAD_ROWS` training images.

        Args:
            responses: (rows, n_electrodes); embeddings: (rows, embedding_dim).
            images: (rows,) names; each image counts once.
        """
        rows = np.unique(images, return_index=True)[1]
        rows = np.random.default_rng(0).permutation(rows)[:SPREAD_ROWS]
        similarity = self.embed_responses(responses[rows]) @ self.embed_images(embeddings[rows]).T
        others = similarity[~np.eye(len(rows), dtype=bool)].astype(np.float64)
        spread = float(others.std()) if others.size else 0.0
        # a decoder that does not distinguish images must not get the weight of one that does
        return replace(self, spread=spread if spread > _ROUNDING else 1.0)

    def save(
        self,
        path: str | os.PathLike[str],
        metadata: Mapping[str, Any] | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        """Write safetensors atomically; the header carries the description as JSON.

        Args:
            metadata: replaces `self.metadata` in the file.
            record: where the decoder came from; see `spikeline.artifacts.provenance`.
        """
        arrays = {
            f"{index}.{name}": array
            for index, member in enumerate(self.members)
            for name, array in member.tensors().items()
        }
        description = {
            "n_electrodes": self.n_electrodes,
            "n_columns": self.n_columns,
            "spread": self.spread,
            "members": [member.description() for member in self.members],
            "metadata": self.metadata if metadata is None else dict(metadata),
        }
        safetensors_file.write(path, CONTRACT, arrays, description, record)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Decoder:
        """Read what `save` wrote.

        Raises:
            InputError: a damaged file, or one that is not a decoder.
        """
        description, arrays = safetensors_file.read(path, CONTRACT)
        with safetensors_file.whole(path):
            members = []
            for index, described in enumerate(description["members"]):
                prefix = f"{index}."
                own = {n[len(prefix) :]: a for n, a in arrays.items() if n.startswith(prefix)}
                members.append(_member(described, own))
            return cls(
                description["n_electrodes"],
                tuple(members),
                description["metadata"],
                description["n_columns"],
                description["spread"],
            )


def _member(described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Member:
    kind = BayesianMember if described["map"] == "bayesian" else AlignedMember
    return kind.from_tensors(described, arrays)


def combine(
    decoders: Sequence[Decoder], weights: Sequence[float] | np.ndarray | None = None
) -> Decoder:
    """A weighted mean of several decoders, the similarities of each brought to the same spread.

    Cosines of a decoder are multiplied by its weight / its spread, whatever its number of members;
    the factors are scaled to sum to 1. Seeds of one model, of equal spread, take part equally.

    The spread of the result is set to the weighted mean of theirs: exact if they agree, an upper
    bound otherwise. So ensembles can be combined in turn, without the data.

    Args:
        weights: of the decoders, positive, of any sum; None gives all the same.

    Raises:
        InputError: decoders of different responses files or image embeddings.
    """
    if not decoders:
        raise InputError("combine: expected at least one decoder")
    if len({(d.n_electrodes, d.embedding_dim) for d in decoders}) > 1:
        raise InputError(
            "combine: the decoders read different electrodes or embeddings; "
            "combine models of one subject and one encoder"
        )
    weights = np.ones(len(decoders)) if weights is None else np.asarray(weights, dtype=np.float64)
    factors = [w / decoder.spread for w, decoder in zip(weights.tolist(), decoders, strict=True)]
    total = sum(factors)
    members = tuple(
        replace(member, weight=member.weight * factor / total)
        for factor, decoder in zip(factors, decoders, strict=True)
        for member in decoder.members
    )
    first, spread = decoders[0], float(weights.sum()) / total
    return Decoder(first.n_electrodes, members, n_columns=first.embedding_dim, spread=spread)
