r"""A running mean with every advantage: each unit's own mixture of windows over its recent past.

The expected count per bin of unit u in a lead band, t being the bin that the window starts at, is

    r_u(t) = sum_k w_uk y_uk(t),        w_uk >= 0,

with y_uk the unit's mean count per bin under exponential windows (time constants of 40 ms to five
minutes), boxcars of 0.1 s to five minutes, and over the whole fit. Nothing at or after t enters;
before the session's first bin a window finds the mean of the fit.

Weights maximise the Poisson likelihood by expectation maximisation (Shepp and Vardi 1982, IEEE
Trans. Med. Imaging 1, whose emission tomography has the same form). First one set p_k for all
units; from there each unit's own, drawn to it as if c more spikes had come and been shared out as
p says:

    w_uk <- ( w_uk sum_t n_ut y_uk / r_u + c p_k ) / ( sum_t y_uk + c )

A fixed, small number of rounds is early stopping. The c that forecasts the validation windows best,
pooled over units, is kept for each band; the weights are then fitted again on train and valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spikeline.horizon.baselines.lead_bands import LeadBands, means_before, spikes_before
from spikeline.horizon.rate_bounds import RateBounds, rate_bounds
from spikeline.horizon.scores.bits_per_spike import training_mean

EXPONENTIAL_S = (0.04, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0, 300.0)
BOXCAR_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
# Spikes that draw a unit's weights to everybody's.
DRAWS = (1.0, 10.0, 100.0, 1000.0)
ROUNDS_TOGETHER, ROUNDS_ALONE = 100, 60
# A window's weight stays above this, so that no rate is 0.
_LEAST = 1e-6
# Windows of a band to fit on: weights on the past need no more.
MOST_WINDOWS = 2000
# Means under windows held at once.
_KNOWN = 1 << 26


@dataclass(frozen=True)
class RunningMean:
    """A fitted mixture of windows.

    Attributes:
        bands: of the forecast.
        mean: (units,) mean count per bin of the fit.
        weights: (bands, units, windows over the past) w, exponential windows, boxcars, fit.
        together: (bands, windows over the past) p.
        draws: (bands,) c.
        bounds: of the rates of each band.
        bin_s: length of a bin in seconds.
    """

    bands: LeadBands
    mean: np.ndarray
    weights: np.ndarray
    together: np.ndarray
    draws: np.ndarray
    bounds: RateBounds
    bin_s: float

    def rates(self, counts: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """(bands, windows, units) float32 expected counts per bin after bins `starts`.

        Args:
            counts: (bins, units); what lies at or after a start is not read for it.
        """
        total = spikes_before(counts)
        found = np.empty((len(self.bands), len(starts), counts.shape[1]), np.float32)
        step = max(1, _KNOWN // (counts.shape[1] * self.weights.shape[2]))
        for first in range(0, len(starts), step):
            part = slice(first, first + step)
            known = _known(counts, total, self.mean, starts[part], self.bin_s)
            for band, weights in enumerate(self.weights):
                found[band, part] = self.bounds.clip(_rates(known, weights).T, band)
        return found

    def forecasts(
        self, counts: np.ndarray, starts: np.ndarray, lengths: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """See `scores.tiled.Forecast`."""
        return self.bands.expanded(self.rates(counts, starts), lengths)


def fit_running_mean(
    counts: np.ndarray, train: np.ndarray, valid: np.ndarray, bands: LeadBands, bin_s: float
) -> tuple[RunningMean, RunningMean]:
    """Choose how far units follow everybody on validation bins, then fit on train and valid.

    Args:
        counts: (bins, units). Bins outside are read as the history of bins inside, no more.
        train, valid: (bins,) bool.
        bin_s: length of a bin in seconds.

    Returns:
        fitted on train, for those who choose on valid; and on train and valid.
    """
    total = spikes_before(counts)
    learnt, final = (_Fit(counts, total, mask, bands, bin_s) for mask in (train, train | valid))
    judged = _Fit(counts, total, valid, bands, bin_s, learnt.mean)
    weights: tuple[list, list] = [], []
    together: tuple[list, list] = [], []
    draws = []
    for band in range(len(bands)):
        known, seen = learnt.windows(band)
        later, came = judged.windows(band)
        shares = _together(known, seen)
        tried = [_alone(known, seen, shares, draw) for draw in DRAWS]
        best = int(np.argmin([_loss(later, came, found) for found in tried]))
        together[0].append(shares)
        weights[0].append(tried[best])
        known, seen = final.windows(band)
        shares = _together(known, seen)
        together[1].append(shares)
        weights[1].append(_alone(known, seen, shares, DRAWS[best]))
        draws.append(DRAWS[best])
    return tuple(
        RunningMean(
            bands, one.mean, np.stack(own), np.stack(shares), np.array(draws),
            rate_bounds(counts, one.mask, bands.widths, bin_s), bin_s,
        )
        for one, own, shares in zip((learnt, final), weights, together, strict=True)
    )  # fmt: skip


def mean_age_s(shares: np.ndarray) -> float:
    """How old the spikes are that everybody's weights p look at, on average, in seconds."""
    ages = np.concatenate([EXPONENTIAL_S, np.array(BOXCAR_S) / 2])
    return float(ages @ shares[:-1] / shares[:-1].sum())


# --- the pieces -----------------------------------------------------------------------------------


class _Fit:
    """Windows of the bins of a mask: what was known before each, and what came."""

    def __init__(
        self,
        counts: np.ndarray,
        total: np.ndarray,
        mask: np.ndarray,
        bands: LeadBands,
        bin_s: float,
        mean: np.ndarray | None = None,
    ):
        """
        Args:
            total: (bins + 1, units) spikes before each bin.
            mask: (bins,) bool.
            mean: (units,) of another fit; None means the mask's own.
        """
        if mean is None:
            mean = training_mean(counts, mask.astype(np.uint8), "train").astype(np.float32)
        self.mask, self.mean, self.total, self.bands = mask, mean, total, bands
        self.rows = [bands.starts(mask, band, MOST_WINDOWS)[0] for band in range(len(bands))]
        self.starts = np.unique(np.concatenate(self.rows))
        self.known = _known(counts, total, mean, self.starts, bin_s)

    def windows(self, band: int) -> tuple[np.ndarray, np.ndarray]:
        """(units, windows, windows over the past) means, and (units, windows) mean counts."""
        starts = self.rows[band]
        known = self.known[:, np.searchsorted(self.starts, starts)]
        return known, np.ascontiguousarray(self.bands.means(self.total, starts, band).T)


def _known(
    counts: np.ndarray, total: np.ndarray, mean: np.ndarray, starts: np.ndarray, bin_s: float
) -> np.ndarray:
    """(units, windows, windows over the past) float32 mean count per bin before bins `starts`."""
    size = len(EXPONENTIAL_S) + len(BOXCAR_S) + 1
    found = np.empty((len(mean), len(starts), size), np.float32)
    k = len(EXPONENTIAL_S)
    found[..., :k] = means_before(counts, mean, starts, EXPONENTIAL_S, bin_s).transpose(2, 1, 0)
    for place, seconds in enumerate(BOXCAR_S, start=k):
        width = max(1, round(seconds / bin_s))
        first = np.maximum(starts - width, 0)
        missing = (width - (starts - first))[:, None].astype(np.float32)
        inside = (total[starts] - total[first]).astype(np.float32)
        found[..., place] = ((inside + missing * mean) / np.float32(width)).T
    found[..., -1] = mean[:, None]
    return found


def _together(known: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(windows over the past,) weights that serve all units; arguments as `_Fit.windows`."""
    size = known.shape[2]
    rows, met = known.reshape(-1, size), seen.reshape(-1)
    shares, expected = np.full(size, 1 / size, np.float32), rows.sum(axis=0)
    for _ in range(ROUNDS_TOGETHER):
        shares = shares * ((met / (rows @ shares)) @ rows) / expected
        np.maximum(shares, _LEAST, out=shares)
    return shares


def _alone(known: np.ndarray, seen: np.ndarray, shares: np.ndarray, draw: float) -> np.ndarray:
    """(units, windows over the past) weights of each unit's own, drawn to everybody's `shares`."""
    weights = np.tile(shares, (len(known), 1))
    expected, draw = known.sum(axis=1), np.float32(draw)
    for _ in range(ROUNDS_ALONE):
        ratio = seen / _rates(known, weights)
        found = (ratio[:, None] @ known)[:, 0]
        weights = (weights * found + draw * shares) / (expected + draw)
        np.maximum(weights, _LEAST, out=weights)
    return weights


def _rates(known: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(units, windows) from (units, windows, windows over the past)."""
    return (known @ weights[..., None])[..., 0]


def _loss(known: np.ndarray, seen: np.ndarray, weights: np.ndarray) -> float:
    rates = _rates(known, weights)
    return float((rates - seen * np.log(rates)).sum(dtype=np.float64))
