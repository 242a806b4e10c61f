"""The past of a population, as a fixed number of latents: a Perceiver over unit-patch tokens.

A token is what one unit did in one patch of bins, with who the unit is:
gelu(W_e e_u + W_x x), x = the square roots of the patch's counts and how their sum compares with
the unit's level. Tokens of hidden units and of patches before the session are masked.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikeline.horizon.forecaster.history_window import Past
from spikeline.horizon.forecaster.layers.attention import (
    FeedForward,
    at_start_of,
    cross_attention,
    rotary_time,
    self_attention,
    small_normal,
)
from spikeline.horizon.forecaster.layers.modalities import ModalityAttention, ModalityTokens
from spikeline.horizon.spike_history import log_trace

# Spikes: of a patch, compared with those expected at the unit's level.
PSEUDO_COUNT = 1.0


class LatentLayer(nn.Module):
    """Self-attention and feed-forward, each with its residual."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.attention = self_attention(dim, heads)
        self.feed_forward = FeedForward(dim, dropout)

    def forward(self, x: Tensor, rotary: Tensor) -> Tensor:
        x = x + self.attention(x, rotary)
        return x + self.feed_forward(x)


class PastEncoder(nn.Module):
    """Tokens to latents, spread evenly over the history.

    Args:
        dim, heads, depth, dropout: of the attention layers.
        latents: how many; patches, patch_bins: of the history.
        bin_s: length of a bin in seconds.
        modalities, image_dim: see `ModalityTokens`.
        modality_every: latent layers between two cross-attentions to the modalities.
        summary: features of the population's summary.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        depth: int,
        dropout: float,
        latents: int,
        patches: int,
        patch_bins: int,
        bin_s: float,
        modalities: list[str],
        image_dim: int,
        modality_every: int,
        summary: int,
    ):
        super().__init__()
        self.from_summary = nn.Linear(summary, dim)
        patch_s = patch_bins * bin_s
        history_s = patches * patch_s
        self.from_identity = nn.Linear(dim, dim)
        self.from_counts = nn.Linear(patch_bins + 1, dim, bias=False)
        self.latents = small_normal(latents, dim)
        self.nobody = small_normal(1, dim)  # a token that is always there
        self.rotary = rotary_time(dim, heads, bin_s, history_s)
        self.read = cross_attention(dim, heads)
        self.feed_forward = FeedForward(dim, dropout)
        self.layers = nn.ModuleList(LatentLayer(dim, heads, dropout) for _ in range(depth))
        self.modality_every = modality_every
        self.modalities = None
        if modalities:
            self.modalities = ModalityTokens(modalities, dim, patch_bins, image_dim)
            count = max(1, -(-depth // modality_every))
            self.look = nn.ModuleList(ModalityAttention(dim, heads, dropout) for _ in range(count))
        # seconds from the start of the forecast
        patch_times = (torch.arange(patches) + 0.5 - patches) * patch_s
        self.register_buffer("patch_times", patch_times, persistent=False)
        latent_times = (torch.arange(latents) + 1.0 - latents) / latents * history_s
        self.register_buffer("latent_times", latent_times, persistent=False)

    def forward(
        self,
        past: Past,
        identity: Tensor,
        images: Tensor | None,
        summary: Tensor,
    ) -> Tensor:
        """(windows, latents, dim).

        Args:
            identity: (units, dim) embeddings.
            images: see `ModalityTokens.forward`.
            summary: (windows, features) of the population, see `population_pooling`.
        """
        windows, _, _, units = past.counts.shape
        tokens = self.tokens(past.counts, identity, past.state.level.exp()).flatten(1, 2)
        tokens = torch.cat([at_start_of(windows, self.nobody).to(tokens.dtype), tokens], 1)
        known = (past.in_session[:, :, None] & past.known[:, None]).flatten(1)
        known = functional.pad(known, (1, 0), value=True)
        times = functional.pad(self.patch_times.repeat_interleave(units), (1, 0))
        own = self.rotary(self.latent_times)[None]

        x = at_start_of(windows, self.latents) + self.from_summary(summary)[:, None]
        x = x + self.read(x, tokens, own, self.rotary(times)[None], known)
        x = x + self.feed_forward(x)
        modalities = None
        if self.modalities is not None:
            modalities = self.modalities(past, images, self.patch_times)
            x = self.look[0](x, modalities, own, self.rotary)
        for index, layer in enumerate(self.layers):
            if modalities is not None and index and index % self.modality_every == 0:
                x = self.look[index // self.modality_every](x, modalities, own, self.rotary)
            x = layer(x, own)
        return x

    def tokens(self, counts: Tensor, identity: Tensor, rates: Tensor) -> Tensor:
        """(windows, patches, units, dim) from counts (windows, patches, patch bins, units) and the
        rates (windows, units), in expected counts per bin, that they are compared with."""
        counts = counts.float()
        total, expected = counts.sum(2, keepdim=True), rates[:, None, None] * counts.shape[2]
        busy = log_trace(total, expected, pseudo_count=PSEUDO_COUNT)
        seen = torch.cat([counts.sqrt(), busy], 2).mT
        return functional.gelu(self.from_counts(seen) + self.from_identity(identity))

    def latent_rotary(self) -> Tensor:
        """Rotations of the latents' times, for who attends to them: (1, latents, 2 head_dim)."""
        return self.rotary(self.latent_times)[None]
