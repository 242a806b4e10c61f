"""Retrieval scores of a similarity matrix: ranks and positive similarity.

Rows are queries and columns the gallery. With responses as rows and images as columns, the matrix
gives neural-to-image retrieval and its transpose image-to-neural retrieval.
"""

from __future__ import annotations

import numpy as np

from spikeline.artifacts.evaluations import DIRECTIONS, Ranks


def ranks(similarity: np.ndarray, truth: np.ndarray | None = None) -> Ranks:
    """0-based rank of the true gallery item of each query; ties are never in its favour.

    Args:
        similarity: (queries, gallery), larger means more alike.
        truth: (queries,) int, the column of each query's true item; default: query i's is i.

    Returns:
        Ranks of shape (queries,): items strictly more similar than the true one plus half of those
        exactly as similar, so that a decoder whose similarities are all equal scores at chance.

    Raises:
        ValueError: not two-dimensional, NaN in it, or `truth` does not fit.
    """
    similarity = np.asarray(similarity)
    if similarity.ndim != 2 or 0 in similarity.shape:
        raise ValueError(f"similarity: expected shape (queries, gallery), got {similarity.shape}")
    if np.isnan(similarity).any():
        raise ValueError("similarity: contains NaN, which has no rank")
    queries, gallery = similarity.shape
    if truth is None and queries != gallery:
        raise ValueError(f"truth: required for {queries} queries in a gallery of {gallery}")
    truth = np.arange(queries) if truth is None else np.asarray(truth)
    if truth.shape != (queries,) or truth.min() < 0 or truth.max() >= gallery:
        raise ValueError(f"truth: expected {queries} columns within 0..{gallery - 1}")
    own = similarity[np.arange(queries), truth][:, None]
    better = (similarity > own).sum(axis=1)
    tied = (similarity == own).sum(axis=1) - 1
    return Ranks(better + tied / 2, tied)


def both_ways(similarity: np.ndarray) -> dict[str, Ranks]:
    """Ranks in a matrix whose row i and column i are partners, by rows and by columns.

    Args:
        similarity: (images, gallery), rows = responses, columns = images: those of the responses,
            then any others, which only responses choose among.

    Returns:
        {"neural_to_image": Ranks, "image_to_neural": Ranks}, each of shape (images,).
    """
    images = len(similarity)
    to_images = ranks(similarity, np.arange(images))
    return dict(zip(DIRECTIONS, (to_images, ranks(similarity[:, :images].T)), strict=True))


def positive_similarity(similarity: np.ndarray) -> np.ndarray:
    """(images,) similarity of each response to its own image: the diagonal."""
    return np.diagonal(similarity).copy()
