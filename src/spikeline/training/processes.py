"""What the processes of one training share: gradients, losses, and each one's random stream.

With one process every function here returns what it was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def average_gradients(fabric: Fabric, parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over processes, in one exchange.

    A parameter that only some processes used counts as zero in the others, as it would in one
    process that averages their losses; one that none used keeps no gradient.
    """
    if fabric.world_size == 1:
        return
    parameters = list(parameters)
    used = torch.tensor([float(p.grad is not None) for p in parameters], device=fabric.device)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = fabric.all_reduce(torch.cat([used, *(one.flatten() for one in gradients)]))
    parts = flat[len(parameters) :].split([p.numel() for p in parameters])
    for parameter, share, mean in zip(parameters, flat.tolist(), parts, strict=False):
        parameter.grad = mean.view_as(parameter) if share else None


def averaged(fabric: Fabric, values: Tensor) -> Tensor:
    """The mean of `values` over processes."""
    return values if fabric.world_size == 1 else fabric.all_reduce(values.clone())


def process_seed(fabric: Fabric, seed: int) -> int:
    """The seed itself in the first process, and one of its own in each other."""
    rank = fabric.global_rank
    return int(np.random.SeedSequence([seed, rank]).generate_state(1)[0]) if rank else seed


def random_states(fabric: Fabric) -> dict[str, Tensor]:
    """State of torch's generators in each process: {device: (processes, bytes)}, on the CPU."""
    state = {"cpu": torch.get_rng_state()}
    if fabric.device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(fabric.device)
    return {
        name: fabric.all_gather(value).reshape(fabric.world_size, -1).cpu()
        for name, value in state.items()
    }


def set_random_state(fabric: Fabric, states: Mapping[str, Tensor]) -> None:
    """Put this process's share of `random_states` back."""
    torch.set_rng_state(states["cpu"][fabric.global_rank].clone())
    if fabric.device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"][fabric.global_rank].clone(), fabric.device)
