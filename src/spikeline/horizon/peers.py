"""Which units of a session move together, from its reference window alone.

The weights regress each unit on all others: with P the inverse of the shrunk correlation matrix of
the units' counts, unit u is best predicted from the others with -P_uv / P_uu. The shrinkage towards
no correlation is that of Ledoit and Wolf 2004: with few spikes or a short window nothing is left.
"""

from __future__ import annotations

import numpy as np

# Counts are compared in stretches of this many bins.
_STRETCH = 10


def peer_weights(counts: np.ndarray, stretch: int = _STRETCH) -> np.ndarray:
    """(units, units) float32 with a zero diagonal: row u predicts unit u.

    Args:
        counts: (bins, units) of the reference window.
    """
    rows = len(counts) // stretch
    units = counts.shape[1]
    if rows < 3 or units < 2:
        return np.zeros((units, units), np.float32)
    summed = counts[: rows * stretch].reshape(rows, stretch, units).sum(1, dtype=np.float64)
    values = np.sqrt(summed)
    values -= values.mean(0)
    deviation = values.std(0)
    values /= np.where(deviation > 0, deviation, 1)
    correlation = values.T @ values / rows
    shrinkage = _shrinkage(values, correlation)
    shrunk = (1 - shrinkage) * correlation
    shrunk[np.diag_indices(units)] = 1.0
    precision = np.linalg.inv(shrunk)
    weights = -precision / np.diag(precision)[:, None]
    np.fill_diagonal(weights, 0)
    return weights.astype(np.float32)


def _shrinkage(values: np.ndarray, correlation: np.ndarray) -> float:
    """Ledoit and Wolf's intensity for standardised rows (rows, units), between 0 and 1."""
    rows, units = values.shape
    squares = values**2
    noise = ((squares.T @ squares) / rows - correlation**2) / rows
    off = ~np.eye(units, dtype=bool)
    signal = (correlation[off] ** 2).sum()
    if signal <= 0:
        return 1.0
    return float(np.clip(noise[off].sum() / signal, 0.0, 0.999))
