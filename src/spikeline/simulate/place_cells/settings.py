"""Settings of a simulated recording of place cells.

Units, ranges and defaults are the config schema's (`twins`, kind place_cells).
"""

from __future__ import annotations

from dataclasses import dataclass

# Rates are piecewise constant over bins of this width, seconds.
BIN_S = 0.02
# The files of a recording, as plain arrays, and the true rates.
TIMES, CLUSTERS = "spikes.times.npy", "spikes.clusters.npy"
TIMESTAMPS, POSITION = "tracking.times.npy", "tracking.position.npy"
RATES = "rates.h5"


@dataclass(frozen=True)
class PlaceCellSettings:
    """What a recording of place cells is made of; the schema describes each key."""

    seed: int
    arena: str
    size_cm: float
    duration_s: float
    place_cells: int
    interneurons: int
    field_cm: float
    field_drift_cm: float
    slow_gain: float
    slow_gain_shared: float
    slow_gain_minutes: list[float]
    come_and_go: float
    population_bursts_per_minute: float
    least_rate_hz: float
