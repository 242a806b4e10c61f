"""Train a forecaster on sessions: random windows of train blocks, chosen on all of valid blocks."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikeline.errors import InputError
from spikeline.horizon.forecaster.batches import Geometry, Recording, TrainingBatches
from spikeline.horizon.forecaster.network import Forecaster
from spikeline.horizon.forecaster.prediction import forecast
from spikeline.horizon.forecaster.trace_checkpoints import STRIDE
from spikeline.horizon.scores.bits_per_spike import training_mean
from spikeline.horizon.scores.windows import elsewhere, forecast_starts
from spikeline.training.device import mixed_precision
from spikeline.training.loop import Schedule, train

# 1 would weigh all spikes of the future alike, 0 all lead bins.
_LEAD_BIN_WEIGHT = 0.4

logger = logging.getLogger(__name__)


class _Steps(nn.Module):
    """The forecaster, and how many steps it has taken: part of the state, so a resumed run draws
    the batches that an unbroken one would."""

    def __init__(self, forecaster: Forecaster):
        super().__init__()
        self.forecaster = forecaster
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))


def fit_forecaster(
    forecaster: Forecaster,
    recordings: Sequence[Recording],
    geometry: Geometry,
    settings: Mapping[str, Any],
    *,
    seed: int,
    state_path: str | os.PathLike[str] | None = None,
    fingerprint: str = "",
    state_interval_s: float = 20.0,
) -> list[dict]:
    """Train in place; it ends with the weights of the best epoch.

    Args:
        forecaster: on the device of the recordings.
        recordings: training sessions.
        settings: resolved settings of the model.
        seed: of batches and dropout.
        state_path, fingerprint, state_interval_s: see `spikeline.training.loop.train`.

    Returns:
        One row per epoch: epoch, member, learning_rate, loss (see `lead_bin_loss`), score (bits
        per spike of the valid blocks against each unit's mean count in the train domain).
    """
    device = recordings[0].kept.device
    logger.info("forecaster: %s parameters", f"{forecaster.parameters_count:,}")
    batches = TrainingBatches(recordings, geometry, settings, seed)
    model = _Steps(forecaster)
    validation = None
    if settings["validation_windows"]:
        validation = _Validation(
            recordings, geometry, settings["validation_windows"], settings["shuffle_history"]
        )

    def loss(_: Tensor) -> Tensor:
        batch = batches(int(model.taken))
        model.taken += 1
        with mixed_precision(device):
            log_rates = forecaster(batch.past, batch.population)
        return lead_bin_loss(log_rates, batch.target, batch.lengths)[None]

    def score() -> dict[str, Tensor]:
        return {"score": torch.tensor([validation.bits_per_spike(forecaster)])}

    return train(
        model,
        loss,
        [torch.arange(settings["steps_per_epoch"], device=device)],
        # a row of the loop is a step: a batch of windows of one session
        Schedule.of(settings, batch_size=1),
        seed=2 * seed + 1,
        score=score if validation is not None else None,
        state_path=state_path,
        fingerprint=fingerprint,
        state_interval_s=state_interval_s,
    )


def lead_bin_loss(log_rates: Tensor, counts: Tensor, lengths: Tensor) -> Tensor:
    """Mean Poisson negative log likelihood of lead bins whose rate is that of their centre.

    All spikes of the future count at the cost of a few bins. Long lead bins hold most of the spikes
    and least of what can be known, so each weighs by a power of its length.

    In nats, weighted, without the log n! that no model changes.

    Args:
        log_rates: (windows, lead bins, units) per bin.
        counts: (windows, lead bins, units) summed over each lead bin.
        lengths: (lead bins,) bins.
    """
    weights = lengths[:, None] ** _LEAD_BIN_WEIGHT
    return (poisson_nll(log_rates, counts / lengths[:, None]) * weights).mean()


def poisson_nll(log_rates: Tensor, counts: Tensor) -> Tensor:
    """r - n log r in nats, elementwise, in float32; log n! does not depend on the model."""
    log_rates = log_rates.float()
    return log_rates.exp() - counts * log_rates


class _Validation:
    """Windows of valid blocks, evenly drawn from all of them, and what the null scores there."""

    def __init__(
        self, recordings: Sequence[Recording], geometry: Geometry, windows: int, shuffled: bool
    ):
        self.recordings, self.geometry, self.shuffled = recordings, geometry, shuffled
        bins = geometry.future_bins
        found = []
        for recording in recordings:
            try:
                found.append(forecast_starts(recording.domains, "valid", bins)[0])
            except InputError:
                raise InputError(
                    f"session {recording.name}: no valid block holds {bins} bins; shorten "
                    "horizon_ms, or set validation_windows to 0"
                ) from None
        share = min(1.0, windows / sum(map(len, found)))
        self.starts = [_even(starts, max(1, round(share * len(starts)))) for starts in found]
        self.counts, self.null, self.spikes = [], 0.0, 0.0
        for recording, starts in zip(recordings, self.starts, strict=True):
            index = starts[:, None] + np.arange(bins)
            resident = recording.counts
            counts = resident[index] if recording.mapped else resident.cpu().numpy()[index]
            every = resident if recording.mapped else resident.cpu().numpy()
            null = training_mean(every, recording.domains, "train")
            total = counts.sum((0, 1), dtype=np.float64)
            self.counts.append(counts)
            self.null += float((null * counts[..., 0].size - total * np.log(null)).sum())
            self.spikes += float(total.sum())

    def bits_per_spike(self, forecaster: Forecaster) -> float:
        """Pooled over all sessions; 0 where no unit fires at all."""
        total = 0.0
        for recording, starts, counts in zip(
            self.recordings, self.starts, self.counts, strict=True
        ):
            begin = elsewhere(starts, len(recording.domains)) if self.shuffled else starts
            lengths = np.full(len(starts), self.geometry.future_bins)
            for batch, rates in forecast(forecaster, recording, self.geometry, begin, lengths):
                total += float((rates - counts[batch] * np.log(rates)).sum(dtype=np.float64))
        return (self.null - total) / self.spikes / np.log(2) if self.spikes else 0.0


def _even(values: np.ndarray, count: int) -> np.ndarray:
    """`count` of the values, evenly spaced."""
    return values[np.linspace(0, len(values) - 1, count).round().astype(int)]


def fingerprint_of(settings: Mapping[str, Any], seed: int, recordings: Sequence[Recording]) -> str:
    """Identity of a training: the same settings, seed and data, and nothing else, give it."""
    digest = hashlib.sha256(json.dumps([dict(settings), seed], sort_keys=True).encode())
    for one in recordings:
        digest.update(f"{one.name} {tuple(one.counts.shape)} {one.reference}".encode())
        # the checkpoints stand for all counts but the last
        last = one.counts[(len(one.kept) - 1) * STRIDE :]
        arrays = [one.kept, last, one.domains, one.population.offset]
        arrays += [one.population.units.features, one.population.units.valid]
        optional = (one.behaviour, one.image, one.population.images)
        arrays += [part for part in optional if part is not None]
        for array in arrays:
            array = array.cpu().numpy() if isinstance(array, Tensor) else array
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
