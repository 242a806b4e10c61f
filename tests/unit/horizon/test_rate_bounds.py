"""Bounds of forecast rates: hand-worked, and around what the data hold."""

from __future__ import annotations

import numpy as np
import pytest

from spikeline.errors import InputError
from spikeline.horizon.rate_bounds import MARGIN, rate_bounds
from spikeline.horizon.scores.bits_per_spike import training_mean

BIN_S = 0.02


def test_bounds_are_those_of_a_case_worked_by_hand():
    counts = np.zeros((20, 2), np.uint8)
    # in any 5 bins of the fit 3 spikes at most, in 10 bins 4; the longest silence is bins 8 to 14
    counts[[3, 5, 15], 0] = 1, 2, 1
    counts[7, 0] = 1
    counts[19, 0] = 200
    fit = np.arange(20) < 18
    bounds = rate_bounds(counts, fit, [1, 5, 10], BIN_S)
    np.testing.assert_allclose(bounds.lowest, [1 / (2 * 8), 1 / (2 * 19)])
    # bins 3 to 7 hold 1 + 2 + 1 spikes; a span of one bin counts as the 5 bins of 100 ms
    np.testing.assert_allclose(bounds.highest[:, 0], [2 * 5 / 5, 2 * 5 / 5, 2 * 5 / 10])
    np.testing.assert_allclose(bounds.highest[:, 1], [2 / 5, 2 / 5, 2 / 10])


def test_windows_and_silences_end_where_a_run_of_the_fit_does():
    counts = np.ones((60, 1), np.uint8)
    counts[20:40] = 0
    counts[[19, 40]] = 5
    fit = np.ones(60, bool)
    fit[25:35] = False
    bounds = rate_bounds(counts, fit, [25, 60], BIN_S)
    # bins 20 to 24 and 35 to 39 are silent, not 20 to 39
    np.testing.assert_allclose(bounds.lowest, 1 / (2 * 6))
    # 25 bins before the gap hold 19 + 5 spikes; no run holds 60 bins, the longest has 25
    np.testing.assert_allclose(bounds.highest[:, 0], MARGIN * 25 / 25)


def test_the_mean_and_every_count_of_the_fit_lie_within():
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.geomspace(0.001, 1, 12), (3000, 12)).astype(np.uint8)
    domains = np.repeat([1, 2, 3], 1000).astype(np.uint8)
    fit = domains < 3
    bounds = rate_bounds(counts, fit, [5, 50], BIN_S)
    mean = training_mean(counts, domains)
    assert (bounds.lowest <= mean).all() and (mean <= bounds.highest).all()
    seen = counts[:2000].reshape(-1, 50, 12).mean(axis=1)
    assert (seen <= bounds.highest[1] / MARGIN).all()


def test_rates_that_leave_the_bounds_are_brought_back_and_others_stay():
    counts = np.zeros((100, 1), np.uint8)
    counts[::10] = 1
    bounds = rate_bounds(counts, np.ones(100, bool), [10], BIN_S)
    rates = np.array([[1e12], [0.1], [0.0], [np.inf]], np.float32)
    found = bounds.clip(rates, 0)
    np.testing.assert_allclose(found[:, 0], [0.4, 0.1, 0.05, 0.4])
    assert found is rates


def test_units_counted_a_few_at_a_time_have_the_same_bounds(monkeypatch):
    counts = np.random.default_rng(1).poisson(0.1, (500, 7)).astype(np.uint8)
    fit = np.arange(500) % 100 < 80
    whole = rate_bounds(counts, fit, [5, 25], BIN_S)
    monkeypatch.setattr("spikeline.horizon.rate_bounds._CHUNK", 200)
    parts = rate_bounds(counts, fit, [5, 25], BIN_S)
    np.testing.assert_array_equal(whole.lowest, parts.lowest)
    np.testing.assert_array_equal(whole.highest, parts.highest)


def test_a_fit_without_a_bin_has_no_bounds():
    with pytest.raises(InputError, match="the fit has no bin"):
        rate_bounds(np.zeros((10, 1), np.uint8), np.zeros(10, bool), [5], BIN_S)
