"""What is decoded, from responses or from what stands in their place, and where drawing starts.

In place of responses stand the shown image itself, as the ceiling of a generator or an autoencoder,
and as controls the mean of the training images and random draws of their mean and spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeline.bridge.reconstruction.reconstructor import EMBEDDING, LATENTS, Reconstructor
from spikeline.bridge.reconstruction.standardising import Moments

RESPONSES, IMAGE, MEAN, RANDOM = "responses", "image", "mean", "random"
# Kinds that predict the embedding, that predict latents, and that look for a training image.
EMBEDDING_KINDS = ("unclip", "img2img", "ip_adapter", "adapter", "retrieval")
LATENTS_KINDS = ("unclip", "img2img", "ip_adapter", "adapter", "low_level")
RETRIEVING_KINDS = ("img2img", "retrieval")
DRAWING_KINDS = ("unclip", "img2img", "ip_adapter", "adapter")


@dataclass(frozen=True)
class Shown:
    """Arrays of the images that were shown, or of training images.

    Attributes:
        embeddings: (n, dim); latents: (n, channels, height, width).
    """

    embeddings: np.ndarray
    latents: np.ndarray

    def flat(self, name: str) -> np.ndarray:
        """One of them, as rows (n, values)."""
        values = self.embeddings if name == EMBEDDING else self.latents
        return values.reshape(len(values), -1)


def targets_of(kind: str) -> tuple[str, ...]:
    """What a kind predicts."""
    names = ((EMBEDDING, EMBEDDING_KINDS), (LATENTS, LATENTS_KINDS))
    return tuple(name for name, kinds in names if kind in kinds)


def decoded(
    reconstructor: Reconstructor,
    source: str,
    values: np.ndarray,
    shown: Shown,
    given: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """{target: (n, values)} of responses, or of what stands in their place.

    Args:
        source: `responses`, `image`, `mean` or `random`.
        values: responses (n, columns of the file).
        shown: the images that evoked them; read where `source` is `image`, and never else.
        given: embeddings that a decoder predicts of the responses, in place of a regression.
        seed: of the random draws.
    """
    rng = np.random.default_rng([seed, 7])
    found = {}
    for name, prediction in reconstructor.predictions.items():
        if source == RESPONSES:
            found[name] = reconstructor.predict(name, values, given if name == EMBEDDING else None)
        elif source == IMAGE:
            found[name] = shown.flat(name)
        else:
            found[name] = _in_place(prediction.targets, len(values), source, rng)
    return found


def _in_place(moments: Moments, count: int, source: str, rng: np.random.Generator) -> np.ndarray:
    rows = np.tile(moments.mean, (count, 1))
    if source == RANDOM:
        rows = rows + moments.std * rng.standard_normal(rows.shape).astype(np.float32)
    return rows


def nearest(
    embeddings: np.ndarray,
    training: np.ndarray,
    moments: Moments,
    excluded: np.ndarray | None = None,
) -> np.ndarray:
    """(n,) the row of the training embedding whose direction is nearest, by cosine.

    Args:
        embeddings: (n, dim); training: (m, dim).
        moments: of the training embeddings: each dimension is brought to mean 0 and spread 1.
        excluded: (n,) a training row that is not to be found, such as the image itself; -1: none.
    """
    scale = np.divide(1, moments.std, out=np.zeros_like(moments.std), where=moments.std > 0)
    rows, others = ((one - moments.mean) * scale for one in (embeddings, training))
    lengths = np.linalg.norm(others, axis=1)
    similarity = rows @ (others / np.maximum(lengths, 1e-12)[:, None]).T
    return best(similarity, excluded)


def best(similarity: np.ndarray, excluded: np.ndarray | None = None) -> np.ndarray:
    """(n,) the most similar of m training images (n, m), but for one each that is excluded."""
    if excluded is not None:
        similarity = similarity.copy()
        rows = np.flatnonzero(excluded >= 0)
        similarity[rows, excluded[rows]] = -np.inf
    return similarity.argmax(1)


def starts_of(
    kind: str,
    source: str,
    found: Mapping[str, np.ndarray],
    retrieved: np.ndarray | None,
    shape: tuple[int, int, int],
) -> np.ndarray | None:
    """The latents (n, *shape) that drawing starts from: decoded, or of the retrieved image.

    Where something stands in for the responses there is no start: it shows what the generator makes
    of its condition alone.
    """
    if kind in RETRIEVING_KINDS:
        return retrieved
    if source != RESPONSES:
        return None
    return found[LATENTS].reshape(-1, *shape)
