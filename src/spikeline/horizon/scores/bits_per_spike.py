r"""Scores of forecast rates against spike counts, in bits per spike and further measures.

With the expected count r and the count n of a unit in a bin of 20 ms, the Poisson negative log
likelihood in nats, summed over units, bins and windows, is

    NLL = sum( r - n log r + log n! )

and a forecast's bits per spike, pooled over units, is what it gains on a constant rate:

    bits/spike = (NLL_null - NLL_model) / sum(n) / log 2

The null rate of a unit is its mean count per bin over the fit domain (train and valid) of its own
session; that is the primary score, and nothing of the test enters its null. With the unit's mean
over the scored bins instead it is the test null of the Neural Latents Benchmark (Pei et al. 2021,
arXiv 2109.04463), and agrees with nlb_tools 0.0.4 to rounding. A null that takes the mean of the
counts *inside each window* has seen the answer: against it even the true rates score below zero.

Rates at or below zero count as 1e-9 (in a copy). Pooled and per-unit bits per spike are different
quantities: never compare one with the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from scipy.special import gammaln

from spikeline.artifacts.forecasts import NLLS, Sums
from spikeline.errors import InputError
from spikeline.horizon.scores.windows import split_mask

MINIMUM_RATE = 1e-9
LOG2 = math.log(2)
# Windows worked on at once: a few million numbers.
CHUNK = 1 << 22


def training_mean(counts: np.ndarray, domains: np.ndarray, split: str = "fit") -> np.ndarray:
    """Each unit's mean count per bin over the fit domain: the primary null's rates.

    A unit without a spike there is given half a spike over the whole domain: at the floor of 1e-9
    a single later spike would be worth 30 bits to any model at all.

    Args:
        counts: (bins, units).
        domains: (bins,) uint8, see artifacts/counts.py.

    Returns:
        (units,) float64, all positive.
    """
    rows = np.flatnonzero(split_mask(domains, split))
    total = np.zeros(counts.shape[1], np.int64)
    step = max(1, CHUNK // counts.shape[1])
    for first in range(0, len(rows), step):
        total += counts[rows[first : first + step]].sum(axis=0, dtype=np.int64)
    return np.maximum(total, 0.5) / len(rows)


def neg_log_likelihood(rates: np.ndarray, counts: np.ndarray) -> float:
    """Poisson negative log likelihood in nats, summed over everything.

    Args:
        rates: expected counts, of the counts' shape or one that broadcasts to it.
        counts: whole numbers from 0.

    Raises:
        InputError: a rate is NaN or infinite.
    """
    rates = np.broadcast_to(rates, counts.shape)
    return float((_without_factorials(_floored(rates), counts) + gammaln(counts + 1.0)).sum())


def bits_per_spike(rates: np.ndarray, counts: np.ndarray, null: np.ndarray | None = None) -> float:
    """Pooled bits per spike of rates on counts, both (..., units).

    Args:
        null: (units,) expected count per bin of the null; the counts' own mean (test null) if None.
    """
    if null is None:
        null = counts.mean(axis=tuple(range(counts.ndim - 1)), dtype=np.float64)
    gain = neg_log_likelihood(null, counts) - neg_log_likelihood(rates, counts)
    return _ratio(gain, counts.sum(dtype=np.float64)) / LOG2


class Scorer:
    """Scores of one forecaster at one horizon, added up batch by batch."""

    def __init__(self, null: np.ndarray, blocks: int):
        """
        Args:
            null: (units,) expected count per bin, see `training_mean`.
            blocks: how many blocks the windows come from.
        """
        self.null = np.asarray(null, np.float64)
        shape = (blocks, len(self.null))
        self.windows = 0
        self.bins = np.zeros(blocks)
        self.nll, self.null_nll, self.spikes, self.factorials = (np.zeros(shape) for _ in range(4))
        # Of each block: squared errors of the rates, and squared counts.
        self.errors, self.squares = np.zeros(blocks), np.zeros(blocks)
        # Of each unit: rates, squared rates, rate times count, squared counts.
        self.moments = np.zeros((4, len(self.null)))

    def add(self, rates: np.ndarray, counts: np.ndarray, block_index: np.ndarray) -> None:
        """Add a batch of windows.

        Args:
            rates: (windows, bins, units) expected counts per bin, or (windows, 1, units) where a
                rate is held over the window.
            counts: (windows, bins, units) whole numbers from 0.
            block_index: (windows,) the block that each window lies in.

        Raises:
            InputError: shapes differ, or a rate is NaN or infinite.
        """
        windows, bins, units = counts.shape
        if rates.shape not in (counts.shape, (windows, 1, units)) or units != len(self.null):
            raise InputError(f"rates of shape {rates.shape} do not match counts {counts.shape}")
        if len(block_index) != windows:
            raise InputError(f"{len(block_index)} block numbers for {windows} windows")
        step = max(1, CHUNK // (bins * units))
        for first in range(0, windows, step):
            part = slice(first, first + step)
            self._add(rates[part], counts[part], np.asarray(block_index[part]))

    def _add(self, rates: np.ndarray, counts: np.ndarray, block_index: np.ndarray) -> None:
        windows, bins, _ = counts.shape
        rates = _floored(rates)
        held = rates.shape[1] == 1
        # A held rate meets only the sum of its window's counts, bins times faster.
        totals = counts.sum(axis=1, dtype=np.float64)
        met = totals[:, None] if held else counts
        span = bins if held else 1
        null = np.broadcast_to(_floored(self.null), rates.shape)
        for sums, used in ((self.nll, rates), (self.null_nll, null)):
            np.add.at(sums, block_index, _without_factorials(used, met, span).sum(axis=1))
        np.add.at(self.spikes, block_index, totals)
        np.add.at(self.factorials, block_index, _log_factorials(counts).sum(axis=1))
        np.add.at(self.bins, block_index, bins)
        self.windows += windows
        rate2 = span * np.einsum("whu,whu->wu", rates, rates)
        product = np.einsum("whu,whu->wu", rates, met, dtype=np.float64)
        count2 = np.einsum("whu,whu->wu", counts, counts, dtype=np.float64)
        np.add.at(self.errors, block_index, (count2 - 2 * product + rate2).sum(axis=1))
        np.add.at(self.squares, block_index, count2.sum(axis=1))
        self.moments[0] += span * rates.sum(axis=(0, 1))
        self.moments[1:] += np.stack([rate2, product, count2]).sum(axis=1)

    def sums(self) -> Sums:
        """What was added so far.

        Raises:
            InputError: nothing was.
        """
        bins = self.bins.sum()
        if not bins:
            raise InputError("no forecast window was scored; the session is short")
        mean = self.spikes.sum(axis=0) / bins
        floored = _floored(mean)
        test_null = np.outer(self.bins, floored) - self.spikes * np.log(floored)
        parts = {
            "nll": self.nll + self.factorials,
            "null_nll": self.null_nll + self.factorials,
            "test_null_nll": test_null + self.factorials,
            "spikes": self.spikes,
        }
        variation = self.squares - 2 * self.spikes @ mean + self.bins * (mean @ mean)
        correlation, r2 = self._agreement(bins, mean)
        return Sums(
            windows=self.windows,
            bins=int(bins),
            blocks={
                **{key: values.sum(axis=1) for key, values in parts.items()},
                "bins": self.bins,
                "squared_error": self.errors,
                "variation": variation,
            },
            units={
                **{key: values.sum(axis=0) for key, values in parts.items()},
                "correlation": correlation,
            },
            r2=r2,
        )

    def _agreement(self, bins: float, mean: np.ndarray) -> tuple[np.ndarray, float]:
        rate, rate2, product, count2 = self.moments / bins
        variances = rate2 - rate**2, count2 - mean**2
        # Rounding leaves a constant with a variance of some 1e-16 of its square.
        constant = (variances[0] <= 1e-12 * rate2) | (variances[1] <= 1e-12 * count2)
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = (product - rate * mean) / np.sqrt(variances[0] * variances[1])
        correlation = np.where(constant, np.nan, np.clip(correlation, -1, 1))
        residual = (count2 - 2 * product + rate2).sum()
        return correlation, 1 - _ratio(residual, variances[1].sum())


def score_sums(
    rates: np.ndarray, counts: np.ndarray, null: np.ndarray, block_index: np.ndarray
) -> Sums:
    """All windows of a session at once; see `Scorer.add`."""
    block_index = np.asarray(block_index)
    if not len(block_index):
        raise InputError("no forecast window was scored; the session is short")
    scorer = Scorer(null, int(block_index.max()) + 1)
    scorer.add(rates, counts, block_index)
    return scorer.sums()


# --- from sums to scores -------------------------------------------------------------------------


def pooled_bits(sums: Iterable[Sums] | Sums, null: str = "null") -> float:
    """Bits per spike over all units, and over all sessions given.

    Args:
        null: "null" (the training mean, primary) or "test_null" (as NLB).
    """
    given = [sums] if isinstance(sums, Sums) else list(sums)
    total = {key: sum(float(one.blocks[key].sum()) for one in given) for key in NLLS}
    return _ratio(total[f"{null}_nll"] - total["nll"], total["spikes"]) / LOG2


def unit_bits(sums: Sums, null: str = "null") -> np.ndarray:
    """(units,) each unit's own bits per spike; NaN for one without a spike."""
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = sums.units[f"{null}_nll"] - sums.units["nll"]
        bits = gain / sums.units["spikes"] / LOG2
    return np.where(sums.units["spikes"] > 0, bits, np.nan)


# --- the pieces ----------------------------------------------------------------------------------


def _floored(rates: np.ndarray) -> np.ndarray:
    """A float64 copy without zeros; never the caller's own array."""
    # in one order of axes, so that rates equal to the null's have equal sums, to the last digit
    rates = np.array(rates, np.float64, order="C")
    if not np.isfinite(rates).all():
        raise InputError("forecast rates are NaN or infinite; train with a lower learning rate")
    rates[rates <= 0] = MINIMUM_RATE
    return rates


def _without_factorials(rates: np.ndarray, counts: np.ndarray, span: float = 1.0) -> np.ndarray:
    """span r - n log r, in nats, elementwise."""
    return span * rates - counts * np.log(rates)


def _log_factorials(counts: np.ndarray) -> np.ndarray:
    table = gammaln(np.arange(int(counts.max(initial=0)) + 1) + 1.0)
    return table[counts.astype(np.intp, copy=False)]


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else float("nan")
