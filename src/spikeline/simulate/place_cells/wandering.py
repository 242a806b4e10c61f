"""How an animal wanders: back and forth on a linear track, or all over an open field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeline.simulate.behaving.processes import wander
from spikeline.simulate.place_cells.settings import BIN_S

# Frames of the camera, and how far its estimate is off, Hz and cm.
CAMERA_HZ = 30.0
CAMERA_CM = 0.3
# Runs: typical speed, its standard deviation as a share and for how long it keeps, cm/s and s.
_SPEED, _SCATTER, _KEEPS_S = 28.0, 0.35, 2.0
# Rests: mean length at the track's ends, and in the field, and how often there, seconds.
_REST_S = 4.0
_RUN_S = 12.0
# In the field, how fast the direction of running turns, rad per square root of a second.
_TURNS = 1.3


@dataclass(frozen=True)
class Walk:
    """Where an animal was.

    Attributes:
        position: (bins, 1 or 2) cm, in mid-bin.
        velocity: (bins, 1 or 2) cm/s.
        timestamps: (frames,) seconds.
        tracked: (frames, 1 or 2) cm, as the camera saw it.
    """

    position: np.ndarray
    velocity: np.ndarray
    timestamps: np.ndarray
    tracked: np.ndarray

    @property
    def speed(self) -> np.ndarray:
        """(bins,) cm/s."""
        return np.linalg.norm(self.velocity, axis=1)


def on_track(rng: np.random.Generator, bins: int, size_cm: float) -> Walk:
    """Back and forth between the ends of a track, with a rest at each."""
    speed = _speeds(rng, bins)
    path = np.zeros(bins)
    place, direction, rest = 0.0, 1.0, 0.0
    for t in range(bins):
        if rest > 0:
            rest -= BIN_S
        else:
            # Slows down before the ends.
            edge = min(place, size_cm - place)
            place += direction * speed[t] * BIN_S * np.clip(0.25 + edge / 15, 0, 1)
            if not 0 < place < size_cm:
                place = float(np.clip(place, 0, size_cm))
                direction, rest = -direction, rng.exponential(_REST_S)
        path[t] = place
    return _seen(rng, path[:, None])


def in_field(rng: np.random.Generator, bins: int, size_cm: float) -> Walk:
    """All over a square field: a direction that turns slowly, walls that turn it back, rests."""
    speed = _speeds(rng, bins)
    turns = _TURNS * np.sqrt(BIN_S) * rng.standard_normal(bins)
    path = np.zeros((bins, 2))
    place, heading = rng.uniform(0.2, 0.8, 2) * size_cm, rng.uniform(0, 2 * np.pi)
    rest, run = 0.0, rng.exponential(_RUN_S)
    for t in range(bins):
        if rest > 0:
            rest -= BIN_S
        else:
            run -= BIN_S
            if run < 0:
                rest, run = rng.exponential(_REST_S), rng.exponential(_RUN_S)
            heading += turns[t]
            step = np.array([np.cos(heading), np.sin(heading)]) * speed[t] * BIN_S
            ahead = place + step
            for axis in np.flatnonzero((ahead < 0) | (ahead > size_cm)):
                step[axis] = -step[axis]
            heading = np.arctan2(step[1], step[0])
            place = np.clip(place + step, 0, size_cm)
        path[t] = place
    return _seen(rng, path)


def _speeds(rng: np.random.Generator, bins: int) -> np.ndarray:
    return _SPEED * np.exp(_SCATTER * wander(rng, bins, _KEEPS_S / BIN_S))


def _seen(rng: np.random.Generator, path: np.ndarray) -> Walk:
    """The walk along a path of (bins, axes), with what a camera makes of it."""
    middle = (np.arange(len(path)) + 0.5) * BIN_S
    frames = np.arange(0.0, len(path) * BIN_S, 1 / CAMERA_HZ)
    tracked = np.stack([np.interp(frames, middle, axis) for axis in path.T], axis=1)
    tracked += CAMERA_CM * rng.standard_normal(tracked.shape)
    velocity = np.gradient(path, BIN_S, axis=0)
    return Walk(path, velocity, frames, tracked)
