r"""Traces of recent spikes: counts under exponential windows, before many bins, in one pass.

The trace of a unit with decay d per bin, before bin t, and the weight it would have at one spike a
bin, are

    y(t) = sum_{s < t} d^(t-1-s) n_s,        w(t) = sum_{s < t} d^(t-1-s) = (1 - d^t) / (1 - d),

with d = exp(-bin / time constant). Two readings of them, both about 0 for a unit at its mean rate
mu (expected count per bin):

    log trace               log((y + p) / (w mu + p))
    stabilised trace        2 (sqrt(y + p) - sqrt(w mu + p)) / sqrt(max(w, 1))

with p = 1/4 pseudo-spike. The second has about the same noise at every rate (Anscombe 1948,
Biometrika 35), so that busy units do not outweigh quiet ones where units are pooled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.signal import lfilter

PSEUDO_SPIKES = np.float32(0.25)
# Bins, times units, filtered at once.
_CHUNK = 1 << 21


def traces(
    counts: np.ndarray, starts: np.ndarray, time_constants_s: Sequence[float], bin_s: float
) -> np.ndarray:
    """Traces of every unit before bins `starts`; nothing at or after a start is read for it.

    Args:
        counts: (bins, units) whole numbers, mapped or not.
        starts: (windows,) bins from 0 to the number of bins, in any order.
        time_constants_s: (constants,) seconds.
        bin_s: length of a bin in seconds.

    Returns:
        (constants, windows, units) float32.
    """
    units = counts.shape[1]
    keep = np.exp(-bin_s / np.asarray(time_constants_s, np.float64)).astype(np.float32)
    found = np.zeros((len(keep), len(starts), units), np.float32)
    order = np.argsort(starts, kind="stable")
    ordered = np.asarray(starts)[order]
    state = np.zeros((len(keep), 1, units), np.float32)
    last = int(ordered[-1]) if len(ordered) else 0
    step = max(1, _CHUNK // units)
    for first in range(0, last, step):
        part = np.asarray(counts[first : min(first + step, last)], np.float32)
        # the trace before bin t is the filter's output at bin t - 1
        rows = slice(*np.searchsorted(ordered, [first + 1, first + len(part) + 1]))
        places = ordered[rows] - 1 - first
        for k, decay in enumerate(keep):
            coefficients = np.array([1], np.float32), np.array([1, -decay], np.float32)
            filtered, state[k] = lfilter(*coefficients, part, axis=0, zi=state[k])
            found[k, order[rows]] = filtered[places]
    return found


def weights(starts: np.ndarray, time_constants_s: Sequence[float], bin_s: float) -> np.ndarray:
    """(constants, windows) float32: what a trace would be at one spike a bin."""
    decay = np.exp(-bin_s / np.asarray(time_constants_s, np.float64))[:, None]
    return ((1 - decay ** np.asarray(starts)) / (1 - decay)).astype(np.float32)


def log_traces(traced: np.ndarray, weight: np.ndarray, mean_rate: np.ndarray) -> np.ndarray:
    """How busy each unit has been, relative to its mean.

    Args:
        traced: (constants, windows, units); weight: (constants, windows).
        mean_rate: (units,) expected counts per bin.

    Returns:
        (constants, windows, units) float32.
    """
    expected = weight[..., None] * np.asarray(mean_rate, np.float32)
    return np.log((traced + PSEUDO_SPIKES) / (expected + PSEUDO_SPIKES))


def stabilised_traces(traced: np.ndarray, weight: np.ndarray, mean_rate: np.ndarray) -> np.ndarray:
    """What everybody has been doing, a column for each time constant and unit.

    Args:
        As for `log_traces`.

    Returns:
        (windows, constants * units) float32, units running fastest.
    """
    expected = weight[..., None] * np.asarray(mean_rate, np.float32)
    moved = np.sqrt(traced + PSEUDO_SPIKES) - np.sqrt(expected + PSEUDO_SPIKES)
    moved *= (2 / np.sqrt(np.maximum(weight, 1)))[..., None]
    return moved.transpose(1, 0, 2).reshape(moved.shape[1], -1)


@dataclass(frozen=True)
class Histories:
    """What a regression reads before each of some bins.

    Attributes:
        starts: (windows,) bins.
        own_traces, population_traces: (constants, windows, units).
        own_weights, population_weights: (constants, windows).
    """

    starts: np.ndarray
    own_traces: np.ndarray
    own_weights: np.ndarray
    population_traces: np.ndarray
    population_weights: np.ndarray

    @classmethod
    def before(
        cls,
        counts: np.ndarray,
        starts: np.ndarray,
        own_s: Sequence[float],
        population_s: Sequence[float],
        bin_s: float,
    ) -> Histories:
        """See `traces`; time constants of a unit's own history and of the population's."""
        constants = [*own_s, *population_s]
        traced, weight = traces(counts, starts, constants, bin_s), weights(starts, constants, bin_s)
        k = len(own_s)
        return cls(np.asarray(starts), traced[:k], weight[:k], traced[k:], weight[k:])

    def at(self, places: np.ndarray) -> Histories:
        """Those of some of the windows."""
        windows = (getattr(self, field.name)[:, places] for field in fields(self)[1:])
        return Histories(self.starts[places], *windows)

    def own(self, mean_rate: np.ndarray) -> np.ndarray:
        """(constants, windows, units) log traces."""
        return log_traces(self.own_traces, self.own_weights, mean_rate)

    def population(self, mean_rate: np.ndarray) -> np.ndarray:
        """(windows, constants * units) stabilised traces."""
        return stabilised_traces(self.population_traces, self.population_weights, mean_rate)
