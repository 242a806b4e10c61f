"""Poisson regressions with a shared prior, against a slow optimiser and what was simulated."""

from __future__ import annotations

import numpy as np
import pytest
from regression_designs import design
from scipy.optimize import minimize

from spikeline.horizon.regression.empirical_bayes import fit_with_learned_prior, likeliest_prior

OWN, SHARED, UNITS, ROWS = 2, 3, 6, 700


@pytest.fixture(scope="module")
def problem():
    """Predictors, counts and log of the base counts; the last shared predictor helps nobody."""
    rng = np.random.default_rng(0)
    own = rng.normal(size=(OWN, ROWS, UNITS)).astype(np.float32)
    shared = rng.normal(size=(ROWS, SHARED)).astype(np.float32)
    weights = np.array([0, 0.5, 0.2, 0, 0, 0]) + rng.normal(size=(UNITS, 6)) * [
        0.2, 0.1, 0.1, 0.5, 0.3, 0,
    ]  # fmt: skip
    offset = np.log(rng.uniform(0.2, 1.0, UNITS))
    log_rates = offset + np.einsum("tud,ud->tu", design(own, shared), weights)
    return own, shared, rng.poisson(np.exp(log_rates)).astype(np.float32), offset


def slow_mode(x, counts, offset, temper, prior) -> tuple[np.ndarray, np.ndarray]:
    """One unit's weights by a general optimiser, and their covariance."""

    def loss(w):
        log_rate = offset + x @ w
        fit = (np.exp(log_rate) - counts * log_rate).sum()
        return temper * fit + ((w - prior.mean) ** 2 / prior.variance).sum() / 2

    def slope(w):
        residual = np.exp(offset + x @ w) - counts
        return temper * residual @ x + (w - prior.mean) / prior.variance

    found = minimize(loss, prior.mean, jac=slope, method="BFGS", options={"gtol": 1e-6}).x
    curvature = temper * (x * np.exp(offset + x @ found)[:, None]).T @ x
    return found, np.linalg.inv(curvature + np.diag(1 / prior.variance))


def slow_modes(problem, temper, prior):
    own, shared, counts, offset = problem
    x = design(own, shared)
    found = [slow_mode(x[:, u], counts[:, u], offset[u], temper, prior) for u in range(UNITS)]
    return np.stack([mode for mode, _ in found]), np.stack([c for _, c in found])


def test_the_learned_prior_is_the_fixed_point_of_slow_expectation_maximisation(problem):
    weights, prior = fit_with_learned_prior(*problem, temper=0.7, steps=400)
    slow, covariance = slow_modes(problem, 0.7, prior)
    np.testing.assert_allclose(weights, slow, atol=1e-3)
    again = likeliest_prior(slow, covariance, OWN)
    np.testing.assert_allclose(again.mean, prior.mean, atol=1e-3)
    np.testing.assert_allclose(again.variance, prior.variance, rtol=0.02, atol=2e-5)


def test_a_predictor_that_helps_nobody_is_switched_off_for_all(problem):
    weights, prior = fit_with_learned_prior(*problem, temper=1.0, steps=30)
    assert prior.variance[-1] < 0.05 * prior.variance[3]
    assert np.abs(weights[:, -1]).max() < 0.05
    assert prior.mean[1] == pytest.approx(0.5, abs=0.12)


def test_rows_said_twice_count_once_at_half_the_temper(problem):
    own, shared, counts, offset = problem
    twice = (
        np.concatenate([own, own], axis=1),
        np.concatenate([shared, shared]),
        np.concatenate([counts, counts]),
        offset,
    )
    half, _ = fit_with_learned_prior(*twice, temper=0.4, steps=6)
    once, _ = fit_with_learned_prior(*problem, temper=0.8, steps=6)
    np.testing.assert_allclose(half, once, atol=1e-4)


def test_a_unit_without_a_spike_and_no_shared_predictor_stay_finite(problem):
    own, shared, counts, offset = problem
    counts = counts * (np.arange(UNITS) > 0)
    offset = np.where(np.arange(UNITS) > 0, offset, np.log(0.5 / ROWS))
    weights, prior = fit_with_learned_prior(own, shared[:, :0], counts, offset, temper=1.0, steps=6)
    assert weights.shape == (UNITS, 1 + OWN)
    assert np.isfinite(weights).all()
    assert np.isfinite(prior.variance).all()
