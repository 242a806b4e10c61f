"""Transformer blocks in rotary time: causal self-attention and the feed-forward layer.

Rotary embeddings and the attention that needs no causal mask come from torch_brain (RoFormer, Su et
al. 2021; POYO, Azabou et al. 2023). Its self-attention takes key masks only, so the causal one is
here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_brain.nn import RotaryCrossAttention, RotarySelfAttention, RotaryTimeEmbedding


def head_dim(dim: int, heads: int) -> int:
    """Features of one attention head: a multiple of 4, half of which are rotated in pairs."""
    return dim // heads


def rotary_time(dim: int, heads: int, bin_s: float, longest_s: float) -> RotaryTimeEmbedding:
    """Rotations of half of each head's features, with periods from two bins to 4 `longest_s`."""
    features = head_dim(dim, heads)
    return RotaryTimeEmbedding(features, features // 2, 2 * bin_s, 4 * max(longest_s, bin_s))


def cross_attention(dim: int, heads: int) -> RotaryCrossAttention:
    """Pre-norm, queries to context, without residual; PyTorch's kernels."""
    return RotaryCrossAttention(
        dim=dim, heads=heads, dim_head=head_dim(dim, heads), use_xformers=False
    )


def self_attention(dim: int, heads: int) -> RotarySelfAttention:
    """Pre-norm, every token to every token, without residual; PyTorch's kernels."""
    return RotarySelfAttention(
        dim=dim, heads=heads, dim_head=head_dim(dim, heads), use_xformers=False
    )


class CausalSelfAttention(nn.Module):
    """Pre-norm self-attention in which a token attends to itself and to those before it."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, rotary: Tensor) -> Tensor:
        """(batch, tokens, dim) in order of time, rotary (1 or batch, tokens, 2 head_dim)."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.to_qkv(self.norm(x)).chunk(3, -1)
        )
        query = RotaryTimeEmbedding.rotate(query, rotary, unsqueeze_dim=1)
        key = RotaryTimeEmbedding.rotate(key, rotary, unsqueeze_dim=1)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.to_out(attended.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    """Pre-norm GEGLU (Shazeer 2020) without residual."""

    def __init__(self, dim: int, dropout: float = 0.0, expansion: int = 2):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, 2 * expansion * dim)
        self.contract = nn.Linear(expansion * dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.expand(self.norm(x)).chunk(2, -1)
        return self.dropout(self.contract(value * functional.gelu(gate)))


def at_start_of(batch: int, parameter: Tensor) -> Tensor:
    """A learned (tokens, dim) parameter for each of a batch, without a copy."""
    return parameter.expand(batch, *parameter.shape)


def small_normal(*shape: int) -> nn.Parameter:
    """Learned tokens start small, as the residual stream they open."""
    return nn.Parameter(torch.randn(*shape) * 0.02)
