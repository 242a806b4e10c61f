"""Spike times and cluster indices of a sorter: checked, then reduced to the units kept.

Both passes read one chunk at a time, so that memory holds the kept spikes once and little else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from spikeline.errors import InputError
from spikeline.sources.npy import Npy

# Small enough that a chunk and its derived arrays stay in the processor's cache.
CHUNK = 1 << 17
# No sorter numbers clusters so high; an unsigned -1 does.
HIGHEST_CLUSTER = 10_000_000


class Column(Protocol):
    """An array of shape (n,), or a file that is read like one."""

    dtype: np.dtype

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> np.ndarray: ...


@dataclass(frozen=True)
class Spikes:
    """Spikes as the sorter left them.

    Args:
        times: (n,) seconds, or samples where `samples_per_second` is given.
        clusters: (n,) the cluster that fired, a whole number from 0.
        times_name, clusters_name: names of the two in errors.
        samples_per_second: of `times` that are counted in samples.
        window: only spikes of [start, end) seconds count; the whole recording where None.
    """

    times: Column
    clusters: Column
    times_name: str
    clusters_name: str
    samples_per_second: float | None = None
    window: tuple[float, float] | None = None

    def chunks(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Index of the first spike, times in seconds (float64), clusters as they are stored."""
        for start in range(0, len(self.times), CHUNK):
            times = np.asarray(self.times[start : start + CHUNK], np.float64)
            if self.samples_per_second is not None:
                times = times / self.samples_per_second
            yield start, times, np.asarray(self.clusters[start : start + CHUNK])

    def inside(self, times: np.ndarray) -> slice:
        """The part of sorted times that lies in the window."""
        return slice(*np.searchsorted(times, self.window))


@dataclass(frozen=True)
class Survey:
    """What one pass over the spikes found.

    counts (clusters,) int64: spikes of each cluster index in the window; first: the first of them,
    and last: the last spike of the recording, seconds.
    """

    counts: np.ndarray
    first: float
    last: float


def survey(spikes: Spikes, clusters: int | None = None) -> Survey:
    """Check the spikes and count them.

    Args:
        clusters: how many clusters there are, where that is known.

    Raises:
        InputError: no spikes, columns of different length, times that are NaN, negative or not
            sorted, cluster indices that are negative, fractional or out of range.
    """
    _check_columns(spikes)
    counts = np.zeros(0, np.int64)
    first = previous = None
    for start, times, index in spikes.chunks():
        _check_times(times, previous, start, spikes.times_name)
        previous = times[-1]
        index = _whole(index, clusters, start, spikes.clusters_name)
        if spikes.window is not None:
            inside = spikes.inside(times)
            times, index = times[inside], index[inside]
            if not len(times):
                continue
        first = times[0] if first is None else first
        found = np.bincount(index, minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    if first is None:
        raise InputError(f"{spikes.times_name}: holds no spikes in the window {spikes.window} s")
    if clusters is not None:
        counts = np.pad(counts, (0, clusters - len(counts)))
    return Survey(counts, float(first), float(previous))


def take(
    spikes: Spikes, clusters: np.ndarray, counts: np.ndarray, origin: float
) -> tuple[np.ndarray, np.ndarray]:
    """The spikes of the clusters kept.

    Args:
        clusters: (units,) cluster index of each unit.
        counts: of the survey.
        origin: subtracted from the times, seconds.

    Returns:
        times (n,) float64 seconds and unit_index (n,) int64 into `clusters`.
    """
    unit_of = np.full(len(counts), -1, np.int64)
    unit_of[clusters] = np.arange(len(clusters))
    all_kept = counts[clusters].sum() == counts.sum()
    total = int(counts[clusters].sum())
    as_they_are = all_kept and not origin and _unchanged(spikes)
    times = spikes.times.mapped if as_they_are else np.empty(total)
    units, filled = np.empty(total, np.int64), 0
    for seconds, index in _clusters_of(spikes) if as_they_are else _both_of(spikes):
        if not all_kept:
            kept = unit_of[index] >= 0
            index, seconds = index[kept], seconds[kept]
        stop = filled + len(index)
        # Written in place: `unit_of[index]` would allocate another array.
        np.take(unit_of, index, out=units[filled:stop], mode="clip")
        if not as_they_are:
            np.subtract(seconds, origin, out=times[filled:stop])
        filled = stop
    return times, units


def duration_of(first: float, last: float, window: tuple[float, float] | None) -> tuple:
    """(origin, duration) of a session in seconds.

    It starts at the whole second before the first spike, so that a clock that ran for an hour
    before the recording adds no empty hour. It ends on the hundredth of a second after the last
    spike, because a spike exactly at the end would lie outside.
    """
    origin = float(np.floor(first)) if window is None else float(window[0])
    duration = (np.floor((last - origin) * 100) + 1) / 100
    if duration <= last - origin:
        duration += 0.01
    if window is not None:
        duration = min(duration, window[1] - origin)
    return origin, round(float(duration), 6)


def _both_of(spikes: Spikes) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Seconds and cluster indices inside the window, chunk by chunk."""
    for _, seconds, index in spikes.chunks():
        if spikes.window is not None:
            inside = spikes.inside(seconds)
            seconds, index = seconds[inside], index[inside]
        yield seconds, _as_index(index)


def _clusters_of(spikes: Spikes) -> Iterator[tuple[None, np.ndarray]]:
    """Cluster indices alone, for times that are used as they are stored."""
    for start in range(0, len(spikes.clusters), CHUNK):
        index = np.asarray(spikes.clusters[start : start + CHUNK])
        yield None, _as_index(index)


def _as_index(index: np.ndarray) -> np.ndarray:
    """Whole numbers that numpy indexes with; those of 32 bits as they are, without a copy."""
    return index if np.can_cast(index.dtype, np.intp) else index.astype(np.intp)


def _unchanged(spikes: Spikes) -> bool:
    """Whether the times are stored as they are used, so that they need no copy in memory."""
    changed = spikes.samples_per_second is not None or spikes.window is not None
    return isinstance(spikes.times, Npy) and spikes.times.dtype == np.float64 and not changed


# --- checks ---------------------------------------------------------------------------------------


def _check_columns(spikes: Spikes) -> None:
    if len(spikes.times) != len(spikes.clusters):
        raise InputError(
            f"{spikes.times_name}: holds {len(spikes.times)} spike times, but "
            f"{spikes.clusters_name} has {len(spikes.clusters)} clusters, expected one per spike"
        )
    if not len(spikes.times):
        raise InputError(f"{spikes.times_name}: holds no spikes; the session has no length")
    if spikes.times.dtype == np.float16:
        raise InputError(f"{spikes.times_name}: is float16, too coarse for times; save float64")
    if spikes.samples_per_second is None and spikes.times.dtype.kind in "iu":
        raise InputError(
            f"{spikes.times_name}: holds whole numbers, which are samples, not seconds; give their "
            "number per second (--samples-per-second)"
        )


def _check_times(times: np.ndarray, previous: float | None, start: int, where: str) -> None:
    begins = times[0] >= (0 if previous is None else previous)
    # One comparison, which fails on NaN too, passes the usual valid chunk.
    if begins and np.isfinite(times[-1]) and (times[1:] >= times[:-1]).all():
        return
    if not np.isfinite(times).all():
        bad = int(np.argmin(np.isfinite(times)))
        raise InputError(f"{where}: time of spike {start + bad} is {times[bad]}, expected seconds")
    if times.min() < 0:
        bad = int(np.argmax(times < 0))
        raise InputError(
            f"{where}: time of spike {start + bad} is {times[bad]:.6g} s, expected times from 0"
        )
    back = np.flatnonzero(times[1:] < times[:-1])
    if previous is not None and times[0] < previous:
        bad, before = 0, previous
    else:
        bad, before = int(back[0]) + 1, times[back[0]]
    raise InputError(
        f"{where}: is not sorted: spike {start + bad} at {times[bad]:.6f} s follows one at "
        f"{before:.6f} s; sort the times, and the clusters with them"
    )


def _whole(index: np.ndarray, clusters: int | None, start: int, where: str) -> np.ndarray:
    """Cluster indices as int64."""
    if index.dtype.kind == "f":
        fractional = ~np.isfinite(index) | (index != np.floor(index))
        if fractional.any():
            bad = int(np.argmax(fractional))
            raise InputError(
                f"{where}: cluster of spike {start + bad} is {index[bad]}, expected whole numbers"
            )
    highest = index.max()
    if index.dtype.kind != "u" and index.min() < 0:
        bad = int(np.argmax(index < 0))
        raise InputError(
            f"{where}: cluster of spike {start + bad} is {index[bad]}, expected numbers from 0"
        )
    limit = HIGHEST_CLUSTER if clusters is None else clusters
    if highest >= limit:
        bad = int(np.argmax(index >= limit))
        reason = "no sorter counts so far" if clusters is None else f"there are {clusters} clusters"
        raise InputError(
            f"{where}: cluster of spike {start + bad} is {index[bad]}, out of range: {reason}"
        )
    return index.astype(np.int64, copy=False)
