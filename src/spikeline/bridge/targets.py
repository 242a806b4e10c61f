"""The target space: image embeddings centred, rotated to principal axes, whitened and weighted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikeline.bridge.ridge import fit_ridge
from spikeline.errors import InputError

logger = logging.getLogger(__name__)

# Penalties tried to measure how predictable each target component is (`target_weighting`).
_PREDICTABILITY_PENALTIES = (1e1, 1e2, 1e3, 1e4, 1e5)
# Principal axes below this share of the largest variance are rounding noise, not signal.
NEGLIGIBLE_VARIANCE = 1e-7


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows of Euclidean length 1, float32; a zero row stays zero."""
    rows = np.asarray(rows, dtype=np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class TargetSpace:
    """An affine map of embeddings: (f(e) - mean) @ matrix.

    Attributes:
        mean: (dim,) float32.
        matrix: (dim, k) float32.
        root: f takes the signed square root of each entry (for rectified features).
        normalise: f scales rows to length 1 (after the root).
    """

    mean: np.ndarray
    matrix: np.ndarray
    root: bool = False
    normalise: bool = True

    @classmethod
    def fit(
        cls,
        embeddings: np.ndarray,
        components: int = 0,
        whitening: float = 0.0,
        root: bool = False,
        normalise: bool = True,
    ) -> TargetSpace:
        """Fit to the embeddings of training images (images, dim), each image once.

        Time and memory grow with the smaller of images and dim, squared, times the larger.

        Args:
            components: principal axes kept; 0 keeps every axis with variance.
            whitening: exponent a in 0..1; a component of variance v is divided by v^(a/2), so 0
                keeps the geometry and 1 gives every component variance 1.

        Raises:
            InputError: embeddings that do not vary.
        """
        space = cls(np.zeros(embeddings.shape[1], np.float32), np.zeros(0), root, normalise)
        rows = space._prepared(embeddings).astype(np.float64)
        images, dim = rows.shape
        mean = rows.mean(0)
        rows -= mean
        dual = dim > images  # the eigenvalues of XX' are those of X'X
        covariance = rows @ rows.T / images if dual else np.cov(rows, rowvar=False, bias=True)
        variance, axes = np.linalg.eigh(covariance)
        variance, axes = variance[::-1], axes[:, ::-1]
        if not variance[0] > 0:
            raise InputError("embeddings: all training images have the same embedding")
        rank = int((variance > NEGLIGIBLE_VARIANCE * variance[0]).sum())
        kept = min(components or rank, rank)
        variance, axes = variance[:kept], axes[:, :kept]
        if dual:
            axes = rows.T @ axes / np.sqrt(images * variance)
        # the sign of an eigenvector is arbitrary: make its largest entry positive
        axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(kept)])
        matrix = axes * (variance / variance[0]) ** (-whitening / 2)
        return replace(space, mean=mean.astype(np.float32), matrix=matrix.astype(np.float32))

    @property
    def components(self) -> int:
        return self.matrix.shape[1]

    def weighted(self, weights: np.ndarray) -> TargetSpace:
        """This space with each component multiplied by its weight (k,)."""
        return replace(self, matrix=(self.matrix * weights).astype(np.float32))

    def truncated(self, components: int) -> TargetSpace:
        """This space with its first components only."""
        return replace(self, matrix=self.matrix[:, :components])

    def project(self, embeddings: np.ndarray) -> np.ndarray:
        """(n, dim) to (n, k) float32, lengths kept."""
        return (self._prepared(embeddings) - self.mean) @ self.matrix

    def embed(self, embeddings: np.ndarray) -> np.ndarray:
        """(n, dim) to unit rows (n, k) float32."""
        return unit_rows(self.project(embeddings))

    def _prepared(self, embeddings: np.ndarray) -> np.ndarray:
        rows = np.asarray(embeddings, dtype=np.float32)
        if self.root:
            rows = np.sign(rows) * np.sqrt(np.abs(rows))
        return unit_rows(rows) if self.normalise else rows


def fit_target_space(
    embeddings: np.ndarray,
    images: np.ndarray,
    settings: Mapping[str, Any],
    responses: np.ndarray,
    groups: np.ndarray | None = None,
) -> TargetSpace:
    """The target space of an entry's settings, fitted to training rows.

    Args:
        embeddings: (rows, dim); images: (rows,), their names: each image counts once.
        responses: standardised (rows, electrodes), to weight components by how well a ridge
            regression predicts them in cross-validation (`target_weighting`, an exponent of the
            correlation).
        groups: (rows,) labels of rows left out together there; None: rows of one image.
    """
    unique = np.unique(images, return_index=True)[1]
    space = TargetSpace.fit(
        embeddings[unique],
        settings["target_components"],
        settings["target_whitening"],
        root=settings["target_transform"] == "sqrt",
        normalise=settings["target_normalise"],
    )
    exponent = settings["target_weighting"]
    if not exponent:
        return space
    groups = images if groups is None else groups
    targets = space.project(embeddings)
    r2 = fit_ridge(responses, targets, _PREDICTABILITY_PENALTIES, groups=groups).r2
    correlation = np.sqrt(np.maximum(r2.max(0), 0))
    if not correlation.any():
        logger.warning("target_weighting: no component is predictable; components are not weighted")
        return space
    return space.weighted(correlation**exponent)
