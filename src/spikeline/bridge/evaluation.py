"""Test a decoder: retrieve every test image from its response, and every response from its image.

The gallery holds the N test images of the seed's split: N-way retrieval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from spikeline.artifacts.evaluations import Draw, RepetitionCurve, SeedEvaluation
from spikeline.artifacts.responses import Responses
from spikeline.bridge.repetition_curve import disjoint_choices, repetition_counts
from spikeline.bridge.retrieval import both_ways, positive_similarity, ranks
from spikeline.errors import InputError


class Decoder(Protocol):
    """Two towers into one space; rows of both have unit length."""

    def embed_responses(self, x: np.ndarray) -> np.ndarray:
        """(n, electrodes of the responses file) -> (n, k)."""

    def embed_images(self, e: np.ndarray) -> np.ndarray:
        """(n, dim of the embeddings) -> (n, k)."""


def evaluate(
    decoder: Decoder,
    responses: Responses,
    embeddings: np.ndarray,
    seed: int,
    test_repetitions: int | None,
    repetition_draws: int,
    where: str = "responses",
    categories: Sequence[Sequence[str]] | None = None,
    distractors: np.ndarray | None = None,
) -> SeedEvaluation:
    """Ranks of the true partner, both ways, for one decoder on its own test images.

    Args:
        decoder: maps responses and embeddings into one space.
        responses: the test rows are `responses.split(seed)`.
        embeddings: (test rows, dim), the embeddings of those rows' images in the same order.
        seed: the decoder's seed; also seeds the draws.
        test_repetitions: None takes each image's response as the file holds it (the mean of all
            repetitions); r averages r of them, chosen without replacement, the same for all images.
        repetition_draws: random choices of r repetitions; a single one when r is all there are.
            The choices are nested: those for r contain those for less, so curves over r are paired.
            Of the repetition curve, at least so many for each of its points.
        where: names the responses in errors.
        categories: of each test image; None where they are not known.
        distractors: (further images, dim), embeddings of images that join the gallery.

    Raises:
        InputError: fewer than two test images, or more repetitions requested than there are.
    """
    rows = np.flatnonzero(responses.split(seed))
    if len(rows) < 2:
        raise InputError(f"{where}: {len(rows)} test image(s); retrieval needs two or more")
    if len(embeddings) != len(rows):
        raise ValueError(f"{len(embeddings)} embeddings for {len(rows)} test images")
    shown = embeddings if distractors is None else np.concatenate([embeddings, distractors])
    gallery = _embedded(decoder.embed_images(shown), "image embeddings", where)
    draws = []
    for chosen in _repetition_choices(responses, seed, test_repetitions, repetition_draws, where):
        queries = _embedded(
            decoder.embed_responses(responses.test_values(seed, chosen)), "responses", where
        )
        similarity = queries @ gallery.T
        draws.append(
            Draw(
                **both_ways(similarity),
                positive_similarity=positive_similarity(similarity),
                repetitions=None if chosen is None else sorted(chosen.tolist()),
            )
        )
    return SeedEvaluation(
        seed,
        responses.images[rows],
        [()] * len(rows) if categories is None else categories,
        draws,
        _repetition_curve(decoder, responses, gallery, seed, repetition_draws, where),
        distractors=len(shown) - len(rows),
    )


def _repetition_choices(
    responses: Responses, seed: int, count: int | None, draws: int, where: str
) -> list[np.ndarray | None]:
    """Indices of the repetitions to average, one entry per draw; None: as the file has it."""
    if count is None:
        return [None]
    if responses.repetitions is None:
        raise InputError(
            f"{where}: has no single repetitions, so test_repetitions={count} cannot be "
            "averaged; leave test_repetitions null"
        )
    available = len(responses.repetitions)
    if not 1 <= count <= available:
        raise InputError(
            f"{where}: test_repetitions={count}, but there are {available} repetitions; "
            f"choose 1 to {available}"
        )
    draws = 1 if count == available else draws
    return [
        np.random.default_rng([seed, number]).permutation(available)[:count]
        for number in range(draws)
    ]


def _repetition_curve(
    decoder: Decoder,
    responses: Responses,
    gallery: np.ndarray,
    seed: int,
    draws: int,
    where: str,
) -> RepetitionCurve | None:
    """How often each image is found with fewer repetitions; None where there are no single ones."""
    if responses.repetitions is None:
        return None
    available, images = responses.repetitions.shape[:2]
    counts, shares = repetition_counts(available), {1: [], 5: []}
    for count in counts:
        random = np.random.default_rng([seed, count, 2])
        choices = disjoint_choices(available, count, draws, random)
        means = np.concatenate([responses.test_values(seed, chosen) for chosen in choices])
        queries = _embedded(decoder.embed_responses(means), "responses", where)
        found = ranks(queries @ gallery.T, np.tile(np.arange(images), len(choices)))
        for k, points in shares.items():
            points.append(found.hits(k).reshape(len(choices), images).mean(axis=0))
    return RepetitionCurve(np.array(counts), np.array(shares[1]), np.array(shares[5]))


def _embedded(rows: np.ndarray, what: str, where: str) -> np.ndarray:
    """Rows in float64: ties are then the decoder's and not due to rounding of the product."""
    rows = np.asarray(rows, dtype=np.float64)
    if not np.isfinite(rows).all():
        raise InputError(f"{where}: the decoder returns {what} that are not finite; train it again")
    return rows
