"""Stretches of the future, and forecasts between their middles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forecaster_toys import SETTINGS, forecaster, geometry_of, recording_of, session

from spikeline.horizon.forecaster.batches import past_of
from spikeline.horizon.forecaster.lead_bins import interpolation, middles, stretches
from spikeline.horizon.forecaster.prediction import forecast


def test_stretches_cover_the_future_without_a_gap_and_grow():
    for bins, count in [(50, 10), (50, 1), (5, 10), (7, 6), (1, 3)]:
        edges = stretches(bins, count)
        assert edges[0] == 0 and edges[-1] == bins and len(edges) == min(bins, count) + 1
        assert (np.diff(edges) > 0).all()
        assert (middles(edges) >= edges[:-1]).all() and (middles(edges) < edges[1:]).all()
    assert (np.diff(stretches(50, 10), 2) >= -1).all()


@pytest.mark.parametrize("bins", [1, 4, 5, 25, 50])
def test_between_knots_lies_a_line_and_beyond_them_the_last_is_held(bins):
    knots = middles(stretches(50, 10))
    heights = np.random.default_rng(0).normal(size=len(knots))
    weights = interpolation(knots, bins)
    expected = np.interp(np.arange(bins), knots, heights)
    found = weights @ heights[: weights.shape[1]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_as_many_stretches_as_bins_leave_nothing_between():
    knots = middles(stretches(7, 7))
    np.testing.assert_array_equal(interpolation(knots, 7), np.eye(7))


def test_between_the_middles_of_stretches_a_forecast_is_interpolated():
    settings = {**SETTINGS, "stretches": 3}
    recording, geometry = recording_of(session("a")), geometry_of(settings)
    model, starts = forecaster(settings), np.array([100, 300])
    past = past_of(recording, starts, geometry)
    with torch.no_grad():
        direct = model(past, recording.population).numpy()
    knots = model.knots
    np.testing.assert_array_equal(knots, middles(geometry.edges))
    for bins in (4, geometry.future_bins):
        (_, rates), *_ = forecast(model, recording, geometry, starts, np.full(2, bins))
        for window, unit in np.ndindex(2, recording.units):
            line = np.interp(np.arange(bins), knots, direct[window, :, unit])
            np.testing.assert_allclose(np.log(rates[window, :, unit]), line, rtol=1e-4, atol=1e-5)
