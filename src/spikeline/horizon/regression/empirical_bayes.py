r"""Poisson regressions of many units whose weights share a prior that is learned with them.

For unit u, row t, with the expected count r = exp(offset_u + c_u + w_u . own_tu + v_u . shared_t),

    log posterior = temper sum_t ( n log r - r ) - sum_k (w_uk - m_k)^2 / (2 s_k)

where w_u now stands for the constant and both kinds of weights. The prior's variances s, and its
means m for the predictors of a unit's own (0 for the constant and for shared ones), are those of
all units' weights: the M-step of expectation maximisation, whose E-step takes each posterior as the
Gaussian with its mode and curvature (Laplace's approximation; MacKay 1992, Neural Comput. 4; Efron
and Morris 1973, JASA 68, for what units lend each other). So a predictor that helps no unit is
switched off for all, without a validation set. After a few steps learning is stopped, not done.

A temper below 1 raises the likelihood to that power, since rows of overlapping windows and of
correlated residuals carry less than one row's evidence each (Gruenwald and van Ommen 2017, Bayesian
Anal. 12).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Before any unit was seen: a unit's own traces together move its log rate about half as much.
_OWN_MEAN, _VARIANCE, _CONSTANT_VARIANCE = 0.5, 0.05, 1.0
_LEAST_VARIANCE = 1e-6
# Log rates over a unit's mean that are believed, and how far one step may move any.
MOST = 5.0
_LONGEST_STEP = 2.0
# Steps that make do with one curvature, the costly part, once the first two are made.
_KEPT = 3
_ROWS = 512


@dataclass(frozen=True)
class Prior:
    """Gaussian prior of each weight: mean and variance, each (1 + own + shared,)."""

    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def vague(cls, own: int, shared: int) -> Prior:
        """The prior that learning starts from."""
        mean = np.zeros(1 + own + shared)
        mean[1 : 1 + own] = _OWN_MEAN / max(own, 1)
        variance = np.full(len(mean), _VARIANCE)
        variance[0] = _CONSTANT_VARIANCE
        return cls(mean, variance)

    @classmethod
    def of(cls, weights: np.ndarray, covariance: np.ndarray, own: int) -> Prior:
        """The likeliest prior of units with these weights, uncertain by their covariances."""
        mean = np.zeros(weights.shape[1])
        mean[1 : 1 + own] = weights[:, 1 : 1 + own].mean(axis=0)
        uncertain = np.einsum("ukk->uk", covariance)
        variance = ((weights - mean) ** 2 + uncertain).mean(axis=0)
        return cls(mean, np.maximum(variance, _LEAST_VARIANCE))


def fit_poisson(
    own: np.ndarray,
    shared: np.ndarray,
    targets: np.ndarray,
    offset: np.ndarray,
    temper: float,
    steps: int,
    prior: Prior | None = None,
) -> tuple[np.ndarray, Prior]:
    """Weights of all units, by Newton steps between which the prior is learned.

    Args:
        own: (own, rows, units) float32 predictors of each unit's own.
        shared: (rows, shared) float32 predictors of all units.
        targets: (rows, units) float32 counts.
        offset: (units,) log of the expected count before anything is known.
        temper: power of the likelihood.
        steps: Newton steps.
        prior: known beforehand and kept; None learns it.

    Returns:
        weights (units, 1 + own + shared) float64, constant first, and the prior.
    """
    learned = prior is None
    prior = prior or Prior.vague(len(own), shared.shape[1])
    weights = np.tile(prior.mean, (len(offset), 1))
    diagonal = np.arange(weights.shape[1])
    for step in range(steps):
        renewed = step < 2 or step % _KEPT == 1
        gradient, found = _likelihood_terms(own, shared, targets, offset, weights, renewed)
        if renewed:
            likelihood_curvature = temper * found
        gradient = temper * gradient - (weights - prior.mean) / prior.variance
        curvature = likelihood_curvature.copy()
        curvature[:, diagonal, diagonal] += 1 / prior.variance
        # the first step goes with the prior that it began with
        if learned and step:
            covariance = np.linalg.inv(curvature)
            move = (covariance @ gradient[..., None])[..., 0]
        else:
            move = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        weights += np.minimum(1, _LONGEST_STEP / _furthest(own, shared, move))[:, None] * move
        if learned and step:
            prior = Prior.of(weights, covariance, len(own))
    return weights, prior


def log_ratios(own: np.ndarray, shared: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(rows, units) float32: log rates relative to the offset; arguments as in `fit_poisson`."""
    weights = weights.astype(np.float32)
    result = shared @ weights[:, 1 + len(own) :].T
    result += weights[:, 0]
    for k, values in enumerate(own):
        result += values * weights[:, 1 + k]
    return result


def _likelihood_terms(
    own: np.ndarray,
    shared: np.ndarray,
    targets: np.ndarray,
    offset: np.ndarray,
    weights: np.ndarray,
    with_curvature: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (units, d) and negative Hessian (units, d, d) or zeros, of the log likelihood."""
    units, size = weights.shape
    k = 1 + len(own)
    upper = np.triu_indices(size - k)
    gradient = np.zeros((units, size))
    curvature = np.zeros((units, size, size))
    products = np.zeros((units, len(upper[0])))
    base = offset.astype(np.float32)
    pairs = np.empty((len(upper[0]), _ROWS), np.float32)
    for rows in _parts(len(shared)):
        z = shared[rows]
        ratios = log_ratios(own[:, rows], z, weights)
        rates = np.exp(np.clip(ratios, -4 * MOST, MOST) + base)
        residual = targets[rows] - rates
        gradient[:, 0] += residual.sum(axis=0)
        gradient[:, k:] += residual.T @ z
        for i, values in enumerate(own[:, rows], start=1):
            gradient[:, i] += (values * residual).sum(axis=0)
        if not with_curvature:
            continue
        curvature[:, 0, 0] += rates.sum(axis=0)
        curvature[:, 0, k:] += rates.T @ z
        for i, values in enumerate(own[:, rows], start=1):
            weighted = values * rates
            curvature[:, 0, i] += weighted.sum(axis=0)
            curvature[:, i, k:] += weighted.T @ z
            for j in range(i, k):
                curvature[:, i, j] += (weighted * own[j - 1, rows]).sum(axis=0)
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
    return gradient, curvature


def _furthest(own: np.ndarray, shared: np.ndarray, move: np.ndarray) -> np.ndarray:
    """(units,) how far a change of weights moves a unit's log rate at most; never 0."""
    far = np.full(len(move), 1e-9)
    for rows in _parts(len(shared)):
        np.maximum(far, np.abs(log_ratios(own[:, rows], shared[rows], move)).max(axis=0), out=far)
    return far


def _parts(rows: int) -> list[slice]:
    return [slice(first, first + _ROWS) for first in range(0, rows, _ROWS)]
