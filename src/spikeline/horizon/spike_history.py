r"""Traces of recent spikes: counts under exponential windows, compared with a mean rate.

The trace of a unit before bin t, with decay d per bin, and the weight of its window, which is the
trace that one spike per bin would leave, are

    y(t) = sum_{s < t} d^(t-1-s) n_s,        w(t) = sum_{s < t} d^(t-1-s) = (1 - d^t) / (1 - d),

with d = exp(-bin / time constant). Two ways to compare a trace with the e = w mu that a unit of
mean rate mu (expected count per bin) would leave, both about 0 for a unit at its mean:

    log trace               log((y + p) / (e + p))
    stabilised trace        2 (sqrt(y + p) - sqrt(e + p)) / sqrt(max(w, 1))

The pseudo-count p draws a trace towards 0 where few spikes are expected; each model has its own.
The stabilised trace has about the same noise at every rate (Anscombe 1948, Biometrika 35), so that
busy units do not outweigh quiet ones where units are pooled.

`decays`, `window_weights` and `log_trace` take NumPy arrays and tensors, on any device, and return
the same kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

# A NumPy array or a tensor; tensors are known by their methods, as torch is slow to import.
Values = TypeVar("Values")
# Bins, times units, filtered at once.
_CHUNK = 1 << 21


def decays(time_constants_s: Values, bin_s: float) -> Values:
    """(constants,) share of a trace that is left after one bin; both arguments in seconds."""
    return _elementwise("exp", -bin_s / time_constants_s)


def window_weights(starts: Values, decay: Values) -> Values:
    """Traces before bins `starts` that one spike per bin would leave; shapes broadcast."""
    return (1 - decay**starts) / (1 - decay)


def log_trace(trace: Values, expected: Values, *, pseudo_count: float | np.ndarray) -> Values:
    """Log of how busy each unit has been, relative to what was expected of it.

    Args:
        trace: spikes under a window, or their mean per bin.
        expected: the same for a unit at its mean rate; broadcasts to `trace`.
        pseudo_count: added to both, in the unit of both; broadcasts to `trace`.
    """
    return _elementwise("log", (trace + pseudo_count) / (expected + pseudo_count))


def stabilised_trace(
    trace: np.ndarray, expected: np.ndarray, weight: np.ndarray, *, pseudo_count: float
) -> np.ndarray:
    """Variance-stabilised difference between traces and what was expected of each unit.

    Args:
        trace, expected: as for `log_trace`, in spikes.
        weight: of the windows; broadcasts to `trace`.
    """
    difference = np.sqrt(trace + pseudo_count) - np.sqrt(expected + pseudo_count)
    difference *= 2 / np.sqrt(np.maximum(weight, 1))
    return difference


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
    decay = decays(np.asarray(time_constants_s, np.float64), bin_s).astype(np.float32)
    found = np.zeros((len(decay), len(starts), units), np.float32)
    order = np.argsort(starts, kind="stable")
    ordered = np.asarray(starts)[order]
    state = np.zeros((len(decay), 1, units), np.float32)
    last = int(ordered[-1]) if len(ordered) else 0
    step = max(1, _CHUNK // units)
    for first in range(0, last, step):
        part = np.asarray(counts[first : min(first + step, last)], np.float32)
        # the trace before bin t is the filter's output at bin t - 1
        rows = slice(*np.searchsorted(ordered, [first + 1, first + len(part) + 1]))
        places = ordered[rows] - 1 - first
        for k, one in enumerate(decay):
            filtered, state[k] = _filtered(part, one, state[k])
            found[k, order[rows]] = filtered[places]
    return found


def running_mean(
    counts: np.ndarray, start: np.ndarray, time_constant_s: float, bin_s: float
) -> np.ndarray:
    """Mean count per bin under an exponential window over all bins before each bin.

    Args:
        counts: (bins, units).
        start: (units,) mean that it starts from, before any count is known; its type is the
            result's.
        time_constant_s, bin_s: seconds.

    Returns:
        (bins, units); row t knows the bins before t alone.
    """
    start = np.asarray(start)[None]
    decay = decays(np.float64(time_constant_s), bin_s).astype(start.dtype)
    known = np.asarray(counts[:-1], start.dtype)
    filtered, _ = _filtered(known, decay, start * decay, gain=1 - decay)
    return np.concatenate([start, filtered])


def _filtered(
    counts: np.ndarray, decay: np.floating, state: np.ndarray, gain: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """(bins, units) x_t = d x_(t-1) + gain n_t, and the state (1, units), d x, to go on with."""
    from scipy.signal import lfilter  # takes a second to load

    dtype = counts.dtype
    return lfilter(np.array([gain], dtype), np.array([1, -decay], dtype), counts, axis=0, zi=state)


def _elementwise(function: str, values: Values) -> Values:
    """`exp` or `log`: a tensor's own method, or NumPy's function."""
    own = getattr(values, function, None)
    return getattr(np, function)(values) if own is None else own()
