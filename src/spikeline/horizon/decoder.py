"""The next bins of a population, from the latents of its past: one state for each future bin.

Causal: the state of a bin depends on no later one, so a forecast of 100 ms is the beginning of the
forecast of 1 s from the same past.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikeline.horizon.attention import (
    CausalSelfAttention,
    FeedForward,
    at_start_of,
    cross_attention,
    small_normal,
)


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the latents, feed-forward, each with its residual."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.causal = CausalSelfAttention(dim, heads, dropout)
        self.read = cross_attention(dim, heads, dropout)
        self.feed_forward = FeedForward(dim, dropout)

    def forward(self, x: Tensor, latents: Tensor, own: Tensor, theirs: Tensor) -> Tensor:
        x = x + self.causal(x, own)
        x = x + self.read(x, latents, own, theirs)
        return x + self.feed_forward(x)


class FutureDecoder(nn.Module):
    """Latents to future bins.

    Args:
        dim, heads, depth, dropout: of the layers.
        bins: the longest forecast; bin_s: length of a bin in seconds.
    """

    def __init__(self, dim: int, heads: int, depth: int, dropout: float, bins: int, bin_s: float):
        super().__init__()
        self.bins = small_normal(bins, dim)
        self.layers = nn.ModuleList(DecoderLayer(dim, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.register_buffer("times", (torch.arange(bins) + 0.5) * bin_s, persistent=False)

    def forward(self, latents: Tensor, rotary: nn.Module, theirs: Tensor, bins: int) -> Tensor:
        """(windows, bins, dim) from latents (windows, latents, dim).

        Args:
            rotary: seconds to rotations; theirs: the rotations of the latents' times.
            bins: how many of the future bins.
        """
        own = rotary(self.times[:bins])[None]
        x = at_start_of(len(latents), self.bins[:bins])
        for layer in self.layers:
            x = layer(x, latents, own, theirs)
        return self.norm(x)
