"""How far a trained forecaster is trusted: by all units together, and by each of a session's own.

It forecasts windows all along the sessions, and what came decides (horizon/forecaster/mixing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from spikeline.artifacts.counts import TRAIN, VALID
from spikeline.horizon.forecaster.adaptation import band_of
from spikeline.horizon.forecaster.batches import (
    Geometry,
    Recording,
    lead_counts,
    read_rows,
    starts_within,
)
from spikeline.horizon.forecaster.mixing import BANDS, alone, fit_together, learn_mixtures
from spikeline.horizon.forecaster.network import Forecaster
from spikeline.horizon.forecaster.prediction import lead_bin_forecasts
from spikeline.horizon.forecaster.shared_glm import SharedForecaster

# Bins between the windows that a session is learned from; more where it has very many.
_STRIDE = 10
# Windows, times units, of a session.
_MOST = 1 << 22


def fit_shares(
    model: Forecaster | SharedForecaster,
    recordings: Sequence[Recording],
    geometry: Geometry,
    most_rows: int,
) -> None:
    """Learn in place how far all units trust a forecaster, on valid blocks, or on train blocks of
    sessions without.

    Args:
        most_rows: windows of units.
    """
    pools = []
    for one in recordings:
        valid = starts_within(one, geometry.future_bins, (VALID,))
        pools.append(valid if len(valid) else starts_within(one, geometry.future_bins, (TRAIN,)))
    every = sum(len(pool) * one.units for pool, one in zip(pools, recordings, strict=True))
    share = min(1.0, most_rows / max(1, every))
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for pool, one in zip(pools, recordings, strict=True):
        if not len(pool):
            continue
        places = np.linspace(0, len(pool) - 1, max(1, round(share * len(pool))))
        rates, means, counts = _seen(model, one, geometry, np.unique(pool[places.astype(int)]))
        found.append((rates.mT.flatten(0, 1), means.flatten(0, 1), counts.mT.flatten(0, 1)))
    if found:
        model.shares.copy_(fit_together(*(torch.cat(part) for part in zip(*found, strict=True))))


def with_mixtures(
    recording: Recording, model: Forecaster | SharedForecaster, geometry: Geometry
) -> Recording:
    """The recording with how far its own units trust the forecaster, all along."""
    if torch.equal(model.shares, alone(len(geometry.traces_s)).to(model.shares.device)):
        return recording
    bins, units = recording.counts.shape
    stride = max(_STRIDE, -(-bins * units // _MOST))
    starts = np.arange(0, bins - geometry.future_bins + 1, stride)
    rates, means, counts = _seen(model, recording, geometry, starts)
    mixtures = learn_mixtures(
        rates, means, counts, starts, model.shares.to(rates.device), geometry.edges,
        recording.reference[1], bins,
    )  # fmt: skip
    return replace(recording, mixtures=mixtures)


def _seen(
    model: Forecaster | SharedForecaster,
    recording: Recording,
    geometry: Geometry,
    starts: np.ndarray,
) -> tuple[Tensor, Tensor, Tensor]:
    """Of windows: rates (windows, BANDS, units) forecast, means (windows, units, constants) of
    before, and counts (windows, BANDS, units) that came, all per bin."""
    lengths = torch.from_numpy(np.diff(geometry.edges)).to(recording.kept.device)
    place = torch.from_numpy(band_of(len(lengths), BANDS)).to(lengths.device)
    widths = torch.zeros(BANDS, device=lengths.device).index_add_(0, place, lengths.float())

    def banded(values: Tensor) -> Tensor:
        """Sums of lead bins as means of the bins of a band."""
        shape = (len(values), BANDS, values.shape[2])
        found = torch.zeros(shape, device=values.device).index_add_(1, place, values)
        return found / widths.clamp(min=1)[:, None]

    rates, means, counts = [], [], []
    parts = lead_bin_forecasts(model, recording, geometry, starts, len(lengths))
    for batch, log_rates, recent in parts:
        future = read_rows(recording, starts[batch], 0, geometry.future_bins)
        rates.append(banded(log_rates.exp() * lengths[:, None]))
        means.append(recent)
        counts.append(banded(lead_counts(future.to(lengths.device), geometry.edges)))
    return torch.cat(rates), torch.cat(means), torch.cat(counts)
