"""Spike trains whose expected counts are known exactly, whatever their regularity and bursts."""

from __future__ import annotations

import numpy as np

# A burst's spikes follow one another within these many seconds.
BURST_S = (0.003, 0.006)


def expected_counts(events: np.ndarray, burst: np.ndarray, bin_s: float) -> np.ndarray:
    """Spikes expected in each bin, from the events expected in it.

    An event is one spike, a second one with probability burst[0] and a third with burst[1], each a
    uniform delay after the one before. Events are equally likely anywhere in a bin, so a share
    delay / bin of the later spikes falls into the next bin.

    Args:
        events: (bins, units).
        burst: (units, 2).

    Returns:
        (bins, units).
    """
    before = np.concatenate([np.zeros_like(events[:1]), events[:-1]])
    counts = events.copy()
    for number in range(2):
        late = (number + 1) * np.mean(BURST_S) / bin_s
        counts += burst[:, number] * ((1 - late) * events + late * before)
    return counts


def draw_spikes(
    rng: np.random.Generator,
    events: np.ndarray,
    regularity: float,
    burst: np.ndarray,
    bin_s: float,
) -> np.ndarray:
    """Sorted spike times of one unit.

    Events are a gamma renewal process in time rescaled by the cumulative rate (Barbieri et al.
    2001), started in equilibrium, so that exactly `events` are expected in every bin.

    Args:
        events: (bins,) expected in each bin, positive.
        regularity: shape of the gamma distribution.
        burst: (2,) see `expected_counts`.
    """
    passed = np.concatenate([[0.0], np.cumsum(events)])
    edges = np.arange(len(passed)) * bin_s
    total = passed[-1]
    number = int(total + 8 * np.sqrt(total / min(regularity, 1.0)) + 20)
    gaps = rng.gamma(regularity, 1 / regularity, number)
    # An arbitrary time falls uniformly into an interval of length-biased distribution.
    gaps[0] = rng.random() * rng.gamma(regularity + 1, 1 / regularity)
    stamps = np.cumsum(gaps)
    times = np.interp(stamps[stamps < total], passed, edges)
    second, third = (rng.random(len(times)) < share for share in burst / _at_least(1.0, burst))
    third &= second
    delays = rng.uniform(*BURST_S, (2, len(times)))
    later = [times[second] + delays[0][second], times[third] + delays.sum(axis=0)[third]]
    times = np.sort(np.concatenate([times, *later]))
    return times[times < edges[-1]]


def _at_least(first: float, burst: np.ndarray) -> np.ndarray:
    """The probabilities that those of the later spikes are conditional on."""
    return np.array([first, max(burst[0], 1e-12)])
