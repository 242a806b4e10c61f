"""Bootstrap intervals of means and medians whose observations come in clusters.

The same test image is scored by several seeds and draws, and those scores are not independent. So
the images are resampled, each with all its scores (Davison and Hinkley 1997, section 3.8).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """An estimate and its percentile interval, in the unit of the values."""

    estimate: float
    low: float
    high: float


def bootstrap_mean(
    values: np.ndarray,
    clusters: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:
    """Mean over all observations, with the percentile interval of a cluster bootstrap.

    Args:
        values: (observations,) finite numbers.
        clusters: (observations,) labels of any kind; None takes each observation for its own.
        resamples: bootstrap samples.
        confidence: coverage aimed at, 0..1.
        seed: of the resampling.

    Raises:
        ValueError: no values, NaN among them, or as many labels as values are not given.
    """
    return bootstrap_ratio(values, np.ones(len(values)), clusters, resamples, confidence, seed)


def bootstrap_ratio(
    numerators: np.ndarray,
    denominators: np.ndarray,
    clusters: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:
    """Sum of one quantity over the sum of another, with the interval of a cluster bootstrap.

    Args:
        numerators, denominators: (observations,) finite numbers; a resample whose denominators sum
            to zero is left out of the interval.

    Other arguments and errors as in `bootstrap_mean`.
    """
    above, members = _checked(numerators, clusters)
    below, _ = _checked(denominators, clusters)
    weights = _resampled(members.max() + 1, resamples, seed)
    totals = weights @ np.bincount(members, weights=below)
    ratios = (weights @ np.bincount(members, weights=above))[totals != 0] / totals[totals != 0]
    return _interval(above.sum() / below.sum(), ratios, confidence)


def bootstrap_median(
    values: np.ndarray,
    clusters: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:
    """Median over all observations, with the percentile interval of a cluster bootstrap.

    Arguments and errors as in `bootstrap_mean`. Memory grows with resamples x distinct values.
    """
    values, members = _checked(values, clusters)
    distinct, position = np.unique(values, return_inverse=True)
    counts = np.zeros((members.max() + 1, len(distinct)))
    np.add.at(counts, (members, position), 1)
    # How often each distinct value, in order, occurs up to and including it in each resample.
    cumulative = np.cumsum(_resampled(len(counts), resamples, seed) @ counts, axis=1)
    total = cumulative[:, -1:]
    lower = (cumulative < (total + 1) // 2).sum(axis=1)
    upper = (cumulative < total // 2 + 1).sum(axis=1)
    medians = (distinct[lower] + distinct[upper]) / 2
    return _interval(np.median(values), medians, confidence)


def _checked(values: np.ndarray, clusters: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Values as float64 and each one's cluster as 0, 1, ... ."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError("values must be one or more finite numbers in one dimension")
    if clusters is None:
        return values, np.arange(len(values))
    # As text: labels of mixed types have no order.
    clusters = np.asarray(clusters).astype(str)
    if clusters.shape != values.shape:
        raise ValueError(f"{len(clusters)} cluster labels for {len(values)} values")
    return values, np.unique(clusters, return_inverse=True)[1]


@lru_cache(maxsize=4)
def _resampled(clusters: int, resamples: int, seed: int) -> np.ndarray:
    """(resamples, clusters) float64: how often each cluster is drawn in each resample.

    Kept, because a table asks for the intervals of many scores of the same images.
    """
    random = np.random.default_rng(seed)
    chances = np.full(clusters, 1 / clusters)
    weights = random.multinomial(clusters, chances, size=resamples).astype(np.float64)
    weights.flags.writeable = False
    return weights


def _interval(estimate: float, resampled: np.ndarray, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(float(estimate), float(low), float(high))
