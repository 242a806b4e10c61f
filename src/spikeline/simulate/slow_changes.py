"""What real recordings have and a stationary simulation lacks: slow gain, units that come and go.

All are factors of a unit's rate, in bins of equal length, and know nothing of what drives it.
"""

from __future__ import annotations

import numpy as np

from spikeline.simulate.behaving.processes import low_pass, wander

# Of a unit's rate, what is left while it is away: the sorter still assigns it a spike at times.
AWAY = 0.02
# A unit is there for this part of the session, at the least and at the most.
_THERE = (0.25, 0.75)
# How fast a unit comes or goes, seconds.
_EDGE_S = 10.0
# A population burst: how long, seconds, and how much a unit takes part in it.
_BURST_S = (0.06, 0.25)
_TAKES_PART = (0.5, 1.5)


def slow_gain(
    rng: np.random.Generator,
    bins: int,
    units: int,
    bin_s: float,
    strength: float,
    shared: float,
    minutes: tuple[float, float],
) -> np.ndarray:
    """Log gain of each unit, (bins, units), of standard deviation `strength`.

    Ornstein-Uhlenbeck processes: one of all units, which has `shared` of the variance and reaches
    each unit with its own sign or size, and one of each unit's own.

    Args:
        bin_s: length of a bin, seconds.
        shared: share of the variance, 0 to 1.
        minutes: shortest and longest time constant; drawn between them on a log scale.
    """
    low, high = np.log(60 * np.asarray(minutes) / bin_s)
    memory = np.exp(rng.uniform(low, high, units + 1))
    # A slow process needs few samples, and the line between them.
    step = max(1, int(memory.min() / 50))
    knots = np.arange(0, bins + step, step)
    processes = wander(rng, len(knots), memory / step)
    loading = rng.normal(size=units)
    # Unit mean square over the units of a session.
    loading /= np.sqrt(max((loading**2).mean(), 1e-12))
    found = np.sqrt(shared) * processes[:, :1] * loading + np.sqrt(1 - shared) * processes[:, 1:]
    times = np.arange(bins)
    found = np.stack([np.interp(times, knots, column) for column in found.T], axis=1)
    return strength * found


def presence(
    rng: np.random.Generator, bins: int, units: int, bin_s: float, share: float
) -> np.ndarray:
    """Log gain of units that come and go, (bins, units): 0 while there, log AWAY while not.

    Args:
        share: of the units that are there for a part of the session only: from its start, to its
            end, or in between, a quarter to three quarters of it.
    """
    there = np.ones((bins, units))
    chosen = rng.permutation(units)[: round(share * units)]
    for unit in chosen:
        length = rng.uniform(*_THERE) * bins
        # The first to come and the last to go are as many as those in between.
        start = np.clip(rng.uniform(-0.5, 1.5), 0, 1) * (bins - length)
        there[:, unit] = 0
        there[int(start) : int(start + length), unit] = 1
    edge = _EDGE_S / bin_s
    # The filter starts from 0; the unit was before as it is at the start.
    smooth = low_pass(there, edge) + np.exp(-np.arange(1, bins + 1) / edge)[:, None] * there[0]
    return np.log(AWAY + (1 - AWAY) * np.clip(smooth, 0, 1))


def population_bursts(
    rng: np.random.Generator, bins: int, units: int, bin_s: float, per_minute: float, height: float
) -> np.ndarray:
    """Log gain of brief rises that all units share, (bins, units).

    Args:
        per_minute: bursts, at random times.
        height: log rate that a burst adds to a unit that takes part as most do.
    """
    course = np.zeros(bins)
    for start in rng.uniform(0, bins, rng.poisson(per_minute * bins * bin_s / 60)):
        length = rng.uniform(*_BURST_S) / bin_s
        course[int(start) : int(np.ceil(start + length))] = 1
    return height * course[:, None] * rng.uniform(*_TAKES_PART, units)
