"""The future of a population, from the latents of its past: one state for each future time.

Causal: the state of a time depends on no later one, so a forecast of 100 ms needs no more than the
first states of the forecast of 1 s from the same past.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikeline.horizon.forecaster.layers.attention import (
    CausalSelfAttention,
    FeedForward,
    at_start_of,
    cross_attention,
    small_normal,
)

# Seconds in which a learned course of the future decays at first, next to a constant and a line.
_COURSES_S = (0.06, 0.2, 0.6, 2.0)


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the latents, feed-forward, each with its residual."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.causal = CausalSelfAttention(dim, heads)
        self.read = cross_attention(dim, heads)
        self.feed_forward = FeedForward(dim, dropout)

    def forward(self, x: Tensor, latents: Tensor, own: Tensor, theirs: Tensor) -> Tensor:
        x = x + self.causal(x, own)
        x = x + self.read(x, latents, own, theirs)
        return x + self.feed_forward(x)


class FutureDecoder(nn.Module):
    """Latents to states of future times.

    A state starts from a sum of learned courses over the future, each in proportion to what the
    population just did, and then attends to the states before it and to the latents.

    Args:
        dim, heads, depth, dropout: of the layers.
        times: (times,) seconds after a window's start, ascending.
        summary: features of the population's summary.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        depth: int,
        dropout: float,
        times: Tensor,
        summary: int,
    ):
        super().__init__()
        lead = times[:, None]
        decaying = torch.exp(-lead / torch.tensor(_COURSES_S))
        courses = torch.cat([decaying, torch.ones_like(lead), lead], 1)
        self.courses = nn.Parameter(courses)
        self.from_summary = nn.Linear(summary, dim * courses.shape[1], bias=False)
        self.starts = small_normal(len(times), dim)
        self.layers = nn.ModuleList(DecoderLayer(dim, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.register_buffer("times", times, persistent=False)

    def forward(
        self, latents: Tensor, rotary: nn.Module, theirs: Tensor, count: int, summary: Tensor
    ) -> Tensor:
        """(windows, count, dim) from latents (windows, latents, dim).

        Args:
            rotary: seconds to rotations; theirs: the rotations of the latents' times.
            count: how many of the times, from the first.
            summary: (windows, features), see `horizon.forecaster.layers.population_pooling`.
        """
        own = rotary(self.times[:count])[None]
        courses = self.from_summary(summary).unflatten(-1, (-1, self.courses.shape[1]))
        x = at_start_of(len(latents), self.starts[:count]) + (courses @ self.courses[:count].T).mT
        for layer in self.layers:
            x = layer(x, latents, own, theirs)
        return self.norm(x)
