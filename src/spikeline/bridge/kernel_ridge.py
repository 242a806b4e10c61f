"""Kernel ridge for many correlated outputs, judged by exact leave-one-out predictions.

A kernel is held as features phi(x): x itself for `linear`, and for `rbf`

    phi(x) = k(x, landmarks) R,   R R' = k(landmarks, landmarks)^-1

(Nystrom; Williams and Seeger 2001), which is exact when every training row is a landmark; with
fewer landmarks than rows the features are held in float32. Time is rows * m^2 and memory rows * m,
with m features; nothing of rows * rows is formed. Outputs are centred by the caller, and so are the
features of the linear kernel: predictions have no intercept. Leaving a row of the linear kernel out
leaves it out of that centring too. Otherwise, where rows are nearly orthogonal, the others' mean
tells what the row left out was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from spikeline.errors import InputError
from spikeline.ridge import RidgePath, checked_penalties, spectrum

KERNELS = ("linear", "rbf")
# Eigenvalues of the kernel below this share of the largest are rounding error.
_NEGLIGIBLE = 1e-9
# Of products in float32, which the Nystrom features are.
_NEGLIGIBLE_SINGLE = 1e-7
# Added to the landmarks' kernel, as a share of its trace, so that it has an inverse.
_JITTER = 1e-7
_BLOCK_ROWS = 2048


@dataclass(frozen=True)
class Smoother:
    """A fitted kernel ridge regression: what prediction needs.

    Attributes:
        coefficients: (features, outputs) for the linear kernel, (landmarks, outputs) for rbf.
        landmarks: (landmarks, features), or None for the linear kernel.
    """

    coefficients: np.ndarray
    landmarks: np.ndarray | None = None

    def predict(self, x: np.ndarray) -> np.ndarray:
        """(rows, features) to (rows, outputs) float64."""
        x = np.asarray(x, dtype=np.float64)
        coefficients = np.asarray(self.coefficients, dtype=np.float64)
        if self.landmarks is None:
            return x @ coefficients
        predicted = np.empty((len(x), coefficients.shape[1]))
        for start in range(0, len(x), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            predicted[rows] = rbf(x[rows], self.landmarks) @ coefficients
        return predicted


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances of rows: (n, d), (m, d) to (n, m) float64."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    distances = a @ b.T
    distances *= -2
    distances += np.square(a).sum(1)[:, None]
    distances += np.square(b).sum(1)
    return np.maximum(distances, 0, out=distances)


def rbf(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """exp(-|a - b|^2 / 2): (n, d), (m, d) to (n, m).

    Width 1 suits features whose mean squared length is 1.
    """
    kernel = squared_distances(a, b)
    kernel *= -0.5
    return np.exp(kernel, out=kernel)


def shrunk_to_diagonal(covariance: np.ndarray, shrinkage: float) -> np.ndarray:
    """(1 - shrinkage) * covariance + shrinkage * its diagonal."""
    shrunk = (1 - shrinkage) * covariance
    np.fill_diagonal(shrunk, np.diag(covariance))
    return shrunk


def whitener(covariance: np.ndarray) -> np.ndarray:
    """W with W W' = inverse covariance, so that |x W|^2 is the Mahalanobis length of x.

    From the Cholesky factor, whose precision does not depend on the outputs' units. A millionth of
    the mean variance is added, which matters only for outputs without noise.
    """
    floor = 1e-6 * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    factor = np.linalg.cholesky(covariance + floor * np.eye(len(covariance)))
    inverse, _ = scipy.linalg.lapack.dtrtri(factor, lower=1)
    return inverse.T


def fit_smoother(
    kernel: str,
    x: np.ndarray,
    y: np.ndarray,
    penalties: Sequence[float],
    *,
    groups: np.ndarray | None = None,
    landmarks: int = 4000,
    seed: int = 0,
) -> tuple[Smoother, np.ndarray]:
    """Fit with the penalty that has the least leave-one-out error, chosen for each output.

    Args:
        kernel: `linear` or `rbf`.
        x: features (rows, features); y: outputs (rows, outputs).
        penalties: candidates, positive, in the scale of the kernel.
        groups: labels (rows,); rows of one group are left out together. None: each row alone.
        landmarks: at most this many rows, drawn at random, carry the rbf kernel.
        seed: of that draw.

    Returns:
        The smoother, and what it predicts for each row when fitted without its group, with the
        penalties chosen (rows, outputs).

    Raises:
        InputError: another kernel, or penalties that are not positive.
    """
    penalties = checked_penalties(penalties)
    if kernel not in KERNELS:
        raise InputError(f"kernel: {kernel!r} is not one of {', '.join(KERNELS)}")
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    chosen_rows = None if kernel == "linear" else _landmarks(x, landmarks, seed)
    path, rotated = _path(x, y, chosen_rows)
    least = np.full(y.shape[1], np.inf)
    chosen = np.zeros(y.shape[1])
    left_out = np.zeros_like(y)
    missed_by_penalty = path.left_out(rotated, y, penalties, groups)
    for penalty, missed in zip(penalties, missed_by_penalty, strict=True):
        error = np.square(missed).mean(0)
        better = error < least
        least[better], chosen[better] = error[better], penalty
        left_out[:, better] = y[:, better] - missed[:, better]
    return Smoother(path.coefficients(chosen), chosen_rows), left_out


def _landmarks(x: np.ndarray, most: int, seed: int) -> np.ndarray:
    if len(x) <= most:
        return x
    return x[np.sort(np.random.default_rng(seed).permutation(len(x))[:most])]


def _path(
    x: np.ndarray, y: np.ndarray, landmarks: np.ndarray | None
) -> tuple[RidgePath, np.ndarray]:
    """The regressions on phi(x), and the rows in their basis (rows, rank).

    Their coefficients are those of the linear kernel's features, or of k(x, landmarks) for rbf.
    """
    if landmarks is None:
        path = RidgePath.of_rows(x, y, negligible=_NEGLIGIBLE)
        return path, path.rotated(x)
    if landmarks is x:  # every row: its features are the eigenvectors, scaled, and X'X is diagonal
        eigenvalues, vectors = spectrum(rbf(landmarks, landmarks), _NEGLIGIBLE)
        root = vectors / np.sqrt(eigenvalues)
        rotated = vectors * np.sqrt(eigenvalues)
        return RidgePath(eigenvalues, root, rotated.T @ y), rotated
    root = _inverse_root(rbf(landmarks, landmarks))
    phi = np.empty((len(x), len(landmarks)), dtype=np.float32)
    single = root.astype(np.float32)
    for first in range(0, len(x), _BLOCK_ROWS):
        rows = slice(first, first + _BLOCK_ROWS)
        phi[rows] = rbf(x[rows], landmarks).astype(np.float32) @ single
    path = RidgePath.of_rows(
        phi, y.astype(np.float32), intercept=False, negligible=_NEGLIGIBLE_SINGLE
    )
    return replace(path, basis=root @ path.basis), phi @ path.basis.astype(np.float32)


def _inverse_root(kernel: np.ndarray) -> np.ndarray:
    """R with R R' = inverse of the kernel (m, m), upper triangular; the kernel is overwritten."""
    kernel[np.diag_indices_from(kernel)] += _JITTER * len(kernel)
    factor = scipy.linalg.cholesky(kernel, overwrite_a=True, check_finite=False)
    inverse, _ = scipy.linalg.lapack.dtrtri(factor)
    return inverse
