"""Responses made comparable: electrodes chosen, counts stabilised, each feature standardised.

A feature is a column of the responses, an electrode or one of its time bins, or a weighting of an
electrode's bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts.responses import BIN
from spikeline.bridge.temporal_components import TemporalComponents
from spikeline.errors import InputError

TRANSFORMS = ("none", "sqrt", "anscombe")
# Statistics are taken in double precision of so many values at a time.
_BLOCK_VALUES = 1 << 24


def stabilised(values: np.ndarray, transform: str) -> np.ndarray:
    """Counts with a variance that depends less on their mean; float32, shape unchanged.

    `sqrt` (Bartlett 1936) and `anscombe`, 2 sqrt(x + 3/8) (Anscombe 1948). Negative values, which
    are not counts, become 0.
    """
    values = np.asarray(values, dtype=np.float32)
    if transform == "none":
        return values
    if transform == "sqrt":
        return np.sqrt(np.maximum(values, 0))
    if transform == "anscombe":
        return 2 * np.sqrt(np.maximum(values, 0) + np.float32(0.375))
    raise InputError(f"transform: {transform!r} is not one of {', '.join(TRANSFORMS)}")


@dataclass(frozen=True)
class ResponseScaler:
    """Stabilise, weigh time bins, subtract the training mean, divide by the standard deviation.

    Attributes:
        transform: `none`, `sqrt` or `anscombe`.
        mean: (features,) float32, after the transform.
        inverse_std: (features,) float32; 0 for one that never varied in training, so that it
            contributes nothing.
        components: of time bins, whose outputs are the features; None: columns are.
    """

    transform: str
    mean: np.ndarray
    inverse_std: np.ndarray
    components: TemporalComponents | None = None

    @classmethod
    def fit(
        cls,
        values: np.ndarray,
        transform: str = "none",
        components: TemporalComponents | None = None,
    ) -> ResponseScaler:
        """Fit on training rows only.

        Args:
            values: responses (rows, columns); NaN is a missing value.
            transform: see `TRANSFORMS`.

        Raises:
            InputError: a transform for counts and negative values.
        """
        if transform != "none" and np.nanmin(values) < 0:
            raise InputError(
                f"transform: {transform!r} is for counts, but responses are negative; use 'none'"
            )
        if components is not None:
            values = components.apply(stabilised(values, transform))
        columns = values.shape[1]
        mean, inverse = np.empty(columns), np.empty(columns)
        step = max(1, _BLOCK_VALUES // max(len(values), 1))
        for start in range(0, columns, step):
            block = slice(start, start + step)
            given = values[:, block]
            given = given if components is not None else stabilised(given, transform)
            mean[block], inverse[block] = _mean_and_inverse_std(given.astype(np.float64))
        return cls(transform, mean.astype(np.float32), inverse.astype(np.float32), components)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """(n, columns) to standardised (n, features) float32; missing values become the mean, 0."""
        values = stabilised(values, self.transform)
        if self.components is not None:
            values = self.components.apply(values)
        return (np.where(np.isfinite(values), values, self.mean) - self.mean) * self.inverse_std

    def tensors(self) -> dict[str, np.ndarray]:
        """Its arrays by name, as a decoder's file holds them; the transform is not among them."""
        arrays = {"scaler.mean": self.mean, "scaler.inverse_std": self.inverse_std}
        if self.components is not None:
            parts = vars(self.components).items()
            arrays |= {f"scaler.components.{name}": array for name, array in parts}
        return arrays

    @classmethod
    def from_tensors(cls, transform: str, arrays: Mapping[str, np.ndarray]) -> ResponseScaler:
        """The scaler that returned these `tensors`."""
        prefix = "scaler.components."
        parts = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        components = TemporalComponents(**parts) if parts else None
        return cls(transform, arrays["scaler.mean"], arrays["scaler.inverse_std"], components)


def _mean_and_inverse_std(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each column (rows, columns) float64, NaN left out."""
    present = np.isfinite(values)
    count = np.maximum(present.sum(0), 1)
    mean = np.where(present, values, 0).sum(0) / count
    std = np.sqrt(np.square(np.where(present, values - mean, 0)).sum(0) / count)
    varies = std > 1e-6 * np.maximum(np.abs(mean), 1e-12)
    return mean, np.divide(1, std, out=np.zeros_like(std), where=varies)


def electrode_selection(
    electrodes: Mapping[str, np.ndarray],
    regions: Sequence[str] | str = (),
    min_snr: float = 0.0,
    min_reliability: float = 0.0,
) -> np.ndarray:
    """Indices of the electrodes a model uses, in the order of the responses file.

    Of responses in time bins: of all columns of these electrodes, bin after bin.

    Args:
        electrodes: the electrode table (`region`, `snr`, `reliability`: arrays (columns,)).
        regions: region names, as a list or joined by '+'; empty means all.
        min_snr, min_reliability: thresholds; 0 takes every electrode, known or not. Otherwise an
            electrode without the measure (NaN) is left out.

    Raises:
        InputError: a region the subject does not have, a measure the file lacks, or no electrode
            left.
    """
    known = np.asarray(electrodes["region"]).astype(str)
    keep = np.ones(len(known), dtype=bool)
    names = regions.split("+") if isinstance(regions, str) and regions else list(regions)
    if names:
        missing = sorted(set(names) - set(known))
        if missing:
            raise InputError(
                f"regions: {'+'.join(missing)} is not a region of this subject; "
                f"known: {', '.join(sorted(set(known)))}"
            )
        keep &= np.isin(known, names)
    for key, measure, minimum in (
        ("min_snr", "snr", min_snr),
        ("min_reliability", "reliability", min_reliability),
    ):
        if not minimum:
            continue
        values = np.asarray(electrodes[measure], dtype=np.float64)
        if np.isnan(values).all():
            raise InputError(f"{key}: these responses have no {measure}; set it to 0")
        keep &= np.nan_to_num(values, nan=-np.inf) >= minimum
    if not keep.any():
        raise InputError(
            f"no electrode is left with regions {'+'.join(names) or 'all'}, min_snr {min_snr}, "
            f"min_reliability {min_reliability}; lower the thresholds"
        )
    return np.flatnonzero(keep)


def time_bins(
    electrodes: Mapping[str, np.ndarray], chosen: np.ndarray, settings: Mapping[str, Any]
) -> int:
    """How many time bins chosen columns are of; 1 where responses are means over time.

    Args:
        electrodes: the electrode table.
        chosen: columns, as `electrode_selection` gives them: the same electrodes in every bin.
        settings: of the decoder; those with `time` may weigh bins.

    Raises:
        InputError: the decoder weighs bins and there are none, or too few.
    """
    time = settings.get("time", "concatenated")
    if BIN not in electrodes:
        if time != "concatenated":
            raise InputError(
                f"time: {time} weighs time bins, and these responses have none; give responses in "
                "bins (setting windows: an entry with bin_ms)"
            )
        return 1
    bins = int(np.max(electrodes[BIN])) + 1
    first = chosen[: len(chosen) // bins]
    width = len(electrodes[BIN]) // bins
    if not np.array_equal(chosen, (first + width * np.arange(bins)[:, None]).ravel()):
        raise ValueError("columns: not the same electrodes in every bin")
    if time == "low_rank" and settings["time_rank"] > bins:
        raise InputError(
            f"time_rank: {settings['time_rank']} filters of {bins} time bins; give at most {bins}"
        )
    return bins
