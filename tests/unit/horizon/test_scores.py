"""Bits per spike done right: peers, nulls, and the demonstration of how to get it wrong."""

from __future__ import annotations

import numpy as np
import pytest
from nlb_tools.evaluation import bits_per_spike as nlb_bits_per_spike
from scipy.signal import lfilter

from spikeline.errors import InputError
from spikeline.horizon.scores.bits_per_spike import (
    Scorer,
    bits_per_spike,
    neg_log_likelihood,
    pooled_bits,
    score_sums,
    training_mean,
    unit_bits,
)
from spikeline.horizon.scores.windows import forecast_starts, gather


def drifting(bins: int, units: int, seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    """True expected counts per 20 ms of units near 11 Hz; their log rates drift by 0.35."""
    drift = 0.35
    rng = np.random.default_rng(seed)
    keep = np.exp(-0.02 / seconds)
    path = lfilter([np.sqrt(1 - keep**2)], [1, -keep], rng.normal(size=(bins, units)), axis=0)
    return 11 * 0.02 * np.exp(drift * path - drift**2 / 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_test_null_agrees_with_nlb_tools_on_silent_units_and_zero_rates_too(seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(1, 0.3, size=20), size=(17, 10, 20))
    counts[..., 3] = 0
    rates = rng.gamma(1, 0.3, size=counts.shape)
    rates[rng.random(rates.shape) < 0.01] = 0
    before = rates.copy()
    sums = score_sums(rates, counts.astype(np.uint8), np.full(20, 0.3), np.arange(17) % 4)
    ours = pooled_bits(sums, "test_null"), bits_per_spike(rates, counts)
    assert (rates == before).all(), "the caller's array was changed"
    peer = nlb_bits_per_spike(rates, counts.astype(float))
    assert np.abs(np.array(ours) - peer).max() < 1e-10 * max(1, abs(peer))


def test_blocks_and_units_hold_the_same_sums():
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.3, size=(30, 5, 8))
    sums = score_sums(
        rng.gamma(1, 0.3, size=counts.shape), counts, np.full(8, 0.3), np.repeat(np.arange(3), 10)
    )
    for key in ("nll", "null_nll", "test_null_nll", "spikes"):
        assert sums.blocks[key].sum() == pytest.approx(sums.units[key].sum(), rel=1e-12)
        assert len(sums.blocks[key]) == 3 and len(sums.units[key]) == 8
    assert sums.windows == 30 and sums.bins == 150
    assert sums.blocks["bins"].tolist() == [50, 50, 50]


@pytest.mark.parametrize("held", [True, False])
def test_squared_errors_and_variation_by_the_step_are_those_of_r2(held):
    rng = np.random.default_rng(1)
    counts = rng.poisson(0.4, size=(30, 5, 8))
    rates = rng.gamma(1, 0.4, size=(30, 1 if held else 5, 8))
    steps = np.repeat([0, 1, 3], 10)
    sums = score_sums(rates, counts, np.full(8, 0.3), steps)
    errors = ((counts - rates) ** 2).sum(axis=(1, 2))
    about = ((counts - counts.mean(axis=(0, 1))) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(sums.blocks["squared_error"], np.bincount(steps, errors))
    np.testing.assert_allclose(sums.blocks["variation"], np.bincount(steps, about), atol=1e-9)
    assert sums.r2 == pytest.approx(1 - errors.sum() / about.sum())


@pytest.mark.parametrize("held", [True, False])
def test_the_training_mean_scores_exactly_zero_against_its_own_null(held):
    rates = drifting(3000, 12)
    counts = np.random.default_rng(1).poisson(rates).astype(np.uint8)
    domains = np.repeat([1, 2, 3], 1000).astype(np.uint8)
    null = training_mean(counts, domains)
    assert null == pytest.approx(counts[:2000].mean(axis=0))
    starts, block = forecast_starts(domains, "test", 10)
    shape = (len(starts), 1 if held else 10, 12)
    windows = gather(counts, starts, 10)
    sums = score_sums(np.broadcast_to(null, shape), windows, null, block)
    assert pooled_bits(sums) == 0.0
    assert (unit_bits(sums) == 0.0).all()
    assert pooled_bits(sums, "test_null") < 0


def test_the_true_rates_score_above_zero_and_a_held_rate_is_its_repetition():
    rates = drifting(20000, 10)
    counts = np.random.default_rng(1).poisson(rates).astype(np.uint8)
    domains = np.repeat([1, 3], 10000).astype(np.uint8)
    null = training_mean(counts, domains)
    starts, block = forecast_starts(domains, "test", 5)
    windows = gather(counts, starts, 5)
    oracle = score_sums(gather(rates, starts, 5), windows, null, block)
    assert pooled_bits(oracle) > 0.03
    assert pooled_bits(oracle, "test_null") > 0.03
    assert oracle.r2 > 0 and np.nanmean(oracle.units["correlation"]) > 0.1

    first = gather(rates, starts, 1)
    held = score_sums(first, windows, null, block)
    repeated = score_sums(np.repeat(first, 5, axis=1), windows, null, block)
    for key, values in repeated.units.items():
        assert held.units[key] == pytest.approx(values, rel=1e-9), key
    assert pooled_bits(held) == pytest.approx(pooled_bits(repeated), rel=1e-9)
    assert held.r2 == pytest.approx(repeated.r2, rel=1e-9)


def test_a_null_that_saw_each_windows_counts_puts_even_the_true_rates_below_zero():
    """The published mistake, on purpose: one free parameter for every unit and window."""
    rates = drifting(200_000, 10, seconds=5.0)
    counts = np.random.default_rng(1).poisson(rates).astype(np.float64)
    found = {}
    for length in (13, 25, 50):
        starts = np.arange(0, len(rates) - length + 1, length)
        windows, true = gather(counts, starts, length), gather(rates, starts, length)
        seen = neg_log_likelihood(windows.mean(axis=1, keepdims=True), windows)
        model = neg_log_likelihood(true, windows)
        found[length] = (seen - model) / windows.sum() / np.log(2)
        assert bits_per_spike(true, windows) > 0.05
    # At a quarter, a half and one second.
    assert list(found.values()) == pytest.approx([-0.27, -0.14, -0.07], abs=0.035)


def test_sums_of_batches_are_the_sums_of_the_whole():
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.4, size=(40, 10, 6))
    rates = rng.gamma(1, 0.4, size=counts.shape)
    block = np.sort(rng.integers(0, 4, size=40))
    null = np.full(6, 0.4)
    whole = score_sums(rates, counts, null, block)
    scorer = Scorer(null, 4)
    for part in np.array_split(np.arange(40), 7):
        scorer.add(rates[part], counts[part], block[part])
    batched = scorer.sums()
    for group in ("blocks", "units"):
        for key, values in getattr(whole, group).items():
            assert getattr(batched, group)[key] == pytest.approx(values, rel=1e-12), key
    assert batched.r2 == pytest.approx(whole.r2) and batched.windows == whole.windows


def test_correlation_and_r2_are_those_of_numpy_and_nan_where_a_unit_is_constant():
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.8, size=(25, 4, 3))
    counts[..., 2] = 0
    rates = rng.gamma(2, 0.4, size=counts.shape)
    rates[..., 1] = 0.7
    sums = score_sums(rates, counts, np.full(3, 0.8), np.zeros(25, int))
    flat_rates, flat = rates.reshape(-1, 3), counts.reshape(-1, 3)
    expected = np.corrcoef(flat_rates[:, 0], flat[:, 0])[0, 1]
    assert sums.units["correlation"][0] == pytest.approx(expected)
    assert np.isnan(sums.units["correlation"][1:]).all()
    residual = ((flat - flat_rates) ** 2).sum()
    assert sums.r2 == pytest.approx(1 - residual / ((flat - flat.mean(axis=0)) ** 2).sum())


def test_a_silent_unit_has_no_bits_of_its_own():
    counts = np.random.default_rng(0).poisson(0.5, size=(20, 5, 3))
    counts[..., 0] = 0
    sums = score_sums(np.full((20, 1, 3), 0.5), counts, np.full(3, 0.4), np.zeros(20, int))
    bits = unit_bits(sums)
    assert np.isnan(bits[0]) and np.isfinite(bits[1:]).all()


def test_a_unit_silent_in_the_fit_domain_has_half_a_spike_there_as_its_null():
    counts = np.zeros((100, 2), np.uint8)
    counts[:80:8, 1] = 1
    domains = np.array([1] * 60 + [2] * 20 + [3] * 20, np.uint8)
    assert training_mean(counts, domains) == pytest.approx([0.5 / 80, 10 / 80])


def test_sessions_pool_by_their_sums_and_not_by_their_ratios():
    rng = np.random.default_rng(0)
    pair = []
    for windows, rate in ((10, 0.1), (50, 0.9)):
        counts = rng.poisson(rate, size=(windows, 5, 4))
        shape = (windows, 1, 4)
        null = np.full(4, rate * 2)
        pair.append(score_sums(np.full(shape, rate), counts, null, np.zeros(windows, int)))
    gain = sum((s.units["null_nll"] - s.units["nll"]).sum() for s in pair)
    spikes = sum(s.units["spikes"].sum() for s in pair)
    assert pooled_bits(pair) == pytest.approx(gain / spikes / np.log(2))


def test_nan_rates_and_shapes_that_differ_are_refused():
    counts = np.zeros((4, 5, 3), int)
    null = np.ones(3)
    with pytest.raises(InputError, match="NaN"):
        score_sums(np.full((4, 5, 3), np.nan), counts, null, np.zeros(4, int))
    with pytest.raises(InputError, match="shape"):
        score_sums(np.ones((4, 2, 3)), counts, null, np.zeros(4, int))
    with pytest.raises(InputError, match="no forecast window"):
        score_sums(np.ones((0, 5, 3)), counts[:0], null, np.zeros(0, int))
