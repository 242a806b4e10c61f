"""Which units of a session predict each other, estimated from its reference window alone.

Unit u's count in the bins ahead is regressed on what all units just did, by ridge regression on
standardised variables:

    W = C' (G + lambda I)^-1,

with G the correlations of the units' log traces with each other and C those of the traces with the
square root of the counts that follow. A unit's own column is left out of the result: the forecaster
reads its own history anyway. The penalty grows with the number of units and with the shortness of
the window: a forecaster trained on several sessions learns how far such weights can be trusted.
"""

from __future__ import annotations

import numpy as np

from spikeline.horizon.spike_history import log_trace, running_mean

TRACE_S = 0.1
AHEAD_S = 0.2
# Penalty per unit, for a window of 60 s.
PENALTY = 0.05
_FULL_WINDOW_S = 60.0
# Counts per bin, added to a unit's mean as the pseudo-count of its log trace, for silent units.
_SMALLEST_COUNT = 1e-3


def peer_weights(counts: np.ndarray, bin_s: float) -> np.ndarray:
    """(units, units) float32 with a zero diagonal: row u forecasts unit u from the others' traces.

    Args:
        counts: (bins, units) of the reference window.
        bin_s: length of a bin in seconds.
    """
    bins, units = counts.shape
    ahead = max(1, round(AHEAD_S / bin_s))
    warm = round(5 * TRACE_S / bin_s)
    if units < 2 or bins < warm + 2 * ahead:
        return np.zeros((units, units), np.float32)
    mean = counts.mean(axis=0, dtype=np.float64)
    recent = running_mean(counts, np.zeros(units), TRACE_S, bin_s)
    total = np.concatenate([np.zeros((1, units)), np.cumsum(counts, axis=0, dtype=np.float64)])
    starts = np.arange(warm, bins - ahead + 1)
    past = _standardised(log_trace(recent[starts], mean, pseudo_count=mean + _SMALLEST_COUNT))
    future = _standardised(np.sqrt(total[starts + ahead] - total[starts]))
    penalty = PENALTY * units * _FULL_WINDOW_S / (bins * bin_s)
    among = past.T @ past / len(starts) + penalty * np.eye(units)
    weights = np.linalg.solve(among, past.T @ future / len(starts)).T
    np.fill_diagonal(weights, 0)
    return weights.astype(np.float32)


def _standardised(values: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and deviation 1; a constant column becomes 0."""
    values = values - values.mean(0)
    deviation = values.std(0)
    return values / np.where(deviation > 1e-9, deviation, np.inf)
