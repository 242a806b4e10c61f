"""Traces before any bin: what the written sum says, and nothing of the future."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeline.horizon import spike_history
from spikeline.horizon.regression.histories import Histories
from spikeline.horizon.spike_history import (
    decays,
    log_trace,
    running_mean,
    stabilised_trace,
    traces,
    window_weights,
)

CONSTANTS = (0.02, 0.2, 5.0)


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    return np.random.default_rng(0).poisson(0.3, size=(300, 4)).astype(np.uint8)


def written_out(counts: np.ndarray, start: int, seconds: float) -> np.ndarray:
    ages = np.arange(start - 1, -1, -1)
    return (np.exp(-0.02 / seconds) ** ages) @ counts[:start].astype(np.float64)


def test_traces_are_the_written_sum_at_starts_in_any_order(counts):
    starts = np.array([300, 0, 17, 17, 1, 250])
    found = traces(counts, starts, CONSTANTS, 0.02)
    for k, seconds in enumerate(CONSTANTS):
        due = [written_out(counts, start, seconds) for start in starts]
        np.testing.assert_allclose(found[k], due, rtol=1e-4, atol=1e-5)


def test_traces_do_not_depend_on_how_many_bins_are_filtered_at_once(counts, monkeypatch):
    starts = np.arange(0, 301, 3)
    whole = traces(counts, starts, CONSTANTS, 0.02)
    monkeypatch.setattr(spike_history, "_CHUNK", 7 * counts.shape[1])
    np.testing.assert_array_equal(traces(counts, starts, CONSTANTS, 0.02), whole)


def weights_at(starts):
    return window_weights(starts, decays(np.array(CONSTANTS), 0.02)[:, None]).astype(np.float32)


def test_weights_are_the_traces_of_one_spike_per_bin():
    starts = np.array([0, 1, 40, 299])
    ones = traces(np.ones((300, 1)), starts, CONSTANTS, 0.02)[..., 0]
    np.testing.assert_allclose(weights_at(starts), ones, rtol=1e-4)


def test_both_comparisons_are_zero_for_units_at_their_mean_and_at_the_start():
    weight = weights_at(np.array([0, 10, 200]))[..., None]
    steady = weight * np.array([0.01, 2.0], np.float32)
    assert np.abs(log_trace(steady, steady.copy(), pseudo_count=0.25)).max() < 1e-6
    assert np.abs(stabilised_trace(steady, steady.copy(), weight, pseudo_count=0.25)).max() < 1e-6


def test_a_log_trace_is_the_written_ratio_for_arrays_and_tensors():
    trace, expected = np.array([0.0, 1.0, 7.0]), np.array([2.0, 2.0, 0.1])
    due = [np.log(0.5 / 2.5), np.log(1.5 / 2.5), np.log(7.5 / 0.6)]
    np.testing.assert_allclose(log_trace(trace, expected, pseudo_count=0.5), due)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        tensors = (torch.from_numpy(values).to(device) for values in (trace, expected))
        found = log_trace(*tensors, pseudo_count=0.5)
        assert found.device.type == device
        np.testing.assert_allclose(found.cpu(), due)
        decay = decays(torch.tensor(CONSTANTS, device=device), 0.02)
        np.testing.assert_allclose(decay.cpu(), decays(np.array(CONSTANTS), 0.02), rtol=1e-6)


def test_a_running_mean_knows_the_bins_before_and_no_other():
    counts = np.zeros((50, 1), np.uint8)
    counts[10] = 1
    mean = running_mean(counts, np.zeros(1, np.float32), 0.1, 0.02)[:, 0]
    keep = np.exp(-0.02 / 0.1)
    assert (mean[:11] == 0).all() and mean.dtype == np.float32
    np.testing.assert_allclose(mean[11:], (1 - keep) * keep ** np.arange(39), rtol=1e-4)
    constant = running_mean(np.full((50, 1), 3, np.uint8), np.array([3.0]), 0.5, 0.02)
    np.testing.assert_allclose(constant, 3, rtol=1e-5)


def test_stabilised_traces_of_quiet_and_busy_units_have_about_the_same_noise():
    rates = np.array([0.1, 0.5, 2.0])
    counts = np.random.default_rng(1).poisson(rates, size=(5000, 3))
    known = Histories.before(counts, np.arange(500, 5001), [1.0], [1.0], 0.02)
    deviation = known.population(rates).std(axis=0)
    assert deviation.max() / deviation.min() < 1.3


def test_some_windows_of_histories_are_those_of_their_own_starts(counts):
    known = Histories.before(counts, np.arange(0, 300, 5), [0.1], [0.2, 1.0], 0.02)
    direct = Histories.before(counts, np.array([10, 50]), [0.1], [0.2, 1.0], 0.02)
    rate = counts.mean(axis=0)
    part = known.at(np.array([2, 10]))
    np.testing.assert_allclose(part.own(rate), direct.own(rate), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(part.population(rate), direct.population(rate), atol=1e-5)
