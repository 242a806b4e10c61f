"""How busy each unit has been of late: its counts under exponential windows, at any bin.

The trace of a unit with decay d per bin, before bin t, and the weight it would have at one spike a
bin, are

    s(t) = sum_{i < t} d^(t-1-i) n_i,        w(t) = sum_{i < t} d^(t-1-i) = (1 - d^t) / (1 - d),

and the log trace compares it with the unit's reference rate mu: log((s + a) / (mu w + a)), which
shrinks to 0 where few spikes are expected. Traces are kept at every STRIDE-th bin and rolled
forward from there, so that a time constant of 20 s costs no more to read than one of 20 ms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

STRIDE = 200
# Pseudo-spikes: a unit that should have fired once and did not is half as busy.
PRIOR = 1.0
# Bins worked on at once, times units.
_CHUNK = 1 << 24


def decays(time_constants_s: Sequence[float], bin_s: float) -> Tensor:
    """(constants,) share of a trace that is left after one bin."""
    return torch.exp(-bin_s / torch.tensor(time_constants_s, dtype=torch.float32))


def checkpoints(counts, decay: Tensor) -> Tensor:
    """Traces before bins 0, STRIDE, 2 STRIDE ...

    Args:
        counts: (bins, units) uint8, an array (mapped or not) or a tensor.
        decay: (constants,).

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


def traces(recent: Tensor, starts: Tensor, kept: Tensor, decay: Tensor) -> Tensor:
    """Traces before bins `starts`.

    Args:
        recent: (windows, STRIDE, units) counts of the STRIDE bins before each start; what lies
            before the session is not read.
        starts: (windows,) int64.
        kept: what `checkpoints` returned.

    Returns:
        (windows, units, constants) float32.
    """
    rest = starts % STRIDE
    age = torch.arange(STRIDE - 1, -1, -1, device=decay.device)
    weights = decay ** age[:, None] * (age < rest[:, None])[..., None]
    since = torch.einsum("bsu,bsk->buk", recent.float(), weights)
    return since + kept[starts // STRIDE].mT * (decay ** rest[:, None])[:, None]


def log_traces(traced: Tensor, starts: Tensor, decay: Tensor, rates: Tensor) -> Tensor:
    """Traces relative to what reference rates would have left: 0 for a unit as busy as ever.

    Args:
        traced: (windows, units, constants).
        starts: (windows,) bins.
        rates: (units,) expected counts per bin.
    """
    weight = (1 - decay ** starts[:, None]) / (1 - decay)
    return torch.log((traced + PRIOR) / (rates[:, None] * weight[:, None] + PRIOR))
