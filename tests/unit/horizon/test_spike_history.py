"""Traces before any bin: what the written sum says, and nothing of the future."""

from __future__ import annotations

import numpy as np
import pytest

from spikeline.horizon import spike_history as histories

CONSTANTS = (0.02, 0.2, 5.0)


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    return np.random.default_rng(0).poisson(0.3, size=(300, 4)).astype(np.uint8)


def written_out(counts: np.ndarray, start: int, seconds: float) -> np.ndarray:
    ages = np.arange(start - 1, -1, -1)
    return (np.exp(-0.02 / seconds) ** ages) @ counts[:start].astype(np.float64)


def test_traces_are_the_written_sum_at_starts_in_any_order(counts):
    starts = np.array([300, 0, 17, 17, 1, 250])
    found = histories.traces(counts, starts, CONSTANTS, 0.02)
    for k, seconds in enumerate(CONSTANTS):
        due = [written_out(counts, start, seconds) for start in starts]
        np.testing.assert_allclose(found[k], due, rtol=1e-4, atol=1e-5)


def test_traces_do_not_depend_on_how_many_bins_are_filtered_at_once(counts, monkeypatch):
    starts = np.arange(0, 301, 3)
    whole = histories.traces(counts, starts, CONSTANTS, 0.02)
    monkeypatch.setattr(histories, "_CHUNK", 7 * counts.shape[1])
    np.testing.assert_array_equal(histories.traces(counts, starts, CONSTANTS, 0.02), whole)


def test_weights_are_the_traces_of_one_spike_a_bin():
    starts = np.array([0, 1, 40, 299])
    ones = histories.traces(np.ones((300, 1)), starts, CONSTANTS, 0.02)[..., 0]
    np.testing.assert_allclose(histories.weights(starts, CONSTANTS, 0.02), ones, rtol=1e-4)


def test_both_readings_are_zero_for_units_at_their_mean_and_at_the_start():
    starts = np.array([0, 10, 200])
    weight = histories.weights(starts, CONSTANTS, 0.02)
    rate = np.array([0.01, 2.0])
    steady = weight[..., None] * rate.astype(np.float32)
    assert np.abs(histories.log_traces(steady, weight, rate)).max() < 1e-6
    assert np.abs(histories.stabilised_traces(steady, weight, rate)).max() < 1e-6


def test_stabilised_traces_of_quiet_and_busy_units_have_about_the_same_noise():
    rates = np.array([0.1, 0.5, 2.0])
    counts = np.random.default_rng(1).poisson(rates, size=(5000, 3))
    known = histories.Histories.before(counts, np.arange(500, 5001), [1.0], [1.0], 0.02)
    deviation = known.population(rates).std(axis=0)
    assert deviation.max() / deviation.min() < 1.3


def test_some_windows_of_histories_are_those_of_their_own_starts(counts):
    known = histories.Histories.before(counts, np.arange(0, 300, 5), [0.1], [0.2, 1.0], 0.02)
    direct = histories.Histories.before(counts, np.array([10, 50]), [0.1], [0.2, 1.0], 0.02)
    rate = counts.mean(axis=0)
    part = known.at(np.array([2, 10]))
    np.testing.assert_allclose(part.own(rate), direct.own(rate), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(part.population(rate), direct.population(rate), atol=1e-5)
