"""Forecast windows: runs of bins that tile the blocks of a split without overlap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeline.artifacts.counts import BIN_S, TEST, TRAIN, VALID
from spikeline.errors import InputError

SPLITS = {"train": (TRAIN,), "valid": (VALID,), "test": (TEST,), "fit": (TRAIN, VALID)}
# Scores are kept by the second: a table chooses how long the pieces of its intervals are.
SECOND_BINS = round(1 / BIN_S)
# Of a session, how far away a control takes its histories: no simple fraction, so that it does not
# follow a rhythm of the recording.
SHIFT = 0.382


def split_mask(domains: np.ndarray, split: str) -> np.ndarray:
    """(bins,) bool: the bins of a split; `fit` is train and valid together.

    Args:
        domains: (bins,) uint8, see artifacts/counts.py.
        split: one of SPLITS.

    Raises:
        InputError: the split has no bin.
    """
    mask = np.isin(domains, SPLITS[split])
    if not mask.any():
        raise InputError(f"domains: no bin lies wholly in the {split} domain; the session is short")
    return mask


def blocks(domains: np.ndarray, split: str) -> np.ndarray:
    """The unbroken runs of a split, each of one domain.

    Returns:
        (blocks, 2) int64: first bin, and the bin behind the last, in order of time.
    """
    domains = np.asarray(domains)
    edges = np.flatnonzero(np.diff(domains)) + 1
    start = np.concatenate([[0], edges])
    end = np.concatenate([edges, [len(domains)]])
    wanted = np.isin(domains[start], SPLITS[split])
    return np.stack([start[wanted], end[wanted]], axis=1).astype(np.int64)


def forecast_starts(domains: np.ndarray, split: str, length: int) -> tuple[np.ndarray, np.ndarray]:
    """First bins of the windows of `length` bins that tile each block of a split from its start.

    A rest shorter than `length` at a block's end is dropped, so no bin is scored twice and no
    window reaches across two blocks.

    Returns:
        starts (windows,) int64 in order of time, and the step (windows,) int64 of its block that
        each begins in: of a second, or of one window where that is longer. Steps are numbered from
        0, and one number is left out between two blocks, so that their sums show where one ends.

    Raises:
        InputError: no block of the split holds a window.
    """
    starts = [np.arange(a, b - length + 1, length) for a, b in blocks(domains, split)]
    starts = [found for found in starts if len(found)]
    if not starts:
        raise InputError(
            f"domains: no block of the {split} domain holds {length} bins; the session is short"
        )
    steps, first = [], 0
    for found in starts:
        steps.append(first + (found - found[0]) // max(SECOND_BINS, length))
        first = int(steps[-1][-1]) + 2
    return np.concatenate(starts), np.concatenate(steps)


def step_s(length_s: float) -> float:
    """Seconds of a step of `forecast_starts`, of windows of `length_s` seconds."""
    return max(SECOND_BINS * BIN_S, length_s)


def elsewhere(starts: np.ndarray, bins: int) -> np.ndarray:
    """(windows,) first bins SHIFT of a session earlier, from which a control takes its histories.

    Before the session's first bin comes its last, and from there nothing is near either.
    """
    return (np.asarray(starts) - round(SHIFT * bins)) % bins


def gather(values: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Windows of `length` bins of an array that runs over bins.

    Args:
        values: (bins, ...).
        starts: (windows,) first bins.

    Returns:
        (windows, length, ...), a copy.
    """
    return values[np.asarray(starts)[:, None] + np.arange(length)]


def bins_of(milliseconds: float, bin_s: float) -> int:
    """A time in ms as a whole number of bins.

    Raises:
        InputError: it is no whole number of bins, or none at all.
    """
    exact = milliseconds / 1000 / bin_s
    bins = round(exact)
    if bins < 1 or abs(exact - bins) > 1e-6:
        raise InputError(
            f"horizon {milliseconds} ms is no multiple of the bin, {bin_s * 1000:g} ms"
        )
    return bins


def setting_bins(settings: Mapping[str, Any], name: str, bin_s: float) -> int:
    """A setting in ms as a whole number of bins.

    Raises:
        InputError: it is none, with the setting's name.
    """
    try:
        return bins_of(settings[name], bin_s)
    except InputError:
        raise InputError(
            f"{name}: {settings[name]} is no multiple of the bin, {bin_s * 1000:g} ms"
        ) from None
