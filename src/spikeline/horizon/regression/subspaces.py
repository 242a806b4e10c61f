r"""Directions of a population's activity: those that vary most, and those that predict best.

With X (windows, columns) centred activity and G = X'X / windows,

    principal components            the leading eigenvectors of G
    reduced-rank regression onto Y  B times the leading eigenvectors of B'GB,
                                    B = (G + ridge tr(G) / columns I)^-1 X'Y / windows

The second spans the rank-K predictions of Y with least squared error when the ridge is 0 (Izenman
1975, J. Multivar. Anal. 5; with a ridge, Mukherjee and Zhu 2011, Stat. Anal. Data Min. 4).
Directions are scaled so that X times each has mean square 1.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh

# Share of the leading direction's variance below which a direction is rounding, not activity.
_NEGLIGIBLE = 1e-6


def principal_components(gram: np.ndarray, rank: int) -> np.ndarray:
    """(columns, min(rank, columns)) float32 directions of largest variance.

    Args:
        gram: (columns, columns) float64, G.
    """
    return _scaled(_leading(gram, rank), gram)


def reduced_rank(gram: np.ndarray, cross: np.ndarray, ridge: float, rank: int) -> np.ndarray:
    """(columns, min(rank, columns)) float32 directions that predict the targets best.

    Args:
        gram: (columns, columns) float64, G.
        cross: (columns, targets) float64, X'Y / windows with Y centred.
        ridge: in mean variances of a column.
    """
    columns = len(gram)
    # a silent unit's column is 0: rounding of the largest keeps the system regular without a ridge
    strength = max(ridge, 1e-9) * max(np.trace(gram) / columns, np.finfo(np.float64).tiny)
    factor = cho_factor(gram + strength * np.eye(columns))
    coefficients = cho_solve(factor, cross)
    return _scaled(coefficients @ _leading(coefficients.T @ gram @ coefficients, rank), gram)


def _leading(symmetric: np.ndarray, rank: int) -> np.ndarray:
    size = len(symmetric)
    return eigh(symmetric, subset_by_index=(max(0, size - rank), size - 1))[1][:, ::-1]


def _scaled(directions: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Mean square 1 each; 0 where there is but rounding, as a silent population leaves."""
    variance = np.einsum("ck,ck->k", directions, gram @ directions)
    real = variance > max(_NEGLIGIBLE * variance.max(), np.finfo(np.float64).tiny)
    scale = np.where(real, 1 / np.sqrt(np.where(real, variance, 1)), 0)
    return (directions * scale).astype(np.float32)
