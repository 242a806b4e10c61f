"""Training step of the forecaster: unit-patch tokens and a factorised head against their peers.

Run: python benchmarks/forecast_step.py [--config FILE] [--units N] [--rate HZ] [--repeats N]
[--device cpu|cuda] [--threads N]. The model is a middling one (`SIZE`), or the `idencoder` of a
config: the larger the layers that follow the tokens, the less the tokens matter. No dropout,
batches of 16. The peer is the same model, with the same
weights everywhere else, on the same windows: a token for each spike (its unit's embedding at its
time, as in POYO; padded to the window with most spikes) and a head whose first layer runs on the
concatenation of a state of the future, a unit's embedding and its history. A step is what
`train-forecaster` takes: forward, Poisson likelihood of the lead bins, backward, AdamW. Preparing
the spike tokens is not timed.

Beside the times stand the operations of the matrix products of a step, counted as it runs (a
multiplication and an addition are two): layers that follow the tokens are the same in all, so the
larger they are, the less can be saved.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from spikeline.horizon.forecaster.batches import Geometry, Recording, past_of, read_rows
from spikeline.horizon.forecaster.history_window import Past
from spikeline.horizon.forecaster.layers.encoder import PastEncoder
from spikeline.horizon.forecaster.layers.identity import Units
from spikeline.horizon.forecaster.network import Forecaster, Population, reference_offset
from spikeline.horizon.forecaster.trace_checkpoints import checkpoints
from spikeline.settings.schema import kind_schema, load_schema, validated

BIN_S = 0.02
ROOT = Path(__file__).resolve().parents[1]
SIZE = {
    "dim": 128, "heads": 4, "depth": 2, "latents": 32, "head_hidden": 64,
    "history_ms": 2000, "patch_ms": 500,
}  # fmt: skip
BATCH = 16


@dataclass(frozen=True)
class Spikes:
    """Spikes of a batch of windows: unit, time and existence, each (windows, most spikes)."""

    unit: Tensor
    times: Tensor
    exists: Tensor


class SpikeEncoder(PastEncoder):
    """The encoder with a token for each spike; `spikes` is set before a step."""

    spikes: Spikes

    def forward(self, past: Past, identity: Tensor, images, summary) -> Tensor:
        windows = len(past.counts)
        tokens = self.from_identity(identity)[self.spikes.unit]
        tokens = torch.cat([self.nobody.expand(windows, 1, -1), tokens], 1)
        known = functional.pad(self.spikes.exists, (1, 0), value=True)
        times = functional.pad(self.spikes.times, (1, 0))
        own = self.rotary(self.latent_times)[None]
        x = self.latents.expand(windows, -1, -1) + self.from_summary(summary)[:, None]
        x = x + self.read(x, tokens, own, self.rotary(times), known)
        x = x + self.feed_forward(x)
        for layer in self.layers:
            x = layer(x, own)
        return x


def settings_of(config: Path | None) -> dict[str, Any]:
    """A forecaster's settings, defaults filled, without what is random in training."""
    size = yaml.safe_load(config.read_text())["models"]["idencoder"] if config else SIZE
    kinds = load_schema()["properties"]["models"]
    entry = {"kind": "forecaster", "cohort": "any", **size}
    filled = validated(entry, kind_schema(entry, kinds["x-kinds"], "models"), str(config))
    return {**filled, "dropout": 0.0, "feature_noise": 0.0}


def simulated(
    units: int, rate: float, settings: dict, device: torch.device
) -> tuple[Recording, Geometry]:
    """60 s of independent Poisson units."""
    rng = np.random.default_rng(0)
    rates = rng.lognormal(0, 0.7, units)
    rates *= rate * BIN_S / rates.mean()
    counts = rng.poisson(rates, (3000, units)).astype(np.uint8)
    geometry = Geometry.of(settings, BIN_S, device)
    described = Units(
        torch.randn(units, 33, device=device),
        torch.ones(units, dtype=torch.bool, device=device),
        torch.full((units,), -1, device=device),
        torch.empty(units, 0, device=device),
    )
    offset = reference_offset(torch.from_numpy(counts.sum(0, dtype=np.int64)), 3000, rate * BIN_S)
    population = Population(described, offset.to(device))
    recording = Recording(
        "simulated", torch.from_numpy(counts).to(device), checkpoints(counts, geometry.decay),
        population, np.ones(3000, np.uint8), (0, 3000),
    )  # fmt: skip
    return recording, geometry


def spikes_of(counts: Tensor) -> Spikes:
    """From (windows, patches, patch bins, units)."""
    windows = len(counts)
    flat = counts.reshape(windows, -1, counts.shape[-1]).long()
    bins = flat.shape[1]
    most = int(flat.sum((1, 2)).max())
    unit = torch.zeros(windows, most, dtype=torch.long, device=counts.device)
    times = torch.zeros(windows, most, device=counts.device)
    exists = torch.zeros(windows, most, dtype=torch.bool, device=counts.device)
    for window in range(windows):
        at, who = flat[window].nonzero(as_tuple=True)
        number = flat[window][at, who]
        at, who = at.repeat_interleave(number), who.repeat_interleave(number)
        unit[window, : len(who)] = who
        times[window, : len(at)] = (at - bins + 0.5) * BIN_S
        exists[window, : len(at)] = True
    return Spikes(unit, times, exists)


def model_of(
    spike_tokens: bool, concatenated: bool, settings: dict, device: torch.device
) -> Forecaster:
    torch.manual_seed(0)
    model = Forecaster(settings, BIN_S, torch.zeros(33), torch.full((33,), 2.0), 0).to(device)
    if spike_tokens:
        model.encoder.__class__ = SpikeEncoder
    if concatenated:
        model.head.forward = model.head.forward_concatenated
    return model


def step_of(model: Forecaster, past: Past, target: Tensor, population: Population):
    # the peers have weights that get no gradient; AdamW skips them
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        model.loss(model(past, population), target).backward()
        optimiser.step()
        if target.is_cuda:
            torch.cuda.synchronize()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="whose `idencoder` to take")
    parser.add_argument("--units", type=int, default=300)
    parser.add_argument("--rate", type=float, default=7.6, help="mean, spikes per second")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)

    settings = settings_of(arguments.config)
    recording, geometry = simulated(arguments.units, arguments.rate, settings, device)
    starts = np.random.default_rng(1).integers(300, 2900, BATCH)
    past = past_of(recording, starts, geometry)
    future = read_rows(recording, starts, 0, geometry.future_bins).float()
    target = torch.stack([future[:, a:b].sum(1) for a, b in pairwise(geometry.edges)], 1)
    spikes = spikes_of(past.counts)
    print(
        f"{BATCH} windows of {arguments.units} units: {settings['history_ms']} ms of history as "
        f"{geometry.patches * arguments.units} unit-patch tokens or {spikes.unit.shape[1]} spike "
        f"tokens, {len(geometry.edges) - 1} lead bins, dim {settings['dim']}; {device}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    cases = {
        "unit-patch tokens, factorised head": (False, False),
        "unit-patch tokens, concatenating head": (False, True),
        "spike tokens, factorised head": (True, False),
        "spike tokens, concatenating head": (True, True),
    }
    steps, operations = {}, {}
    for name, (spike_tokens, concatenated) in cases.items():
        model = model_of(spike_tokens, concatenated, settings, device)
        model.encoder.spikes = spikes
        steps[name] = step_of(model, past, target, recording.population)
    for name, step in steps.items():
        # The flash kernel of attention hides its products from the counter.
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            step()
        operations[name] = counter.get_total_flops()
        step()
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(arguments.repeats):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            best[name] = min(best[name], 1e3 * (time.perf_counter() - start))
    ours = "unit-patch tokens, factorised head"
    print(f"{'':40}{'ms':>9}{'ratio':>8}{'Gflop':>9}{'ratio':>8}{'Gflop/s':>9}")
    for name, milliseconds in best.items():
        giga = operations[name] / 1e9
        print(
            f"{name:40}{milliseconds:9.1f}{milliseconds / best[ours]:8.1f}"
            f"{giga:9.2f}{operations[name] / operations[ours]:8.1f}{1e3 * giga / milliseconds:9.1f}"
        )


if __name__ == "__main__":
    main()
