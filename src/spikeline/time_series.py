r"""Intervals of ratios of sums over time, whose observations are correlated.

A ratio R = sum a / sum b over a recording, such as bits per spike, is cut into n pieces of equal
length. The residuals of its linearisation (Cochran 1977, Sampling Techniques, section 6.3), each
as large as it is when its piece does not draw R to itself (MacKinnon and White 1985, J.
Econometrics 29:305, HC3), are

    e_i = (a_i - R b_i) / (1 - b_i / sum b)

The squared standard error, without and with neighbours, is

    sum e_i^2 / (sum b)^2,        (sum e_i^2 + 2 sum e_i e_(i+1)) / (sum b)^2

and the interval is R +- t s, the wider of the two. For the first t has n - 1 degrees of freedom.
The second catches what pieces still share with the next, and is known less well: of its degrees
(n-1) / (1 + 2 (n-1) / n) are left, about a third (Priestley 1981, Spectral Analysis and Time
Series, section 6.2.4, with a weight of 1 at the first lag).

Pieces are few and long, not many and short: beyond some ten, more of them hardly narrow an
interval, while short ones miss slow correlations, which a short series cannot show (Schmeiser 1982,
Oper. Res. 30:556). There are MOST pieces, or fewer where they would be shorter than `shortest` or
than the integrated autocorrelation time of the residuals step by step,

    tau = 1 + 2 sum_(h = 1 .. W) rho_h,     W the first with W >= 5 tau

(Madras and Sokal 1988, J. Stat. Phys. 50:109). Pieces of a few tau would narrow the choice to the
series that happen to look uncorrelated, and those are the ones whose intervals are too narrow.
Fewer than LEAST pieces make no interval. What this covers: benchmarks/coverage.py.

Where a few lively pieces decide both sums, the errors are skewed: a score that came out low seems
known well. With `skewed` the interval is R - f(t) s .. R - f(-t) s (Hall 1992, J. R. Statist. Soc.
B 54:221, T3), with the skewness g of the e_i and

    f(t) = (3 / k) ((1 + k (t - k / 6))^(1/3) - 1),     k = g / sqrt(n)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from spikeline.statistics import CONFIDENCE

LEAST, MOST = 10, 12
# Of the autocorrelation times that are summed over.
WINDOW = 5


class Spread(NamedTuple):
    """How far an estimate may lie from what it estimates.

    Attributes:
        below, above: how far its interval reaches, in its unit; None where the series is too short.
        piece: steps of a piece, the mean; blocks may be shorter than the length aimed at.
        pieces: how many were formed.
    """

    below: float | None
    above: float | None
    piece: float
    pieces: int


def ratio_spread(
    above: np.ndarray,
    below: np.ndarray,
    runs: Sequence[slice],
    shortest: int = 1,
    confidence: float = CONFIDENCE,
    *,
    skewed: bool = False,
) -> Spread:
    """The interval of sum(above) / sum(below), as in the module's text.

    Args:
        above, below: (steps,) finite numbers, in order of time.
        runs: unbroken runs of steps; no piece reaches across two.
        shortest: steps that a piece has at least, where a run has as many.
        confidence: coverage aimed at, 0..1.
        skewed: whether the skew of the pieces' errors is minded.

    Raises:
        ValueError: a number is not finite, or `below` sums to zero.
    """
    total = below.sum()
    if not (np.isfinite(above).all() and np.isfinite(below).all() and total):
        raise ValueError("expected finite numbers, and denominators that do not sum to zero")
    residuals = above - above.sum() / total * below
    tau = correlation_time([residuals[run] for run in runs])
    steps = sum(run.stop - run.start for run in runs)
    piece = int(np.ceil(max(shortest, tau, steps / MOST)))
    cut = equal_pieces(runs, piece)
    mean = sum(one.stop - one.start for one in cut) / len(cut)
    if len(cut) < LEAST:
        return Spread(None, None, mean, len(cut))
    numerators, denominators = (
        np.array([values[one].sum() for one in cut]) for values in (above, below)
    )
    total = denominators.sum()
    if not (total and (denominators < total).all()):
        return Spread(None, None, mean, len(cut))
    errors = numerators - numerators.sum() / total * denominators
    errors = errors / (1 - denominators / total) / total
    half = half_width(errors, confidence)
    reach = skewed_reach(errors, half) if skewed else (half, half)
    return Spread(*reach, mean, len(cut))


def half_width(errors: np.ndarray, confidence: float = CONFIDENCE) -> float:
    """Half the interval of a sum of (pieces,) whose errors are given, as in the module's text."""
    n = len(errors)
    squares, shared = float(errors @ errors), float(errors[:-1] @ errors[1:])
    variances = np.array([squares, max(squares + 2 * shared, 0.0)])
    freedom = np.array([n - 1, (n - 1) / (1 + 2 * (n - 1) / n)])
    return float((stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(variances)).max())


def skewed_reach(errors: np.ndarray, half: float) -> tuple[float, float]:
    """How far an interval reaches (below, above) its estimate, by the skew of its errors (pieces,).

    Args:
        half: half the width that it would have without.
    """
    spread = float(np.linalg.norm(errors))
    k = float(stats.skew(errors, bias=False)) / np.sqrt(len(errors)) if spread else 0.0
    if abs(k) < 1e-6:
        return half, half
    ends = half / spread * np.array([1.0, -1.0])
    # What the estimate exceeds the truth by at most, and what it falls short by.
    over, short = 3 / k * (np.cbrt(1 + k * (ends - k / 6)) - 1) * spread
    return float(over), float(-short)


def correlation_time(runs: Sequence[np.ndarray]) -> float:
    """Integrated autocorrelation time of a series about zero, in steps; 1 where it is white.

    An autocorrelation of a finite series whose mean was taken out is too low by tau / steps, which
    is added.

    Args:
        runs: unbroken parts of the series; lags never reach across two.
    """
    length = sum(map(len, runs))
    power = sum(float(run @ run) for run in runs)
    if not power:
        return 1.0
    # Ten pieces of a window's fifth each are half the series: more lags decide nothing.
    longest = min(max(map(len, runs)) - 1, length // 2)
    rho = []
    for lag in range(1, longest + 1):
        products = [float(run[lag:] @ run[:-lag]) for run in runs if len(run) > lag]
        pairs = sum(len(run) - lag for run in runs if len(run) > lag)
        rho.append(sum(products) / pairs / (power / length))
    tau = 1.0
    for _ in range(4):
        missing = min(tau / length, 0.5) if tau > 1 else 0.0
        tau = _windowed((np.array(rho) + missing) / (1 + missing))
    return tau


def equal_pieces(runs: Sequence[slice], piece: int) -> list[slice]:
    """Runs cut into pieces of at least `piece` steps, equal within a run but for one step.

    A run shorter than that is one piece, unless it has less than half the steps of the longest
    piece: then it is left out, as what a short piece says is not worth as much.
    """
    cut = []
    for run in runs:
        length = run.stop - run.start
        edges = np.linspace(0, length, max(length // piece, 1) + 1).round().astype(int) + run.start
        cut += [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    longest = max((one.stop - one.start for one in cut), default=0)
    return [one for one in cut if 2 * (one.stop - one.start) >= longest]


# --- the parts ------------------------------------------------------------------------------------


def _windowed(rho: np.ndarray) -> float:
    sums = np.maximum(1 + 2 * np.cumsum(rho), 1.0)
    closed = np.flatnonzero(np.arange(1, len(rho) + 1) >= WINDOW * sums)
    # A window that never closes: at least the longest time that any lag speaks for.
    return float(sums[closed[0]] if len(closed) else sums.max(initial=1.0))
