"""Lead bins, and forecasts between their centres."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forecaster_toys import SETTINGS, forecaster, geometry_of, recording_of, session

from spikeline.horizon.forecaster.batches import past_of
from spikeline.horizon.forecaster.lead_bins import centres, interpolation, lead_bin_edges
from spikeline.horizon.forecaster.prediction import forecast


def test_lead_bins_cover_the_horizon_without_a_gap_and_grow():
    for bins, count in [(50, 10), (50, 1), (5, 10), (7, 6), (1, 3)]:
        edges = lead_bin_edges(bins, count)
        assert edges[0] == 0 and edges[-1] == bins and len(edges) == min(bins, count) + 1
        assert (np.diff(edges) > 0).all()
        assert (centres(edges) >= edges[:-1]).all() and (centres(edges) < edges[1:]).all()
    assert (np.diff(lead_bin_edges(50, 10), 2) >= -1).all()


@pytest.mark.parametrize("bins", [1, 4, 5, 25, 50])
def test_between_centres_lies_a_line_and_beyond_them_the_last_is_held(bins):
    places = centres(lead_bin_edges(50, 10))
    heights = np.random.default_rng(0).normal(size=len(places))
    weights = interpolation(places, bins)
    expected = np.interp(np.arange(bins), places, heights)
    found = weights @ heights[: weights.shape[1]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_as_many_lead_bins_as_bins_leave_nothing_between():
    places = centres(lead_bin_edges(7, 7))
    np.testing.assert_array_equal(interpolation(places, 7), np.eye(7))


def test_between_the_centres_of_lead_bins_a_forecast_is_interpolated():
    settings = {**SETTINGS, "lead_bins": 3}
    recording, geometry = recording_of(session("a")), geometry_of(settings)
    model, starts = forecaster(settings), np.array([100, 300])
    past = past_of(recording, starts, geometry)
    with torch.no_grad():
        direct = model(past, recording.population).numpy()
    places = model.lead_centres
    np.testing.assert_array_equal(places, centres(geometry.edges))
    for bins in (4, geometry.future_bins):
        (_, rates), *_ = forecast(model, recording, geometry, starts, np.full(2, bins))
        for window, unit in np.ndindex(2, recording.units):
            line = np.interp(np.arange(bins), places, direct[window, :, unit])
            np.testing.assert_allclose(np.log(rates[window, :, unit]), line, rtol=1e-4, atol=1e-5)
