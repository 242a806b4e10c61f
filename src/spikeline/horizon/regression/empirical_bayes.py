r"""Empirical Bayes: the prior of a regression's weights, learned from the weights of all units.

The prior's variances s, and its means m for the predictors of a unit's own (0 for the constant and
for shared ones), are those of all units' weights: the M-step of expectation maximisation, whose
E-step takes each posterior as the Gaussian with its mode and curvature (Laplace's approximation;
MacKay 1992, Neural Comput. 4; Efron and Morris 1973, JASA 68, for what units lend each other). So a
predictor that helps no unit is switched off for all, without a validation set. Learning is stopped
after a few steps, before it converges.

The likelihood is tempered, since rows of overlapping windows and of correlated residuals carry less
than one row's evidence each (Gruenwald and van Ommen 2017, Bayesian Anal. 12).
"""

from __future__ import annotations

import numpy as np

from spikeline.horizon.poisson_regression import Prior, fit_poisson

# Before any unit was seen: a unit's own traces together move its log rate about half as much.
_OWN_MEAN, _VARIANCE, _CONSTANT_VARIANCE = 0.5, 0.05, 1.0
# A place field's bump may move the log rate by more than a direction of the population.
_COVARIATE_VARIANCE = 0.2
_LEAST_VARIANCE = 1e-6
# Log rates over a unit's mean that are believed, and how far one step may move any.
HIGHEST_LOG_RATIO = 5.0
_LONGEST_STEP = 2.0
# Steps that share one curvature.
_RENEW_EVERY = 3


def vague_prior(own: int, shared: int, covariates: int = 0) -> Prior:
    """The prior that learning starts from, for so many predictors of a unit's own and shared; the
    first so many of the shared are covariates of behaviour."""
    mean = np.zeros(1 + own + shared)
    mean[1 : 1 + own] = _OWN_MEAN / max(own, 1)
    variance = np.full(len(mean), _VARIANCE)
    variance[0] = _CONSTANT_VARIANCE
    variance[1 + own : 1 + own + covariates] = _COVARIATE_VARIANCE
    return Prior(mean, variance)


def likeliest_prior(weights: np.ndarray, covariance: np.ndarray, own: int) -> Prior:
    """The prior that makes these weights most likely, given their uncertainty.

    Args:
        weights: (units, 1 + own + shared) posterior modes.
        covariance: (units, 1 + own + shared, 1 + own + shared) of the posteriors.
        own: predictors of a unit's own.
    """
    mean = np.zeros(weights.shape[1])
    mean[1 : 1 + own] = weights[:, 1 : 1 + own].mean(axis=0)
    uncertain = np.einsum("ukk->uk", covariance)
    variance = ((weights - mean) ** 2 + uncertain).mean(axis=0)
    return Prior(mean, np.maximum(variance, _LEAST_VARIANCE))


def fit_with_learned_prior(
    own: np.ndarray,
    shared: np.ndarray,
    targets: np.ndarray,
    offset: np.ndarray,
    temper: float,
    steps: int,
    covariates: int = 0,
) -> tuple[np.ndarray, Prior]:
    """Weights of all units, by Newton steps between which the prior is learned.

    Args:
        own, shared, targets, offset, temper, steps: see `fit_poisson`.
        covariates: the first so many shared predictors are an animal's behaviour.

    Returns:
        weights (units, 1 + own + shared) float64, constant first, and the prior.
    """
    return fit_poisson(
        own,
        shared,
        targets,
        offset,
        vague_prior(len(own), shared.shape[1], covariates),
        steps=steps,
        temper=temper,
        limit=HIGHEST_LOG_RATIO,
        longest_step=_LONGEST_STEP,
        renew_every=_RENEW_EVERY,
        learn=lambda weights, covariance: likeliest_prior(weights, covariance, len(own)),
    )
