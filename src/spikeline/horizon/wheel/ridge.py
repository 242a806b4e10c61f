"""Ridge regression of velocity on binned spike counts, its penalty chosen on valid blocks.

A feature is one unit's count in one bin of the window, centred and scaled on training moments:

    w = argmin |y - X w|^2 + penalty |w|^2

the objective of `sklearn.linear_model.Ridge`. The normal equations are summed over chunks of
moments, so that memory grows with features and not with a session's length, and are factorised
anew for each penalty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from spikeline.errors import InputError
from spikeline.horizon.wheel.task import Spikes, Task, Window

# Penalties as multiples of the number of training moments, so that they suit any session.
PENALTIES = tuple(float(f"{10.0**power:.3g}") for power in np.arange(-2, 2.01, 0.5))
CHUNK = 1024


@dataclass(frozen=True)
class RidgeDecoder:
    """A fitted decoder: `weights` (features,) of raw counts, `intercept`, in z-scored velocity."""

    window: Window
    bins: int
    weights: np.ndarray
    intercept: float
    penalty: float

    def estimate(self, spikes: Spikes, times: np.ndarray) -> np.ndarray:
        """Velocity (n,) at moments (n,)."""
        parts = [
            counts @ self.weights + self.intercept
            for counts in _chunks(spikes, times, self.window, self.bins)
        ]
        return np.concatenate(parts).astype(np.float64)


def fit_ridge(task: Task, bin_ms: float, penalties: Sequence[float] = PENALTIES) -> RidgeDecoder:
    """Fit on train moments, with the penalty whose valid error is least.

    Args:
        bin_ms: length of a bin, milliseconds; the window is a whole number of them.
        penalties: multiples of the number of training moments.

    Raises:
        InputError: no penalty makes the normal equations solvable.
    """
    bins = round(task.window.length * 1000 / bin_ms)
    mean, scale, gram, product = _normal_equations(task, bins)
    moments = len(task.train)
    level = float(task.train.velocity.mean())
    best: tuple[float, RidgeDecoder] | None = None
    for penalty in penalties:
        regularised = gram.copy()
        regularised[np.diag_indices_from(regularised)] += penalty * moments
        try:
            factor = cho_factor(regularised, overwrite_a=True, check_finite=False)
        except LinAlgError:  # a penalty too small for features that repeat each other
            continue
        weights = cho_solve(factor, product, check_finite=False) / scale
        decoder = RidgeDecoder(
            task.window, bins, weights, level - float(mean @ weights), float(penalty)
        )
        estimate = decoder.estimate(task.spikes, task.valid.times)
        error = float(((estimate - task.valid.velocity) ** 2).mean())
        if best is None or error < best[0]:
            best = error, decoder
    if best is None:
        raise InputError("ridge: no penalty is large enough for these spikes")
    return best[1]


def lagged_counts(spikes: Spikes, times: np.ndarray, window: Window, bins: int) -> np.ndarray:
    """(moments, bins x units) float32: counts in the bins of each moment's window, oldest first."""
    starts = window.starts(np.asarray(times, np.float64))
    low = np.searchsorted(spikes.times, starts)
    count = np.searchsorted(spikes.times, starts + window.length) - low
    row = np.repeat(np.arange(len(starts)), count)
    spike = np.arange(len(row)) + np.repeat(low - (np.cumsum(count) - count), count)
    place = ((spikes.times[spike] - starts[row]) * (bins / window.length)).astype(np.int64)
    features = bins * spikes.units
    index = place.clip(0, bins - 1) * spikes.units + spikes.unit_index[spike]
    flat = np.bincount(row * features + index, minlength=len(starts) * features)
    return flat.reshape(len(starts), features).astype(np.float32)


def _chunks(spikes: Spikes, times: np.ndarray, window: Window, bins: int) -> Iterator[np.ndarray]:
    for first in range(0, len(times), CHUNK):
        yield lagged_counts(spikes, times[first : first + CHUNK], window, bins)


def _normal_equations(
    task: Task, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean and scale of the features, and the standardised X'X and X'y; float64.

    Counts are whole numbers, so their products add up exactly in float32 up to 2^24 per chunk.
    """
    features = bins * task.spikes.units
    total, gram = np.zeros(features), np.zeros((features, features))
    product = np.zeros(features)
    velocity = task.train.velocity - task.train.velocity.mean()
    first = 0
    for counts in _chunks(task.spikes, task.train.times, task.window, bins):
        total += counts.sum(axis=0, dtype=np.float64)
        gram += counts.T @ counts
        product += velocity[first : first + len(counts)] @ counts
        first += len(counts)
    mean = total / first
    gram -= first * np.outer(mean, mean)
    variance = np.diag(gram) / first
    # A unit silent in training has no weight.
    scale = np.where(variance > 0, np.sqrt(np.maximum(variance, 0)), np.inf)
    gram /= scale[:, None]
    gram /= scale
    return mean, scale, gram, product / scale
