"""Scores of several horizons from one pass of forecasts, and the shuffled control."""

from __future__ import annotations

import numpy as np
import pytest

from spikeline.horizon.scores.bits_per_spike import (
    pooled_bits,
    score_sums,
    training_mean,
)
from spikeline.horizon.scores.tiled import score_horizons
from spikeline.horizon.scores.windows import forecast_starts, gather


@pytest.fixture(scope="module")
def session():
    """A common rate that swings over seconds: counts, domains, true rates."""
    rng = np.random.default_rng(0)
    swing = np.exp(np.sin(np.arange(2000) / 37))[:, None]
    rates = 0.2 * swing * np.array([0.5, 1.0, 2.0])
    domains = np.repeat(np.array([1, 3, 2, 3], np.uint8), 500)
    return rng.poisson(rates).astype(np.uint8), domains, rates


def truth(rates: np.ndarray, batches: int = 3):
    # another window's truth may be asked for further than the session lasts
    rates = np.pad(rates, ((0, 50), (0, 0)), mode="edge")

    def forecast(starts, lengths):
        for length in np.unique(lengths):
            for places in np.array_split(np.flatnonzero(lengths == length), batches):
                yield places, gather(rates, starts[places], int(length))

    return forecast


def test_each_horizon_scores_as_if_it_were_alone(session):
    counts, domains, rates = session
    null = training_mean(counts, domains)
    found = score_horizons(truth(rates), counts, domains, null, (100, 500, 1000), 0.02)
    for ms, length in ((100, 5), (500, 25), (1000, 50)):
        starts, block = forecast_starts(domains, "test", length)
        seen = gather(counts, starts, length)
        alone = score_sums(gather(rates, starts, length), seen, null, block)
        assert found[str(ms)].windows == alone.windows
        for key in ("nll", "null_nll", "test_null_nll", "spikes"):
            np.testing.assert_allclose(found[str(ms)].blocks[key], alone.blocks[key])
        np.testing.assert_allclose(found[str(ms)].units["correlation"], alone.units["correlation"])


def test_the_truth_of_another_moment_is_worse_than_the_null(session):
    counts, domains, rates = session
    null = training_mean(counts, domains)
    arguments = (truth(rates), counts, domains, null, (100, 1000), 0.02)
    known, control = score_horizons(*arguments), score_horizons(*arguments, shuffled=True)
    for ms in ("100", "1000"):
        assert pooled_bits(known[ms]) > 0.05
        assert pooled_bits(control[ms]) < 0
        assert control[ms].windows == known[ms].windows
    again = score_horizons(*arguments, shuffled=True)
    assert pooled_bits(again["100"]) == pooled_bits(control["100"])
