"""The state of units at a window's start, counted by hand."""

import numpy as np
import torch

from spikeline.horizon.forecaster.unit_state import (
    LAST_BINS,
    feature_count,
    level_column,
    unit_state,
)

TRACES_S = (0.1, 1.0, 50.0)


def state_of(traces, weights, known=None, last=None, reference=None):
    units = traces.shape[1]
    if known is None:
        known = torch.ones(1, units, dtype=torch.bool)
    if last is None:
        last = torch.zeros(1, LAST_BINS, units)
    if reference is None:
        reference = torch.full((units,), -3.0)
    return unit_state(traces, weights, last, reference, known, TRACES_S)


def test_the_level_is_the_longest_trace_drawn_to_the_population_by_half_a_spike():
    traces = torch.tensor([[[0.0, 1.0, 30.0], [0.0, 0.0, 10.0]]])
    weights = torch.tensor([[5.0, 50.0, 1000.0]])
    mean = (20 + 0.5) / (1000 + 0.5 / 0.05)
    expected = [np.log((n + 0.5) / (1000 + 0.5 / mean)) for n in (30, 10)]
    np.testing.assert_allclose(state_of(traces, weights).level[0], expected, rtol=1e-5)


def test_traces_compare_what_was_with_what_the_level_expects():
    traces = torch.tensor([[[2.0, 1.0, 30.0], [0.0, 0.0, 10.0]]])
    weights = torch.tensor([[5.0, 50.0, 1000.0]])
    state = state_of(traces, weights)
    rate = np.exp(state.level[0, 0].item())
    assert abs(state.traces[0, 0, 0].item() - np.log((2 + 1) / (5 * rate + 1))) < 1e-5
    root = 2 * (np.sqrt(2.25) - np.sqrt(5 * rate + 0.25))
    assert abs(state.stabilised[0, 0, 0].item() - root) < 1e-5
    both = np.exp(state.level[0].numpy()).sum()
    shared = np.log((2 + 3) / (5 * both + 3))
    assert abs(state.features[0, 0, level_column(TRACES_S) + 1].item() - shared) < 1e-5


def test_nothing_is_read_of_a_hidden_unit_by_itself_or_by_others():
    weights = torch.tensor([[5.0, 50.0, 1000.0]])
    known = torch.tensor([[True, False]])
    found = [
        state_of(
            torch.tensor([[[2.0, 1.0, 30.0], [n, n, n]]]),
            weights,
            known,
            torch.tensor([[[1.0, n]] * LAST_BINS]),
        )
        for n in (0.0, 9.0)
    ]
    torch.testing.assert_close(found[0].features, found[1].features)
    assert found[0].level[0, 1] == -3
    assert (found[0].traces[0, 1] == 0).all()
    assert (found[0].stabilised[0, 1] == 0).all()


def test_before_the_first_bin_every_unit_is_alike():
    state = state_of(torch.zeros(1, 3, 3), torch.zeros(1, 3))
    assert state.features.shape == (1, 3, feature_count(TRACES_S))
    np.testing.assert_allclose(state.level, np.log(0.05), rtol=1e-5)
