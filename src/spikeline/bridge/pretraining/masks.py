"""Which responses are hidden from the encoder: electrodes, time bins, or both.

Every mask of a kind hides equally many responses of each row, so that batches are rectangular.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeline.errors import InputError


def random_electrodes(
    rows: int, electrodes: int, share: float, generator: torch.Generator | None = None
) -> Tensor:
    """(rows, electrodes) bool: `share` of the electrodes of each row, drawn at random.

    At least one is hidden and at least one is not.
    """
    return _drawn(rows, electrodes, _count(electrodes, share), generator)


def region_balanced(
    rows: int, groups: Tensor, share: float, generator: torch.Generator | None = None
) -> Tensor:
    """(rows, electrodes) bool: the same share of each area's electrodes.

    Args:
        groups: (electrodes,) index of each electrode's area. Of an area with one electrode it is
            never hidden.
    """
    hidden = torch.zeros(rows, len(groups), dtype=torch.bool)
    for group in groups.unique():
        members = (groups == group).nonzero()[:, 0]
        if len(members) > 1:
            count = _count(len(members), share)
            hidden[:, members] = _drawn(rows, len(members), count, generator)
    return hidden


def time_bins(
    rows: int,
    bins: int,
    share: float,
    contiguous: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """(rows, bins) bool: `share` of the bins of each row, at random places or in one stretch."""
    return _bins_drawn(rows, bins, _count(bins, share), contiguous, generator)


def electrodes_and_bins(
    rows: int,
    electrodes: int,
    bins: int,
    share: float,
    contiguous: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """(rows, bins, electrodes) bool: some bins of all electrodes, some electrodes in all bins.

    Both hide an equal share p of their axis, as far as whole bins allow, and their union `share` of
    all responses: 1 - (1 - p)^2 = share.
    """
    hidden_bins = _count(bins, 1 - math.sqrt(1 - share))
    wanted = share * bins * electrodes - hidden_bins * electrodes
    hidden_electrodes = round(max(wanted, 0) / (bins - hidden_bins))
    of_time = _bins_drawn(rows, bins, hidden_bins, contiguous, generator)
    of_electrodes = _drawn(rows, electrodes, hidden_electrodes, generator)
    return of_time[:, :, None] | of_electrodes[:, None]


@dataclass(frozen=True)
class Masking:
    """Masks of one kind for the columns of a recording, a column being an electrode of a bin.

    Attributes:
        kind: random, region_balanced, time or both.
        share: of the responses of a row that is hidden.
        contiguous: whether hidden bins form one stretch.
        groups: (electrodes,) index of each electrode's area.
        bins: of time; columns are in the order (bin, electrode).
    """

    kind: str
    share: float
    contiguous: bool
    groups: Tensor
    bins: int = 1

    @classmethod
    def of(cls, settings: Mapping[str, Any], regions: np.ndarray, bins: int) -> Masking:
        """From a model's settings.

        Args:
            regions: (columns,) the area of each column.

        Raises:
            InputError: bins are to be hidden where there is one, or an area is too small.
        """
        kind, share = settings["mask"], settings["mask_share"]
        if kind in ("time", "both") and bins < 2:
            raise InputError(
                f"mask: {kind!r} hides time bins, but these responses are means over time; set "
                "windows to an entry with bin_ms, or mask to random or region_balanced"
            )
        groups = np.unique(regions[: len(regions) // bins], return_inverse=True)[1]
        if len(groups) < 2 or (kind == "region_balanced" and np.bincount(groups).max() < 2):
            raise InputError(
                f"mask: {kind!r} hides some electrodes and shows others, but there are "
                f"{len(groups)}; add regions, or lower min_snr and min_reliability"
            )
        contiguous = settings["mask_bins"] == "contiguous"
        return cls(kind, share, contiguous, torch.from_numpy(groups), bins)

    def draw(self, rows: int, generator: torch.Generator | None = None) -> Tensor:
        """(rows, columns) bool, True where a response is hidden; equally many in each row."""
        electrodes = len(self.groups)
        if self.kind == "random":
            hidden = random_electrodes(rows, electrodes, self.share, generator)[:, None]
        elif self.kind == "region_balanced":
            hidden = region_balanced(rows, self.groups, self.share, generator)[:, None]
        elif self.kind == "time":
            hidden = time_bins(rows, self.bins, self.share, self.contiguous, generator)[:, :, None]
        else:
            hidden = electrodes_and_bins(
                rows, electrodes, self.bins, self.share, self.contiguous, generator
            )
        return hidden.expand(rows, self.bins, electrodes).flatten(1)


def _count(size: int, share: float) -> int:
    """How many of `size` are hidden: at least one, and not all."""
    return min(max(round(share * size), 1), size - 1)


def _drawn(rows: int, size: int, count: int, generator: torch.Generator | None) -> Tensor:
    """(rows, size) bool with `count` True in each row."""
    order = torch.rand(rows, size, generator=generator).argsort(1)
    return torch.zeros(rows, size, dtype=torch.bool).scatter_(1, order[:, :count], True)


def _bins_drawn(
    rows: int, bins: int, count: int, contiguous: bool, generator: torch.Generator | None
) -> Tensor:
    if not contiguous:
        return _drawn(rows, bins, count, generator)
    start = torch.randint(bins - count + 1, (rows, 1), generator=generator)
    place = torch.arange(bins)
    return (place >= start) & (place < start + count)
