"""Kernel ridge for many correlated outputs, judged by exact leave-one-out predictions.

A kernel is held as features phi(x): x itself for `linear`, and for `rbf`

    phi(x) = k(x, landmarks) K^(-1/2),   K = k(landmarks, landmarks)

(Nystrom; Williams and Seeger 2001), which is exact when every training row is a landmark. Time is
rows * m^2 and memory rows * m, with m features; nothing of rows * rows is formed. There is no
intercept: outputs are centred by the caller, and so are the features of the linear kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikeline.errors import InputError

KERNELS = ("linear", "rbf")
# Directions with less of the kernel than this share of the first are rounding noise.
_NEGLIGIBLE = 1e-9
_BLOCK_ROWS = 2048


@dataclass(frozen=True)
class Smoother:
    """A fitted kernel ridge regression, as little as prediction needs.

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
    the mean variance is added, which only outputs without noise can notice.
    """
    floor = 1e-6 * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    factor = np.linalg.cholesky(covariance + floor * np.eye(len(covariance)))
    return np.linalg.inv(factor).T


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
    penalties = np.asarray(penalties, dtype=np.float64)
    if penalties.ndim != 1 or len(penalties) == 0 or not (penalties > 0).all():
        raise InputError("penalties: a list of positive numbers is needed")
    if kernel not in KERNELS:
        raise InputError(f"kernel: {kernel!r} is not one of {', '.join(KERNELS)}")
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    chosen = None if kernel == "linear" else _landmarks(x, landmarks, seed)
    eigenvalues, left, basis = _decomposed(x, chosen)
    solution, left_out = _leave_one_out(eigenvalues, left, y, penalties, groups)
    return Smoother(basis @ solution, chosen), left_out


def _landmarks(x: np.ndarray, most: int, seed: int) -> np.ndarray:
    if len(x) <= most:
        return x
    return x[np.sort(np.random.default_rng(seed).permutation(len(x))[:most])]


def _decomposed(
    x: np.ndarray, landmarks: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The kernel of the rows as U diag(l) U': l (rank,), U (rows, rank), and a basis B.

    Coefficients c in the eigenbasis (of features U sqrt(l)) are B @ c for the linear kernel's
    features, or for the landmarks of rbf.
    """
    if landmarks is None:
        phi, root = x, None
    else:
        eigenvalues, vectors = _spectrum(rbf(landmarks, landmarks))
        if landmarks is x:  # every row: the features are the eigenvectors, scaled
            return eigenvalues, vectors, vectors / np.sqrt(eigenvalues)
        root = vectors / np.sqrt(eigenvalues)
        phi = np.concatenate(
            [rbf(x[i : i + _BLOCK_ROWS], landmarks) @ root for i in range(0, len(x), _BLOCK_ROWS)]
        )
    if len(phi) < phi.shape[1]:  # fewer rows than features: the small side is the rows
        eigenvalues, left = _spectrum(phi @ phi.T)
        basis = phi.T @ left / np.sqrt(eigenvalues)
    else:
        eigenvalues, basis = _spectrum(phi.T @ phi)
        left = phi @ (basis / np.sqrt(eigenvalues))
    return eigenvalues, left, basis if root is None else root @ basis


def _spectrum(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    eigenvalues, vectors = np.linalg.eigh(matrix)
    kept = eigenvalues > max(_NEGLIGIBLE * eigenvalues[-1], 0)
    return eigenvalues[kept], vectors[:, kept]


def _leave_one_out(
    eigenvalues: np.ndarray,
    left: np.ndarray,
    y: np.ndarray,
    penalties: np.ndarray,
    groups: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Solution in the eigenbasis (rank, outputs) and leave-one-out predictions (rows, outputs).

    With the hat matrix H = U diag(l / (l + penalty)) U', a left-out row misses by its residual over
    1 - H_ii (Golub, Heath and Wahba 1979); a left-out group by (I - H_gg)^-1 times its residuals.
    """
    projected = left.T @ y
    filters = eigenvalues[:, None] / (eigenvalues[:, None] + penalties)
    leverages = np.concatenate(
        [np.square(left[i : i + _BLOCK_ROWS]) @ filters for i in range(0, len(left), _BLOCK_ROWS)]
    )
    repeated = [] if groups is None else _repeated(groups)
    least = np.full(y.shape[1], np.inf)
    penalty = np.zeros(y.shape[1])
    left_out = np.zeros_like(y)
    for index, candidate in enumerate(penalties):
        missed = y - left @ (filters[:, index, None] * projected)
        blocks = [(rows, _block_missed(left, filters[:, index], missed, rows)) for rows in repeated]
        missed /= 1 - leverages[:, index, None]
        for rows, block in blocks:
            missed[rows] = block
        error = np.square(missed).mean(0)
        better = error < least
        least[better], penalty[better] = error[better], candidate
        left_out[:, better] = y[:, better] - missed[:, better]
    return np.sqrt(eigenvalues)[:, None] * projected / (eigenvalues[:, None] + penalty), left_out


def _repeated(groups: np.ndarray) -> list[np.ndarray]:
    """Row indices of the groups with several rows: arrays (groups, size) of bounded length."""
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.cumsum(counts) - counts
    blocks = []
    for size in np.unique(counts[counts > 1]):
        rows = order[starts[counts == size][:, None] + np.arange(size)]
        at_once = max(1, _BLOCK_ROWS // size)
        blocks += [rows[i : i + at_once] for i in range(0, len(rows), at_once)]
    return blocks


def _block_missed(
    left: np.ndarray, filtered: np.ndarray, residuals: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    u = left[rows]
    hat = (u * filtered) @ u.transpose(0, 2, 1)
    return np.linalg.solve(np.eye(rows.shape[1]) - hat, residuals[rows])
