"""The Poisson regression: its optimum, what it may know, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import PoissonRegressor

from spikeline.horizon.baselines import glm
from spikeline.horizon.scores.bits_per_spike import pooled_bits, score_sums, training_mean
from spikeline.horizon.scores.windows import forecast_starts, gather

BIN_S = 0.02


def coupled(bins: int = 12_000, units: int = 8, seed: int = 0):
    """Units of 5 to 20 Hz that follow one slow latent; counts and their true rates."""
    rng = np.random.default_rng(seed)
    latent = np.zeros(bins)
    for k in range(1, bins):
        latent[k] = 0.98 * latent[k - 1] + 0.2 * rng.normal()
    rates = np.geomspace(5, 20, units) * BIN_S * np.exp(0.5 * np.outer(latent, np.ones(units)))
    return rng.poisson(rates).astype(np.uint8), rates


def halves(bins: int) -> np.ndarray:
    return np.repeat([1, 2, 3], [bins // 2, bins // 8, bins - bins // 2 - bins // 8]).astype(
        np.uint8
    )


def bits(counts, domains, length, rates):
    starts, block = forecast_starts(domains, "test", length)
    seen = gather(counts, starts, length)
    return pooled_bits(score_sums(rates, seen, training_mean(counts, domains), block))


@pytest.mark.parametrize("penalty", [0.1, 30.0])
def test_the_fit_is_scikit_learns_poisson_regression(penalty):
    rng = np.random.default_rng(0)
    units, rows = 4, 500
    own, shared = rng.normal(size=(units, 3, rows)), rng.normal(size=(rows, 2))
    own[:, 0] = 1
    log_rates = -1 + 0.4 * own[:, 1] - 0.3 * own[:, 2] + 0.5 * shared[:, 0]
    targets = rng.poisson(np.exp(log_rates)).astype(np.float64)
    due = np.full(5, penalty)
    due[0] = 0.0
    found = glm.fit_poisson(own, shared, targets, np.zeros(units), due, tolerance=1e-10)
    for unit in range(units):
        peer = PoissonRegressor(alpha=penalty / rows, tol=1e-10, max_iter=1000)
        peer.fit(np.column_stack([own[unit, 1:].T, shared]), targets[unit])
        np.testing.assert_allclose(found[unit, 0], peer.intercept_, atol=1e-5)
        np.testing.assert_allclose(found[unit, 1:], peer.coef_, atol=1e-5)


def test_a_unit_without_a_spike_and_a_far_start_stay_finite_and_reach_the_optimum():
    rng = np.random.default_rng(0)
    own, shared = rng.normal(size=(2, 2, 300)), rng.normal(size=(300, 1))
    own[:, 0] = 1
    targets = rng.poisson(0.5, size=(2, 300)).astype(float)
    targets[1] = 0
    due = np.array([1e-3, 1.0, 1.0])
    far = np.full((2, 3), 4.0)
    found = glm.fit_poisson(own, shared, targets, np.zeros(2), due, far, tolerance=1e-9)
    near = glm.fit_poisson(own, shared, targets, np.zeros(2), due, tolerance=1e-9)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0], near[0], atol=1e-4)


def test_a_trace_knows_the_bins_before_and_no_other():
    counts = np.zeros((50, 1), np.uint8)
    counts[10] = 1
    trace = glm.traces(counts, np.array([0.0]), 0.1, BIN_S)[:, 0]
    keep = np.exp(-BIN_S / 0.1)
    assert (trace[:11] == 0).all()
    np.testing.assert_allclose(trace[11:], (1 - keep) * keep ** np.arange(39), rtol=1e-4)
    constant = glm.traces(np.full((50, 1), 3, np.uint8), np.array([3.0]), 0.5, BIN_S)
    np.testing.assert_allclose(constant, 3, rtol=1e-5)


def test_nothing_at_or_after_a_windows_start_changes_its_forecast():
    counts, _ = coupled(3000)
    domains = halves(3000)
    starts = forecast_starts(domains, "test", 10)[0]
    changed = counts.copy()
    changed[starts[5] :] = 9
    before, after = (
        glm.forecast_rates(c, domains, {10: starts}, BIN_S)[10].rates for c in (counts, changed)
    )
    np.testing.assert_array_equal(before[:6], after[:6])
    assert (before[6:] != after[6:]).any()


def test_it_finds_most_of_what_can_be_known_and_nothing_in_shifted_history():
    counts, true = coupled()
    domains = halves(len(counts))
    starts = {n: forecast_starts(domains, "test", n)[0] for n in (5, 50)}
    found = glm.forecast_rates(counts, domains, starts, BIN_S)
    oracle = bits(counts, domains, 5, gather(true, starts[5], 5))
    assert 0.5 * oracle < bits(counts, domains, 5, found[5].rates) < oracle
    assert 0 < bits(counts, domains, 50, found[50].rates) < bits(counts, domains, 5, found[5].rates)
    rolled = np.roll(counts, len(counts) // 2, axis=0)
    control = glm.forecast_rates(counts, domains, starts, BIN_S, history=rolled)
    assert bits(counts, domains, 5, control[5].rates) < 0.005
    assert control[5].penalty >= found[5].penalty


def test_units_fitted_a_few_at_a_time_are_fitted_the_same(monkeypatch):
    counts, _ = coupled(3000)
    domains = halves(3000)
    starts = {5: forecast_starts(domains, "test", 5)[0]}
    whole = glm.forecast_rates(counts, domains, starts, BIN_S)[5]
    monkeypatch.setattr(glm, "CHUNK", 3000 * 5 * 3)
    parts = glm.forecast_rates(counts, domains, starts, BIN_S)[5]
    assert whole.penalty == parts.penalty and whole.rates.shape == parts.rates.shape
    np.testing.assert_allclose(whole.rates, parts.rates, rtol=2e-3)


def test_one_unit_and_a_silent_unit_are_fitted_too():
    counts, _ = coupled(3000, units=2)
    domains = halves(3000)
    starts = {5: forecast_starts(domains, "test", 5)[0]}
    counts[:, 1] = 0
    for some in (counts, counts[:, :1]):
        rates = glm.forecast_rates(some, domains, starts, BIN_S)[5].rates
        assert np.isfinite(rates).all() and (rates > 0).all()
