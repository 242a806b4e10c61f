"""What is decoded, from responses or from what stands in their place, and where drawing starts.

In place of responses stand the shown image itself, as the ceiling of a generator or an autoencoder,
and as controls the mean of the training images and random draws of their mean and spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spikeline.bridge.decoder import Decoder
from spikeline.bridge.reconstruction.decoder_embeddings import predicted_embeddings
from spikeline.bridge.reconstruction.reconstructor import EMBEDDING, LATENTS, Reconstructor
from spikeline.bridge.reconstruction.standardising import Moments
from spikeline.bridge.targets import unit_rows

RESPONSES, IMAGE, MEAN, RANDOM = "responses", "image", "mean", "random"
# Kinds that predict the embedding, that predict latents, and that look for an image.
EMBEDDING_KINDS = ("unclip", "img2img", "ip_adapter", "adapter", "retrieval")
LATENTS_KINDS = ("unclip", "img2img", "ip_adapter", "adapter", "low_level")
RETRIEVING_KINDS = ("img2img", "retrieval")
DRAWING_KINDS = ("unclip", "img2img", "ip_adapter", "adapter")
# The kind that gives back an image as it found it, and for which nothing is drawn of a prediction.
FOUND_KIND = "retrieval"


@dataclass(frozen=True)
class Shown:
    """Arrays of the images that were shown, or of those among which a kind may look.

    Attributes:
        embeddings: (n, dim); latents: (n, channels, height, width).
        levels: {factor: (n,) names of its levels}, of factors that responses are read for.
    """

    embeddings: np.ndarray
    latents: np.ndarray
    levels: Mapping[str, np.ndarray] = field(default_factory=dict)

    def flat(self, name: str) -> np.ndarray:
        """One of them, as rows (n, values)."""
        values = self.embeddings if name == EMBEDDING else self.latents
        return values.reshape(len(values), -1)


def targets_of(kind: str) -> tuple[str, ...]:
    """What a kind predicts."""
    names = ((EMBEDDING, EMBEDDING_KINDS), (LATENTS, LATENTS_KINDS))
    return tuple(name for name, kinds in names if kind in kinds)


@dataclass(frozen=True)
class Found:
    """What was decoded.

    Attributes:
        values: {target: (n, values)}, flat.
        retrieved: (n,) row of the image that was found, of kinds that look for one.
    """

    values: Mapping[str, np.ndarray]
    retrieved: np.ndarray | None = None


def decode(
    reconstructor: Reconstructor,
    source: str,
    responses: np.ndarray,
    shown: Shown,
    seen: Shown,
    decoder: Decoder | None = None,
    seed: int = 0,
) -> Found:
    """Decode responses, or what stands in their place.

    Args:
        source: `responses`, `image`, `mean` or `random`.
        responses: (n, columns of the file).
        shown: the images that evoked them; read where `source` is `image`, and never else.
        seen: the images among which a kind may look: those that train, or a bank.
        decoder: of the house, which predicts the embedding and looks for images in place of a
            regression.
        seed: of the random draws.

    Raises:
        InputError: a decoder that cannot predict the embedding, unless it is only to look for
            images (kind `retrieval`).
    """
    rng = np.random.default_rng([seed, 7])
    kind = reconstructor.settings["kind"]
    by_decoder = decoder is not None and source == RESPONSES
    # A decoder finds images by a likelihood of its own, and need not predict.
    found_alone = by_decoder and kind == FOUND_KIND
    given = None
    if by_decoder and not found_alone:
        given = predicted_embeddings(decoder, responses)
    values = {}
    for name, prediction in reconstructor.predictions.items():
        if found_alone:
            continue
        if source == RESPONSES:
            own = given if name == EMBEDDING else None
            values[name] = reconstructor.predict(name, responses, own)
        elif source == IMAGE:
            values[name] = shown.flat(name)
        else:
            values[name] = _in_place(prediction.targets, len(responses), source, rng)
    if kind not in RETRIEVING_KINDS:
        return Found(values)
    if by_decoder:
        images = decoder.embed_images(seen.embeddings)
        similarity = decoder.embed_responses(responses) @ images.T
    else:
        moments = reconstructor.predictions[EMBEDDING].targets
        similarity = _cosines(values[EMBEDDING], seen.embeddings, moments)
    eligible = _eligible(reconstructor, source, responses, shown, seen)
    if eligible is not None:
        similarity = np.where(eligible, similarity, -np.inf)
    return Found(values, similarity.argmax(1))


def _eligible(
    reconstructor: Reconstructor, source: str, responses: np.ndarray, shown: Shown, seen: Shown
) -> np.ndarray | None:
    """(n, m) bool, the images that share the factors which were read; None where none were."""
    reader = reconstructor.factor_reader
    if reader is None or source not in (RESPONSES, IMAGE):
        return None
    if source == IMAGE:
        return reader.shared(shown.levels, seen.levels)
    return reader.likeliest(reconstructor.features(responses), seen.levels)


def _in_place(moments: Moments, count: int, source: str, rng: np.random.Generator) -> np.ndarray:
    rows = np.tile(moments.mean, (count, 1))
    if source == RANDOM:
        rows = rows + moments.std * rng.standard_normal(rows.shape).astype(np.float32)
    return rows


def _cosines(embeddings: np.ndarray, training: np.ndarray, moments: Moments) -> np.ndarray:
    """(n, m) cosines of embeddings, each dimension first brought to mean 0 and spread 1."""
    scale = np.divide(1, moments.std, out=np.zeros_like(moments.std), where=moments.std > 0)
    rows, others = (unit_rows((one - moments.mean) * scale) for one in (embeddings, training))
    return rows @ others.T


def starts_of(
    reconstructor: Reconstructor, source: str, found: Found, seen: Shown
) -> np.ndarray | None:
    """The latents (n, channels, height, width) that drawing starts from, or None for noise alone.

    Those of the retrieved image, or the decoded ones. Where something stands in for the responses
    there is no decoded start: it shows what the generator makes of its condition alone.
    """
    weight = reconstructor.choices.get("start_weight", 1.0)
    if found.retrieved is not None:
        starts = seen.latents[found.retrieved]
    elif source == RESPONSES:
        starts = found.values[LATENTS].reshape(-1, *reconstructor.latent_shape)
    else:
        return None
    mean = reconstructor.predictions[LATENTS].targets.mean.reshape(reconstructor.latent_shape)
    return (weight * starts + (1 - weight) * mean).astype(np.float32)
