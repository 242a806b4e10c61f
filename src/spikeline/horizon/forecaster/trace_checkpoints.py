"""Traces on the device: kept at every STRIDE-th bin and rolled forward to any other.

A time constant of 20 s then costs no more to read than one of 20 ms. What a trace is, and how it
compares with a mean rate, is in horizon/spike_history.py.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

STRIDE = 200
# Bins, times units, worked on at once.
_CHUNK = 1 << 24


def checkpoints(counts: np.ndarray | Tensor, decay: Tensor) -> Tensor:
    """Traces before bins 0, STRIDE, 2 STRIDE ...

    Args:
        counts: (bins, units) uint8, an array (mapped or not) or a tensor.
        decay: (constants,) share of a trace that is left after one bin.

    Returns:
        (bins // STRIDE + 1, constants, units) float32 on the device of `decay`.
    """
    bins, units = counts.shape
    blocks = bins // STRIDE
    age = torch.arange(STRIDE - 1, -1, -1, device=decay.device)
    weights = decay ** age[:, None]
    kept = torch.zeros(blocks + 1, len(decay), units, device=decay.device)
    step = max(1, _CHUNK // (STRIDE * units))
    for first in range(0, blocks, step):
        last = min(first + step, blocks)
        part = counts[first * STRIDE : last * STRIDE]
        if not isinstance(part, Tensor):
            part = torch.from_numpy(np.array(part))  # a copy: a mapped file cannot be written to
        part = part.to(decay.device)
        part = part.reshape(last - first, STRIDE, units).float()
        kept[first + 1 : last + 1] = torch.einsum("bsu,sk->bku", part, weights)
    whole = (decay**STRIDE)[:, None]
    for block in range(blocks):
        kept[block + 1] += whole * kept[block]
    return kept


def rolled_forward(kept: Tensor, recent: Tensor, starts: Tensor, decay: Tensor) -> Tensor:
    """Traces before bins `starts`, from the last checkpoint before each.

    Args:
        kept: what `checkpoints` returned.
        recent: (windows, STRIDE, units) counts of the STRIDE bins before each start; what lies
            before the session is not read.
        starts: (windows,) int64.
        decay: (constants,).

    Returns:
        (windows, units, constants) float32.
    """
    rest = starts % STRIDE
    age = torch.arange(STRIDE - 1, -1, -1, device=decay.device)
    weights = decay ** age[:, None] * (age < rest[:, None])[..., None]
    since = torch.einsum("bsu,bsk->buk", recent.float(), weights)
    return since + kept[starts // STRIDE].mT * (decay ** rest[:, None])[:, None]
