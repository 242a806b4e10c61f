"""Bootstrap intervals of means, medians and differences whose observations come in clusters.

The same test image is scored by several seeds and draws, and those scores are not independent. So
the images are resampled, each with all its scores (Davison and Hinkley 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95
# Numbers of clusters drawn, times resamples, that are held at once.
_KEPT = 1 << 24


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
            to zero is left out of the interval. Where all do, all three numbers are NaN.

    Other arguments and errors as in `bootstrap_mean`.
    """
    above, members = _checked(numerators, clusters)
    below, _ = _checked(denominators, clusters)
    above_of, below_of = (np.bincount(members, weights=values) for values in (above, below))
    parts = [(w @ above_of, w @ below_of) for w in _resampled(len(below_of), resamples, seed)]
    sums, totals = (np.concatenate(part) for part in zip(*parts, strict=True))
    ratios = sums[totals != 0] / totals[totals != 0]
    if not len(ratios):
        return Interval(np.nan, np.nan, np.nan)
    return _interval(above.sum() / below.sum(), ratios, confidence)


def bootstrap_function(
    values: np.ndarray,
    function: Callable[[np.ndarray], np.ndarray],
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:
    """A function of several means over the same observations, with its percentile interval.

    Args:
        values: (observations, means) finite numbers, one cluster per observation.
        function: from means (n, means) to (n,), for n resamples at once.

    Other arguments as in `bootstrap_mean`.
    """
    weights = _resampled(len(values), resamples, seed)
    means = np.concatenate([part @ values for part in weights]) / len(values)
    return _interval(function(values.mean(axis=0)[None])[0], function(means), confidence)


def bootstrap_difference(
    values: np.ndarray,
    reference: np.ndarray,
    clusters: np.ndarray | None = None,
    scores: float = 1,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:
    """Mean of shares less the mean of a reference's shares on the same trials, paired.

    Both are resampled together, so what makes a trial easy or hard for both cancels. Where the two
    differ in few trials, as near 0 or 1, a bootstrap of those alone is too narrow, and of none at
    all has no width. So two clusters are added to the resampled ones, in one of which the values
    are ahead and in the other the reference: the interval of Bonett and Price (2012, J. Educ.
    Behav. Stat. 37:479) for paired proportions. Where a share averages several scores each of the
    two differs by 1 / sqrt(scores of a cluster), as the mean of so many independent ones does.

    Args:
        values, reference: (trials,) in 0..1, the same trials in the same order.
        clusters: (trials,) labels, the same of both; None takes each trial for its own.
        scores: how many scores each share averages, such as seeds; of the two, the fewer.

    Other arguments and errors as in `bootstrap_mean`.
    """
    values, members = _checked(values, clusters)
    reference, _ = _checked(reference, clusters)
    if len(values) != len(reference):
        raise ValueError(f"{len(values)} values for {len(reference)} of the reference")
    difference, last = values - reference, members.max()
    trials = len(values) / (last + 1)  # of a cluster
    ahead = trials / np.sqrt(trials * scores)
    found = bootstrap_ratio(
        np.append(difference, [ahead, -ahead]),
        np.append(np.ones(len(values)), [trials, trials]),
        np.append(members, [last + 1, last + 2]),
        resamples,
        confidence,
        seed,
    )
    return found._replace(estimate=float(difference.mean()))


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
    medians = []
    for weights in _resampled(len(counts), resamples, seed):
        # How often each distinct value, in order, occurs up to and including it in each resample.
        cumulative = np.cumsum(weights @ counts, axis=1)
        total = cumulative[:, -1:]
        lower = (cumulative < (total + 1) // 2).sum(axis=1)
        upper = (cumulative < total // 2 + 1).sum(axis=1)
        medians.append((distinct[lower] + distinct[upper]) / 2)
    return _interval(np.median(values), np.concatenate(medians), confidence)


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


def _resampled(clusters: int, resamples: int, seed: int) -> Iterable[np.ndarray]:
    """(some resamples, clusters) float64, part by part: how often each cluster is drawn."""
    if resamples * clusters <= _KEPT:
        return _kept(clusters, resamples, seed)
    return _drawn(clusters, resamples, seed)


@lru_cache(maxsize=4)
def _kept(clusters: int, resamples: int, seed: int) -> tuple[np.ndarray, ...]:
    """Whole, because a table asks for the intervals of many scores of the same images."""
    (weights,) = _drawn(clusters, resamples, seed)
    weights.flags.writeable = False
    return (weights,)


def _drawn(clusters: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(seed)
    chances = np.full(clusters, 1 / clusters)
    step = max(1, _KEPT // clusters)
    for first in range(0, resamples, step):
        size = min(step, resamples - first)
        yield random.multinomial(clusters, chances, size=size).astype(np.float64)


def _interval(estimate: float, resampled: np.ndarray, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(float(estimate), float(low), float(high))
