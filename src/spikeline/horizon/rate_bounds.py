r"""The rates that a unit's data justify: no forecast leaves them by extrapolation.

A rate r, in expected counts per bin, forecast for a span of n bins, is kept within

    1 / (M (L + 1))  <=  r  <=  M (K + 1) / n

where L is the length of the unit's longest silence in the fit, in bins, K the most spikes that it
fired in any n bins of the fit, and M = 2 the margin. Both stop at an end of the fit's unbroken
runs. Spans shorter than 100 ms are bounded as 100 ms are: the most spikes of a single bin of 20 ms
would bound hardly anything. One spike more, and one bin more, than were seen keep the bounds finite
and the mean within them, for units that never fired too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spikeline.errors import InputError

MARGIN = 2.0
SHORTEST_S = 0.1
# Numbers worked on at once.
_CHUNK = 1 << 22


@dataclass(frozen=True)
class RateBounds:
    """Bounds of expected counts per bin.

    Attributes:
        lowest: (units,) float32.
        highest: (spans, units) float32, of rates that are forecast for each span.
    """

    lowest: np.ndarray
    highest: np.ndarray

    def clip(self, rates: np.ndarray, span: int) -> np.ndarray:
        """Rates (..., units) of the span of this place, within the bounds; changed in place."""
        return np.clip(rates, self.lowest, self.highest[span], out=rates)


def rate_bounds(
    counts: np.ndarray, fit: np.ndarray, spans: Sequence[int], bin_s: float
) -> RateBounds:
    """What the bins of a fit justify, see the module.

    Args:
        counts: (bins, units) whole numbers, mapped or not.
        fit: (bins,) bool.
        spans: bins of each span; one that no run of the fit holds is bounded as the longest run is.
        bin_s: length of a bin in seconds.

    Raises:
        InputError: the fit has no bin.
    """
    runs = _runs(fit)
    if not len(runs):
        raise InputError("the fit has no bin; the session is short")
    longest = int((runs[:, 1] - runs[:, 0]).max())
    shortest = round(SHORTEST_S / bin_s)
    spans = [min(max(int(span), shortest, 1), longest) for span in spans]
    units = counts.shape[1]
    silence = np.zeros(units, np.int64)
    most = np.zeros((len(spans), units), np.int64)
    for part in _parts(units, longest):
        for first, end in runs:
            run = np.asarray(counts[first:end, part])
            np.maximum(silence[part], _longest_silence(run), out=silence[part])
            total = np.zeros((len(run) + 1, run.shape[1]), np.int64)
            np.cumsum(run, axis=0, out=total[1:])
            for place, span in enumerate(spans):
                if span <= len(run):
                    found = (total[span:] - total[:-span]).max(axis=0)
                    np.maximum(most[place, part], found, out=most[place, part])
    lowest = 1 / (MARGIN * (silence + 1.0))
    highest = MARGIN * (most + 1.0) / np.array(spans)[:, None]
    return RateBounds(lowest.astype(np.float32), highest.astype(np.float32))


# --- the pieces -----------------------------------------------------------------------------------


def _runs(mask: np.ndarray) -> np.ndarray:
    """(runs, 2) first bin, and the bin behind the last, of each unbroken run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2)


def _longest_silence(run: np.ndarray) -> np.ndarray:
    """(units,) bins of the longest stretch without a spike; run: (bins, units)."""
    bins = np.arange(len(run))[:, None]
    last = np.maximum.accumulate(np.where(run > 0, bins, -1), axis=0)
    return (bins - last).max(axis=0)


def _parts(units: int, bins: int) -> Iterator[slice]:
    step = max(1, _CHUNK // bins)
    return (slice(first, first + step) for first in range(0, units, step))
