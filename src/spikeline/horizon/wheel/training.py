"""Training of POYO on the wheels of one session, or of several jointly.

A window is drawn at any sample of any session's train blocks, so that a batch mixes the sessions in
proportion to their lengths, and the velocity is asked for at several moments before its own as
well, which teaches the units' embeddings faster. Each session's velocity is z-scored by its own
mean and deviation, and in validation each session counts the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikeline.horizon.wheel.poyo import PoyoDecoder, build, collated
from spikeline.horizon.wheel.task import Samples, Task
from spikeline.training.device import mixed_precision
from spikeline.training.loop import train
from spikeline.training.schedule import Schedule
from spikeline.training.state import StateFile, fingerprint

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recording:
    """A session to train on: its name, the ids of its units, distinct, and its task."""

    name: str
    units: Sequence[str]
    task: Task


def fit_poyo(
    recordings: Sequence[Recording],
    settings: Mapping[str, Any],
    *,
    seed: int,
    fabric: Fabric,
    state_file: StateFile | None = None,
) -> tuple[list[PoyoDecoder], list[dict]]:
    """Train on train blocks; it ends with the weights of the best epoch on valid blocks.

    Args:
        recordings: of distinct names and the same window.
        settings: latent_step_ms, latents_per_step, shortest_period_ms, dim, dim_head, cross_heads,
            heads, depth, dropout, unit_dropout, queries, batch_size, steps_per_epoch (for each
            recording, so that none is seen less often than alone), epochs, learning_rate,
            weight_decay, warmup_epochs, patience, validation_samples.
        seed: of weights, batches and dropout.
        fabric, state_file: see `spikeline.training.loop.train`.

    Returns:
        A decoder for each recording, of one network, and one row per epoch: epoch, member,
        learning_rate, loss (squared error), score (R2 on valid moments, the recordings' mean), and
        each recording's own under `score_of` its name.

    Raises:
        InputError: two units of one id in a recording.
    """
    torch.manual_seed(2 * seed)  # the loop seeds itself, with another number
    sessions = {one.name: one.units for one in recordings}
    decoders = build(recordings[0].task.window, sessions, settings)
    device, model = fabric.device, decoders[0].model
    model.to(device)
    logger.info("POYO: %s parameters", f"{decoders[0].parameters:,}")
    batches = _Batches([one.task for one in recordings], settings, seed)
    valid = [one.task.valid.evenly(settings["validation_samples"]) for one in recordings]

    def loss(number: int) -> Tensor:
        batch = batches(number)
        inputs = collated(
            [
                decoders[each].inputs(recordings[each].task.spikes, batch.times[batch.of == each])
                for each in np.unique(batch.of)
            ]
        )
        if settings["unit_dropout"]:
            # Indexed by vocabulary, in which 0 is padding.
            shown = torch.from_numpy(~batch.hidden).to(device)
            inputs["input_mask"] &= shown.gather(1, inputs["input_unit_index"])
        with mixed_precision(device):
            queries = torch.from_numpy(batch.queries).to(device)
            estimate = model(**inputs, output_timestamps=queries)
        target = torch.from_numpy(batch.velocity).to(device)
        known = ~target.isnan()
        error = (estimate[..., 0].float() - target.nan_to_num()).square() * known
        return (error.sum() / known.sum())[None]

    def score() -> dict[str, Tensor]:
        found = {
            score_of(one.name): _r2(decoder.estimate(one.task.spikes, moments.times), moments)
            for one, decoder, moments in zip(recordings, decoders, valid, strict=True)
        }
        every = {"score": float(np.mean(list(found.values()))), **found}
        return {name: torch.tensor([value]) for name, value in every.items()}

    history = train(
        model,
        loss,
        Schedule.of(settings, settings["steps_per_epoch"] * len(recordings)),
        fabric=fabric,
        seed=2 * seed + 1,
        score=score,
        state_file=state_file,
        fingerprint=_fingerprint(recordings, settings, seed),
    )
    return decoders, history


def score_of(name: str) -> str:
    """What a row of the history calls the R2 on valid moments of the recording of that name."""
    return f"score of {name}"


def _r2(estimate: np.ndarray, samples: Samples) -> float:
    """Where nothing moves in valid blocks, the least error is best all the same."""
    error = float(((estimate - samples.velocity) ** 2).sum())
    deviation = float(((samples.velocity - samples.velocity.mean()) ** 2).sum())
    return 1 - error / deviation if deviation else -error


class Batch(NamedTuple):
    """Windows to learn from, those of one recording together.

    Attributes:
        of: (batch,) the number of each window's recording, ascending.
        times: (batch,) the windows' moments, seconds.
        queries: (batch, queries) seconds from a window's start.
        velocity: (batch, queries) z-scored; NaN is not to be learned.
        hidden: (batch, 1 + units of all recordings) units to hide, padding first.
    """

    of: np.ndarray
    times: np.ndarray
    queries: np.ndarray
    velocity: np.ndarray
    hidden: np.ndarray


class _Batches:
    """Random training windows, each batch a function of (seed, step) alone."""

    def __init__(self, tasks: Sequence[Task], settings: Mapping[str, Any], seed: int):
        self.window, self.seed = tasks[0].window, seed
        self.units = sum(task.spikes.units for task in tasks)
        self.batch_size, self.queries = settings["batch_size"], settings["queries"]
        self.unit_dropout = settings["unit_dropout"]
        self.step = np.array([_step(task.dense) for task in tasks])
        # Samples from a window's start to its moment.
        self.span = (self.window.moment / self.step + 1e-6).astype(np.int64)
        places = [
            np.rint(task.dense.times / step).astype(np.int64)
            for task, step in zip(tasks, self.step, strict=True)
        ]
        self.of = np.repeat(np.arange(len(tasks)), list(map(len, places)))
        self.place = np.concatenate(places)
        # Velocity by sample number, unknown outside train blocks, one recording after the other.
        length = np.array([place[-1] + 1 for place in places])
        self.first = np.cumsum(length) - length
        self.velocity = np.full(length.sum(), np.nan, np.float32)
        for task, place, first in zip(tasks, places, self.first, strict=True):
            self.velocity[first + place] = task.dense.velocity

    def __call__(self, number: int) -> Batch:
        random = np.random.default_rng([self.seed, 2, number])
        drawn = random.integers(0, len(self.place), self.batch_size)
        drawn = drawn[np.argsort(self.of[drawn], kind="stable")]
        of, place = self.of[drawn], self.place[drawn]
        step, first = self.step[of], self.first[of]
        # The window's own moment, then others back to the window's start.
        back = random.integers(0, self.span[of, None] + 1, (self.batch_size, self.queries))
        back[:, 0] = 0
        source = place[:, None] - back
        velocity = self.velocity[first[:, None] + source.clip(0)]
        velocity = np.where(source >= 0, velocity, np.nan).astype(np.float32)
        queries = (self.window.moment - back * step[:, None]).astype(np.float32)
        hidden = random.random((self.batch_size, self.units + 1)) < self.unit_dropout
        return Batch(of, place * step, queries, velocity, hidden)


def _step(dense: Samples) -> float:
    """Seconds between two samples of the behaviour."""
    return float(np.diff(dense.times).min()) if len(dense) > 1 else 1.0


def _fingerprint(recordings: Sequence[Recording], settings: Mapping[str, Any], seed: int) -> str:
    window = recordings[0].task.window
    arrays = [
        array
        for one in recordings
        for part in (one.task.dense, one.task.valid)
        for array in (part.times, part.velocity)
    ]
    arrays += [
        array for one in recordings for array in (one.task.spikes.times, one.task.spikes.unit_index)
    ]
    named = [[one.name, list(one.units)] for one in recordings]
    return fingerprint([dict(settings), seed, named, window.length, window.lookahead], *arrays)
