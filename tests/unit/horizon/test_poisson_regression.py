"""Poisson regressions of many units: their optimum, and steps that overshoot."""

from __future__ import annotations

import numpy as np
import pytest
from regression_designs import design
from scipy.optimize import minimize
from sklearn.linear_model import PoissonRegressor

from spikeline.horizon import poisson_regression
from spikeline.horizon.poisson_regression import Prior, fit_poisson, likelihood, log_ratios


@pytest.fixture(scope="module")
def problem():
    """Predictors, counts and log of the base counts; more rows than a block."""
    rng = np.random.default_rng(0)
    own, shared = rng.normal(size=(2, 700, 4)), rng.normal(size=(700, 3))
    weights = rng.normal(size=(4, 6)) * [0.2, 0.3, 0.3, 0.4, 0.2, 0.1]
    offset = np.log(rng.uniform(0.2, 1.0, 4))
    log_rates = offset + np.einsum("tud,ud->tu", design(own, shared), weights)
    return own, shared, rng.poisson(np.exp(log_rates)).astype(np.float64), offset


@pytest.mark.parametrize("penalty", [0.1, 30.0])
def test_the_fit_is_scikit_learns_poisson_regression(problem, penalty):
    own, shared, counts, _ = problem
    variance = np.full(6, 1 / penalty)
    variance[0] = np.inf
    prior = Prior(np.zeros(6), variance)
    found, kept = fit_poisson(own, shared, counts, np.zeros(4), prior, steps=50, tolerance=1e-12)
    assert kept is prior
    for unit in range(4):
        peer = PoissonRegressor(alpha=penalty / len(shared), tol=1e-10, max_iter=1000)
        peer.fit(np.column_stack([own[..., unit].T, shared]), counts[:, unit])
        np.testing.assert_allclose(found[unit, 0], peer.intercept_, atol=1e-5)
        np.testing.assert_allclose(found[unit, 1:], peer.coef_, atol=1e-5)


def test_with_a_prior_and_a_temper_the_weights_are_those_of_a_slow_optimiser(problem):
    own, shared, counts, offset = problem
    prior = Prior(np.array([0, 0.4, 0.1, 0, 0, 0]), np.array([1.0, 0.1, 0.02, 0.3, 0.3, 0.01]))
    weights, _ = fit_poisson(*problem, prior, steps=20, temper=0.5)
    for unit, x in enumerate(design(own, shared).transpose(1, 0, 2)):

        def loss(w, x=x, unit=unit):
            log_rate = offset[unit] + x @ w
            fit = (np.exp(log_rate) - counts[:, unit] * log_rate).sum()
            return 0.5 * fit + ((w - prior.mean) ** 2 / prior.variance).sum() / 2

        slow = minimize(loss, prior.mean, method="BFGS", options={"gtol": 1e-4})
        np.testing.assert_allclose(weights[unit], slow.x, atol=1e-4)


@pytest.mark.parametrize("limit", [20.0, 0.3])
def test_gradient_and_curvature_are_differences_of_the_loss_above_the_limit_too(problem, limit):
    weights = 0.3 * np.random.default_rng(1).normal(size=(4, 6))
    if limit < 1:
        assert (log_ratios(*problem[:2], weights) > limit).mean() > 0.1

    def terms(change):
        return likelihood(*problem, weights + change, limit)

    for k, step in enumerate(1e-5 * np.eye(6)):
        above, below = terms(step), terms(-step)
        slope = (above.loss - below.loss) / 2e-5
        np.testing.assert_allclose(terms(0).gradient[:, k], slope, rtol=1e-5, atol=1e-4)
        if limit > 1:
            bend = (above.gradient - below.gradient) / 2e-5
            np.testing.assert_allclose(terms(0).curvature[:, k], bend, rtol=1e-4, atol=1e-3)


def test_a_unit_without_a_spike_and_a_far_start_stay_finite_and_reach_the_optimum(problem):
    own, shared, counts, offset = problem
    silent = counts * (np.arange(4) > 0)
    prior = Prior(np.zeros(6), np.array([1e3, 1, 1, 1, 1, 1]))
    arguments = own, shared, silent, offset, prior
    near, _ = fit_poisson(*arguments, steps=60, tolerance=1e-9)
    far, _ = fit_poisson(*arguments, steps=60, start=np.full((4, 6), 4.0), tolerance=1e-9)
    assert np.isfinite(near).all() and np.isfinite(far).all()
    np.testing.assert_allclose(far[1:], near[1:], atol=1e-4)


def test_steps_that_overshoot_are_halved_and_others_cost_one_pass(problem, monkeypatch):
    passes = []

    def counted(*arguments, **more):
        passes.append(likelihood(*arguments, **more).loss)
        return likelihood(*arguments, **more)

    prior = Prior(np.zeros(6), np.full(6, 10.0))
    near, _ = fit_poisson(*problem, prior, steps=40, tolerance=1e-9)
    monkeypatch.setattr(poisson_regression, "likelihood", counted)
    fit_poisson(*problem, prior, steps=5, start=near + 0.1)
    assert len(passes) == 5
    passes.clear()
    # so rare a spike that the first step from there goes far beyond the optimum
    start = np.tile([-6.0, 0, 0, 0, 0, 0], (4, 1))
    found, _ = fit_poisson(*problem, prior, steps=40, start=start, tolerance=1e-9)
    assert max(loss.max() for loss in passes) > 2 * passes[0].max()
    np.testing.assert_allclose(found, near, atol=1e-5)


def test_one_curvature_for_several_steps_leads_to_the_same_weights(problem):
    prior = Prior(np.zeros(6), np.full(6, 0.5))
    fresh, _ = fit_poisson(*problem, prior, steps=30)
    kept, _ = fit_poisson(*problem, prior, steps=60, renew_every=3)
    np.testing.assert_allclose(kept, fresh, atol=1e-8)


def test_no_step_moves_a_log_rate_further_than_asked(problem):
    prior = Prior(np.zeros(6), np.full(6, 10.0))
    start = np.zeros((4, 6))
    moved, _ = fit_poisson(*problem, prior, steps=1, start=start, longest_step=0.1)
    np.testing.assert_allclose(np.abs(log_ratios(*problem[:2], moved)).max(axis=0), 0.1)
