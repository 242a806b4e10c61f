"""Ridge regression of velocity on binned spike counts, its penalty chosen on valid blocks.

A feature is one unit's count in one bin of the window, centred and scaled on training moments:

    w = argmin |y - X w|^2 + penalty |w|^2

the objective of `sklearn.linear_model.Ridge`. Products are summed over chunks of moments, so that
memory grows with features and not with a session's length. Counts are whole numbers: a chunk's
products add up exactly in float32 up to 2^24.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spikeline.horizon.wheel.task import Spikes, Task, Window
from spikeline.ridge import Moments, RidgePath

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
            for _, counts in _chunks(spikes, times, self.window, self.bins)
        ]
        return np.concatenate(parts).astype(np.float64)


def fit_ridge(task: Task, bin_ms: float, penalties: Sequence[float] = PENALTIES) -> RidgeDecoder:
    """Fit on train moments, with the penalty whose valid error is least.

    Args:
        bin_ms: length of a bin, milliseconds; the window is a whole number of them.
        penalties: multiples of the number of training moments.
    """
    bins = round(task.window.length * 1000 / bin_ms)
    sums = Moments.zeros(bins * task.spikes.units, 1)
    for rows, counts in _chunks(task.spikes, task.train.times, task.window, bins):
        sums.include(counts, task.train.velocity[rows, None])
    variance = sums.rows * np.diag(sums.xx) - sums.x**2  # exact: counts are whole numbers
    # A unit silent in training has no weight.
    active = variance > 0
    factors = np.divide(sums.rows, np.sqrt(variance), out=np.zeros_like(variance), where=active)
    path = RidgePath.of_moments(sums.scaled(factors))
    weights = [path.coefficients(penalty * sums.rows)[:, 0] * factors for penalty in penalties]
    weights = np.stack(weights, axis=1)
    intercepts = (sums.y - sums.x @ weights) / sums.rows
    squared_error = np.zeros(len(penalties))
    for rows, counts in _chunks(task.spikes, task.valid.times, task.window, bins):
        missed = counts @ weights + intercepts - task.valid.velocity[rows, None]
        squared_error += np.square(missed).sum(0)
    best = int(squared_error.argmin())
    return RidgeDecoder(
        task.window, bins, weights[:, best], float(intercepts[best]), float(penalties[best])
    )


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


def _chunks(
    spikes: Spikes, times: np.ndarray, window: Window, bins: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Some moments at a time, which and their counts (moments, bins x units)."""
    for first in range(0, len(times), CHUNK):
        rows = slice(first, first + CHUNK)
        yield rows, lagged_counts(spikes, times[rows], window, bins)
