"""What a regression reads before each of some bins: traces of each unit and of the population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from spikeline.horizon.spike_history import (
    decays,
    log_trace,
    stabilised_trace,
    traces,
    window_weights,
)

# Spikes.
PSEUDO_COUNT = 0.25


@dataclass(frozen=True)
class Histories:
    """Traces before some bins (horizon/spike_history.py).

    Attributes:
        starts: (windows,) bins.
        own_traces, population_traces: (constants, windows, units) spikes.
        own_weights, population_weights: (constants, windows) of their windows.
        own_s: (constants,) seconds, of a unit's own.
    """

    starts: np.ndarray
    own_traces: np.ndarray
    own_weights: np.ndarray
    population_traces: np.ndarray
    population_weights: np.ndarray
    own_s: np.ndarray

    @classmethod
    def before(
        cls,
        counts: np.ndarray,
        starts: np.ndarray,
        own_s: Sequence[float],
        population_s: Sequence[float],
        bin_s: float,
    ) -> Histories:
        """See `traces`; time constants of a unit's own history and of the population's."""
        constants = [*own_s, *population_s]
        found, decay = traces(counts, starts, constants, bin_s), decays(np.array(constants), bin_s)
        weights = window_weights(np.asarray(starts), decay[:, None]).astype(np.float32)
        k = len(own_s)
        times = np.array(own_s, np.float64)
        return cls(np.asarray(starts), found[:k], weights[:k], found[k:], weights[k:], times)

    def at(self, places: np.ndarray) -> Histories:
        """Those of some of the windows."""
        windows = (getattr(self, field.name)[:, places] for field in fields(self)[1:-1])
        return Histories(self.starts[places], *windows, self.own_s)

    def own(self, mean_rate: np.ndarray) -> np.ndarray:
        """(constants, windows, units) float32 log traces; `mean_rate` (units,) counts per bin."""
        expected = self.own_weights[..., None] * np.asarray(mean_rate, np.float32)
        return log_trace(self.own_traces, expected, pseudo_count=PSEUDO_COUNT)

    def population(self, mean_rate: np.ndarray) -> np.ndarray:
        """(windows, constants * units) float32 stabilised traces, units running fastest."""
        weight = self.population_weights[..., None]
        expected = weight * np.asarray(mean_rate, np.float32)
        found = stabilised_trace(
            self.population_traces, expected, weight, pseudo_count=PSEUDO_COUNT
        )
        return found.transpose(1, 0, 2).reshape(found.shape[1], -1)
