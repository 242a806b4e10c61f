"""Samples of presentations to time bins, and means over windows to each day's scale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikeline.errors import InputError
from spikeline.settings.windows import Window


@dataclass(frozen=True)
class Binning:
    """How the samples of a presentation become bins and one mean.

    Attributes:
        edges: (bins + 1,) ms after stimulus onset.
        per_bin: samples of a bin.
        channel: (electrodes,) raw channel of each electrode.
        windows: electrodes, and (samples,) bool of those that enter their mean.
    """

    edges: np.ndarray
    per_bin: int
    channel: np.ndarray
    windows: Sequence[tuple[slice, np.ndarray]]


def binning(
    times: np.ndarray,
    sample_ms: int,
    bin_ms: int,
    channel: np.ndarray,
    regions: Mapping[str, Sequence[Sequence[int]]],
    windows: Mapping[str, Window],
    where: str,
) -> Binning:
    """The bins of a recording, and the samples that each area's window takes.

    Args:
        times: (samples,) when each begins, ms after stimulus onset.
        regions: half-open electrode ranges of each area.
        windows: of each area.

    Raises:
        InputError: the recorded time is not whole bins counted from stimulus onset, or a window
            does not lie within it.
    """
    start, end = int(times[0]), int(times[-1]) + sample_ms
    if bin_ms % sample_ms or start % bin_ms or end % bin_ms:
        raise InputError(
            f"{where}: is recorded every {sample_ms} ms from {start} to {end} ms, which are not "
            f"whole bins of {bin_ms} ms from stimulus onset; give another trial_bin_ms"
        )
    taken = []
    for area, ranges in regions.items():
        first, last = windows[area]
        within = (first <= times) & (times + sample_ms <= last)
        if first < start or last > end or not within.any():
            raise InputError(
                f"{where}: the window [{first}, {last}] of {area} is not within the recorded time, "
                f"{start} to {end} ms; correct published_windows"
            )
        taken += [(slice(*electrodes), within) for electrodes in ranges]
    edges = np.arange(start, end + bin_ms, bin_ms)
    return Binning(edges, bin_ms // sample_ms, channel, taken)


def provisional_scale(slabs: Iterable[np.ndarray], plan: Binning) -> tuple[np.ndarray, np.ndarray]:
    """Offset and scale, (electrodes,) each, at which half precision keeps these bins well.

    The median and the spread of the middle half, which no artefact of the recording moves. Those
    of an electrode without finite values, or that hardly varies, are 0 and 1.

    Args:
        slabs: of the first presentations, as for `binned`.
    """
    bins = np.concatenate([total / plan.per_bin for _, _, total in _bin_sums(slabs, plan)])
    low, offset, high = np.quantile(bins, (0.25, 0.5, 0.75), axis=0)
    # Of a normal distribution, the standard deviation.
    scale = (high - low) / 1.349
    sound = np.isfinite(offset) & (scale > 1e-6 * np.abs(offset))
    return np.where(sound, offset, 0.0), np.where(sound, scale, 1.0)


def binned(
    slabs: Iterable[np.ndarray], plan: Binning, offset: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bins less `offset` over `scale`, (rows, bins, electrodes) float16, and means over windows,
    (rows, electrodes) float64, NaN where a bin is not finite or too large for half precision.

    Args:
        slabs: (samples, rows, raw channels) each, successive in time, of whole bins.
        offset, scale: (electrodes,).
    """
    values, sums = None, None
    for sample, part, total in _bin_sums(slabs, plan):
        if sums is None:
            sums = np.zeros_like(total)
            values = np.empty((len(total), len(plan.edges) - 1, len(offset)), np.float16)
        for electrodes, within in plan.windows:
            own = within[sample : sample + len(part)]
            if own.all():
                sums[:, electrodes] += total[:, electrodes]
            elif own.any():
                few = part[own].sum(axis=0, dtype=np.float64)
                sums[:, electrodes] += few[:, plan.channel[electrodes]]
        total *= 1 / (plan.per_bin * scale)
        total -= offset / scale
        with np.errstate(over="ignore", invalid="ignore"):
            values[:, sample // plan.per_bin] = total
    for electrodes, within in plan.windows:
        sums[:, electrodes] /= within.sum()
    finite = np.isfinite(values).all(axis=1)
    return values, np.where(finite, sums, np.nan)


def _bin_sums(
    slabs: Iterable[np.ndarray], plan: Binning
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Of each bin its first sample, its samples (per_bin, rows, raw channels), and their sum (rows,
    electrodes) float64."""
    sample = 0
    for slab in slabs:
        for first in range(0, len(slab), plan.per_bin):
            # One bin at a time: what is summed is still in the processor's cache.
            part = slab[first : first + plan.per_bin]
            total = np.add.reduce(part, axis=0, dtype=np.float64)
            yield sample, part, np.take(total, plan.channel, axis=1, mode="clip")
            sample += plan.per_bin


class Moments:
    """Mean and standard deviation of rows of several groups, from blocks of rows.

    Blocks are joined as by Chan, Golub and LeVeque (1983), which loses no digits.

    Args:
        groups: how many there are.
        columns: of each row.
    """

    def __init__(self, groups: int, columns: int):
        self._count = np.zeros(groups)
        self._mean, self._squares = np.zeros((groups, columns)), np.zeros((groups, columns))

    def add(self, rows: np.ndarray, group: np.ndarray) -> None:
        """Add rows (rows, columns), each of a group (rows,); rows of group -1 are left out."""
        for one in np.unique(group[group >= 0]):
            own = rows[group == one]
            mean, count = own.mean(axis=0), len(own)
            both = self._count[one] + count
            away = mean - self._mean[one]
            self._mean[one] += away * count / both
            self._squares[one] += ((own - mean) ** 2).sum(axis=0)
            self._squares[one] += away**2 * self._count[one] * count / both
            self._count[one] = both

    def scale(self) -> dict[str, np.ndarray]:
        """`offset`, the mean, and `scale`, the sample standard deviation: (groups, columns), NaN
        for a group of fewer than two rows."""
        enough = (self._count > 1)[:, None]
        variance = self._squares / np.maximum(self._count - 1, 1)[:, None]
        return {
            "offset": np.where(enough, self._mean, np.nan),
            "scale": np.where(enough, np.sqrt(variance), np.nan),
        }
