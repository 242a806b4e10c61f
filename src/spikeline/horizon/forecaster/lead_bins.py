"""Lead bins: how far ahead a forecaster forecasts, in steps that grow with the lead.

What comes soon changes fast and is most of what can be known. A forecaster has one log rate for the
centre of each lead bin; those of the bins of the recording are interpolated linearly between the
centres, and held before the first and after the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeline.horizon.scores.windows import setting_bins


def edges_of(settings: Mapping[str, Any], bin_s: float) -> np.ndarray:
    """Edges of a model's lead bins, from its resolved settings; bin_s in seconds."""
    return lead_bin_edges(setting_bins(settings, "horizon_ms", bin_s), settings["lead_bins"])


def lead_bin_edges(bins: int, count: int) -> np.ndarray:
    """(count + 1,) int64 edges of lead bins, longer and longer, from 0 to `bins`."""
    count = min(count, bins)
    edges = np.expm1(np.log(bins + 1) * np.linspace(0, 1, count + 1)).round().astype(np.int64)
    # at least one bin each, and room for one bin for each that follows
    edges = np.maximum.accumulate(edges - np.arange(count + 1)) + np.arange(count + 1)
    return np.minimum(edges, bins - np.arange(count, -1, -1))


def centres(edges: np.ndarray) -> np.ndarray:
    """(lead bins,) centre of each, counted in bins: k for the middle of bin k, k + 1/2 for the edge
    after it."""
    return (edges[:-1] + edges[1:] - 1) / 2


def interpolation(lead_centres: np.ndarray, bins: int) -> np.ndarray:
    """Weights of the lead bins in each of the first bins.

    Args:
        lead_centres: (all lead bins,) ascending, in bins; see `centres`.

    Returns:
        (bins, lead bins) float32, rows sum to 1; no more lead bins than it takes to reach the last
        bin.
    """
    needed = min(int(np.searchsorted(lead_centres, bins - 1)) + 1, len(lead_centres))
    each = np.eye(needed, dtype=np.float32)
    wanted = np.arange(bins)
    found = [np.interp(wanted, lead_centres[:needed], row) for row in each]
    return np.stack(found, 1).astype(np.float32)
