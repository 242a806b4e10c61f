"""The target space: image embeddings centred, rotated to principal axes, whitened and weighted.

Of several layers of a network each is brought to the same power before they are joined, so that
none counts more for being longer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
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
        matrix: (dim, k) float32; None leaves the axes as they are.
        root: f takes the signed square root of each entry (for rectified features).
        normalise: f scales each layer of a row to length 1 (after the root).
        layer_dims: columns of each layer, in their order; none means one layer.
    """

    mean: np.ndarray
    matrix: np.ndarray | None
    root: bool = False
    normalise: bool = True
    layer_dims: tuple[int, ...] = ()

    @classmethod
    def fit(
        cls,
        embeddings: np.ndarray,
        components: int = 0,
        whitening: float = 0.0,
        root: bool = False,
        normalise: bool = True,
        layer_dims: Sequence[int] = (),
    ) -> TargetSpace:
        """Fit to the embeddings of training images (images, dim), each image once.

        Time and memory grow with the smaller of images and dim, squared, times the larger.

        Args:
            components: principal axes kept; 0 keeps every axis with variance.
            whitening: exponent a in 0..1; a component of variance v is divided by v^(a/2), so 0
                keeps the geometry and 1 gives every component variance 1.
            layer_dims: columns of each layer. Of several each is scaled to variance 1 / layers,
                summed over its columns.

        Raises:
            InputError: embeddings that do not vary.
        """
        zeros = np.zeros(embeddings.shape[1], np.float32)
        space = cls(zeros, np.zeros(0), root, normalise, tuple(layer_dims))
        rows = space._prepared(embeddings).astype(np.float64)
        images, dim = rows.shape
        mean = rows.mean(0)
        rows -= mean
        scales = _layer_scales(rows, space.layers())
        rows *= scales
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
        matrix = scales[:, None] * axes * (variance / variance[0]) ** (-whitening / 2)
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

    def unrotated(self) -> TargetSpace:
        """This space with the embeddings' own axes."""
        return replace(self, matrix=None)

    def project(self, embeddings: np.ndarray) -> np.ndarray:
        """(n, dim) to (n, k) float32, lengths kept."""
        centred = self._prepared(embeddings) - self.mean
        return centred if self.matrix is None else centred @ self.matrix

    def embed(self, embeddings: np.ndarray) -> np.ndarray:
        """(n, dim) to unit rows (n, k) float32."""
        return unit_rows(self.project(embeddings))

    def _prepared(self, embeddings: np.ndarray) -> np.ndarray:
        return prepared(embeddings, self.root, self.normalise, self.layers())

    def preparation(self) -> dict[str, Any]:
        """What `TargetSpace` takes besides its arrays, as JSON."""
        return {
            "root": self.root,
            "normalise": self.normalise,
            "layer_dims": list(self.layer_dims),
        }

    def layers(self) -> list[slice]:
        """The columns of each layer."""
        ends = np.cumsum(self.layer_dims or (len(self.mean),)).tolist()
        return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def prepared(
    embeddings: np.ndarray, root: bool, normalise: bool, layers: Sequence[slice] = (slice(None),)
) -> np.ndarray:
    """(n, dim) float32: the signed square root if `root`, then each layer of a row at length 1."""
    rows = np.asarray(embeddings, dtype=np.float32)
    if root:
        rows = np.sign(rows) * np.sqrt(np.abs(rows))
    if not normalise:
        return rows
    return np.concatenate([unit_rows(rows[:, layer]) for layer in layers], axis=1)


def _layer_scales(centred: np.ndarray, layers: Sequence[slice]) -> np.ndarray:
    """(dim,) factors that give each layer the same share of the variance; 1 where there is one."""
    scales = np.ones(centred.shape[1])
    for layer in layers if len(layers) > 1 else ():
        variance = np.square(centred[:, layer]).sum() / len(centred)
        scales[layer] = 1 / np.sqrt(len(layers) * variance) if variance > 0 else 0.0
    return scales


def preparation_of(settings: Mapping[str, Any]) -> dict[str, bool]:
    """`root` and `normalise` of a decoder's settings; reduced layers come prepared."""
    if settings["target_layers"]:
        return {"root": False, "normalise": False}
    return {
        "root": settings["target_transform"] == "sqrt",
        "normalise": bool(settings["target_normalise"]),
    }


def fit_target_space(
    embeddings: np.ndarray,
    images: np.ndarray,
    settings: Mapping[str, Any],
    responses: Callable[[], np.ndarray],
    groups: np.ndarray | None = None,
    layer_dims: Sequence[int] = (),
) -> TargetSpace:
    """The target space of an entry's settings, fitted to training rows.

    Args:
        embeddings: (rows, dim); images: (rows,), their names: each image counts once.
        responses: gives standardised (rows, features), to weight components by how well a ridge
            regression predicts them in cross-validation (`target_weighting`, an exponent of the
            correlation); asked only then, for they may be many.
        groups: (rows,) labels of rows left out together there; None: rows of one image.
        layer_dims: columns of each layer of the embeddings; none means one layer.
    """
    unique = np.unique(images, return_index=True)[1]
    space = TargetSpace.fit(
        embeddings[unique],
        settings["target_components"],
        settings["target_whitening"],
        **preparation_of(settings),
        layer_dims=layer_dims,
    )
    exponent = settings["target_weighting"]
    if not exponent:
        return space
    groups = images if groups is None else groups
    targets = space.project(embeddings)
    r2 = fit_ridge(responses(), targets, _PREDICTABILITY_PENALTIES, groups=groups).r2
    correlation = np.sqrt(np.maximum(r2.max(0), 0))
    if not correlation.any():
        logger.warning("target_weighting: no component is predictable; components are not weighted")
        return space
    return space.weighted(correlation**exponent)
