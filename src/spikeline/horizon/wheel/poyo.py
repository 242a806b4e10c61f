"""POYO on wheels: `torch_brain.models.POYO`, fed whole batches of windows at once.

`POYO.tokenize` and `collate` take a window at a time, 2 ms each; the tokens here are the same, in
the same order, gathered for a batch by index. One network may know several sessions: each has
embeddings of its own for its units and for itself, and the rest is shared. An estimate is that of
the window's own moment, so it reads no spike that the other decoders do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_brain.models import POYO

from spikeline.errors import InputError
from spikeline.horizon.wheel.task import Spikes, Window
from spikeline.training.device import mixed_precision

# Windows of an estimate's batch.
BATCH = 64
# Of the rotary embedding of time, in windows: POYO's own choice for its windows of 1 s.
LONGEST_PERIOD = 2.0627
# POYO starts at 0.02, of which one step of Adam is a sixth: identities would be noise at first.
EMBEDDING_SCALE = 0.3


@dataclass
class PoyoDecoder:
    """A network for one session: the vocabulary indices of its units and of itself.

    Decoders that were trained jointly have the same `model`.
    """

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


def build(
    window: Window, sessions: Mapping[str, Sequence[str]], settings: Mapping[str, Any]
) -> list[PoyoDecoder]:
    """A network with fresh weights, on the CPU: a decoder of it for each session.

    Args:
        window: which spikes an estimate reads.
        sessions: {name: ids of its units}; units of one id in two sessions are two units.
        settings: as of `spikeline.horizon.wheel.training.fit_poyo`.

    Raises:
        InputError: two units of one id in a session.
    """
    for name, units in sessions.items():
        if len(set(units)) < len(units):
            raise InputError(f"session {name}: two units have the same id; make them distinct")
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
    own = {name: [f"{name}/{unit}" for unit in units] for name, units in sessions.items()}
    model.unit_emb.initialize_vocab([unit for units in own.values() for unit in units])
    model.session_emb.initialize_vocab(list(own))
    return [
        PoyoDecoder(
            model,
            window,
            np.asarray(model.unit_emb.tokenizer(units), np.int64),
            int(model.session_emb.tokenizer(name)),
        )
        for name, units in own.items()
    ]


def collated(batches: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The inputs of several sessions' windows one below the other, the shorter ones padded."""
    length = max(batch["input_mask"].shape[1] for batch in batches)

    def padded(values: Tensor) -> Tensor:
        return nn.functional.pad(values, (0, length - values.shape[1]))

    return {
        name: torch.cat(
            [padded(one[name]) if name.startswith("input_") else one[name] for one in batches]
        )
        for name in batches[0]
    }
