"""A decoder's score as the repetitions of each image go to infinity, from fewer and fewer of them.

In signal detection, identification among N is one draw from a normal distribution of mean d', for
the true image, against N - 1 draws of mean 0, all of variance 1; the share of queries whose true
image is among the first k is a function F(d') of the three (Green and Swets 1966; Hacker and
Ratcliff 1979). Averaging r repetitions divides the noise of the responses by r and leaves all other
reasons to fail as they are, so that

    d'(r) = D / sqrt(1 + c / r),    limit = F(D)

with c the ratio of the two variances at one repetition. D and c are fitted to the scores at
several r by least squares. Where noise is the lesser part the limit is close to the score, so this
tells whether more repetitions would help; how far the model itself is from right it does not tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.special import bdtr, ndtr

from spikeline.statistics import RESAMPLES, Interval, bootstrap_function

# Values of d' at which F is tabulated.
_SENSITIVITY = np.linspace(-3, 12, 751)
_STEPS = 40
_LEAST_RATIO = 1e-3
_HIGHEST_START = 0.999


def repetition_counts(available: int) -> list[int]:
    """1, 2, 5, 10, 20, 50 ... as far as there are more, and all."""
    steps = [step * 10**power for power in range(len(str(available))) for step in (1, 2, 5)]
    return [*(count for count in steps if count < available), available]


def disjoint_choices(
    available: int, count: int, draws: int, random: np.random.Generator
) -> list[np.ndarray]:
    """At least `draws` choices of `count` repetitions, or one of all; (count,) indices each.

    Each permutation of the repetitions is cut into as many choices as it holds, so that all
    repetitions are used about equally often.
    """
    if count == available:
        return [np.arange(available)]
    each = available // count
    orders = [random.permutation(available) for _ in range(-(-draws // each))]
    return [order[i * count : (i + 1) * count] for order in orders for i in range(each)]


def infinite_repetitions(
    repetitions: Sequence[int],
    shares: np.ndarray,
    gallery: int,
    k: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """The top-k score that the curve approaches, with the interval of a bootstrap over images.

    Args:
        repetitions: (counts,) averaged for each point of the curve, ascending.
        shares: (counts, images) share of draws in which the image was among the first k.
        gallery: N, images that each query chooses among.
    """
    if gallery <= k:
        return Interval(1.0, 1.0, 1.0)
    return bootstrap_function(
        shares.T, lambda curves: limit(repetitions, curves, gallery, k), resamples
    )


def limit(repetitions: Sequence[int], curves: np.ndarray, gallery: int, k: int) -> np.ndarray:
    """(n,) limits of the curves (n, counts), fitted side by side by damped Gauss-Newton steps.

    c is kept below the largest number of repetitions: the extrapolation never goes further than
    from noise that is half of the variance.
    """
    score = tabulated_score(gallery, k)
    slope = np.gradient(score, _SENSITIVITY)
    inverse_r = 1 / np.asarray(repetitions, dtype=np.float64)
    bounds = np.log(_LEAST_RATIO), np.log(max(repetitions))

    def model(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (n, counts) and their derivatives (n, counts, 2) by D and log c."""
        noise = np.exp(theta[:, 1:]) * inverse_r
        factor = 1 / np.sqrt(1 + noise)
        sensitivity = theta[:, :1] * factor
        rises = np.interp(sensitivity, _SENSITIVITY, slope)
        by_ratio = -0.5 * theta[:, :1] * noise * factor**3
        derivatives = rises[..., None] * np.stack([factor, by_ratio], axis=2)
        return np.interp(sensitivity, _SENSITIVITY, score) - curves, derivatives

    # Below 1, where F is flat and the fit would stand still.
    start = np.interp(curves[:, -1].clip(max=_HIGHEST_START), score, _SENSITIVITY)
    theta = np.stack([start, np.zeros(len(curves))], axis=1)
    damping = np.full(len(curves), 1e-3)
    residuals, derivatives = model(theta)
    for _ in range(_STEPS):
        normal = np.einsum("nri,nrj->nij", derivatives, derivatives)
        normal += damping[:, None, None] * (np.eye(2) * normal + 1e-9 * np.eye(2))
        gradient = np.einsum("nri,nr->ni", derivatives, residuals)
        proposed = theta - np.linalg.solve(normal, gradient[..., None])[..., 0]
        proposed[:, 0] = proposed[:, 0].clip(_SENSITIVITY[0], _SENSITIVITY[-1])
        proposed[:, 1] = proposed[:, 1].clip(*bounds)
        new_residuals, new_derivatives = model(proposed)
        better = np.square(new_residuals).sum(1) <= np.square(residuals).sum(1)
        theta[better] = proposed[better]
        residuals[better], derivatives[better] = new_residuals[better], new_derivatives[better]
        damping = np.where(better, damping / 4, damping * 6).clip(1e-9, 1e9)
    return np.interp(theta[:, 0], _SENSITIVITY, score)


@lru_cache(maxsize=8)
def tabulated_score(gallery: int, k: int) -> np.ndarray:
    """F at the tabulated values of d': the chance that fewer than k of N - 1 others come first."""
    # Evenly spaced: the sum over a normal density converges fast, and F is steep for large N.
    nodes = np.linspace(-7, 7, 401)
    weights = np.exp(-np.square(nodes) / 2)
    ahead = ndtr(-(nodes + _SENSITIVITY[:, None]))
    return bdtr(k - 1, gallery - 1, ahead) @ weights / weights.sum()
