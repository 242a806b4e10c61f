"""Linear maps and multi-layer perceptrons of several members, as batched weights."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class StackedLinear(nn.Module):
    """`members` affine maps in parallel: (members, batch, inputs) to (members, batch, outputs)."""

    def __init__(self, members: int, inputs: int, outputs: int):
        super().__init__()
        bound = inputs**-0.5  # the range of nn.Linear
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias[:, None], x, self.weight)


class StackedLayerNorm(nn.Module):
    """LayerNorm over the last axis with one gain and offset per member."""

    def __init__(self, members: int, features: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(members, features))
        self.offset = nn.Parameter(torch.zeros(members, features))

    def forward(self, x: Tensor) -> Tensor:
        normed = functional.layer_norm(x, x.shape[-1:])
        return torch.addcmul(self.offset[:, None], normed, self.gain[:, None])


class StackedMlp(nn.Module):
    """Multi-layer perceptrons in parallel; depth 0 is a linear map.

    Args:
        members, inputs, target_dim: sizes of the interface.
        hidden, depth: width and number of hidden layers.
        dropout: share of hidden units dropped while training.
        residual: add each hidden layer after the first to its input.
        layer_norm: LayerNorm before each nonlinearity.
    """

    masks_electrodes = False

    def __init__(
        self,
        members: int,
        inputs: int,
        target_dim: int,
        hidden: int = 0,
        depth: int = 0,
        dropout: float = 0.0,
        residual: bool = False,
        layer_norm: bool = False,
    ):
        super().__init__()
        self.members, self.residual = members, residual
        widths = [inputs, *[hidden] * depth]
        self.hidden = nn.ModuleList(StackedLinear(members, a, b) for a, b in pairwise(widths))
        norm = (lambda: StackedLayerNorm(members, hidden)) if layer_norm else nn.Identity
        self.norms = nn.ModuleList(norm() for _ in self.hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = StackedLinear(members, widths[-1], target_dim)

    def forward(self, values: Tensor, keep: Tensor | None = None) -> Tensor:
        """(members, batch, inputs) to (members, batch, target_dim); `keep` False sets to 0."""
        x = values if keep is None else values * keep
        for index, (layer, norm) in enumerate(zip(self.hidden, self.norms, strict=True)):
            new = self.dropout(functional.gelu(norm(layer(x))))
            x = x + new if self.residual and index else new
        return self.output(x)
