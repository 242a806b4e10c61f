"""Which bins a session's regressions start from, in the fit as a whole and in its folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from spikeline.errors import InputError
from spikeline.horizon.scores.windows import bins_of

# Edges of the futures that reduced-rank directions predict.
FUTURES_MS = (0, 20, 60, 200, 500)
# Windows of a band begin this part of its length apart, or at every bin.
_OVERLAP = 2
# Fewer windows of a band, in the fit or in a fold, are no data.
FEWEST_WINDOWS = 10


@dataclass(frozen=True)
class Windows:
    """Spans of bins that are forecast from bins of a grid.

    Attributes:
        grid: bins between starts at the least.
        bands: (first, end) bins after the start, of each band of leads.
        strides: bins between the starts of a band, multiples of the grid.
        futures: (first, end) bins after the start, of each future that directions predict.
    """

    grid: int
    bands: Sequence[tuple[int, int]]
    strides: Sequence[int]
    futures: Sequence[tuple[int, int]]

    @classmethod
    def of(cls, bins: int, bin_s: float, settings: Mapping[str, Any]) -> Windows:
        """Those of a fit on so many bins; settings as in horizon/regression/fitting.py.

        Raises:
            InputError: an end of a band is no whole number of bins.
        """
        grid = max(1, -(-bins // settings["most_windows"]))
        bands = _spans([0, *(bins_of(ms, bin_s) for ms in settings["bands_ms"])])
        steps = [max(1, (end - first) // _OVERLAP // grid) for first, end in bands]
        futures = _spans([round(ms / 1000 / bin_s) for ms in FUTURES_MS])
        return cls(grid, bands, [grid * step for step in steps], futures)

    def starts(self, mask: np.ndarray, first: int, end: int, stride: int | None = None):
        """(windows,) bins t, `stride` apart, such that bins t + first to t + end are in the mask.

        Args:
            mask: (bins,) bool.
            end: the bin behind the last.
            stride: None means the grid.
        """
        outside = np.concatenate([[0], np.cumsum(~mask)])
        starts = np.arange(0, max(0, len(mask) - end + 1), stride or self.grid)
        return starts[outside[starts + end] == outside[starts + first]]

    def of_band(self, mask: np.ndarray, band: int) -> np.ndarray:
        """(windows,) starts from which a band lies wholly in the mask."""
        return self.starts(mask, *self.bands[band], self.strides[band])

    def whole(self, mask: np.ndarray, band: int) -> np.ndarray:
        """The same of windows that lie in the mask from their start to the band's end."""
        return self.starts(mask, 0, self.bands[band][1], self.strides[band])

    def all_starts(self, mask: np.ndarray) -> np.ndarray:
        """(windows,) every start that any of the above has for this mask or a part of it."""
        spans = [(0, 1), *self.bands]
        return np.unique(np.concatenate([self.starts(mask, *span) for span in spans]))

    def check(self, mask: np.ndarray) -> None:
        """Raise InputError where the mask has too few windows of a band."""
        for band, (_, end) in enumerate(self.bands):
            found = len(self.whole(mask, band))
            if found < FEWEST_WINDOWS:
                raise InputError(
                    f"{int(mask.sum())} bins to fit, or to leave out in a fold, hold {found} "
                    f"windows of {end} bins where {FEWEST_WINDOWS} are due; give it a longer "
                    "stretch, fewer folds or shorter bands"
                )


def _spans(edges: Sequence[int]) -> list[tuple[int, int]]:
    return [(a, b) for a, b in pairwise(edges) if b > a]
