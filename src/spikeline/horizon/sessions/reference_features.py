"""What kind of unit each one is: 33 numbers from its spikes in a reference window.

| column | meaning |
|---|---|
| log_rate | log of (n + 1/2) spikes over the window's seconds, Hz |
| log_isi_cv | log of the intervals' standard deviation over their mean; 0 (as Poisson) if unknown |
| isi_00 ... isi_19 | share of intervals in bins of equal log width from 1 ms to 10 s, ends open |
| autocorrelation_01 ... 10 | correlation of counts in 10 ms with those k bins later |
| fano | variance over mean of counts in windows of 0.5 s; 1 (as Poisson) if unknown |

Every number is finite for every unit, silent ones too. The rate means something for all; the other
columns only where `valid`: the unit has MINIMUM_ISIS intervals or more.
"""

from __future__ import annotations

import numpy as np

from spikeline.artifacts.features import ISI_BINS, LAGS, NAMES
from spikeline.errors import InputError

MINIMUM_ISIS = 10
SHORTEST_ISI, LONGEST_ISI = 1e-3, 10.0
LAG_S = 0.01
FANO_S = 0.5
# A clock-like unit: its log CV stays within reach of the others'.
LOWEST_CV = 0.01
# Numbers binned at once: 875 units of 60 s fit.
CHUNK = 1 << 23


def reference_features(
    times: np.ndarray, unit_index: np.ndarray, units: int, start: float, end: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of all units at once, from the spikes in [start, end).

    Args:
        times: (spikes,) float64 seconds, sorted; of the window alone or of the whole session.
        unit_index: (spikes,) rows of the units.
        units: how many units there are.

    Returns:
        values (units, 33) float32, see the module; valid (units,) bool; spikes in the window
        (units,) int64.

    Raises:
        InputError: the window has no length.
    """
    if not end > start:
        raise InputError(f"reference window from {start} to {end} s has no length")
    # Time first: a mask for each unit would read the whole session once per unit.
    first, last = np.searchsorted(times, [start, end])
    times = np.asarray(times[first:last], np.float64) - start
    unit_index = np.asarray(unit_index[first:last], np.int64)
    counts = np.bincount(unit_index, minlength=units)
    values = np.empty((units, len(NAMES)), np.float32)
    values[:, 0] = np.log((counts + 0.5) / (end - start))
    # A stable sort leaves each unit's spikes in order of time; 16-bit keys sort in linear time.
    narrow = unit_index.astype(np.uint16) if units <= 1 << 16 else unit_index
    order = np.argsort(narrow, kind="stable")
    times, owner = times[order], unit_index[order]
    same = owner[1:] == owner[:-1]
    isis, of_unit = np.diff(times)[same], owner[1:][same]
    values[:, 1] = _log_cv(isis, of_unit, units)
    values[:, 2 : 2 + ISI_BINS] = _isi_histogram(isis, of_unit, units)
    bins = int((end - start) / LAG_S + 1e-6)
    step = max(1, CHUNK // max(bins, 1))
    for unit in range(0, units, step):
        part = slice(unit, min(unit + step, units))
        a, b = np.searchsorted(owner, [part.start, part.stop])
        binned = _binned(times[a:b], owner[a:b] - part.start, part.stop - part.start, bins)
        values[part, -1] = _fano(binned)
        values[part, 2 + ISI_BINS : -1] = _autocorrelation(binned)
    return values, np.maximum(counts - 1, 0) >= MINIMUM_ISIS, counts


def _log_cv(isis: np.ndarray, owner: np.ndarray, units: int) -> np.ndarray:
    """Log coefficient of variation with the population's standard deviation, as elephant's cv."""
    number = np.bincount(owner, minlength=units)
    mean = np.bincount(owner, isis, units) / np.maximum(number, 1)
    variance = np.bincount(owner, (isis - mean[owner]) ** 2, units) / np.maximum(number, 1)
    known = (number >= 2) & (mean > 0)
    cv = np.sqrt(variance[known]) / mean[known]
    result = np.zeros(units)
    result[known] = np.log(np.maximum(cv, LOWEST_CV))
    return result


def _isi_histogram(isis: np.ndarray, owner: np.ndarray, units: int) -> np.ndarray:
    inner = np.geomspace(SHORTEST_ISI, LONGEST_ISI, ISI_BINS + 1)[1:-1]
    place = np.searchsorted(inner, isis, side="right")
    counts = np.bincount(owner * ISI_BINS + place, minlength=units * ISI_BINS)
    counts = counts.reshape(units, ISI_BINS)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _binned(times: np.ndarray, owner: np.ndarray, units: int, bins: int) -> np.ndarray:
    """(units, bins) float32 counts in bins of LAG_S; a rest at the window's end is left out."""
    row = np.floor(times / LAG_S).astype(np.int64)
    inside = row < bins
    place = owner[inside] * bins + row[inside]
    return np.bincount(place, minlength=units * bins).reshape(units, bins).astype(np.float32)


def _autocorrelation(binned: np.ndarray) -> np.ndarray:
    """(units, LAGS) autocovariance at each lag over the variance; 0 where counts are constant."""
    units, bins = binned.shape
    result = np.zeros((units, LAGS))
    if not bins:
        return result
    deviation = binned - binned.mean(axis=1, keepdims=True)
    variance = np.einsum("ub,ub->u", deviation, deviation) / bins
    for lag in range(1, min(LAGS, bins - 1) + 1):
        product = np.einsum("ub,ub->u", deviation[:, :-lag], deviation[:, lag:]) / (bins - lag)
        np.divide(product, variance, out=result[:, lag - 1], where=variance > 1e-9)
    return result


def _fano(binned: np.ndarray) -> np.ndarray:
    """(units,) variance over mean of counts in windows of FANO_S."""
    units, bins = binned.shape
    width = round(FANO_S / LAG_S)
    windows = bins // width
    result = np.ones(units)
    if windows < 2:
        return result
    counts = binned[:, : windows * width].reshape(units, windows, width).sum(axis=2)
    mean = counts.mean(axis=1)
    np.divide(counts.var(axis=1), mean, out=result, where=mean > 0)
    return result
