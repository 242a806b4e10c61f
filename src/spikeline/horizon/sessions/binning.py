"""A session on a grid of bins: spike counts, and the behaviour, image and domain of each bin.

Bin k covers [k bin_s, (k+1) bin_s) with edges as float64 makes them, so that a spike on an edge
falls where `np.histogram` would put it. A rest shorter than a bin at the session's end is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeline.artifacts.counts import BIN_S, NO_DOMAIN, TEST, TRAIN, UNKNOWN_IMAGE, VALID, Counts
from spikeline.errors import InputError

if TYPE_CHECKING:
    from torch_brain.data import Data

MOST = np.iinfo(np.uint8).max
# Of a bin: what rounding may leave between an edge that was meant and one that was computed.
TOLERANCE = 1e-4
# Numbers counted at once, so that the wide counts behind the narrow ones stay small.
CHUNK = 1 << 21


def binned_session(data: Data, where: str) -> Counts:
    """A converted session in bins of BIN_S.

    Args:
        data: the session, lazy or not.
        where: the file that an error names.

    Raises:
        InputError: shorter than one bin, or a unit with more than 255 spikes in a bin.
    """
    bins = whole_bins(float(data.domain.end[-1]), BIN_S)
    if not bins:
        raise InputError(f"{where}: is shorter than one bin of {BIN_S} s")
    unit_ids = np.asarray(data.units.id).astype(object)
    first, last = data.reference_domain.start[0], data.reference_domain.end[-1]
    splits = (data.train_domain, data.valid_domain, data.test_domain)
    blocks = [np.stack([domain.start, domain.end], axis=1) for domain in splits]
    return Counts(
        counts=bin_counts(
            data.spikes.timestamps, data.spikes.unit_index, unit_ids, bins, BIN_S, where
        ),
        unit_ids=unit_ids,
        regions=np.asarray(data.units.region).astype(object),
        **_behaviour(data, bins),
        **_images(data, bins),
        domains=bin_domains(*blocks, bins, BIN_S),
        reference=bins_within(first, last, bins, BIN_S),
        session=str(data.session.id),
        source=str(data.session.source),
        origin_s=float(getattr(data.session, "origin_s", 0.0)),
    )


def _behaviour(data: Data, bins: int) -> dict[str, Any]:
    if not data.has_nested_attribute("behaviour.velocity"):
        return {"behaviour": np.full(bins, np.nan, np.float32), "behaviour_kind": ""}
    known = data.behaviour
    ahead, rate = float(data.session.behaviour_look_ahead_s), float(known.sampling_rate)
    delay = delay_bins(ahead, rate, BIN_S)

    def binned(samples: np.ndarray) -> np.ndarray:
        return delayed(bin_velocity(known.timestamps, samples, bins, BIN_S), delay)

    position = np.asarray(known.position)
    columns = position.reshape(len(position), -1).T
    return {
        "behaviour": binned(known.velocity),
        "behaviour_kind": str(data.session.behaviour_kind),
        "position": np.stack([binned(column) for column in columns], axis=1),
    }


def _images(data: Data, bins: int) -> dict[str, Any]:
    if not data.has_nested_attribute("stimuli.image"):
        nothing = np.zeros(0)
        images, names = bin_images(nothing, nothing, nothing, bins, BIN_S)
    else:
        shown = data.stimuli
        images, names = bin_images(shown.start, shown.end, shown.image, bins, BIN_S)
    return {"images": images, "image_names": names}


def whole_bins(duration: float, bin_s: float) -> int:
    """How many whole bins a session of `duration` seconds holds."""
    return math.floor(duration / bin_s + TOLERANCE)


def bin_counts(
    times: np.ndarray,
    unit_index: np.ndarray,
    unit_ids: Sequence[str],
    bins: int,
    bin_s: float,
    where: str = "spikes",
) -> np.ndarray:
    """Spikes of each unit in each bin.

    Args:
        times: (spikes,) float64 seconds, sorted.
        unit_index: (spikes,) rows of `unit_ids`.
        bins: how many bins there are; later spikes are left out.
        where: the file that an error names.

    Returns:
        (bins, units) uint8.

    Raises:
        InputError: a unit has more than 255 spikes in a bin.
    """
    units = len(unit_ids)
    counts = np.zeros((bins, units), np.uint8)
    checked_spikes(times, unit_index, units, where)
    step = max(1, CHUNK // units)
    firsts = np.arange(0, bins + step, step).clip(max=bins)
    rows = np.searchsorted(times, firsts * bin_s)
    for first, last, start, stop in zip(firsts, firsts[1:], rows, rows[1:], strict=False):
        index = _bins_of(np.asarray(times[start:stop]), bin_s) - first
        index *= units
        index += unit_index[start:stop]
        wide = np.bincount(index, minlength=(last - first) * units).reshape(-1, units)
        if wide.max(initial=0) > MOST:
            row, unit = np.unravel_index(wide.argmax(), wide.shape)
            raise InputError(
                f"{where}: unit {unit_ids[unit]} has {wide[row, unit]} spikes in the "
                f"{bin_s * 1000:g} ms from {(first + row) * bin_s:.2f} s, more than {MOST}; "
                "leave that unit out"
            )
        counts[first:last] = wide
    return counts


def checked_spikes(times: np.ndarray, unit_index: np.ndarray, units: int, where: str) -> None:
    """Raise InputError where spikes are not sorted, or belong to no unit."""
    for first in range(0, len(times), CHUNK):
        # One more, so that the step between two chunks is seen.
        part = np.asarray(times[first : first + CHUNK + 1])
        if not (np.diff(part) >= 0).all() or not np.isfinite(part).all():
            raise InputError(f"{where}: spike times are not sorted or not finite; convert it again")
        index = np.asarray(unit_index[first : first + CHUNK])
        if len(index) and (index.min() < 0 or index.max() >= units):
            raise InputError(
                f"{where}: a spike belongs to unit {index.max()} of {units}; convert it again"
            )


def _bins_of(times: np.ndarray, bin_s: float) -> np.ndarray:
    """The bin of each time; division alone puts some times on an edge into the bin before."""
    index = np.floor(times / bin_s).astype(np.int64)
    index -= times < index * bin_s
    index += times >= (index + 1) * bin_s
    return index


def bin_velocity(
    timestamps: np.ndarray, velocity: np.ndarray, bins: int, bin_s: float
) -> np.ndarray:
    """Mean velocity, or position, of the samples in each bin.

    A bin between two samples takes the line between them; NaN where samples are NaN, and before
    the first and after the last.

    Args:
        timestamps: (samples,) seconds, sorted.
        velocity: (samples,).

    Returns:
        (bins,) float32.
    """
    index = _bins_of(np.asarray(timestamps, np.float64), bin_s)
    inside = (index >= 0) & (index < bins)
    index, values = index[inside], np.asarray(velocity, np.float64)[inside]
    samples = np.bincount(index, minlength=bins)
    total = np.bincount(index, weights=values, minlength=bins)
    mean = np.full(bins, np.nan)
    np.divide(total, samples, out=mean, where=samples > 0)
    empty = np.flatnonzero(samples == 0)
    if len(timestamps) > 1 and len(empty):
        middle = (empty + 0.5) * bin_s
        mean[empty] = np.interp(middle, timestamps, velocity, left=np.nan, right=np.nan)
    return mean.astype(np.float32)


def delay_bins(look_ahead_s: float, sampling_rate: float, bin_s: float) -> int:
    """So late velocity enters the bins: no bin then knows what came after it.

    Args:
        look_ahead_s: how far ahead of its sample a velocity looks.
        sampling_rate: Hz; a bin may lie between two samples and then takes from both.
    """
    return math.ceil((look_ahead_s + 1 / sampling_rate) / bin_s - TOLERANCE)


def delayed(values: np.ndarray, bins: int) -> np.ndarray:
    """(bins,) each bin's value moved `bins` later, NaN before the first."""
    return np.concatenate([np.full(bins, np.nan, values.dtype), values])[: len(values)]


def bin_images(
    start: np.ndarray, end: np.ndarray, images: np.ndarray, bins: int, bin_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """The image on screen in the middle of each bin.

    Args:
        start, end: (presentations,) seconds, sorted, not overlapping.
        images: (presentations,) names, '' for a blank screen.

    Returns:
        (bins,) int32 rows of the names, NO_IMAGE where the screen is blank, UNKNOWN_IMAGE outside
        the presentations; and the sorted distinct names.
    """
    names, rows = np.unique(np.asarray(images).astype(str), return_inverse=True)
    if not len(names):
        return np.full(bins, UNKNOWN_IMAGE, np.int32), np.zeros(0, object)
    blank = names[0] == ""
    rows = rows.reshape(-1) - int(blank)
    middle = (np.arange(bins) + 0.5) * bin_s
    last = np.searchsorted(start, middle, side="right") - 1
    on = (last >= 0) & (middle < np.asarray(end)[last])
    shown = np.where(on, rows[last], UNKNOWN_IMAGE)
    return shown.astype(np.int32), names[int(blank) :].astype(object)


def bin_domains(
    train: np.ndarray, valid: np.ndarray, test: np.ndarray, bins: int, bin_s: float
) -> np.ndarray:
    """The domain that each bin lies wholly inside.

    Args:
        train, valid, test: (intervals, 2) start and end in seconds, disjoint.

    Returns:
        (bins,) uint8: 0 none, 1 train, 2 valid, 3 test.
    """
    domains = np.full(bins, NO_DOMAIN, np.uint8)
    for code, intervals in ((TRAIN, train), (VALID, valid), (TEST, test)):
        for start, end in np.asarray(intervals, np.float64).reshape(-1, 2):
            first, last = bins_within(start, end, bins, bin_s)
            domains[first:last] = code
    return domains


def bins_within(start: float, end: float, bins: int, bin_s: float) -> tuple[int, int]:
    """First bin wholly inside [start, end), and the bin behind the last; equal if there is none."""
    first = min(max(math.ceil(start / bin_s - TOLERANCE), 0), bins)
    return first, max(min(math.floor(end / bin_s + TOLERANCE), bins), first)
