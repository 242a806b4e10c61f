"""A unit's gain of late: worked by hand, causal, and read where rates drift."""

from __future__ import annotations

import numpy as np
import pytest
from defaults import settings

from spikeline.horizon.regression.fitting import fit_regression
from spikeline.horizon.regression.online_gain import expected, gains, totals, whole_seconds
from spikeline.horizon.scores.bits_per_spike import bits_per_spike, training_mean
from spikeline.horizon.scores.windows import forecast_starts, gather

BIN_S = 0.02
SMALL = settings(
    "fit-regression",
    lead_bins_ms=[100, 500],
    own_traces_s=[0.1],
    population_traces_s=[0.1],
    principal_components=2,
    reduced_ranks=[],
    rank_ridges=[],
)


def test_the_gain_is_the_discounted_ratio_worked_by_hand():
    came = np.array([[4.0], [0.0], [6.0]])
    forecast = np.array([[2.0], [2.0], [2.0]])
    d = np.exp(-1 / 10)
    found = gains(came, forecast, np.array([0, 49, 50, 149, 150, 400]), BIN_S, 10.0, 3.0)[:, 0]
    one = (3 + 4 * d) / (3 + 2 * d)
    two = (3 + 4 * d**2) / (3 + 2 * d**2 + 2 * d)
    three = (3 + 4 * d**3 + 6 * d) / (3 + 2 * d**3 + 2 * d**2 + 2 * d)
    # Nothing is known before the first second is over; behind the last the gain is kept.
    np.testing.assert_allclose(found, [1, 1, one, two, three, three])


def test_seconds_are_those_that_are_over_and_their_spikes_are_summed():
    counts = np.arange(240).reshape(120, 2).astype(np.uint8)
    seconds = whole_seconds(120, BIN_S)
    np.testing.assert_array_equal(seconds, [0, 50])
    by_hand = [counts[:50].sum(axis=0), counts[50:100].sum(axis=0)]
    np.testing.assert_array_equal(totals(counts, seconds, BIN_S), by_hand)
    assert not len(whole_seconds(49, BIN_S))


def test_a_second_is_expected_from_its_lead_bins_and_the_last_is_held():
    rates = np.array([0.1, 0.2, 0.4])[:, None, None]
    found = expected(rates, np.array([5, 10, 25]), BIN_S)
    assert found[0, 0] == pytest.approx(5 * 0.1 + 5 * 0.2 + 40 * 0.4)
    # Lead bins that reach beyond the second count up to it.
    found = expected(rates, np.array([5, 40, 100]), BIN_S)
    assert found[0, 0] == pytest.approx(5 * 0.1 + 35 * 0.2 + 10 * 0.4)


@pytest.fixture(scope="module")
def drifting():
    """Counts of 6 units whose rates wander over minutes, and the bins to fit."""
    rng = np.random.default_rng(2)
    bins = 30_000
    gain = np.cumsum(rng.normal(0, 0.012, (bins, 6)), axis=0)
    counts = rng.poisson(np.exp(np.clip(gain - 1.5, -4, 1))).astype(np.uint8)
    return counts, np.arange(bins) < 24_000


@pytest.fixture(scope="module")
def regression(drifting):
    return fit_regression(*drifting, BIN_S, SMALL)


def rates_of(regression, counts, starts, length=25):
    rates = np.full((len(starts), length, counts.shape[1]), np.nan)
    for rows, part in regression.forecasts(counts, starts, np.full(len(starts), length)):
        rates[rows] = part
    return rates


def bits(regression, counts, fit):
    domains = np.where(fit, 1, 3).astype(np.uint8)
    starts, _ = forecast_starts(domains, "test", 25)
    null = training_mean(counts, domains)
    return bits_per_spike(rates_of(regression, counts, starts), gather(counts, starts, 25), null)


def test_validation_reads_the_gain_of_late_where_rates_drift_and_it_helps(drifting, regression):
    counts, fit = drifting
    without = fit_regression(counts, fit, BIN_S, {**SMALL, "online_gain": "never"})
    assert regression.online_s.all() and not without.online_s.any()
    assert bits(regression, counts, fit) > bits(without, counts, fit) + 0.02


def test_validation_leaves_it_out_where_rates_are_steady():
    counts = np.random.default_rng(0).poisson(0.2, (20_000, 6)).astype(np.uint8)
    fit = np.arange(20_000) < 14_000
    found = fit_regression(counts, fit, BIN_S, {**SMALL, "online_gain_spikes": [1]})
    assert not found.online_s.any()
    assert abs(bits(found, counts, fit)) < 0.003


def test_counts_from_the_start_on_change_no_gain(drifting, regression):
    counts, _ = drifting
    starts = np.array([0, 30, 75, 10_010, 26_049, 26_050])
    known = rates_of(regression, counts, starts)
    for place, start in enumerate(starts):
        other = counts.copy()
        other[start:] = 9
        np.testing.assert_array_equal(rates_of(regression, other, starts)[place], known[place])
    # A whole second that is over does.
    other = counts.copy()
    other[25_000:25_050] += 3
    assert not np.allclose(rates_of(regression, other, starts)[-1], known[-1])


def test_windows_are_forecast_alike_whichever_others_are_asked_for(drifting, regression):
    counts, _ = drifting
    starts = np.array([25_000, 27_777, 29_000])
    together = rates_of(regression, counts, starts)
    alone = np.concatenate([rates_of(regression, counts, starts[k : k + 1]) for k in range(3)])
    np.testing.assert_allclose(alone, together, rtol=1e-5)
