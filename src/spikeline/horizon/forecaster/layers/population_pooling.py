"""What the population just did, in a few signed sums: linear attention of learned kinds to units.

Softmax attention averages; a latent that drives one kind of unit up and another down is read best
from a weighted sum, with weights that follow from who each unit is:

    s_rk = mean over known units u of (P e_u)_r g_uk,      g_uk the log trace of time constant k.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikeline.horizon.forecaster.history_window import Past

# A mean over units of traces that are themselves a fraction of 1 is small.
_SCALE = 4.0


class PopulationSummary(nn.Module):
    """The sums s of each window.

    Args:
        dim: features of a unit's embedding.
        pools: how many sets of weights r; constants: time constants k.
    """

    def __init__(self, dim: int, pools: int, constants: int):
        super().__init__()
        self.weights = nn.Linear(dim, pools)
        self.features = pools * constants

    def forward(self, past: Past, identity: Tensor) -> Tensor:
        """(windows, pools x constants)."""
        share = past.known / past.known.sum(1, keepdim=True).clamp(min=1)
        shown = past.state.traces * share[..., None]
        return _SCALE * torch.einsum("buk,ur->brk", shown, self.weights(identity)).flatten(1)
