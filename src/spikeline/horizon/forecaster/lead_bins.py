"""The future in stretches that grow: a forecaster has the rate in the middle of each.

What comes soon changes fast and is most of what can be known. The log rates of the bins are
interpolated linearly between those middles, and held before the first and after the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeline.horizon.scores.windows import setting_bins


def future_edges(settings: Mapping[str, Any], bin_s: float) -> np.ndarray:
    """Edges of a model's stretches, from its resolved settings; bin_s in seconds."""
    return stretches(setting_bins(settings, "horizon_ms", bin_s), settings["stretches"])


def stretches(bins: int, count: int) -> np.ndarray:
    """(count + 1,) int64 edges of stretches of the future, longer and longer, from 0 to `bins`."""
    count = min(count, bins)
    edges = np.expm1(np.log(bins + 1) * np.linspace(0, 1, count + 1)).round().astype(np.int64)
    # at least a bin each, and room for a bin of each that follows
    edges = np.maximum.accumulate(edges - np.arange(count + 1)) + np.arange(count + 1)
    return np.minimum(edges, bins - np.arange(count, -1, -1))


def middles(edges: np.ndarray) -> np.ndarray:
    """(count,) the middle of each stretch, counted in bins: k for the middle of bin k, k + 1/2 for
    the edge behind it."""
    return (edges[:-1] + edges[1:] - 1) / 2


def interpolation(knots: np.ndarray, bins: int) -> np.ndarray:
    """Weights of the knots in each of the first bins.

    Args:
        knots: (all knots,) ascending, in bins; see `middles`.

    Returns:
        (bins, knots) float32, rows sum to 1; no more knots than it takes to reach the last bin.
    """
    needed = min(int(np.searchsorted(knots, bins - 1)) + 1, len(knots))
    each = np.eye(needed, dtype=np.float32)
    wanted = np.arange(bins)
    return np.stack([np.interp(wanted, knots[:needed], row) for row in each], 1).astype(np.float32)
