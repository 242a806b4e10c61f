"""Responses made comparable: electrodes chosen, counts stabilised, each electrode standardised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikeline.errors import InputError

TRANSFORMS = ("none", "sqrt", "anscombe")


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
    """Stabilise, subtract the training mean, divide by the training standard deviation.

    Attributes:
        transform: `none`, `sqrt` or `anscombe`.
        mean: (electrodes,) float32, after the transform.
        inverse_std: (electrodes,) float32; 0 for an electrode that never varied in training, so
            that it contributes nothing.
    """

    transform: str
    mean: np.ndarray
    inverse_std: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray, transform: str = "none") -> ResponseScaler:
        """Fit on training rows only.

        Args:
            values: responses (rows, electrodes); NaN is a missing value.
            transform: see `TRANSFORMS`.

        Raises:
            InputError: a transform for counts and negative values.
        """
        if transform != "none" and np.nanmin(values) < 0:
            raise InputError(
                f"transform: {transform!r} is for counts, but responses are negative; use 'none'"
            )
        values = stabilised(values, transform).astype(np.float64)
        present = np.isfinite(values)
        count = np.maximum(present.sum(0), 1)
        mean = np.where(present, values, 0).sum(0) / count
        variance = np.where(present, values - mean, 0)
        std = np.sqrt(np.square(variance).sum(0) / count)
        varies = std > 1e-6 * np.maximum(np.abs(mean), 1e-12)
        inverse = np.divide(1, std, out=np.zeros_like(std), where=varies)
        return cls(transform, mean.astype(np.float32), inverse.astype(np.float32))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Standardised float32 responses of the same shape; missing values become the mean, 0."""
        values = stabilised(values, self.transform)
        return (np.where(np.isfinite(values), values, self.mean) - self.mean) * self.inverse_std


def electrode_selection(
    electrodes: Mapping[str, np.ndarray],
    regions: Sequence[str] | str = (),
    min_snr: float = 0.0,
    min_reliability: float = 0.0,
) -> np.ndarray:
    """Indices of the electrodes a model uses, in the order of the responses file.

    Args:
        electrodes: the electrode table (`region`, `snr`, `reliability`: arrays (electrodes,)).
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
