"""Minutes of training from counted multiply-adds: linear, mlp and capoyo as a config gives them.

Below each capoyo stands its pretraining by masking.

Run: python benchmarks/training_operations.py [--config FILE] [--rows N] [--targets N] [--tflops X]
[--utilisation X]. Multiply-adds of one row are counted from the settings, in closed form, and
checked against torch's FlopCounterMode on one training step of the very network. Minutes are rows *
epochs * operations / (tflops * utilisation): all epochs of one network, matrix products alone.

The defaults are TVSD, and an RTX 3090 (24 GB; 71 TFLOP/s in bfloat16 with float32 sums) at a
tenth of its peak.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from spikeline.bridge.networks.architectures import DIM_HEAD, build_network
from spikeline.bridge.networks.losses import AlignmentLoss
from spikeline.bridge.pretraining.masks import random_electrodes
from spikeline.bridge.pretraining.network import masked_error, new_decoder, new_encoder
from spikeline.plan.plan import Plan
from spikeline.settings.schema import load_yaml

NETWORKS = ("linear", "mlp", "capoyo")
ROOT = Path(__file__).resolve().parent.parent


def forward_operations(settings: Mapping[str, Any], electrodes: int, targets: int) -> int:
    """Multiply-adds of one row's forward pass."""
    if settings["kind"] == "linear":
        return electrodes * targets
    if settings["kind"] == "mlp":
        hidden = settings["hidden"]
        return electrodes * hidden + (settings["depth"] - 1) * hidden**2 + hidden * targets
    dim, latents, queries = settings["dim"], settings["latents"], settings["readout_queries"]
    hidden, inner = settings["hidden"], settings["heads"] * DIM_HEAD
    feed_forward = 3 * dim * 4 * dim
    cross = latents * (electrodes * inner + inner * dim + feed_forward)
    layer = latents * (4 * dim * inner + 2 * latents * inner + feed_forward)
    readout = queries * (2 * dim * inner + 2 * latents * inner + feed_forward)
    readout += 2 * latents * dim * inner
    projector = dim * hidden + hidden**2 + hidden * targets
    return cross + settings["depth"] * layer + readout + projector


def masking_operations(settings: Mapping[str, Any], electrodes: int) -> float:
    """Multiply-adds of one row in masking pretraining, forward and backward.

    The encoder; for each hidden response a query, its attention to the latents, the feed-forward
    block and the value; keys and values of the latents once.
    """
    dim, latents, inner = settings["dim"], settings["latents"], settings["heads"] * DIM_HEAD
    feed_forward = 12 * dim**2
    encoder = latents * (electrodes * inner + inner * dim + feed_forward)
    layer = latents * (4 * dim * inner + 2 * latents * inner + feed_forward)
    hidden = round(settings["mask_share"] * electrodes)
    decoder = hidden * (2 * dim * inner + 2 * latents * inner + feed_forward + dim)
    decoder += 2 * latents * dim * inner
    shared = shared_operations(settings, electrodes) / settings["batch_size"]
    return 3 * (encoder + settings["depth"] * layer + decoder + shared)


def shared_operations(settings: Mapping[str, Any], electrodes: int) -> int:
    """Multiply-adds of a step's forward pass that all rows share: keys and values of electrodes."""
    if settings["kind"] != "capoyo":
        return 0
    inner, latents = settings["heads"] * DIM_HEAD, settings["latents"]
    tokens = electrodes + 1  # and the direction of the response
    return settings["dim"] * inner * (2 * tokens + latents) + latents * tokens * inner


def recomputed_operations(settings: Mapping[str, Any]) -> int:
    """Multiply-adds of one row that checkpointing runs forward again: all self-attention layers."""
    if settings["kind"] != "capoyo" or not settings["checkpointing"]:
        return 0
    dim, latents, inner = settings["dim"], settings["latents"], settings["heads"] * DIM_HEAD
    feed_forward = 12 * dim**2
    layer = 4 * dim * inner + 2 * latents * inner + feed_forward
    return latents * (settings["depth"] * layer + feed_forward)


def step_operations(settings: Mapping[str, Any], electrodes: int, targets: int) -> float:
    """Multiply-adds of one row in training: forward, backward, and its similarities to the batch.

    The backward pass takes two products for each of the forward pass, one for either factor.
    Responses and image embeddings want no gradient, so that their products take one.
    """
    shared = shared_operations(settings, electrodes) / settings["batch_size"]
    total = 3 * (forward_operations(settings, electrodes, targets) + shared)
    if settings["kind"] != "capoyo":
        total -= electrodes * (settings["hidden"] if settings["kind"] == "mlp" else targets)
    return total + recomputed_operations(settings) + 2 * settings["batch_size"] * targets


def counted_operations(settings: Mapping[str, Any], electrodes: int, targets: int) -> float:
    """The same as torch counts them in one step, per row."""
    batch = settings["batch_size"]
    network = build_network(settings, electrodes, None, targets).train()
    criterion = AlignmentLoss(settings["loss"], 1, 0.0, 0.1)
    values, images = torch.randn(1, batch, electrodes), torch.randn(1, batch, targets)
    # The counter knows neither the CPU's fused attention nor products that add in place.
    in_place = {torch.ops.aten.baddbmm_: lambda _, a, b, **__: 2 * math.prod(a) * b[-1]}
    counter = FlopCounterMode(display=False, custom_mapping=in_place)
    with counter, sdpa_kernel(SDPBackend.MATH):
        criterion(network(values), images).sum().backward()
    return counter.get_total_flops() / 2 / batch


def counted_masking(settings: Mapping[str, Any], electrodes: int) -> float:
    """The same as torch counts them in one step, per row."""
    batch, regions = settings["batch_size"], ["V1"] * electrodes
    encoder, decoder = new_encoder(settings, regions).train(), new_decoder(settings).train()
    values, varying = torch.randn(batch, electrodes), torch.ones(electrodes, dtype=torch.bool)
    hidden = random_electrodes(batch, electrodes, settings["mask_share"])
    in_place = {torch.ops.aten.baddbmm_: lambda _, a, b, **__: 2 * math.prod(a) * b[-1]}
    counter = FlopCounterMode(display=False, custom_mapping=in_place)
    with counter, sdpa_kernel(SDPBackend.MATH):
        masked_error(encoder, decoder, values, hidden, varying).backward()
    return counter.get_total_flops() / 2 / batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "config/tvsd.yaml")
    parser.add_argument("--rows", type=int, default=22_248)
    parser.add_argument("--electrodes", type=int, default=1024)
    parser.add_argument("--targets", type=int, default=768)
    parser.add_argument("--tflops", type=float, default=71, help="of the card, multiply-add = 2")
    parser.add_argument("--utilisation", type=float, default=0.1, help="share of that reached")
    parser.add_argument("--check-batch", type=int, default=64, help="rows of the counted step")
    options = parser.parse_args()
    models = Plan.of(ROOT, load_yaml(options.config)).config.models
    sizes = options.electrodes, options.targets
    print(
        f"{options.rows} rows, {options.electrodes} electrodes, {options.targets} targets, "
        f"{options.tflops:g} TFLOP/s at {options.utilisation:.0%}"
    )
    print(f"{'model':16}{'M operations':>14}{'counted / ours':>16}{'epochs':>8}{'minutes':>9}")
    for name in models.entries:
        settings = models.settings(name)
        if settings["kind"] not in NETWORKS:
            continue
        check = {**settings, "batch_size": options.check_batch}
        ratio = counted_operations(check, *sizes) / step_operations(check, *sizes)
        operations = step_operations(settings, *sizes)
        rows = options.rows * settings["training_fraction"] * settings["epochs"]
        minutes = 2 * operations * rows / (1e12 * options.tflops * options.utilisation) / 60
        print(
            f"{name:16}{operations / 1e6:14.2f}{ratio:16.3f}{settings['epochs']:8}{minutes:9.1f}",
            flush=True,
        )
        if settings["kind"] != "capoyo" or settings["checkpointing"]:
            continue
        ratio = counted_masking(check, options.electrodes) / masking_operations(
            check, options.electrodes
        )
        operations, epochs = (
            masking_operations(settings, options.electrodes),
            settings["pretraining_epochs"],
        )
        minutes = 2 * operations * options.rows * epochs
        minutes /= 1e12 * options.tflops * options.utilisation * 60
        print(f"{'  masking':16}{operations / 1e6:14.2f}{ratio:16.3f}{epochs:8}{minutes:9.1f}")


if __name__ == "__main__":
    main()
