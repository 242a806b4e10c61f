"""Lead bands: a baseline has one rate for each step ahead of a window's start, longer and longer.

One fit serves all horizons: a short window reads the first bands of a long one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from spikeline.horizon.spike_history import decays, traces

# A band ends at most this many times later than it begins, but for the first.
_GROWTH = 2.5
# Windows of a band start this part of its width apart: nearer ones add little.
_OVERLAP = 2
# Rates expanded at once.
_RATES = 1 << 22


class LeadBands:
    """Bands of bins after a start: the first is one bin, and each horizon ends with a band.

    Attributes:
        ends: (bands,) int64, the bin behind the last of each, counted from the start.
        spans: [(first bin, bin behind the last)] of each.
    """

    def __init__(self, horizons: Sequence[int]):
        """
        Args:
            horizons: bins of the windows that are forecast.
        """
        ends = [1]
        for horizon in sorted(horizons):
            while horizon > _GROWTH * ends[-1]:
                ends.append(round(_GROWTH * ends[-1]))
            if horizon > ends[-1]:
                ends.append(horizon)
        self.ends = np.array(ends, np.int64)
        self.spans = list(pairwise([0, *ends]))

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def widths(self) -> list[int]:
        """Bins of each band."""
        return [end - first for first, end in self.spans]

    def starts(self, mask: np.ndarray, band: int, most: int) -> tuple[np.ndarray, int]:
        """(windows,) bins t whose band lies wholly in a mask, and the bins between them.

        Args:
            mask: (bins,) bool; what lies between t and the band may be outside.
            most: bins of the mask that windows may start from; where there are more, all bands
                start from every n-th bin.
        """
        first, end = self.spans[band]
        grid = max(1, -(-int(mask.sum()) // most))
        stride = grid * max(1, (end - first) // _OVERLAP // grid)
        outside = np.concatenate([[0], np.cumsum(~mask)])
        starts = np.arange(0, max(0, len(mask) - end + 1), stride)
        return starts[outside[starts + end] == outside[starts + first]], stride

    def means(self, total: np.ndarray, starts: np.ndarray, band: int) -> np.ndarray:
        """(windows, units) float32 mean count per bin of a band after each start.

        Args:
            total: (bins + 1, units) spikes before each bin.
        """
        first, end = self.spans[band]
        return ((total[starts + end] - total[starts + first]) / (end - first)).astype(np.float32)

    def expanded(
        self, rates: np.ndarray, lengths: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rates of bands as rates of bins, batch by batch; see `scores.tiled.Forecast`.

        Args:
            rates: (bands, windows, units) expected counts per bin.
            lengths: (windows,) bins to forecast; beyond the last band its rate is held.
        """
        for length in np.unique(lengths):
            band = np.searchsorted(self.ends, np.arange(length), "right")
            band = np.minimum(band, len(self) - 1)
            rows = np.flatnonzero(lengths == length)
            size = max(1, _RATES // (int(length) * rates.shape[2]))
            for first in range(0, len(rows), size):
                batch = rows[first : first + size]
                yield batch, rates[:, batch][band].transpose(1, 0, 2)


def means_before(
    counts: np.ndarray,
    mean: np.ndarray,
    starts: np.ndarray,
    time_constants_s: Sequence[float],
    bin_s: float,
) -> np.ndarray:
    """(constants, windows, units) float32 mean count per bin under exponential windows.

    The same as `spike_history.running_mean` at some bins, without a row for every bin: of a
    session that begins at `mean`, (units,), the share d^t is left.
    """
    found = traces(counts, starts, time_constants_s, bin_s)
    decay = decays(np.asarray(time_constants_s, np.float64), bin_s)[:, None, None]
    found *= (1 - decay).astype(np.float32)
    found += (decay ** np.asarray(starts)[:, None]).astype(np.float32) * mean
    return found


def spikes_before(counts: np.ndarray) -> np.ndarray:
    """(bins + 1, units) int32: spikes before each bin, and before the end."""
    total = np.zeros((len(counts) + 1, counts.shape[1]), np.int32)
    np.cumsum(counts, axis=0, out=total[1:])
    return total
