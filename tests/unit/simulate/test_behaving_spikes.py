"""Spike trains: as many spikes as expected in every bin, whatever their rhythm."""

import numpy as np
import pytest

from spikeline.simulate.behaving.spikes import draw_spikes, expected_counts

BIN = 0.02
NO_BURST = np.zeros(2)


def counts(times, bins):
    return np.histogram(times, np.arange(bins + 1) * BIN)[0]


def trains(regularity, burst, repeats=3000):
    """Mean counts per bin over repeats, and what is expected."""
    rng = np.random.default_rng(0)
    events = 0.3 * np.exp(np.sin(np.arange(40) / 3))
    drawn = [draw_spikes(rng, events, regularity, burst, BIN) for _ in range(repeats)]
    mean = np.mean([counts(times, 40) for times in drawn], axis=0)
    return mean, expected_counts(events[:, None], burst[None], BIN)[:, 0]


@pytest.mark.parametrize(
    ("regularity", "burst"),
    [(1.0, NO_BURST), (4.0, NO_BURST), (0.5, NO_BURST), (1.0, np.array([0.6, 0.3]))],
)
def test_every_bin_holds_the_expected_count_on_average(regularity, burst):
    mean, expected = trains(regularity, burst)
    assert np.allclose(mean, expected, rtol=0.12)
    assert mean.sum() == pytest.approx(expected.sum(), rel=0.01)


def test_the_first_bins_are_no_exception():
    mean, expected = trains(4.0, NO_BURST, repeats=8000)
    assert np.allclose(mean[:3], expected[:3], rtol=0.06)


def test_regular_trains_have_even_intervals_and_bursts_short_ones():
    rng = np.random.default_rng(1)
    steady = np.full(20_000, 0.2)

    def intervals(regularity, burst):
        return np.diff(draw_spikes(rng, steady, regularity, burst, BIN))

    def variation(gaps):
        return gaps.std() / gaps.mean()

    assert variation(intervals(4.0, NO_BURST)) == pytest.approx(0.5, abs=0.03)
    assert variation(intervals(1.0, NO_BURST)) == pytest.approx(1.0, abs=0.04)
    bursting = intervals(1.0, np.array([0.5, 0.2]))
    assert variation(bursting) > 1.3
    assert np.mean((bursting > 0.003) & (bursting < 0.006)) > 0.3


def test_times_are_sorted_and_within_the_session():
    rng = np.random.default_rng(2)
    times = draw_spikes(rng, np.full(500, 2.0), 1.0, np.array([0.6, 0.3]), BIN)
    assert (np.diff(times) >= 0).all() and times[0] >= 0 and times[-1] < 10.0
