"""Tokens of what the animal did and saw: one token per patch, masked where nothing is known.

Each modality brings one learned token that is always there, so that a session without wheel or
images gives the same keys to attend to as any other and no batch is dropped or padded for it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_brain.nn import RotaryTimeEmbedding

from spikeline.horizon.forecaster.history_window import Past
from spikeline.horizon.forecaster.layers.attention import (
    FeedForward,
    at_start_of,
    cross_attention,
    small_normal,
)

MODALITIES = ("behaviour", "image")


class ModalityTokens(nn.Module):
    """Tokens of the chosen modalities.

    Args:
        modalities: some of MODALITIES.
        dim: features of a token.
        patch_bins: bins of a patch.
        image_dim: length of an image embedding, for `image`.
    """

    def __init__(self, modalities: list[str], dim: int, patch_bins: int, image_dim: int):
        super().__init__()
        self.names = [name for name in MODALITIES if name in modalities]
        self.always = small_normal(len(self.names), dim)
        if "behaviour" in self.names:
            # signed velocity and speed: a wheel turned either way is a moving animal
            self.behaviour = nn.Linear(2 * patch_bins, dim)
        if "image" in self.names:
            self.image = nn.Linear(image_dim, dim)
            self.blank = small_normal(dim)

    def forward(
        self, past: Past, images: Tensor | None, times: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (windows, n, dim), which of them are known (windows, n), their times (n,).

        Args:
            images: (images, image_dim) embeddings of the session, or None where it has none.
            times: (patches,) seconds.
        """
        windows, patches = past.in_session.shape
        tokens = [at_start_of(windows, self.always)]
        known = [torch.ones(windows, len(self.names), dtype=torch.bool, device=times.device)]
        for name in self.names:
            token = self._behaviour(past) if name == "behaviour" else self._image(past, images)
            mask = past.behaviour_known if name == "behaviour" else past.image_known
            if token is None:
                token = self.always.new_zeros(windows, patches, self.always.shape[1])
                mask = torch.zeros_like(past.in_session)
            tokens.append(token)
            known.append(mask & past.in_session)
        when = torch.cat([times.new_zeros(len(self.names)), times.repeat(len(self.names))])
        return torch.cat(tokens, 1), torch.cat(known, 1), when

    def _behaviour(self, past: Past) -> Tensor | None:
        if past.behaviour is None:
            return None
        return self.behaviour(torch.cat([past.behaviour, past.behaviour.abs()], -1))

    def _image(self, past: Past, images: Tensor | None) -> Tensor | None:
        if past.image is None or images is None:
            return None
        shown = self.image(images[past.image.clamp(min=0)])
        return torch.where((past.image < 0)[..., None], self.blank, shown)


class ModalityAttention(nn.Module):
    """Latents attend to modality tokens; with its residuals."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.attention = cross_attention(dim, heads)
        self.feed_forward = FeedForward(dim, dropout)

    def forward(
        self, x: Tensor, tokens: tuple[Tensor, Tensor, Tensor], own: Tensor,
        rotary: RotaryTimeEmbedding,
    ) -> Tensor:  # fmt: skip
        """x (windows, latents, dim); `own` the rotations of the latents' times."""
        values, known, times = tokens
        x = x + self.attention(x, values, own, rotary(times)[None], known)
        return x + self.feed_forward(x)
