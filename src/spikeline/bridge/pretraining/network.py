"""The network of masking pretraining: CaPOYO's encoder, and a decoder of hidden responses.

The encoder sees the electrodes that are not hidden. For each hidden one a query, the identity that
the encoder itself has for it, attends to the latents, and a feed-forward block and a linear map
read its response off (He et al. 2022, masked autoencoders; Jaegle et al. 2022, PerceiverIO).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spikeline.bridge.networks.architectures import (
    CapoyoEncoder,
    GatedFeedForward,
    TokenAttention,
    build_network,
)

_INITIAL_LOGIT_STD = 3.0  # as the encoder's


class MaskDecoder(nn.Module):
    """Cross-attention from the queries of hidden responses to the latents, then one value each."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.attention = TokenAttention(dim, heads, dropout, cross=True)
        self.feed_forward = GatedFeedForward(dim, dropout)
        self.output = nn.Linear(dim, 1)
        # At the usual small weights a prediction starts as the same function of the latents for
        # all electrodes, and stays so for long; these let each query attend and gate by itself.
        for linear in (self.attention.to_query, self.attention.to_key):
            nn.init.normal_(linear.weight, std=math.sqrt(_INITIAL_LOGIT_STD / dim))
        block = self.feed_forward
        values = (self.attention.to_value, self.attention.to_output)
        for linear in (*values, block.value, block.gate, block.contract):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)

    def forward(self, queries: Tensor, latents: Tensor) -> Tensor:
        """(batch, hidden, dim) and (batch, latents, dim) to (batch, hidden)."""
        x = queries + self.attention(queries, latents)
        return self.output(x + self.feed_forward(x))[..., 0]


def new_encoder(
    settings: Mapping[str, Any], regions: Sequence[str], bins: int = 1
) -> CapoyoEncoder:
    """The encoder of a capoyo entry with fresh weights, for electrodes of these areas."""
    rest = {"kind": "capoyo", "readout_queries": 1, "hidden": 1}
    return build_network({**settings, **rest}, len(regions), regions, 1, bins=bins).encoder


def new_decoder(settings: Mapping[str, Any]) -> MaskDecoder:
    """The decoder that goes with the encoder of a capoyo entry, with fresh weights."""
    return MaskDecoder(settings["dim"], settings["heads"], settings["dropout"])


def masked_error(
    encoder: CapoyoEncoder,
    decoder: MaskDecoder,
    values: Tensor,
    hidden: Tensor,
    varying: Tensor,
) -> Tensor:
    """Mean squared error of the hidden responses, in each column's variance.

    Args:
        values: standardised responses (batch, columns).
        hidden: (batch, columns) bool, equally many True in each row; the encoder does not see them.
        varying: (columns,) bool; columns that never vary do not count.

    Returns:
        A scalar; 0 where no hidden column varies.
    """
    columns = hidden.nonzero()[:, 1].view(len(values), -1)
    latents = encoder(values, ~hidden)
    predicted = decoder(encoder.electrodes._identities()[columns], latents)
    counts = varying[columns]
    squared = (predicted.float() - values.gather(1, columns)).square() * counts
    return squared.sum() / counts.sum().clamp(min=1)


def parameters_of(module: nn.Module) -> int:
    """Number of fitted values."""
    return sum(parameter.numel() for parameter in module.parameters())


def arrays_of(module: nn.Module) -> dict[str, Any]:
    """Its state as arrays by name."""
    return {name: tensor.cpu().numpy() for name, tensor in module.state_dict().items()}


def tensors_of(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state that `arrays_of` gave."""
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
