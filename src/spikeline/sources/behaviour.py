"""Behaviour as a regular series over the session: position, and velocity by a smoothed derivative.

The position is unwrapped, interpolated linearly, and differentiated by a Savitzky-Golay filter
(quadratic; Savitzky and Golay 1964, Analytical Chemistry 36:1627). Outside the recording, and in
gaps of the tracking, both are NaN. How far a velocity looks ahead of its moment, by half the
filter's window and to the next sample, is part of the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.sessions import Behaviour
from spikeline.errors import InputError

# A wheel that sends no sample for so long rests, seconds.
REST_S = 0.05
# Of the usual time between samples: a frame that comes late, but not one that was lost.
_LATE = 1.5
# So many timestamps exactly one apart are frame numbers, not seconds.
_FRAMES = 100


@dataclass(frozen=True)
class Track:
    """Behaviour as it was recorded.

    Args:
        kind: wheel, running or position.
        timestamps: (n,) seconds in the clock of the spikes.
        position: (n,) or (n, k); None where the source gives velocity instead.
        velocity: (n,), for such a source.
        where: what an error calls it; position_where: its positions, where they lie elsewhere.
    """

    kind: str
    timestamps: np.ndarray
    position: np.ndarray | None
    where: str
    velocity: np.ndarray | None = None
    position_where: str = ""


def sampled(track: Track, origin: float, duration: float, settings: Mapping[str, Any]) -> Behaviour:
    """The track over [origin, origin + duration), regularly sampled from the session's start.

    Velocity is the derivative of a position of one column, and the speed of one of several. A track
    of velocities is interpolated, and its position is their integral.

    Args:
        settings: those of the track's kind. rate_hz, samples per second; smoothing_s, the filter's
            window; wrap, the position's period, or None; max_gap_s, the time without a sample
            beyond which nothing is known, since a line across it would know the future (longer
            where samples are always further apart), or None for a source that sends none at rest.

    Raises:
        InputError: timestamps that are NaN or jump back; columns of different length; no sample
            inside the session.
    """
    timestamps, values = _checked(track)
    rate = float(settings["rate_hz"])
    grid = np.arange(int(np.floor(duration * rate + 1e-6))) / rate
    own = timestamps - origin
    if not ((own >= 0) & (own < duration)).any():
        raise InputError(
            f"{track.where}: none of its samples ({timestamps[0]:.6g} to {timestamps[-1]:.6g} s) "
            f"lies in the session ({origin:.6g} to {origin + duration:.6g} s); is it another clock?"
        )
    if track.position is not None and settings["wrap"]:
        values = np.unwrap(values, period=settings["wrap"], axis=0)
    if settings["max_gap_s"] is None:
        own, values = _held(own, values, 1 / rate)
    regular = np.stack([np.interp(grid, own, column) for column in values.T], axis=1)
    known, ahead = _known(grid, own, settings["max_gap_s"])
    regular[~known] = np.nan
    if track.position is None:
        velocity = regular[:, 0]
        path = np.cumsum(np.nan_to_num(velocity)) / rate
        position = np.where(np.isnan(velocity), np.nan, path)
        return Behaviour(track.kind, rate, position, velocity, ahead)
    window = max(3, 2 * round(settings["smoothing_s"] * rate / 2) + 1)
    ahead += window // 2 / rate
    slopes = np.stack([_derivative(c, rate, window) for c in regular.T], axis=1)
    velocity = slopes[:, 0] if slopes.shape[1] == 1 else np.linalg.norm(slopes, axis=1)
    position = regular[:, 0] if regular.shape[1] == 1 else regular
    return Behaviour(track.kind, rate, position, velocity, ahead)


def _checked(track: Track) -> tuple[np.ndarray, np.ndarray]:
    """Timestamps (n,) that rise and values (n, k) that are finite."""
    timestamps = np.asarray(track.timestamps, np.float64)
    values = np.asarray(track.velocity if track.position is None else track.position, np.float64)
    source = track.position_where or track.where
    if timestamps.ndim == 2 and 1 in timestamps.shape:
        timestamps = timestamps.ravel()
    if values.ndim == 2 and len(values) != len(timestamps) == values.shape[1]:
        raise InputError(f"{source}: position has swapped axes; expected (samples, columns)")
    if timestamps.ndim != 1 or values.ndim not in (1, 2) or len(values) != len(timestamps):
        raise InputError(
            f"{source}: has {values.shape} positions for {timestamps.shape} timestamps; expected "
            "one for each"
        )
    if not len(timestamps):
        raise InputError(f"{track.where}: holds no samples; leave the behaviour out")
    if not np.isfinite(timestamps).all():
        bad = int(np.argmin(np.isfinite(timestamps)))
        raise InputError(f"{track.where}: timestamp {bad} is {timestamps[bad]}; expected seconds")
    if len(timestamps) > _FRAMES and (np.diff(timestamps) == 1).all():
        raise InputError(f"{track.where}: counts frames 0, 1, 2 ...; expected seconds")
    back = np.flatnonzero(np.diff(timestamps) < 0)
    if len(back):
        raise InputError(
            f"{track.where}: timestamps jump back at sample {back[0] + 1}, from "
            f"{timestamps[back[0]]:.6f} to {timestamps[back[0] + 1]:.6f} s; sort or repair them"
        )
    values = values.reshape(len(values), -1)
    # Of samples at the same time the first one counts; lost tracking is a gap.
    keep = np.isfinite(values).all(axis=1) & (np.diff(timestamps, prepend=-np.inf) > 0)
    if not keep.any():
        raise InputError(f"{source}: no sample is finite; leave the behaviour out")
    return timestamps[keep], values[keep]


def _known(grid: np.ndarray, own: np.ndarray, max_gap_s: float | None) -> tuple[np.ndarray, float]:
    """(samples,) bool: between two recorded samples that are near enough to interpolate.

    And how many seconds after a sample the later of its two may be; a wheel that rests moves on a
    straight line to where it was, which reveals nothing.
    """
    gap = np.diff(own, append=own[-1])
    most = REST_S
    after = np.searchsorted(own, grid, side="right")
    known = (after > 0) & (after < len(own)) | np.isin(grid, own[-1:])
    if max_gap_s is not None:
        most = max(max_gap_s, _LATE * float(np.median(gap[:-1]))) if len(own) > 1 else max_gap_s
        known &= gap[np.clip(after - 1, 0, len(own) - 1)] <= most
    return known, float(gap[gap <= most].max())


def _held(own: np.ndarray, values: np.ndarray, step_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Samples that hold a resting position until just before the next tick.

    A line across the gap would reveal, seconds ahead, where the wheel is going to turn.
    """
    rests = np.flatnonzero(np.diff(own) > REST_S)
    own = np.insert(own, rests + 1, own[rests + 1] - step_s)
    return own, np.insert(values, rests + 1, values[rests], axis=0)


def _derivative(values: np.ndarray, rate: float, window: int) -> np.ndarray:
    """Savitzky-Golay derivative of each run of known samples; NaN in runs shorter than the window.

    NaN too at the first half window of each run, where the filter would look a whole one ahead.
    """
    # Takes seconds to import, which a session without behaviour need not spend.
    from scipy.signal import savgol_filter

    slope = np.full(len(values), np.nan)
    edges = np.flatnonzero(np.diff(np.isfinite(values), prepend=False, append=False))
    for start, stop in edges.reshape(-1, 2):
        if stop - start >= window:
            run = savgol_filter(values[start:stop], window, polyorder=2, deriv=1, delta=1 / rate)
            slope[start + window // 2 : stop] = run[window // 2 :]
    return slope
