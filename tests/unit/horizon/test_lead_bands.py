"""Lead bands: which windows they are fitted on, and what becomes of their rates."""

from __future__ import annotations

import numpy as np
import pytest

from spikeline.horizon.baselines.lead_bands import LeadBands, means_before, spikes_before
from spikeline.horizon.spike_history import running_mean

BIN_S = 0.02


@pytest.mark.parametrize(
    ("horizons", "ends"),
    [
        ([5, 10, 25, 50], [1, 2, 5, 10, 25, 50]),
        ([50], [1, 2, 5, 12, 30, 50]),
        ([50, 3], [1, 2, 3, 8, 20, 50]),
        ([1], [1]),
        ([2, 3], [1, 2, 3]),
    ],
)
def test_each_horizon_ends_with_a_band_and_no_band_grows_too_fast(horizons, ends):
    bands = LeadBands(horizons)
    assert bands.ends.tolist() == ends and len(bands) == len(ends)
    assert bands.spans[0] == (0, 1) and sum(bands.widths) == max(horizons)


def test_a_band_is_fitted_where_it_lies_wholly_in_the_mask():
    bands, mask = LeadBands([50]), np.zeros(200, bool)
    mask[100:140] = True
    for band, (first, end) in enumerate(bands.spans):
        starts, stride = bands.starts(mask, band, 1000)
        wanted = [t for t in range(0, 151, stride) if mask[t + first : t + end].all()]
        assert starts.tolist() == wanted
        assert (np.diff(starts) == stride).all()


def test_more_windows_than_asked_for_are_thinned_to_one_grid():
    bands, mask = LeadBands([50]), np.ones(1000, bool)
    for band in range(len(bands)):
        starts, stride = bands.starts(mask, band, 100)
        assert stride % 10 == 0 and len(starts) <= 100 and (starts % 10 == 0).all()


def test_the_mean_counts_of_a_band_are_those_of_its_bins():
    counts = np.random.default_rng(0).poisson(0.5, (80, 3)).astype(np.uint8)
    bands, starts = LeadBands([10]), np.array([0, 7, 40])
    for band, (first, end) in enumerate(bands.spans):
        found = bands.means(spikes_before(counts), starts, band)
        wanted = [counts[t + first : t + end].mean(axis=0) for t in starts]
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_each_bin_of_a_window_has_the_rate_of_its_band():
    bands = LeadBands([3, 5, 10])
    rates = np.arange(5 * 4 * 2, dtype=np.float32).reshape(5, 4, 2)
    lengths = np.array([10, 2, 10, 12])
    seen = np.zeros(4, bool)
    for batch, found in bands.expanded(rates, lengths):
        for row, one in zip(batch, found, strict=True):
            seen[row] = True
            assert one.shape == (lengths[row], 2)
            for bin_, value in enumerate(one):
                inside = [k for k, (a, b) in enumerate(bands.spans) if a <= bin_ < b]
                np.testing.assert_array_equal(value, rates[inside[0] if inside else 4, row])
    assert seen.all()


@pytest.mark.parametrize("seconds", [0.04, 0.5, 30.0])
def test_means_before_some_bins_are_rows_of_the_running_mean(seconds):
    counts = np.random.default_rng(0).poisson(0.3, (4000, 5)).astype(np.uint8)
    mean = np.linspace(0.1, 0.6, 5).astype(np.float32)
    starts = np.array([0, 1, 17, 3999, 400])
    found = means_before(counts, mean, starts, (seconds,), BIN_S)[0]
    wanted = running_mean(counts, mean, seconds, BIN_S)[starts]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
