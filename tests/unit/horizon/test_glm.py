"""The Poisson regression: its optimum, what it may know, and what it finds."""

from __future__ import annotations

import numpy as np

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
