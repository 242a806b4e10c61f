"""The running mean: its windows against plain loops, its weights, what it may know."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import minimize

from spikeline.horizon.baselines import running
from spikeline.horizon.baselines.lead_bands import LeadBands, spikes_before
from spikeline.horizon.baselines.running import BOXCAR_S, EXPONENTIAL_S, fit_running_mean

BIN_S = 0.02
BANDS = LeadBands([10])


def masks(bins: int) -> tuple[np.ndarray, np.ndarray]:
    """First half to fit, an eighth to choose on; the rest is to come."""
    at = np.arange(bins)
    return at < bins // 2, (at >= bins // 2) & (at < bins // 2 + bins // 8)


def wandering(bins: int = 16_000, seed: int = 0) -> np.ndarray:
    """Two units whose rates switch every 60 ms, two whose rates drift over a minute, two steady."""
    rng = np.random.default_rng(seed)
    fast = np.repeat(rng.choice([-1.0, 1.0], bins // 3 + 1), 3)[:bins]
    slow = np.sin(np.arange(bins) * BIN_S * 2 * np.pi / 60)
    log_rates = np.stack([1.5 * fast] * 2 + [1.5 * slow] * 2 + [0 * slow] * 2, axis=1)
    return rng.poisson(0.3 * np.exp(log_rates)).astype(np.uint8)


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    return wandering()


@pytest.fixture(scope="module")
def fitted(counts):
    return fit_running_mean(counts, *masks(len(counts)), BANDS, BIN_S)[1]


def test_each_window_over_the_past_is_that_of_a_plain_loop():
    counts = np.random.default_rng(0).poisson(0.4, (700, 2)).astype(np.uint8)
    mean, starts = np.array([0.3, 0.5], np.float32), np.array([0, 3, 60, 699])
    found = running._known(counts, spikes_before(counts), mean, starts, BIN_S)
    for row, start in enumerate(starts):
        for unit in range(2):
            wanted = []
            for seconds in EXPONENTIAL_S:
                decay, value = np.exp(-BIN_S / seconds), float(mean[unit])
                for n in counts[:start, unit]:
                    value = decay * value + (1 - decay) * n
                wanted.append(value)
            for seconds in BOXCAR_S:
                width = round(seconds / BIN_S)
                past = [
                    counts[k, unit] if k >= 0 else mean[unit] for k in range(start - width, start)
                ]
                wanted.append(float(np.mean(past)))
            wanted.append(float(mean[unit]))
            np.testing.assert_allclose(found[unit, row], wanted, rtol=2e-4)


def test_rates_are_the_weighted_windows_within_the_bounds(counts, fitted):
    starts = np.array([500, 12_000, 15_990])
    known = running._known(counts, spikes_before(counts), fitted.mean, starts, BIN_S)
    rates = fitted.rates(counts, starts)
    assert rates.shape == (len(BANDS), 3, 6)
    for band in range(len(BANDS)):
        wanted = np.einsum("utk,uk->tu", known, fitted.weights[band])
        wanted = np.clip(wanted, fitted.bounds.lowest, fitted.bounds.highest[band])
        np.testing.assert_allclose(rates[band], wanted, rtol=1e-5)
    tight = dataclasses.replace(fitted.bounds, highest=np.full_like(fitted.bounds.highest, 0.01))
    assert (dataclasses.replace(fitted, bounds=tight).rates(counts, starts) <= 0.01).all()


def test_many_rounds_reach_the_likeliest_weights_that_an_optimiser_finds(monkeypatch):
    rng = np.random.default_rng(0)
    known = rng.gamma(2, 0.2, (1, 400, 3)).astype(np.float32)
    seen = rng.poisson(known[0] @ np.array([0.7, 0.3, 0.0])).astype(np.float32)[None]
    monkeypatch.setattr(running, "ROUNDS_ALONE", 3000)
    found = running._alone(known, seen, np.full(3, 1 / 3, np.float32), 0.0)[0]

    def loss(weights):
        rates = known[0].astype(np.float64) @ weights
        return (rates - seen[0] * np.log(rates)).sum()

    best = minimize(loss, np.full(3, 1 / 3), bounds=[(1e-6, None)] * 3, method="L-BFGS-B").x
    np.testing.assert_allclose(found, best, atol=5e-3)


def test_a_round_never_makes_the_likelihood_worse():
    rng = np.random.default_rng(1)
    known = rng.gamma(2, 0.2, (4, 300, 6)).astype(np.float32)
    seen = rng.poisson(known[..., 0]).astype(np.float32)
    losses = []
    for rounds in (1, 3, 10, 30):
        running_rounds, running.ROUNDS_ALONE = running.ROUNDS_ALONE, rounds
        try:
            weights = running._alone(known, seen, np.full(6, 1 / 6, np.float32), 0.0)
        finally:
            running.ROUNDS_ALONE = running_rounds
        losses.append(running._loss(known, seen, weights))
    assert losses == sorted(losses, reverse=True) and losses[0] > losses[-1]


def test_a_strong_draw_leaves_everybodys_weights():
    rng = np.random.default_rng(2)
    known = rng.gamma(2, 0.2, (3, 200, 4)).astype(np.float32)
    seen = rng.poisson(known[..., 1]).astype(np.float32)
    shares = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    far, near = (running._alone(known, seen, shares, draw) for draw in (1.0, 1e6))
    np.testing.assert_allclose(near, np.tile(shares, (3, 1)), atol=1e-3)
    assert np.abs(far - shares).max() > 0.1


def test_each_unit_gets_windows_that_fit_its_memory(fitted):
    ages = np.array([*EXPONENTIAL_S, *(s / 2 for s in BOXCAR_S), 1000.0])
    short = fitted.weights[0][:, ages <= 0.1].sum(axis=1)
    assert short[:2].min() > 2 * short[2:].max()
    fast, slow, steady = (np.log(ages) @ fitted.weights[0][k] for k in (0, 2, 4))
    assert fast < slow < steady


def test_it_forecasts_better_than_any_one_window_for_all_units(counts, fitted):
    starts = np.arange(10_100, 15_900, 2)
    seen = BANDS.means(spikes_before(counts), starts, 0)

    def loss(rates):
        return float((rates - seen * np.log(np.maximum(rates, 1e-4))).sum())

    known = running._known(counts, spikes_before(counts), fitted.mean, starts, BIN_S)
    single = min(loss(known[..., k].T) for k in range(known.shape[2]))
    assert loss(fitted.rates(counts, starts)[0]) < single - 100


def test_the_past_alone_is_read_and_the_fit_alone_is_learnt(counts, fitted):
    train, valid = masks(len(counts))
    changed = counts.copy()
    changed[12_000:] = 7
    np.testing.assert_array_equal(
        fitted.rates(counts, np.array([11_000, 12_000])),
        fitted.rates(changed, np.array([11_000, 12_000])),
    )
    changed[valid.nonzero()[0][-1] + 1 :] = 3
    again = fit_running_mean(changed, train, valid, BANDS, BIN_S)[1]
    np.testing.assert_array_equal(again.weights, fitted.weights)
    np.testing.assert_array_equal(again.bounds.highest, fitted.bounds.highest)


def test_what_chooses_on_valid_was_fitted_on_train_alone(counts):
    train, valid = masks(len(counts))
    changed = counts.copy()
    changed[valid] = 0
    of_train, of_both = fit_running_mean(counts, train, valid, BANDS, BIN_S)
    other, both = fit_running_mean(changed, train, valid, BANDS, BIN_S)
    np.testing.assert_array_equal(of_train.mean, other.mean)
    np.testing.assert_array_equal(of_train.bounds.highest, other.bounds.highest)
    assert (of_both.mean != both.mean).any()
