r"""What a unit's own past says of whom to trust: the forecast, or its own mean of late.

A forecaster that all units share suits some of them better than others. While a session runs, each
unit u has for each band of the future its own mixture of the forecast and of its mean counts under
the windows of its traces,

    r_u = w_u0 lambda_u + sum_k w_uk y_uk,        w_uk >= 0,

whose weights maximise the Poisson likelihood of what came before, by expectation maximisation as
those of the running mean (horizon/baselines/running.py), drawn to everybody's weights p as if c
more spikes had come and been shared out as p says. Everybody's weights are learned once, from
training sessions. Weights are renewed whenever the time seen has grown by an eighth; each renewal
goes on from the last with a few rounds over all that lies before it, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spikeline.horizon.forecaster.adaptation import band_of, update_ends

BANDS = 5
# c, in spikes: from 10 to 100 serve rats never seen about as well.
DRAW = 30.0
ROUNDS_TOGETHER, ROUNDS_ALONE = 60, 4
# A weight stays above this, so that no rate is 0.
_LEAST = 1e-6


@dataclass(frozen=True)
class Mixtures:
    """A session's mixtures, and from when on each is known.

    Attributes:
        ends: (renewals,) int64 ascending from 0: nothing at or after it was read.
        weights: (renewals, BANDS, units, 1 + constants) w, the forecast's first.
    """

    ends: np.ndarray
    weights: Tensor

    def mixed(self, log_rates: Tensor, means: Tensor, starts: np.ndarray, lead_bins: int) -> Tensor:
        """(windows, first lead bins, units) log expected counts per bin.

        Args:
            log_rates: the same, of the forecaster.
            means: (windows, units, constants) mean counts per bin under its windows.
            starts: (windows,) first bins.
            lead_bins: of the whole forecast.
        """
        place = torch.from_numpy(band_of(lead_bins, BANDS)[: log_rates.shape[1]])
        which = torch.from_numpy(np.searchsorted(self.ends, starts, "right") - 1)
        weights = self.weights[which.to(log_rates.device)]
        own = torch.einsum("wbuk,wuk->wbu", weights[..., 1:], means)
        place = place.to(log_rates.device)
        return (weights[:, place, :, 0] * log_rates.float().exp() + own[:, place]).log()


def alone(constants: int) -> Tensor:
    """(BANDS, 1 + constants) weights that trust the forecast alone."""
    shares = torch.zeros(BANDS, 1 + constants)
    shares[:, 0] = 1
    return shares


def fit_together(rates: Tensor, means: Tensor, counts: Tensor) -> Tensor:
    """(BANDS, 1 + constants) weights p that serve all units.

    Args:
        rates, counts: (rows, BANDS) forecast and seen, per bin; means: (rows, constants).
    """
    found = []
    for band in range(BANDS):
        known = torch.cat([rates[:, band, None], means], 1)
        weights = torch.full((known.shape[1],), 1 / known.shape[1], device=known.device)
        expected = known.sum(0).clamp(min=_LEAST)
        for _ in range(ROUNDS_TOGETHER):
            ratio = counts[:, band] / (known @ weights).clamp(min=_LEAST)
            weights = (weights * (ratio @ known) / expected).clamp(min=_LEAST)
        found.append(weights)
    return torch.stack(found)


def learn_mixtures(
    rates: Tensor,
    means: Tensor,
    counts: Tensor,
    starts: np.ndarray,
    shares: Tensor,
    edges: np.ndarray,
    reference_end: int,
    bins: int,
) -> Mixtures:
    """Learn a session from its start to its end, keeping what was known on the way.

    Args:
        rates, counts: (windows, BANDS, units) forecast and seen, per bin.
        means: (windows, units, constants) mean counts per bin.
        starts: (windows,) first bins, ascending at equal steps.
        shares: (BANDS, 1 + constants) p.
        edges: (lead bins + 1,) bins after a start.
        reference_end: bin behind the reference window, where the first renewal is.
        bins: of the session.
    """
    ends = update_ends(reference_end, bins)
    units = means.shape[1]
    weights = shares[:, None].repeat(1, units, 1)
    step = int(starts[1] - starts[0]) if len(starts) > 1 else 1
    # windows overlap: of a band longer than the step between them, each adds the step's share
    widths = np.minimum(np.bincount(band_of(len(edges) - 1, BANDS), np.diff(edges)), step)
    until = np.searchsorted(starts, ends - int(edges[-1]), "right")
    known = torch.empty(units, len(starts), shares.shape[1], device=means.device)
    known[..., 1:] = means.transpose(0, 1)
    renewed = torch.empty(1 + len(ends), *weights.shape, device=means.device)
    renewed[0] = weights
    for band in range(BANDS):
        known[..., 0] = rates[:, band].mT
        seen = counts[:, band].mT
        one = weights[band]
        for renewal, count in enumerate(until.tolist(), start=1):
            if count:
                past = known[:, :count], seen[:, :count]
                one = _alone(*past, one, shares[band], float(widths[band]))
            renewed[renewal, band] = one
    return Mixtures(np.concatenate([[0], ends]), renewed)


def _alone(known: Tensor, seen: Tensor, weights: Tensor, shares: Tensor, width: float) -> Tensor:
    """(units, 1 + constants) weights after some rounds more.

    Args:
        known: (units, windows, 1 + constants); seen: (units, windows) counts per bin.
        width: bins that a window adds.
    """
    expected = width * known.sum(1) + DRAW
    for _ in range(ROUNDS_ALONE):
        rates = (known @ weights[..., None])[..., 0].clamp(min=_LEAST)
        found = ((seen / rates)[:, None] @ known)[:, 0]
        weights = ((width * weights * found + DRAW * shares) / expected).clamp(min=_LEAST)
    return weights
