"""Unit types: how a unit fires says what drives it.

This is only partly true of the real brain; here it is built in on purpose. A type fixes the range
of a unit's rate, the regularity of its intervals and its bursts, which the reference features
measure, and with them the sign and size of its coupling to the latents, which they do not measure.
Units of a type differ moderately. The features of a unit that was never trained on therefore
predict much of its responses, and a forecaster that reads them scores above one that does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class UnitType:
    """One type; couplings are log-rate changes per unit of the latent.

    Attributes:
        rates: lowest and highest mean rate, spikes per second.
        regularity: shape of the gamma distribution of intervals in rescaled time; their
            coefficient of variation at a constant rate is 1 / sqrt(regularity).
        burst: probability of a second and of a third spike a few milliseconds after the first.
        speed: coupling to how fast the wheel or the animal moves.
        direction: coupling to the signed velocity of the wheel.
        arousal: coupling to the slow shared latent.
        rotation: coupling to the fast shared latent.
        phase: of the fast latent's rotation at which it drives the type most, degrees.
        stimulus: coupling to what is on screen.
        drift: factor of the private log-rate drift.
    """

    name: str
    rates: tuple[float, float]
    regularity: float
    burst: tuple[float, float]
    speed: float
    direction: float
    arousal: float
    rotation: float
    phase: float
    stimulus: float
    drift: float


TYPES = (
    UnitType("fast", (12, 22), 3.0, (0.0, 0.0), 0.45, 0.32, 0.10, 0.45, 0, 0.1, 0.8),
    UnitType("regular", (3, 8), 4.0, (0.0, 0.0), -0.50, 0.0, 0.15, 0.55, 60, 0.1, 0.9),
    UnitType("bursty", (3, 8), 1.0, (0.35, 0.1), 0.10, -0.32, -0.20, 0.55, 120, 0.1, 1.0),
    UnitType("chattering", (9, 18), 1.0, (0.6, 0.3), 0.45, -0.32, 0.0, 0.45, 180, 0.1, 0.9),
    UnitType("visual", (5, 12), 1.3, (0.0, 0.0), 0.0, 0.0, 0.10, 0.35, 240, 0.42, 0.9),
    UnitType("slow", (1.2, 4), 1.0, (0.0, 0.0), -0.30, 0.0, 0.25, 0.55, 300, 0.1, 1.4),
)
# Share of each type, in the order of TYPES.
SHARES = {
    "VISp": (2, 2, 1, 1, 4, 1),
    "VISl": (2, 2, 1, 1, 3, 2),
    "LP": (1, 2, 2, 1, 3, 1),
    "LGd": (2, 1, 1, 2, 4, 1),
    "CA1": (1, 1, 3, 1, 1, 3),
    "MOs": (3, 3, 1, 2, 1, 1),
    "CP": (2, 2, 2, 2, 1, 2),
}
# Regions that a probe passes, from the tip up; sessions take the tracks in turn.
TRACKS = {
    "ibl": (("LP", "VISp"), ("CP", "MOs"), ("CA1", "VISp"), ("LP", "CA1")),
    "allen": (("LGd", "VISp"), ("CA1", "VISl")),
}


@dataclass(frozen=True)
class Units:
    """The units of a session, one value per unit, in the order of its probes and clusters.

    Attributes:
        type: index into TYPES; -1 for a bad unit, which analyses should leave out.
        probe: index into the session's probes.
        cluster: number within the probe.
        region: acronym.
        rate: mean, spikes per second.
        regularity, burst (units, 2), speed, direction, arousal, rotation, phase (radians),
            stimulus, drift: as in UnitType, with this unit's own scatter.
    """

    type: np.ndarray
    probe: np.ndarray
    cluster: np.ndarray
    region: np.ndarray
    rate: np.ndarray
    regularity: np.ndarray
    burst: np.ndarray
    speed: np.ndarray
    direction: np.ndarray
    arousal: np.ndarray
    rotation: np.ndarray
    phase: np.ndarray
    stimulus: np.ndarray
    drift: np.ndarray

    def __len__(self) -> int:
        return len(self.type)

    @property
    def good(self) -> np.ndarray:
        """(units,) bool: fit for use."""
        return self.type >= 0


def draw_units(
    rng: np.random.Generator,
    tracks: Sequence[Sequence[str]],
    good: int,
    bad: int,
    shared: float,
    scatter: float,
) -> Units:
    """Units spread over the probes of a session.

    Args:
        tracks: the regions of each probe, from the tip up.
        good, bad: number of good and of bad units.
        shared: factor of every coupling.
        scatter: of couplings within a type, as a share of them.
    """
    count = good + bad
    probe = np.sort(np.arange(count) % len(tracks))
    cluster = np.concatenate([np.arange(n) for n in np.bincount(probe, minlength=len(tracks))])
    size = np.bincount(probe, minlength=len(tracks))
    region = np.array(
        [tracks[p][c * len(tracks[p]) // size[p]] for p, c in zip(probe, cluster, strict=True)],
        dtype=object,
    )
    kind = np.empty(count, dtype=int)
    for unit in range(count):
        shares = np.array(SHARES[region[unit]], dtype=float)
        kind[unit] = rng.choice(len(TYPES), p=shares / shares.sum())

    def of(name: str) -> np.ndarray:
        return np.array([getattr(TYPES[k], name) for k in kind], dtype=float)

    def coupling(name: str) -> np.ndarray:
        return shared * of(name) * (1 + scatter * rng.standard_normal(count))

    low, high = of("rates").reshape(count, 2).T
    units = {
        "rate": low * (high / low) ** rng.random(count),
        "regularity": of("regularity") * np.exp(0.15 * rng.standard_normal(count)),
        "burst": of("burst").reshape(count, 2) * rng.uniform(0.85, 1.15, (count, 1)),
        "phase": np.deg2rad(of("phase")) + scatter * rng.standard_normal(count),
    }
    for name in ("speed", "direction", "arousal", "rotation", "stimulus"):
        units[name] = coupling(name)
    units["drift"] = of("drift") * np.exp(scatter * rng.standard_normal(count))
    bad_units = rng.permutation(count)[:bad]
    kind[bad_units] = -1
    # A cluster that the sorter could not isolate mixes many units that share nothing.
    for name in ("speed", "direction", "arousal", "rotation", "stimulus"):
        units[name][bad_units] *= 0.3
    units["burst"][bad_units] = 0
    units["regularity"][bad_units] = 1
    return Units(type=kind, probe=probe, cluster=cluster, region=region, **units)
