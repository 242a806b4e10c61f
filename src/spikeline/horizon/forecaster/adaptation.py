r"""What a session teaches about its own units while it runs: an online regression of surprises.

The shared regression knows no unit. How a unit's firing follows its own past and that of the others
beyond that is learned from the session itself, from what lies before a window and nothing else. Of
bands of the future b, the surprise of unit u is its Pearson residual,

    e = (n - lambda) / sqrt(lambda + 1/10),         cut off at 5,

with lambda what the shared regression expected, and it is regressed by ridge regression on the
stabilised traces Z of all units (horizon/forecaster/unit_state.py):

    W = (Z'Z / N + p v I)^-1 Z'E / N,       p = penalty x units x 60 s / (time seen),

v the mean variance of a trace. Sums over time are accumulated, and W is renewed whenever the time
seen has grown by an eighth, from the end of the reference window on. Each penalty gives one
forecast of the surprise; a network learns how far to trust them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

# Per unit, for a minute.
PENALTIES = (0.03, 0.3)
BANDS = 3
GROWTH = 1.12
# Bins between the windows that are learned from, which overlap.
_STRIDE = 5
_MOST_SURPRISE, _PSEUDO_COUNT = 5.0, 0.1
_FULL_WINDOW_S = 60.0
# Windows, times units, worked on at once.
_CHUNK = 1 << 17

# What a unit gets: a surprise for each penalty and band.
SURPRISES = len(PENALTIES) * BANDS


@dataclass(frozen=True)
class Updates:
    """What was learned of a session, and when.

    Attributes:
        ends: (updates,) int64 ascending: the first bin that an update may be used from; nothing at
            or after it was read.
        weights: (updates, traces x units, SURPRISES x units), surprises first in the last axis.
    """

    ends: np.ndarray
    weights: Tensor

    def surprises(self, stabilised: Tensor, starts: np.ndarray, first_only: bool) -> Tensor:
        """(windows, units, SURPRISES) forecasts; 0 before the first update.

        Args:
            stabilised: (windows, units, traces) of the constants that were learned from.
            starts: (windows,) first bins.
            first_only: use what the reference window taught, even later on.
        """
        windows, units, _ = stabilised.shape
        z = stabilised.mT.flatten(1)
        found = torch.zeros(windows, SURPRISES * units, device=z.device)
        which = np.searchsorted(self.ends, starts, "right") - 1
        if first_only:
            which = np.minimum(which, 0)
        for update in np.unique(which[which >= 0]):
            rows = torch.from_numpy(np.flatnonzero(which == update)).to(z.device)
            found[rows] = z[rows].float() @ self.weights[update]
        return found.reshape(windows, SURPRISES, units).mT


def band_rates(log_rates: Tensor, lengths: Tensor) -> Tensor:
    """(windows, BANDS, units) expected counts in each band, from those of (windows, lead bins,
    units) per bin."""
    expected = log_rates.exp() * lengths[:, None]
    return torch.stack([expected[:, part].sum(1) for part in bands(len(lengths), BANDS)], 1)


def gains(surprises: Tensor, rates: Tensor) -> Tensor:
    """(windows, units, SURPRISES) how far a surprise moves a log rate, in one Newton step.

    Args:
        surprises: (windows, units, SURPRISES); rates: (windows, BANDS, units) expected counts.
    """
    scale = (rates + _PSEUDO_COUNT).rsqrt().mT.repeat(1, 1, len(PENALTIES))
    return (surprises * scale).clamp(-2, 2)


def bands(lead_bins: int, count: int) -> list[slice]:
    """The lead bins of each band, about as many each."""
    edges = np.linspace(0, lead_bins, count + 1).astype(int)
    return [slice(a, b) for a, b in pairwise(edges)]


def band_of(lead_bins: int, count: int) -> np.ndarray:
    """(lead bins,) int64 which band each is in."""
    parts = bands(lead_bins, count)
    return np.repeat(np.arange(count), [part.stop - part.start for part in parts])


def update_ends(first: int, bins: int) -> np.ndarray:
    """(updates,) bins at which a session is learned from: ever further apart, as what is known
    changes less."""
    ends = [first]
    while ends[-1] * GROWTH < bins:
        ends.append(max(ends[-1] + 1, round(ends[-1] * GROWTH)))
    return np.array(ends, np.int64)


def learn_updates(
    read: Callable[[np.ndarray], tuple[Tensor, Tensor]],
    counts: np.ndarray | Tensor,
    edges: np.ndarray,
    reference_end: int,
    bin_s: float,
) -> Updates:
    """Learn a session from its start to its end, keeping what was known on the way.

    Args:
        read: from starts (windows,) to what is known then: stabilised traces (windows, units,
            traces), and expected log counts per bin (windows, lead bins, units).
        counts: (bins, units), an array, mapped or not, or a tensor.
        edges: (lead bins + 1,) bins after a start.
        reference_end: bin behind the reference window, where the first update is.
        bin_s: length of a bin in seconds.
    """
    bins, units = counts.shape
    future = int(edges[-1])
    ends = update_ends(reference_end, bins)
    lengths = torch.from_numpy(np.diff(edges)).float()
    gram = cross = None
    seen, kept = 0, []
    for first, end in zip(np.concatenate([[0], ends[:-1]]), ends, strict=True):
        # a window's future ends where the update is made
        starts = np.arange(max(0, int(first) - future), int(end) - future, _STRIDE)
        parts = max(1, -(-len(starts) * units // _CHUNK))
        for part in np.array_split(starts, parts) if len(starts) else ():
            stabilised, log_rates = read(part)
            z = stabilised.mT.flatten(1).double()
            e = _surprise(counts, part, log_rates, edges, lengths).double()
            if gram is None:
                gram, cross = (
                    z.new_zeros(z.shape[1], z.shape[1]),
                    z.new_zeros(z.shape[1], e.shape[1]),
                )
            gram += z.T @ z
            cross += z.T @ e
            seen += len(part)
        if gram is not None and cross is not None:
            kept.append(_solved(gram, cross, seen, units, bin_s))
    # the first may come before a whole window of the future has been seen
    ends = ends[len(ends) - len(kept) :]
    return Updates(ends, torch.stack(kept) if kept else torch.zeros(0))


# --- the pieces -----------------------------------------------------------------------------------


def _surprise(
    counts: np.ndarray | Tensor,
    starts: np.ndarray,
    log_rates: Tensor,
    edges: np.ndarray,
    lengths: Tensor,
) -> Tensor:
    """(windows, BANDS x units) Pearson residuals."""
    device = log_rates.device
    index = starts[:, None] + np.arange(int(edges[-1]))
    if isinstance(counts, Tensor):
        future = counts[torch.from_numpy(index).to(counts.device)]
    else:
        future = torch.from_numpy(np.asarray(counts[index]))
    future = future.to(device)
    rates = band_rates(log_rates, lengths.to(device))
    found = []
    for place, part in enumerate(bands(len(lengths), BANDS)):
        inside = slice(int(edges[part.start]), int(edges[part.stop]))
        expected = rates[:, place]
        residual = future[:, inside].float().sum(1) - expected
        residual = residual / (expected + _PSEUDO_COUNT).sqrt()
        found.append(residual.clamp(-_MOST_SURPRISE, _MOST_SURPRISE))
    return torch.cat(found, 1)


def _solved(gram: Tensor, cross: Tensor, seen: int, units: int, bin_s: float) -> Tensor:
    """(traces x units, SURPRISES x units) weights, one set for each penalty."""
    size = len(gram)
    mean_variance = float(gram.diagonal().mean()) / seen
    among, target = gram / seen, cross / seen
    unit = torch.eye(size, dtype=gram.dtype, device=gram.device)
    weights = []
    for penalty in PENALTIES:
        share = penalty * units * _FULL_WINDOW_S / (seen * _STRIDE * bin_s)
        ridge = (share * mean_variance + 1e-9) * unit
        weights.append(torch.linalg.solve(among + ridge, target))
    return torch.cat(weights, 1).float()
