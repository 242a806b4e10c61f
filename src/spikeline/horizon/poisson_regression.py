r"""Poisson regressions of many units at once, by Newton's method, with a Gaussian prior on weights.

For unit u and row t, with the expected count r = exp(offset_u + x), where

    x = c_u + w_u . own_tu + v_u . shared_t

is the log of the rate relative to the offset, each unit's weights maximise

    log posterior = temper sum_t ( n log r - r ) - sum_k (w_uk - m_k)^2 / (2 s_k)

where w_u now stands for the constant and both kinds of weights, and m and s are the prior's means
and variances. A temper below 1 raises the likelihood to that power.

A step is halved for the units that it makes worse. One pass over the rows gives the objective, its
gradient and its curvature at the current weights, so a step that needs no halving costs one pass.
Above a limit of x the exponential is replaced by its tangent, so the objective stays finite, convex
and smooth at any weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

_ROWS = 512
_HALVINGS = 20
# A rise of the objective by rounding alone, relative to its size and to this many nats at least.
_ROUNDING, _LEAST_SIZE = 1e-6, 1e3


@dataclass(frozen=True)
class Prior:
    """Gaussian prior of each weight: mean and variance, each (1 + own + shared,)."""

    mean: np.ndarray
    variance: np.ndarray

    def loss(self, weights: np.ndarray) -> np.ndarray:
        """(units,) negative log density in nats, without its constant."""
        return ((weights - self.mean) ** 2 / self.variance).sum(axis=1) / 2


@dataclass(frozen=True)
class Likelihood:
    """Terms of the negative log likelihood at some weights.

    Attributes:
        loss: (units,) nats, without log n!.
        gradient: (units, weights).
        curvature: (units, weights, weights) second derivatives; None where not asked for.
    """

    loss: np.ndarray
    gradient: np.ndarray
    curvature: np.ndarray | None


def fit_poisson(
    own: np.ndarray,
    shared: np.ndarray,
    targets: np.ndarray,
    offset: np.ndarray,
    prior: Prior,
    *,
    steps: int,
    temper: float = 1.0,
    start: np.ndarray | None = None,
    tolerance: float = 0.0,
    limit: float = 20.0,
    longest_step: float = np.inf,
    renew_every: int = 1,
    learn: Callable[[np.ndarray, np.ndarray], Prior] | None = None,
) -> tuple[np.ndarray, Prior]:
    """Weights of all units.

    Args:
        own: (own, rows, units) predictors of each unit's own, float32 or float64.
        shared: (rows, shared) predictors of all units.
        targets: (rows, units) counts, or mean counts.
        offset: (units,) log of the expected count before anything is known.
        prior: of the weights, or what learning it starts from.
        steps: Newton steps at most.
        temper: power of the likelihood.
        start: (units, 1 + own + shared) weights to start from; None means the prior's mean.
        tolerance: nats; the last step is the first that promises no unit more than this.
        limit: of log rates relative to the offset, see the module.
        longest_step: how far one step may move any log rate.
        renew_every: steps that share one curvature, the costly part, after the first two.
        learn: from weights (units, 1 + own + shared) and their posterior covariances to the prior
            of the steps that follow; called after each step but the first.

    Returns:
        weights (units, 1 + own + shared) float64, constant first, and the prior.
    """
    weights = np.tile(prior.mean, (len(offset), 1)) if start is None else start.astype(np.float64)
    diagonal = np.arange(weights.shape[1])
    moving = np.ones(len(weights), bool)
    before = value = covariance = likelihood_curvature = None
    for step in range(steps):
        renewed = step < 2 or (step - 1) % renew_every == 0
        terms = partial(likelihood, own, shared, targets, offset, limit=limit, curved=renewed)
        found = terms(weights=weights)
        if before is not None:
            found = _halved(terms, found, temper, prior, before, weights, value, moving)
        if covariance is not None:
            prior = learn(weights, covariance)
        value = temper * found.loss + prior.loss(weights)
        gradient = temper * found.gradient + (weights - prior.mean) / prior.variance
        if renewed:
            likelihood_curvature = temper * found.curvature
        curvature = likelihood_curvature.copy()
        curvature[:, diagonal, diagonal] += 1 / prior.variance
        # the first step goes with the prior that it began with
        if learn is not None and step:
            covariance = np.linalg.inv(curvature)
            move = -(covariance @ gradient[..., None])[..., 0]
        else:
            move = -np.linalg.solve(curvature, gradient[..., None])[..., 0]
        move[~moving] = 0
        if np.isfinite(longest_step):
            move *= np.minimum(1, longest_step / _furthest(own, shared, move))[:, None]
        before, weights = weights, weights + move
        if -(gradient * move).sum(axis=1).min() / 2 < tolerance:
            break
    if covariance is not None:
        prior = learn(weights, covariance)
    return weights, prior


def log_ratios(own: np.ndarray, shared: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(rows, units) log rates relative to the offset; arguments as in `fit_poisson`."""
    weights = weights.astype(shared.dtype)
    result = shared @ weights[:, 1 + len(own) :].T
    result += weights[:, 0]
    for k, values in enumerate(own):
        result += values * weights[:, 1 + k]
    return result


def likelihood(
    own: np.ndarray,
    shared: np.ndarray,
    targets: np.ndarray,
    offset: np.ndarray,
    weights: np.ndarray,
    limit: float,
    curved: bool = True,
) -> Likelihood:
    """Terms of the negative log likelihood, in one pass over the rows.

    Args:
        own, shared, targets, offset, limit: as in `fit_poisson`.
        weights: (units, 1 + own + shared).
        curved: whether the curvature is wanted, the costly part.
    """
    units, size = weights.shape
    k, dtype = 1 + len(own), shared.dtype
    upper = np.triu_indices(size - k)
    loss, gradient = np.zeros(units), np.zeros((units, size))
    curvature = np.zeros((units, size, size))
    products = np.zeros((units, len(upper[0])))
    base, ones = offset.astype(dtype), np.ones(_ROWS, dtype)
    pairs = np.empty((len(upper[0]), _ROWS), dtype)
    for rows in _blocks(len(shared)):
        z, observed = shared[rows], targets[rows]
        ratios = log_ratios(own[:, rows], z, weights)
        rates = np.exp(np.minimum(ratios, limit) + base)
        residual, every = rates - observed, ones[: len(z)]
        total = every @ rates
        loss += total - _sums(observed, ratios) - base * (every @ observed)
        if ratios.max() > limit:
            loss += _sums(rates, np.maximum(ratios - limit, 0))
        gradient[:, 0] += every @ residual
        gradient[:, k:] += residual.T @ z
        for i, values in enumerate(own[:, rows], start=1):
            gradient[:, i] += _sums(values, residual)
        if not curved:
            continue
        curvature[:, 0, 0] += total
        curvature[:, 0, k:] += rates.T @ z
        for i, values in enumerate(own[:, rows], start=1):
            weighted = values * rates
            curvature[:, 0, i] += every @ weighted
            curvature[:, i, k:] += weighted.T @ z
            for j in range(i, k):
                curvature[:, i, j] += _sums(weighted, own[j - 1, rows])
        # all units' shared block in one product, with the distinct pairs of shared predictors
        columns, first = np.ascontiguousarray(z.T), 0
        for i, column in enumerate(columns):
            last = first + len(columns) - i
            np.multiply(column, columns[i:], out=pairs[first:last, : len(z)])
            first = last
        products += (pairs[:, : len(z)] @ rates).T
    curvature[:, k + upper[0], k + upper[1]] = products
    triangle = np.tril_indices(size, -1)
    curvature[:, triangle[0], triangle[1]] = curvature[:, triangle[1], triangle[0]]
    return Likelihood(loss, gradient, curvature if curved else None)


# --- the pieces -----------------------------------------------------------------------------------


def _sums(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(units,) sums over rows of the product of two (rows, units)."""
    return np.einsum("tu,tu->u", first, second)


def _halved(
    terms: Callable[..., Likelihood],
    found: Likelihood,
    temper: float,
    prior: Prior,
    before: np.ndarray,
    weights: np.ndarray,
    value: np.ndarray,
    moving: np.ndarray,
) -> Likelihood:
    """Terms at weights that are no worse than before; `weights` becomes these in place.

    Args:
        terms: of weights; found: those at `weights`.
        before, value: weights (units, weights) and objective (units,) before the step.
        moving: (units,) bool; becomes False in place where no nearer weights help.
    """
    allowed = value + _ROUNDING * np.maximum(np.abs(value), _LEAST_SIZE)
    for _ in range(_HALVINGS):
        worse = moving & ~(temper * found.loss + prior.loss(weights) <= allowed)
        if not worse.any():
            return found
        weights[worse] = (before[worse] + weights[worse]) / 2
        found = terms(weights=weights)
    moving[worse] = False
    weights[worse] = before[worse]
    return terms(weights=weights)


def _furthest(own: np.ndarray, shared: np.ndarray, move: np.ndarray) -> np.ndarray:
    """(units,) how far a change of weights moves a unit's log rate at most; never 0."""
    far = np.full(len(move), 1e-9)
    for rows in _blocks(len(shared)):
        np.maximum(far, np.abs(log_ratios(own[:, rows], shared[rows], move)).max(axis=0), out=far)
    return far


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(first, first + _ROWS) for first in range(0, rows, _ROWS))
