"""The combination of a session's candidates as one forecaster, which any scores are taken of.

Weights are fitted on windows of the valid blocks, which candidates were not fitted on: each has
forecasts for these (`valid`) and, fitted on all that it may know, for any window (`final`). A
combined rate keeps to what the session's fit justifies (horizon/rate_bounds.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikeline.artifacts.counts import Counts
from spikeline.horizon.baselines.lead_bands import LeadBands, spikes_before
from spikeline.horizon.combined.weights import Known, Weights, fit_weights
from spikeline.horizon.rate_bounds import RateBounds, rate_bounds
from spikeline.horizon.scores.bits_per_spike import training_mean
from spikeline.horizon.scores.tiled import Forecast
from spikeline.horizon.scores.windows import bins_of, blocks, forecast_starts, split_mask

# Windows of valid that weights are fitted on.
MOST_WINDOWS = 2000
# Rates of all candidates that are combined at once.
_RATES = 1 << 25
# Of the mean: a rate of 0 has no logarithm.
_LEAST = 1e-6


@dataclass(frozen=True)
class Candidate:
    """A forecaster of one session, from any counts of it.

    Attributes:
        valid: for windows of valid blocks, on which it was not fitted.
        final: for any window.
    """

    valid: Callable[[Counts], Forecast]
    final: Callable[[Counts], Forecast]


@dataclass(frozen=True)
class Combination:
    """Fitted weights of a session, and what they are applied with.

    Attributes:
        names: of the candidates.
        bands: of the forecast.
        weights: of each band and candidate.
        mean: (units,) expected count per bin that log rates are relative to.
        bounds: of the rates of each band.
        bin_s: length of a bin in seconds.
    """

    names: Sequence[str]
    bands: LeadBands
    weights: Weights
    mean: np.ndarray
    bounds: RateBounds
    bin_s: float

    @property
    def used(self) -> list[str]:
        """Candidates that have a weight in any band."""
        return [name for k, name in enumerate(self.names) if self.weights.values[:, k].any()]

    def forecast(
        self, candidates: Mapping[str, Forecast], starts: np.ndarray, lengths: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """See `scores.tiled.Forecast`.

        Args:
            candidates: {name: its forecasts}; those without weight are not asked.
        """
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            size = max(1, _RATES // (int(length) * len(self.mean)))
            for first in range(0, len(rows), size):
                batch = rows[first : first + size]
                yield batch, self._combined(candidates, starts[batch], int(length))

    def _combined(
        self,
        candidates: Mapping[str, Forecast],
        starts: np.ndarray,
        length: int,
    ) -> np.ndarray:
        """(windows, length, units) float32 rates."""
        band = np.searchsorted(self.bands.ends, np.arange(length), "right")
        band = np.minimum(band, len(self.bands) - 1)
        mean, mixed = self.mean.astype(np.float32), self.weights.rule.kind == "rates"
        total = np.zeros((len(starts), length, len(mean)), np.float32)
        for name in self.used:
            values = self.weights.values[band, self.names.index(name)]
            weights, forecast = values.astype(np.float32)[:, None], candidates[name]
            for places, rates in forecast(starts, np.full(len(starts), length)):
                total[places] += weights * (rates if mixed else _log_ratios(rates, mean))
        if not mixed:
            total = mean * np.exp(np.minimum(total, 30.0))
        for one in np.unique(band):
            total[:, band == one] = self.bounds.clip(total[:, band == one], one)
        return total

    @property
    def facts(self) -> dict[str, object]:
        """The rule, nats gained in validation, and {ms that a band ends at: {candidate: weight}}"""
        ends = [str(round(end * self.bin_s * 1000)) for end in self.bands.ends]
        return {
            "rule": str(self.weights.rule),
            "gained_nats": {rule: round(gain, 2) for rule, gain in self.weights.gains.items()},
            "weights": {
                ms: {name: round(float(w), 4) for name, w in zip(self.names, row, strict=True)}
                for ms, row in zip(ends, self.weights.values, strict=True)
            },
        }


def combine(
    candidates: Mapping[str, Candidate], counts: Counts, horizons_ms: Sequence[int]
) -> Combination:
    """Fit the weights of a session's candidates on windows of its valid blocks.

    Args:
        counts: of the session.
        horizons_ms: lengths of the forecast windows; bands end with each.

    Raises:
        InputError: no valid block holds a window of the longest horizon.
    """
    values, domains, bin_s = counts.counts, counts.domains, counts.bin_s
    bands = LeadBands([bins_of(ms, bin_s) for ms in horizons_ms])
    forecasts = {name: one.valid(counts) for name, one in candidates.items()}
    known = _known(forecasts, counts, bands)
    bounds = rate_bounds(values, split_mask(domains, "fit"), bands.widths, bin_s)
    mean = training_mean(values, domains)
    return Combination(list(candidates), bands, fit_weights(known), mean, bounds, bin_s)


# --- the pieces -----------------------------------------------------------------------------------


def _known(forecasts: Mapping[str, Forecast], counts: Counts, bands: LeadBands) -> Known:
    """What each candidate forecasts for windows of valid, and what came."""
    values, domains = counts.counts, counts.domains
    length = int(bands.ends[-1])
    forecast_starts(domains, "valid", length)  # says so where there is none
    spans = [(a, b - length + 1) for a, b in blocks(domains, "valid") if b - a >= length]
    stride = max(1, -(-sum(b - a for a, b in spans) // MOST_WINDOWS))
    starts = np.concatenate([np.arange(a, b, stride) for a, b in spans])
    mean = training_mean(values, domains, "train")
    ratios = np.empty((len(forecasts), len(bands), len(starts), len(mean)), np.float32)
    size = max(1, _RATES // (length * len(mean)))
    for k, forecast in enumerate(forecasts.values()):
        for first in range(0, len(starts), size):
            some = starts[first : first + size]
            for places, rates in forecast(some, np.full(len(some), length)):
                for band, (start, end) in enumerate(bands.spans):
                    ratios[k, band, first + places] = _log_ratios(
                        rates[:, start:end].mean(axis=1), mean
                    )
    total = spikes_before(values)
    spikes = [total[starts + end] - total[starts + first] for first, end in bands.spans]
    widths = np.array(bands.widths)
    return Known(
        starts=starts,
        length=length,
        log_ratios=ratios,
        spikes=np.stack(spikes).astype(np.float32),
        expected=widths[:, None] * mean,
        shares=np.minimum(1.0, stride / widths),
    )


def _log_ratios(rates: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(rates / mean, _LEAST)).astype(np.float32)
