"""The covariance of a Gaussian model's errors: full, or a few factors and a diagonal.

A full one of q outputs takes q^2 numbers and q^3 operations, which thousands of outputs (electrodes
times time bins) do not bear. With k factors the covariance is D + M M', M (q, k) and D diagonal,
and everything takes q k. Either is shrunk towards its diagonal, which leaves variances as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spikeline.bridge.kernel_ridge import shrunk_to_diagonal, whitener

# Of the subspace iteration that finds the factors (Halko, Martinsson and Tropp 2011).
_OVERSAMPLING, _ITERATIONS = 10, 4


@dataclass(frozen=True)
class FactorWhitener:
    """W = diag(scale) (I - axes diag(cut) axes') of q outputs, without the (q, q) matrix.

    It stands where the matrix would: `rows @ whitener`.

    Attributes:
        scale: (q,); axes: (q, k), orthonormal; cut: (k,), below 1.
        factor: by which all is multiplied.
    """

    scale: np.ndarray
    axes: np.ndarray
    cut: np.ndarray
    factor: float = 1.0

    __array_ufunc__ = None  # an array on the left leaves `@` to this class

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.scale), len(self.scale)

    def __rmatmul__(self, rows: np.ndarray) -> np.ndarray:
        rows = rows * (self.factor * self.scale)
        return rows - ((rows @ self.axes) * self.cut) @ self.axes.T

    def __mul__(self, factor: float) -> FactorWhitener:
        return replace(self, factor=self.factor * float(factor))

    def astype(self, dtype: type) -> FactorWhitener:
        """With its arrays in another precision; the factor joins the scale."""
        scale = (self.factor * self.scale).astype(dtype)
        return FactorWhitener(scale, self.axes.astype(dtype), self.cut.astype(dtype))


Whitener = np.ndarray | FactorWhitener


@dataclass(frozen=True)
class FullCovariance:
    """`covariance` (q, q)."""

    covariance: np.ndarray

    def whitener(self, shrinkage: float) -> np.ndarray:
        """W (q, q) with W W' the inverse of the covariance shrunk towards its diagonal."""
        return whitener(shrunk_to_diagonal(self.covariance, shrinkage))


@dataclass(frozen=True)
class FactorCovariance:
    """`variances` (q,) on the diagonal, and beside it the products of `loadings` (q, k)."""

    variances: np.ndarray
    loadings: np.ndarray

    def whitener(self, shrinkage: float) -> FactorWhitener:
        """W with W W' the inverse of the covariance shrunk towards its diagonal.

        With A = D^-1/2 M = P diag(a) Q', W = D^-1/2 (I - P diag(1 - 1 / sqrt(1 + a^2)) P').
        """
        # An output keeps a millionth of its variance to itself, or of the mean where it has none.
        mean = max(float(self.variances.mean()), 1e-12)
        least = 1e-6 * np.where(self.variances > 0, self.variances, mean)
        loadings = np.sqrt(1 - shrinkage) * self.loadings
        rest = np.maximum(self.variances - np.square(loadings).sum(1), least)
        scale = 1 / np.sqrt(rest)
        axes, a, _ = np.linalg.svd(scale[:, None] * loadings, full_matrices=False)
        return FactorWhitener(scale, axes, 1 - 1 / np.sqrt(1 + np.square(a)))


Covariance = FullCovariance | FactorCovariance


def covariance_of(rows: np.ndarray, factors: int) -> Covariance:
    """The covariance of rows (n, q) about 0.

    Args:
        factors: of outputs in units of their deviation, those with most variance; 0 keeps the
            full covariance.
    """
    if not factors:
        return FullCovariance(rows.T @ rows / len(rows))
    variances = np.square(rows).mean(0)
    deviations = np.sqrt(variances)
    inverse = np.divide(1, deviations, out=np.zeros_like(deviations), where=deviations > 0)
    return FactorCovariance(
        variances, deviations[:, None] * _leading_loadings(rows * inverse, factors)
    )


def _leading_loadings(rows: np.ndarray, count: int) -> np.ndarray:
    """L (q, k) with L L' closest to rows' rows / n (n, q)."""
    n, q = rows.shape
    width = min(count + _OVERSAMPLING, n, q)
    basis = np.random.default_rng(0).standard_normal((q, width))
    for _ in range(_ITERATIONS):
        basis, _ = np.linalg.qr(rows.T @ (rows @ basis))
    _, values, axes = np.linalg.svd(rows @ basis, full_matrices=False)
    return (basis @ axes.T)[:, :count] * (values[:count] / np.sqrt(n))
