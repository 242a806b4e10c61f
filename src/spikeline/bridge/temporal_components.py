"""Temporal components: for each area the weightings of time bins that hold most signal.

The signal of a bin is what a ridge regression predicts of it from the image's embedding. Weights w
of the bins have the share of signal

    w' S w / w' T w,   S = signal covariance, T = total covariance of bins (signal and noise).

A gate is the weighted mean (w >= 0) with the largest share. Of free filters the first has the
largest share, and each next one the largest that is left, uncorrelated with those before: the
generalised eigenvectors of S and T, which are also those of S and the noise T - S (a discriminant
analysis in time; denoising source separation, de Cheveigne and Parra 2014, NeuroImage 98). One free
filter alone may be a contrast of bins, which loses what they have in common; a gate cannot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg
from scipy.optimize import minimize

from spikeline.bridge.kernel_ridge import fit_smoother
from spikeline.bridge.targets import TargetSpace, preparation_of

# In the scale of features whose mean squared length is 1.
_PENALTIES = 10.0 ** np.arange(-2, 3.1)
# Covariances of a few bins settle on far fewer rows and electrodes than a decoder reads.
MOST_ROWS = 4000
MOST_ELECTRODES = 64
# Added to the total covariance, as a share of its mean variance.
_RIDGE = 1e-3
_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class TemporalComponents:
    """A fixed linear map from time bins to components, the same for all electrodes of an area.

    Attributes:
        filters: (areas, bins, components) float32.
        area: (electrodes,) int32, which filters an electrode has; areas are ordered by name.
        features: indices of the outputs that are kept; output `component * electrodes + electrode`.
    """

    filters: np.ndarray
    area: np.ndarray
    features: np.ndarray

    @classmethod
    def of(cls, filters: np.ndarray, area: np.ndarray) -> TemporalComponents:
        """All outputs of these filters."""
        features = np.arange(filters.shape[2] * len(area), dtype=np.int32)
        return cls(filters.astype(np.float32), area.astype(np.int32), features)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """(n, bins * electrodes) to (n, features) float32."""
        _, bins, components = self.filters.shape
        electrodes = len(self.area)
        found = np.empty((len(values), len(self.features)), dtype=np.float32)
        for start in range(0, len(values), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            block = np.asarray(values[rows], dtype=np.float32).reshape(-1, bins, electrodes)
            outputs = np.empty((len(block), components, electrodes), dtype=np.float32)
            for number, filters in enumerate(self.filters):
                own = self.area == number
                weighted = np.tensordot(block[:, :, own], filters, (1, 0))
                outputs[:, :, own] = weighted.transpose(0, 2, 1)
            found[rows] = outputs.reshape(len(block), -1)[:, self.features]
        return found

    def take(self, features: np.ndarray) -> TemporalComponents:
        """With some of its features only, by index."""
        return replace(self, features=self.features[features])

    def described(self) -> dict[str, list]:
        """{area's number: its filters (components, bins)}, rounded, for a log."""
        return {str(n): f.T.astype(float).round(3).tolist() for n, f in enumerate(self.filters)}


def fit_temporal_components(
    values: np.ndarray,
    embeddings: np.ndarray,
    images: np.ndarray,
    groups: np.ndarray,
    regions: Sequence[str],
    bins: int,
    settings: Mapping[str, Any],
    layer_dims: Sequence[int] = (),
) -> TemporalComponents:
    """Filters of each area, fitted to training rows.

    Args:
        values: (rows, bins * electrodes), stabilised responses; column `bin * electrodes +
            electrode`.
        embeddings: (rows, dim), of each row's image.
        images: (rows,) names; groups: (rows,) labels of rows that are left out together.
        regions: (electrodes,) area of each.
        settings: `time` (gate, or low_rank: `time_rank` filters) and how embeddings are prepared.
        layer_dims: columns of each layer of the embeddings; none means one layer.
    """
    gate = settings["time"] == "gate"
    components = 1 if gate else settings["time_rank"]
    drawn = np.random.default_rng(0).permutation(len(values))[:MOST_ROWS]
    rows = np.sort(drawn)
    names, area = np.unique(np.asarray(regions), return_inverse=True)
    features = _features(embeddings[rows], images[rows], settings, layer_dims)
    filters = np.empty((len(names), bins, components))
    by_bin = values.reshape(len(values), bins, -1)
    for number in range(len(names)):
        y = by_bin[np.ix_(rows, np.arange(bins), _some(np.flatnonzero(area == number)))]
        signal, total = bin_covariances(y.astype(np.float64), features, groups[rows])
        filters[number] = (
            best_gate(signal, total)[:, None]
            if gate
            else leading_filters(signal, total, components)
        )
    return TemporalComponents.of(filters, area)


def _some(electrodes: np.ndarray) -> np.ndarray:
    """At most `MOST_ELECTRODES` of them, evenly spaced."""
    chosen = np.linspace(0, len(electrodes) - 1, min(MOST_ELECTRODES, len(electrodes)))
    return electrodes[chosen.round().astype(int)]


def _features(
    embeddings: np.ndarray,
    images: np.ndarray,
    settings: Mapping[str, Any],
    layer_dims: Sequence[int],
) -> np.ndarray:
    """Principal components of the embeddings (rows, k), of mean squared length 1."""
    first = np.unique(images, return_index=True)[1]
    space = TargetSpace.fit(embeddings[first], **preparation_of(settings), layer_dims=layer_dims)
    x = space.project(embeddings).astype(np.float64)
    return x / np.sqrt(np.square(x).sum(1).mean())


def bin_covariances(
    y: np.ndarray, features: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Signal and total covariance between bins, summed over electrodes: (bins, bins) each.

    The signal's is the covariance of a response with what the other images predict of it, made
    symmetric, so that noise adds nothing to it on average. Each electrode counts in units of its
    noise; one that does not vary counts nothing.

    Args:
        y: (rows, bins, electrodes); features: (rows, k); groups: (rows,) left out together.
    """
    rows, bins, electrodes = y.shape
    y = y - y.mean(0)
    outputs = y.reshape(rows, -1)
    _, left_out = fit_smoother("linear", features, outputs, _PENALTIES, groups=groups)
    noise = np.square(outputs - left_out).mean(0).reshape(bins, electrodes).mean(0)
    scale = np.divide(1, np.sqrt(noise), out=np.zeros(electrodes), where=noise > 1e-12)
    y, predicted = y * scale, left_out.reshape(y.shape) * scale
    signal, total = (np.einsum("nbe,nce->bc", each, y) / rows for each in (predicted, y))
    return (signal + signal.T) / 2, total


def best_gate(signal: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Weights (bins,) >= 0 of sum 1 with the largest share of signal that ascent finds.

    From the plain mean, over weights u^2, in units of each bin's deviation.
    """
    bins, total = len(total), _regularised(total)
    deviation = np.sqrt(np.diag(total))
    units = np.outer(deviation, deviation)
    signal, total = signal / units, total / units

    def loss(u: np.ndarray) -> tuple[float, np.ndarray]:
        w = u**2
        own, every = max(w @ signal @ w, 1e-12 * (w @ total @ w)), w @ total @ w
        gradient = signal @ w / own - total @ w / every
        return np.log(every / own), -4 * u * gradient

    start = np.sqrt(deviation / deviation.sum())
    found = minimize(loss, start, jac=True, method="L-BFGS-B").x ** 2 / deviation
    return found / found.sum() if found.sum() > 0 else np.full(bins, 1 / bins)


def _regularised(total: np.ndarray) -> np.ndarray:
    bins = len(total)
    return total + _RIDGE * max(np.trace(total) / bins, 1e-12) * np.eye(bins)


def leading_filters(signal: np.ndarray, total: np.ndarray, components: int) -> np.ndarray:
    """The filters (bins, components) with the largest share of signal, of length 1.

    The sign is free: the sum over bins is made positive.
    """
    _, vectors = scipy.linalg.eigh(signal, _regularised(total))
    leading = vectors[:, ::-1][:, :components]
    leading = leading / np.linalg.norm(leading, axis=0)
    return leading * np.where(leading.sum(0) < 0, -1, 1)
