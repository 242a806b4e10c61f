"""Which bins a session's regressions start from, in the fit as a whole and in its folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from spikeline.errors import InputError
from spikeline.horizon.scores.windows import bins_of

# Edges of the lead bins that reduced-rank directions predict.
DIRECTION_EDGES_MS = (0, 20, 60, 200, 500)
# Windows of a lead bin begin this part of its length apart, or at every bin.
_OVERLAP = 2
# Fewer windows of a lead bin, in the fit or in a fold, are no data.
FEWEST_WINDOWS = 10


@dataclass(frozen=True)
class Windows:
    """Spans of bins that are forecast from bins of a grid.

    Attributes:
        grid: bins between starts at the least.
        lead_bins: (first, end) bins after the start, of each lead bin.
        strides: bins between the starts of a lead bin, multiples of the grid.
        direction_lead_bins: the same of each lead bin that directions predict.
    """

    grid: int
    lead_bins: Sequence[tuple[int, int]]
    strides: Sequence[int]
    direction_lead_bins: Sequence[tuple[int, int]]

    @classmethod
    def of(cls, bins: int, bin_s: float, settings: Mapping[str, Any]) -> Windows:
        """Those of a fit on so many bins; settings as in horizon/regression/fitting.py.

        Raises:
            InputError: an end of a lead bin is no whole number of bins.
        """
        grid = max(1, -(-bins // settings["most_windows"]))
        lead_bins = _spans([0, *(bins_of(ms, bin_s) for ms in settings["lead_bins_ms"])])
        steps = [max(1, (end - first) // _OVERLAP // grid) for first, end in lead_bins]
        directions = _spans([round(ms / 1000 / bin_s) for ms in DIRECTION_EDGES_MS])
        return cls(grid, lead_bins, [grid * step for step in steps], directions)

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

    def of_lead_bin(self, mask: np.ndarray, place: int) -> np.ndarray:
        """(windows,) starts from which a lead bin lies wholly in the mask."""
        return self.starts(mask, *self.lead_bins[place], self.strides[place])

    def whole(self, mask: np.ndarray, place: int) -> np.ndarray:
        """The same of windows that lie in the mask from their start to the lead bin's end."""
        return self.starts(mask, 0, self.lead_bins[place][1], self.strides[place])

    def all_starts(self, mask: np.ndarray) -> np.ndarray:
        """(windows,) every start that any of the above has for this mask or a part of it."""
        spans = [(0, 1), *self.lead_bins]
        return np.unique(np.concatenate([self.starts(mask, *span) for span in spans]))

    def check(self, mask: np.ndarray) -> None:
        """Raise InputError where the mask has too few windows of a lead bin."""
        for place, (_, end) in enumerate(self.lead_bins):
            found = len(self.whole(mask, place))
            if found < FEWEST_WINDOWS:
                raise InputError(
                    f"{int(mask.sum())} bins to fit, or to leave out in a fold, hold {found} "
                    f"windows of {end} bins, expected at least {FEWEST_WINDOWS}; give it a longer "
                    "recording, fewer folds or shorter lead bins"
                )


def _spans(edges: Sequence[int]) -> list[tuple[int, int]]:
    return [(a, b) for a, b in pairwise(edges) if b > a]
