r"""What an animal does, as covariates: where it is and heads, how fast it moves, by lead bin.

| behaviour | covariates |
|---|---|
| position of one column | place bumps; the same times the way of running (1 or -1, 0 at rest) |
| position of two columns | place bumps; cosine and sine of the heading, times how much it runs |
| any | speed |v| / (|v| + scale); traces of speed, of velocity too where it has a sign |

A bump is exp( -|x - centre|^2 / (2 width^2) ); centres lie one spacing apart on a grid over what
was visited, and the width is `WIDTH` spacings, so that sums of bumps are smooth (log place fields:
Brown et al. 1998, J. Neurosci. 18). x is where the animal will be in the middle of the lead bin if
it goes on as it did over the last tenths of a second, for half a second at most, and not beyond
what was visited.

Only bins before a window's start are read. Where behaviour is unknown, covariates are 0, as at
their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikeline.artifacts.counts import Counts
from spikeline.horizon.spike_history import decays, traces, window_weights

# Of bumps, in spacings; and the columns of the grid on a track, and of each side of a field.
WIDTH = 0.8
TRACK_BUMPS, FIELD_BUMPS = 16, 7
# Of the time known, that the animal spent near a bump that is kept.
_VISITED = 0.002
# Of positions: what lies outside these quantiles is lost tracking.
_QUANTILES = (0.002, 0.998)
# Seconds: over which a direction is measured, and for how long it is thought to last.
_STEP_S, _LASTS_S = 0.2, 0.5
# Of the typical speed while it moves: where an animal half runs.
_HALF = 0.3
TRACES_S = (0.1, 0.5, 2.0)


@dataclass(frozen=True)
class Behaviour:
    """What is known of an animal in each bin; nothing in a bin knows what comes after it.

    Attributes:
        velocity: (bins,) signed, or a speed; NaN where unknown.
        position: (bins, 1 or 2), NaN where unknown; None where there is no place.
    """

    velocity: np.ndarray
    position: np.ndarray | None = None

    @classmethod
    def of(cls, counts: Counts) -> Behaviour | None:
        """What a session's counts say; None where that is nothing. A wheel's angle is no place."""
        if not np.isfinite(counts.behaviour).any():
            return None
        placed = counts.behaviour_kind == "position"
        return cls(counts.behaviour, counts.position if placed else None)


@dataclass(frozen=True)
class Covariates:
    """The covariates of one session.

    Attributes:
        centres: (bumps, axes) of the place bumps, in the unit of the position.
        width: (axes,) of a bump, same unit.
        low, high: (axes,) the range that was visited.
        speed_scale: where an animal half runs, in the unit of the velocity.
        mean, scale: (columns,) of the covariates over the fit; a scaled one is (x - mean) / scale.
    """

    centres: np.ndarray
    width: np.ndarray
    low: np.ndarray
    high: np.ndarray
    speed_scale: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fitted(cls, behaviour: Behaviour, fit: np.ndarray, bin_s: float) -> Covariates | None:
        """Bumps over what was visited in the fit; None where nothing is known there, or moves.

        Args:
            fit: (bins,) bool.
        """
        speed = np.abs(behaviour.velocity[fit])
        moving = speed[speed > 0.05 * np.nanmax(speed, initial=0.0)]
        if not len(moving):
            return None
        where = behaviour.position
        bumps = (np.zeros((0, 0)), *(np.zeros(0),) * 3)
        if where is not None and where.shape[1] <= 2:
            visited = where[fit]
            visited = visited[np.isfinite(visited).all(axis=1)]
            if len(visited) and (np.ptp(visited, axis=0) > 0).all():
                bumps = _bumps(visited)
        scale = np.array([_HALF * np.median(moving)])
        raw = cls(*bumps, scale, np.zeros(0), np.ones(0))
        signed = bool((behaviour.velocity[fit] < 0).any())
        # At the shortest lead: the same columns of all leads then have one scale.
        found = raw._raw(behaviour, np.flatnonzero(fit), 0.0, bin_s, signed)
        deviation = np.nanstd(found, axis=0)
        return cls(
            *bumps, scale, np.nanmean(found, axis=0), np.where(deviation > 0, deviation, 1.0)
        )

    @property
    def signed(self) -> bool:
        """Whether the fit had a velocity of either sign, and columns for it."""
        bumps, axes = self.centres.shape
        places = 0 if not bumps else 2 * bumps if axes == 1 else bumps + axes
        return len(self.mean) - places > 1 + len(TRACES_S)

    def before(
        self, behaviour: Behaviour, starts: np.ndarray, lead_s: float, bin_s: float
    ) -> np.ndarray:
        """(windows, columns) float32 covariates of windows, at a lead in seconds."""
        found = self._raw(behaviour, starts, lead_s, bin_s, self.signed)
        return np.nan_to_num((found - self.mean) / self.scale).astype(np.float32)

    def at_leads(
        self, behaviour: Behaviour, starts: np.ndarray, ends: Sequence[int], bin_s: float
    ) -> np.ndarray:
        """(lead bins, windows, columns) of the middles of lead bins that end so many bins on."""
        edges = np.concatenate([[0], np.asarray(ends)]) * bin_s
        middles = (edges[:-1] + edges[1:]) / 2
        return np.stack([self.before(behaviour, starts, lead, bin_s) for lead in middles])

    # --- the pieces -------------------------------------------------------------------------------

    def _raw(
        self,
        behaviour: Behaviour,
        starts: np.ndarray,
        lead_s: float,
        bin_s: float,
        signed: bool,
    ) -> np.ndarray:
        """(windows, columns), NaN where unknown."""
        last = np.asarray(starts) - 1
        velocity = _at(behaviour.velocity[:, None], last)
        speed = np.abs(velocity)
        columns = [speed / (speed + self.speed_scale)]
        for values in (np.abs(behaviour.velocity), *((behaviour.velocity,) if signed else ())):
            columns.append(_smoothed(values / self.speed_scale[0], starts, TRACES_S, bin_s))
        if len(self.centres):
            columns += self._places(behaviour.position, last, lead_s, bin_s)
        return np.concatenate(columns, axis=1)

    def _places(
        self, position: np.ndarray, last: np.ndarray, lead_s: float, bin_s: float
    ) -> list[np.ndarray]:
        """Bumps, and what the direction makes of them."""
        step = max(1, round(_STEP_S / bin_s))
        here = _at(position, last)
        moved = (here - _at(position, last - step)) / (step * bin_s)
        fast = np.linalg.norm(moved, axis=1, keepdims=True)
        ahead = here + np.nan_to_num(moved) * min(lead_s, _LASTS_S)
        ahead = np.clip(ahead, self.low, self.high)
        distance = (ahead[:, None] - self.centres) / self.width
        bumps = np.exp(-0.5 * (distance**2).sum(axis=2))
        running = np.nan_to_num(fast / (fast + self.speed_scale))
        if self.centres.shape[1] == 1:
            return [bumps, bumps * np.sign(np.nan_to_num(moved)) * running]
        direction = np.nan_to_num(moved) / np.maximum(np.nan_to_num(fast), 1e-9)
        return [bumps, direction * running]


def _bumps(visited: np.ndarray) -> tuple[np.ndarray, ...]:
    """Centres, width, low and high of bumps over places (samples, axes)."""
    low, high = np.quantile(visited, _QUANTILES, axis=0)
    axes = visited.shape[1]
    number = TRACK_BUMPS if axes == 1 else FIELD_BUMPS
    spacing = (high - low) / (number - 1)
    grid = np.meshgrid(*(np.linspace(a, b, number) for a, b in zip(low, high, strict=True)))
    centres = np.stack([axis.ravel() for axis in grid], axis=1)
    # A bump in a corner where it never was has nothing to learn from.
    nearest = np.clip(np.round((visited - low) / spacing), 0, number - 1).astype(int)
    rows = (np.round((centres - low) / spacing)).astype(int)
    keys = number ** np.arange(axes)
    share = np.bincount(nearest @ keys, minlength=number**axes) / len(visited)
    return centres[share[rows @ keys] > _VISITED], WIDTH * spacing, low, high


def _at(values: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """(windows, columns) float64 values of bins; NaN before the first."""
    found = np.asarray(values[np.maximum(bins, 0)], np.float64)
    found[bins < 0] = np.nan
    return found


def _smoothed(
    values: np.ndarray, starts: np.ndarray, constants: Sequence[float], bin_s: float
) -> np.ndarray:
    """(windows, constants) exponential means of the known values (bins,) before each start."""
    known = np.isfinite(values)
    both = np.stack([np.where(known, values, 0.0), known], axis=1)
    found = traces(both, np.asarray(starts), constants, bin_s).astype(np.float64)
    full = window_weights(np.asarray(starts), decays(np.asarray(constants), bin_s)[:, None])
    # Nearly nothing known of the window: unknown.
    enough = found[..., 1] > 0.1 * full
    mean = np.full(found.shape[:2], np.nan)
    np.divide(found[..., 0], found[..., 1], out=mean, where=enough & (found[..., 1] > 0))
    return mean.T
