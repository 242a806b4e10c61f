r"""What is known of each unit when a window begins: its level, and how it has been doing of late.

With the traces y_k of a unit (horizon/spike_history.py) and the weights w_k of their windows, the
level is its expected count per bin under the longest window K, drawn to the population's mean m by
half a spike:

    level = log( (y_K + 1/2) / (w_K + 1/2/m) )

Units drift, come and go, so the level follows the last minutes and not the reference window. All
else is relative to it: log traces of every constant, the reference rate, the population's traces,
and the counts of the last bins. A hidden unit is at its reference rate, as busy as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spikeline.horizon.spike_history import log_trace

# Spikes: a unit that was expected to fire once and did not counts as half as busy; the population
# has many units, and is compared with less doubt.
PSEUDO_COUNT, POPULATION_PSEUDO_COUNT = 1.0, 3.0
# Seconds: the population is read up to here, beyond it says no more than each unit's own.
POPULATION_S = 2.0
LAST_BINS = 5
# Spikes at which a reference rate is compared, as if over so many bins.
_REFERENCE_BINS = 250.0
# Of all units together, in expected counts per bin, before anything is known.
_PRIOR_RATE = 0.05
# Bins that a session's first window finds at the reference rate, where there is no past at all.
_BEFORE = 1e-3
# Middle of the log rates of cortical units, so that squares are of something centred.
_MIDDLE_LEVEL = -4.0


@dataclass(frozen=True)
class UnitState:
    """Of a batch of windows.

    Attributes:
        level: (windows, units) log expected count per bin.
        traces: (windows, units, constants) log traces relative to the level.
        features: (windows, units, features) what the regression reads, see `feature_count`.
        stabilised: (windows, units, constants) square roots of traces less those of what the level
            expects, for the sums over units of `horizon.forecaster.adaptation`.
        means: (windows, units, constants) mean counts per bin under each window.
    """

    level: Tensor
    traces: Tensor
    features: Tensor
    stabilised: Tensor
    means: Tensor


def feature_count(traces_s: Sequence[float]) -> int:
    """Features of a unit: its traces, reference, level, the population's traces, its last bins."""
    return len(traces_s) + 2 + len(_population(traces_s)) + LAST_BINS


def level_column(traces_s: Sequence[float]) -> int:
    """Which feature is the level."""
    return len(traces_s) + 1


def unit_state(
    traces: Tensor,
    weights: Tensor,
    last: Tensor,
    reference: Tensor,
    known: Tensor,
    traces_s: Sequence[float],
) -> UnitState:
    """See the module.

    Args:
        traces: (windows, units, constants) spikes, the longest constant last.
        weights: (windows, constants) of their windows.
        last: (windows, LAST_BINS, units) counts of the bins before each window.
        reference: (units,) log expected counts per bin of the reference window.
        known: (windows, units) bool; nothing is read of a hidden unit but its reference.
        traces_s: (constants,) seconds, ascending.
    """
    shown = known[..., None]
    weights = weights[:, None]
    total = (traces[..., -1:] * shown).sum(1, keepdim=True)
    among = shown.sum(1, keepdim=True).clamp(min=1)
    mean = (total / among + 0.5) / (weights[..., -1:] + 0.5 / _PRIOR_RATE)
    level = ((traces[..., -1:] + 0.5) / (weights[..., -1:] + 0.5 / mean)).log()
    level = torch.where(shown, level, reference[:, None])
    expected = weights * level.exp()
    traces = torch.where(shown, traces, expected)
    own = log_trace(traces, expected, pseudo_count=PSEUDO_COUNT)
    against = log_trace(
        reference[:, None].exp() * _REFERENCE_BINS,
        level.exp() * _REFERENCE_BINS,
        pseudo_count=PSEUDO_COUNT,
    )
    part = _population(traces_s)
    population = log_trace(
        (traces[..., part] * shown).sum(1, keepdim=True),
        (expected[..., part] * shown).sum(1, keepdim=True),
        pseudo_count=POPULATION_PSEUDO_COUNT,
    )
    recent = torch.where(shown, last.mT.float(), level.exp())
    features = torch.cat(
        [
            own,
            against,
            level - _MIDDLE_LEVEL,
            population.expand(-1, own.shape[1], -1),
            torch.log1p(recent),
        ],
        -1,
    )
    stabilised = 2 * ((traces + 0.25).sqrt() - (expected + 0.25).sqrt())
    means = (traces + _BEFORE * reference[:, None].exp()) / (weights + _BEFORE)
    return UnitState(level[..., 0], own, features, stabilised, means)


def _population(traces_s: Sequence[float]) -> list[int]:
    return [place for place, seconds in enumerate(traces_s) if seconds <= POPULATION_S]
