"""Which steps of noise a training draws: strong noise more often than weak."""

from __future__ import annotations

import torch
from torch import Tensor


def random_steps(count: int, total: int, emphasis: float, device: torch.device) -> Tensor:
    """Steps of noise at which a batch is trained.

    What an image shows, and where, is settled at strong noise; weak noise trains its edges. A
    training too short for both learns the first sooner with an emphasis on it.

    Args:
        count: of the batch; total: steps that there are.
        emphasis: 0 or more; 0 draws all steps alike.

    Returns:
        (count,) int64, 0 to total - 1.

    Formula: step = total x u ** (1 / (1 + emphasis)), u uniform, whose density grows as
    step ** emphasis: a beta distribution of emphasis + 1 and 1.
    """
    drawn = torch.rand(count, device=device) ** (1 / (1 + emphasis))
    return (total * drawn).long().clamp_max(total - 1)
