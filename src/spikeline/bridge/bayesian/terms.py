"""The terms of a Bayesian decoder's score, folded into few matrices, and their padding.

Encoding: log p(response | image) - log p(response). Decoding: log p(image | response) - log
p(image). Both are Gaussian, so that each is a quadratic form in whitened vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.bridge.bayesian.layer_stack import LayerStack
from spikeline.bridge.bayesian.noise import Whitener
from spikeline.bridge.kernel_ridge import Smoother

# How much longer than the longest training row a row may be before it is shortened.
_HEADROOM = 1.5


@dataclass(frozen=True)
class Encoding:
    """Terms of log p(response | image) - log p(response); q electrodes.

    Everything is multiplied by the square root of the term's weight in the score.

    Attributes:
        whitener: (q, q), of the residuals: standardised responses times this are a(y).
        prior: (q, q), whitener of the responses. Both are dense, or of few factors.
        linear: (dim, q), centred embeddings to whitened predicted responses, or None.
        rbf_projection: (dim, r), embeddings to the features of `rbf`, or None.
        rbf: kernel ridge to whitened predicted responses, or None.
    """

    whitener: Whitener
    prior: Whitener
    linear: np.ndarray | None = None
    rbf_projection: np.ndarray | None = None
    rbf: Smoother | None = None

    @classmethod
    def folded(
        cls,
        smoothers: Mapping[str, Smoother | LayerStack],
        projections: Mapping[str, np.ndarray | None],
        whitener: Whitener,
        prior: Whitener,
    ) -> Encoding:
        """Projections, the mean over kernels and the whitener in few matrices.

        Args:
            projections: (dim, r) of each kernel; None for the embeddings' own axes.
        """
        parts: dict[str, Any] = {}
        for kernel, smoother in smoothers.items():
            coefficients = smoother.coefficients @ whitener / len(smoothers)
            if kernel == "linear":
                axes = projections[kernel]
                linear = coefficients if axes is None else axes @ coefficients
                parts["linear"] = linear.astype(np.float32)
            else:
                parts["rbf_projection"] = projections[kernel]
                parts["rbf"] = _compact(smoother, coefficients)
        return cls(whitener.astype(np.float32), prior.astype(np.float32), **parts)


@dataclass(frozen=True)
class Decoding:
    """Terms of log p(image | response) - log p(image); k principal components.

    Attributes:
        target: (dim, k), centred embeddings to whitened principal components.
        whitener: (k, k), of the residuals, times the square root of the weight.
        weight: of this term in the score.
        linear: (q, k), standardised responses to whitened predictions, or None.
        rbf: kernel ridge from responses / sqrt(q) to the same, or None.
    """

    target: np.ndarray
    whitener: np.ndarray
    weight: float
    linear: np.ndarray | None = None
    rbf: Smoother | None = None

    @classmethod
    def folded(
        cls,
        smoothers: Mapping[str, Smoother],
        target: np.ndarray,
        whitener: np.ndarray,
        weight: float,
    ) -> Decoding:
        """The mean over kernels and the whitener in few matrices."""
        parts: dict[str, Any] = {}
        for kernel, smoother in smoothers.items():
            coefficients = smoother.coefficients @ whitener / len(smoothers)
            if kernel == "linear":
                scale = np.sqrt(len(coefficients))  # the smoother read responses / sqrt(q)
                parts["linear"] = (coefficients / scale).astype(np.float32)
            else:
                parts["rbf"] = _compact(smoother, coefficients)
        return cls(target, whitener.astype(np.float32), weight, **parts)


@dataclass(frozen=True)
class Padding:
    """How (a, alpha) and (b, beta) become unit rows; see `fit`."""

    response_offset: float = 0.0
    image_offset: float = 0.0
    response_scale: float = 1.0
    image_scale: float = 1.0
    response_length: float = np.inf
    image_length: float = np.inf

    @classmethod
    def fit(cls, a: np.ndarray, alpha: np.ndarray, b: np.ndarray, beta: np.ndarray) -> Padding:
        """Offsets and scales that keep the constants, and so the padding, small on these rows."""
        offsets = float(alpha.mean()), float(beta.mean())
        scales = [max(float(np.sqrt(constant.std())), 1e-6) for constant in (alpha, beta)]
        padding = cls(*offsets, *scales)
        lengths = [
            _HEADROOM * float(np.linalg.norm(rows, axis=1).max())
            for rows in (padding.responses(a, alpha), padding.images(b, beta))
        ]
        return cls(*offsets, *scales, *lengths)

    def responses(self, a: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        constant = (alpha - self.response_offset) / self.response_scale
        return np.column_stack([a, constant, np.full(len(a), self.image_scale)])

    def images(self, b: np.ndarray, beta: np.ndarray) -> np.ndarray:
        constant = (beta - self.image_offset) / self.image_scale
        return np.column_stack([b, np.full(len(b), self.response_scale), constant])


def response_features(standardised: np.ndarray) -> np.ndarray:
    """Standardised responses scaled to a mean squared length of 1, as the rbf kernel expects."""
    return (standardised / np.sqrt(standardised.shape[1])).astype(np.float32)


def _compact(smoother: Smoother, coefficients: np.ndarray) -> Smoother:
    """Landmarks were computed in float32; coefficients cancel each other and stay float64."""
    return Smoother(coefficients, smoother.landmarks.astype(np.float32))
