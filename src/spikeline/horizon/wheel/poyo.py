"""POYO on one session's wheel: `torch_brain.models.POYO`, fed whole batches of windows at once.

`POYO.tokenize` and `collate` take a window at a time, 2 ms each; the tokens here are the same, in
the same order, gathered for a batch by index. In training, a window is drawn at any sample of the
train blocks and the velocity asked for at several moments before its own as well, which teaches the
units' embeddings faster; an estimate is always that of the window's own moment, so it reads no
spike that the other decoders do not.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch_brain.models import POYO

from spikeline.errors import InputError
from spikeline.horizon.wheel.task import Samples, Spikes, Task, Window
from spikeline.training.device import mixed_precision
from spikeline.training.loop import train
from spikeline.training.schedule import Schedule
from spikeline.training.state import StateFile, fingerprint

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)

# Windows of an estimate's batch.
BATCH = 64
# Of the rotary embedding of time, in windows: POYO's own choice for its windows of 1 s.
LONGEST_PERIOD = 2.0627
# POYO starts at 0.02, of which one step of Adam is a sixth: identities would be noise at first.
EMBEDDING_SCALE = 0.3


@dataclass
class PoyoDecoder:
    """A network, and the vocabulary indices of its units and session."""

    model: POYO
    window: Window
    unit_tokens: np.ndarray
    session_token: int

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def device(self) -> torch.device:
        return self.model.readout.weight.device

    def inputs(self, spikes: Spikes, times: np.ndarray) -> dict[str, Tensor]:
        """What `POYO.forward` reads of the windows of moments (n,), but for the queries.

        As `collate` of `POYO.tokenize` of each window gives it, with times in float32.
        """
        starts = self.window.starts(np.asarray(times, np.float64))
        low = np.searchsorted(spikes.times, starts)
        count = np.searchsorted(spikes.times, starts + self.window.length) - low
        units = spikes.units
        length = -(-(2 * units + int(count.max())) // 8) * 8
        shape = len(starts), length
        unit, token = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        moment, mask = np.zeros(shape, np.float32), np.zeros(shape, bool)
        # A start and an end token for each unit, then the spikes, in order of time.
        unit[:, : 2 * units] = np.repeat(self.unit_tokens, 2)
        token[:, : 2 * units] = np.tile([1, 2], units)
        moment[:, : 2 * units] = np.tile([0, self.window.length], units)
        mask[:, : 2 * units] = True
        row, column = np.nonzero(np.arange(length - 2 * units) < count[:, None])
        spike = low[row] + column
        column += 2 * units
        unit[row, column] = self.unit_tokens[spikes.unit_index[spike]]
        moment[row, column] = spikes.times[spike] - starts[row]
        mask[row, column] = True
        steps = np.arange(0, self.model.sequence_length, self.model.latent_step)
        per_step = self.model.num_latents_per_step
        latent = np.tile(np.arange(per_step), len(steps))
        latent_moment = np.repeat(steps + self.model.latent_step / 2, per_step)
        arrays = {
            "input_unit_index": unit,
            "input_timestamps": moment,
            "input_token_type": token,
            "input_mask": mask,
            "latent_index": np.tile(latent, (len(starts), 1)),
            "latent_timestamps": np.tile(latent_moment.astype(np.float32), (len(starts), 1)),
            "session_index": np.full(len(starts), self.session_token),
        }
        return {name: torch.from_numpy(array).to(self.device) for name, array in arrays.items()}

    @torch.no_grad()
    def estimate(self, spikes: Spikes, times: np.ndarray) -> np.ndarray:
        """Velocity (n,) float64, z-scored, at moments (n,)."""
        self.model.eval()
        query = torch.full((1, 1), self.window.moment, device=self.device)
        parts = []
        for first in range(0, len(times), BATCH):
            chunk = times[first : first + BATCH]
            with mixed_precision(self.device):
                output = self.model(
                    **self.inputs(spikes, chunk), output_timestamps=query.expand(len(chunk), 1)
                )
            parts.append(output[:, 0, 0].double().cpu().numpy())
        return np.concatenate(parts)


def fit_poyo(
    task: Task,
    units: list[str],
    session: str,
    settings: Mapping[str, Any],
    *,
    seed: int,
    fabric: Fabric,
    state_file: StateFile | None = None,
) -> tuple[PoyoDecoder, list[dict]]:
    """Train on train blocks; it ends with the weights of the best epoch on valid blocks.

    Args:
        units: ids of the units, distinct.
        session: id of the session.
        settings: latent_step_ms, latents_per_step, shortest_period_ms, dim, dim_head, cross_heads,
            heads, depth, dropout, unit_dropout, queries, batch_size, steps_per_epoch, epochs,
            learning_rate, weight_decay, warmup_epochs, patience, validation_samples.
        seed: of weights, batches and dropout.
        fabric, state_file: see `spikeline.training.loop.train`.

    Returns:
        The decoder, and one row per epoch: epoch, member, learning_rate, loss (squared error),
        score (R2 on valid moments).
    """
    torch.manual_seed(2 * seed)  # the loop seeds itself, with another number
    decoder = build(task.window, units, session, settings)
    device = fabric.device
    decoder.model.to(device)
    logger.info("POYO: %s parameters", f"{decoder.parameters:,}")
    batches = _Batches(task, settings, seed)
    valid = task.valid.evenly(settings["validation_samples"])
    deviation = float(((valid.velocity - valid.velocity.mean()) ** 2).sum())

    def loss(number: int) -> Tensor:
        times, queries, velocity, hidden = batches(number)
        inputs = decoder.inputs(task.spikes, times)
        if settings["unit_dropout"]:
            # Indexed by vocabulary, in which 0 is padding.
            shown = torch.from_numpy(~hidden).to(device)
            inputs["input_mask"] &= shown.gather(1, inputs["input_unit_index"])
        with mixed_precision(device):
            estimate = decoder.model(
                **inputs, output_timestamps=torch.from_numpy(queries).to(device)
            )
        target = torch.from_numpy(velocity).to(device)
        known = ~target.isnan()
        error = (estimate[..., 0].float() - target.nan_to_num()).square() * known
        return (error.sum() / known.sum())[None]

    def score() -> dict[str, Tensor]:
        estimate = decoder.estimate(task.spikes, valid.times)
        error = float(((estimate - valid.velocity) ** 2).sum())
        # Where nothing moves in valid blocks, the least error is best all the same.
        return {"score": torch.tensor([1 - error / deviation if deviation else -error])}

    history = train(
        decoder.model,
        loss,
        Schedule.of(settings, settings["steps_per_epoch"]),
        fabric=fabric,
        seed=2 * seed + 1,
        score=score,
        state_file=state_file,
        fingerprint=_fingerprint(task, units, session, settings, seed),
    )
    return decoder, history


def build(
    window: Window, units: list[str], session: str, settings: Mapping[str, Any]
) -> PoyoDecoder:
    """A network with fresh weights, on the CPU.

    Raises:
        InputError: two units of one id.
    """
    if len(set(units)) < len(units):
        raise InputError(f"session {session}: two units have the same id; make them distinct")
    model = POYO(
        sequence_length=window.length,
        latent_step=settings["latent_step_ms"] / 1000,
        num_latents_per_step=settings["latents_per_step"],
        dim_out=1,
        dim=settings["dim"],
        depth=settings["depth"],
        dim_head=settings["dim_head"],
        cross_heads=settings["cross_heads"],
        self_heads=settings["heads"],
        ffn_dropout=settings["dropout"],
        lin_dropout=settings["dropout"],
        atn_dropout=0.0,
        emb_init_scale=EMBEDDING_SCALE,
        t_min=settings["shortest_period_ms"] / 1000,
        t_max=LONGEST_PERIOD * window.length,
    )
    # What `init_vocabs` does with a Dataset.
    model.unit_emb.initialize_vocab(units)
    model.session_emb.initialize_vocab([session])
    tokens = np.asarray(model.unit_emb.tokenizer(units), np.int64)
    return PoyoDecoder(model, window, tokens, int(model.session_emb.tokenizer(session)))


class _Batches:
    """Random training windows, each batch a function of (seed, step) alone."""

    def __init__(self, task: Task, settings: Mapping[str, Any], seed: int):
        self.dense, self.window, self.seed = task.dense, task.window, seed
        self.units = task.spikes.units
        self.batch_size, self.queries = settings["batch_size"], settings["queries"]
        self.unit_dropout = settings["unit_dropout"]
        self.step = _step(task.dense)
        # Velocity by sample number, unknown outside train blocks.
        self.place = np.rint(task.dense.times / self.step).astype(np.int64)
        self.velocity = np.full(self.place[-1] + 1, np.nan, np.float32)
        self.velocity[self.place] = task.dense.velocity

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Moments (batch,), query times (batch, queries), velocity there (NaN: not to be learned),
        and units to hide (batch, units + 1) with padding first."""
        random = np.random.default_rng([self.seed, 2, step])
        place = random.choice(self.place, self.batch_size)
        # The window's own moment, then others back to the window's start.
        span = int(self.window.moment / self.step + 1e-6)
        back = random.integers(0, span + 1, (self.batch_size, self.queries))
        back[:, 0] = 0
        source = place[:, None] - back
        velocity = np.where(source >= 0, self.velocity[source.clip(0)], np.nan)
        queries = (self.window.moment - back * self.step).astype(np.float32)
        hidden = random.random((self.batch_size, self.units + 1)) < self.unit_dropout
        return place * self.step, queries, velocity.astype(np.float32), hidden


def _step(dense: Samples) -> float:
    """Seconds between two samples of the behaviour."""
    return float(np.diff(dense.times).min()) if len(dense) > 1 else 1.0


def _fingerprint(
    task: Task, units: list[str], session: str, settings: Mapping[str, Any], seed: int
) -> str:
    return fingerprint(
        [dict(settings), seed, units, session, task.window.length, task.window.lookahead],
        task.spikes.times,
        task.spikes.unit_index,
        task.dense.times,
        task.dense.velocity,
        task.valid.times,
        task.valid.velocity,
    )
