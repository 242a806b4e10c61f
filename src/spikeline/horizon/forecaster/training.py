"""Train a forecaster on sessions: random windows of train blocks, chosen on valid blocks.

Its start comes first: the regression that all units share, and what each session teaches about its
own units (horizon/forecaster/starting.py).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from spikeline.errors import InputError
from spikeline.horizon.forecaster.batches import Geometry, Recording, TrainingBatches
from spikeline.horizon.forecaster.network import Forecaster
from spikeline.horizon.forecaster.prediction import forecast
from spikeline.horizon.forecaster.shared_glm import SharedForecaster
from spikeline.horizon.forecaster.starting import fit_shared, with_updates
from spikeline.horizon.forecaster.trace_checkpoints import STRIDE
from spikeline.horizon.forecaster.trust import fit_shares
from spikeline.horizon.scores.bits_per_spike import training_mean
from spikeline.horizon.scores.windows import elsewhere, forecast_starts
from spikeline.training.device import mixed_precision
from spikeline.training.loop import train
from spikeline.training.schedule import Schedule
from spikeline.training.state import StateFile, fingerprint

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# Norm beyond which a step's gradient is shortened: a burst in one batch is no reason to leap.
_MOST_GRADIENT = 1.0

logger = logging.getLogger(__name__)


def fit_forecaster(
    forecaster: Forecaster,
    recordings: Sequence[Recording],
    geometry: Geometry,
    settings: Mapping[str, Any],
    *,
    seed: int,
    fabric: Fabric,
    state_file: StateFile | None = None,
    fingerprint: str = "",
) -> list[dict]:
    """Train in place; it ends with the weights of the best epoch.

    Args:
        forecaster: on the device of the recordings.
        recordings: training sessions.
        settings: resolved settings of the model.
        seed: of batches and dropout.
        fabric, state_file, fingerprint: see `spikeline.training.loop.train`.

    Returns:
        One row per epoch: epoch, member, learning_rate, loss (horizon/forecaster/losses.py), score
        (bits per spike of the valid blocks against each unit's mean count in the train domain).
    """
    device = recordings[0].kept.device
    logger.info("forecaster: %s parameters", f"{forecaster.parameters_count:,}")
    shuffled = settings["shuffle_history"]
    fit_shared(
        forecaster.shared, recordings, geometry,
        most_rows=settings["most_rows"], seed=seed, shuffled=shuffled,
    )  # fmt: skip
    if not shuffled:  # the control knows nothing of its sessions either
        recordings = [with_updates(one, forecaster.shared, geometry) for one in recordings]
    batches = TrainingBatches(recordings, geometry, settings, seed, stride=fabric.world_size)
    validation = None
    if settings["validation_windows"]:
        validation = _Validation(recordings, geometry, settings["validation_windows"], shuffled)

    def loss(number: int) -> Tensor:
        batch = batches(number)
        with mixed_precision(device):
            log_rates = forecaster(batch.past, batch.population)
        return forecaster.loss(log_rates, batch.target)[None]

    def score() -> dict[str, Tensor]:
        return {"score": torch.tensor([validation.bits_per_spike(forecaster)])}

    history = train(
        forecaster,
        loss,
        Schedule.of(settings, settings["steps_per_epoch"]),
        fabric=fabric,
        seed=2 * seed + 1,
        score=score if validation is not None else None,
        most_gradient=_MOST_GRADIENT,
        state_file=state_file,
        fingerprint=fingerprint,
    )
    if not shuffled:
        fit_shares(forecaster, recordings, geometry, settings["most_rows"])
    return history


def fit_shared_forecaster(
    forecaster: SharedForecaster,
    recordings: Sequence[Recording],
    geometry: Geometry,
    settings: Mapping[str, Any],
    *,
    seed: int,
) -> list[dict]:
    """Fit the shared regression by itself, in place, on train and valid blocks.

    Returns:
        One row, as of an epoch: the score is of the fit on train blocks alone.
    """
    shared, shuffled = forecaster.shared, settings["shuffle_history"]
    how = {"most_rows": settings["most_rows"], "seed": seed, "shuffled": shuffled}
    fit_shared(shared, recordings, geometry, **how)
    validation = _Validation(recordings, geometry, settings["validation_windows"], shuffled)
    score = validation.bits_per_spike(forecaster)
    if not shuffled:
        # before valid blocks are learned from
        fit_shares(forecaster, recordings, geometry, settings["most_rows"])
    fit_shared(shared, recordings, geometry, **how, refit=True)
    return [{"epoch": 1, "member": 0, "learning_rate": 0.0, "loss": -score, "score": score}]


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

    def bits_per_spike(self, forecaster: Forecaster | SharedForecaster) -> float:
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
    described: list[Any] = [dict(settings), seed]
    arrays: list[np.ndarray | Tensor] = []
    for one in recordings:
        described.append([one.name, list(one.counts.shape), list(one.reference)])
        # the checkpoints stand for all counts but the last
        last = one.counts[(len(one.kept) - 1) * STRIDE :]
        arrays += [one.kept, last, one.domains, one.population.offset]
        arrays += [one.population.units.features, one.population.units.valid]
        optional = (one.behaviour, one.image, one.population.images)
        arrays += [part for part in optional if part is not None]
    return fingerprint(described, *arrays)
