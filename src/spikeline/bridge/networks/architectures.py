"""Networks from standardised responses to the target space: linear, mlp and capoyo.

Every network maps (members, batch, columns) to (members, batch, target_dim); a column is an
electrode, or one of its time bins. `members` is the number of independent networks trained in
parallel: `StackedMlp` holds them as batched weights, so that one matrix product serves all of them;
`Capoyo` has one member.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from spikeline.bridge.networks.electrode_attention import ElectrodeAttention
from spikeline.bridge.networks.stacked import StackedMlp
from spikeline.bridge.networks.time_layers import OverTime, time_layer
from spikeline.errors import InputError

DIM_HEAD = 64  # features per attention head, as in POYO


class GatedFeedForward(nn.Module):
    """LayerNorm, then the GEGLU block of Shazeer 2020, four times as wide; without residual."""

    def __init__(self, dim: int, dropout: float, expansion: int = 4):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.value = nn.Linear(dim, expansion * dim)  # two maps: splitting one costs copies
        self.gate = nn.Linear(dim, expansion * dim)
        self.contract = nn.Linear(expansion * dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return self.dropout(self.contract(self.value(x) * functional.gelu(self.gate(x))))


class TokenAttention(nn.Module):
    """Pre-norm multi-head attention among tokens, or from queries to a context; no residual."""

    def __init__(self, dim: int, heads: int, dropout: float, cross: bool = False):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.context_norm = nn.LayerNorm(dim) if cross else None
        self.to_query = nn.Linear(dim, heads * DIM_HEAD, bias=False)
        self.to_key = nn.Linear(dim, heads * DIM_HEAD, bias=False)
        self.to_value = nn.Linear(dim, heads * DIM_HEAD, bias=False)
        self.to_output = nn.Linear(heads * DIM_HEAD, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        x = self.norm(x)
        context = x if self.context_norm is None else self.context_norm(context)
        query, key, value = (
            part.unflatten(-1, (self.heads, DIM_HEAD)).transpose(1, 2)
            for part in (self.to_query(x), self.to_key(context), self.to_value(context))
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.dropout(self.to_output(attended.transpose(1, 2).flatten(-2)))


class SelfAttentionLayer(nn.Module):
    """Attention and feed-forward, each with its residual."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.attention = TokenAttention(dim, heads, dropout)
        self.feed_forward = GatedFeedForward(dim, dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        return x + self.feed_forward(x)


class CapoyoEncoder(nn.Module):
    """Electrodes to latents: one cross-attention, then self-attention layers (CaPOYO, PerceiverIO).

    Args:
        electrodes: number of electrodes; `groups`: the region index of each, or None.
        bins: of time; more than one give each electrode a token for each.
        dim, latents, depth, heads: features, latents, self-attention layers and their heads.
        checkpointing: recompute layer by layer in the backward pass instead of keeping activations.
    """

    def __init__(
        self,
        electrodes: int,
        dim: int,
        latents: int,
        depth: int,
        heads: int,
        dropout: float,
        checkpointing: bool,
        groups: Tensor | None = None,
        bins: int = 1,
    ):
        super().__init__()
        self.electrodes = ElectrodeAttention(
            electrodes, dim, latents, heads, DIM_HEAD, groups, bins
        )
        self.feed_forward = GatedFeedForward(dim, dropout)
        self.layers = nn.ModuleList(SelfAttentionLayer(dim, heads, dropout) for _ in range(depth))
        self.checkpointing = checkpointing

    def forward(self, values: Tensor, keep: Tensor | None = None, plain: bool = False) -> Tensor:
        """(batch, columns) to (batch, latents, dim); `plain` builds the electrode tokens."""
        attend = self.electrodes.forward_plain if plain else self.electrodes.forward
        x = self.electrodes.latents + attend(values, keep)
        x = self._run(lambda x: x + self.feed_forward(x), x)
        for layer in self.layers:
            x = self._run(layer, x)
        return x

    def _run(self, layer, x: Tensor) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(layer, x, use_reentrant=False)
        return layer(x)


class Readout(nn.Module):
    """Learned queries attend to the latents: (batch, latents, dim) to (batch, queries, dim)."""

    def __init__(self, dim: int, queries: int, heads: int, dropout: float):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, dim) * 0.02)
        self.attention = TokenAttention(dim, heads, dropout, cross=True)
        self.feed_forward = GatedFeedForward(dim, dropout)

    def forward(self, latents: Tensor) -> Tensor:
        queries = self.queries.expand(len(latents), -1, -1)
        x = queries + self.attention(queries, latents)
        return x + self.feed_forward(x)


class Capoyo(nn.Module):
    """CapoyoEncoder, Readout, and a three-layer projector of the mean token to the target space."""

    masks_electrodes = True
    members = 1

    def __init__(
        self,
        electrodes: int,
        target_dim: int,
        readout_queries: int,
        hidden: int,
        **encoder: Any,
    ):
        super().__init__()
        self.encoder = CapoyoEncoder(electrodes, **encoder)
        dim, dropout = encoder["dim"], encoder["dropout"]
        self.readout = Readout(dim, readout_queries, encoder["heads"], dropout)
        self.projector = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, target_dim),
        )

    def forward(self, values: Tensor, keep: Tensor | None = None, plain: bool = False) -> Tensor:
        """(1, batch, columns) to (1, batch, target_dim)."""
        tokens = self.readout(
            self.encoder(values[0], None if keep is None else keep[0], plain=plain)
        )
        return self.projector(tokens.mean(1))[None]


def build_network(
    settings: Mapping[str, Any],
    n_electrodes: int,
    regions_of_electrodes: Sequence[str] | None,
    target_dim: int,
    members: int = 1,
    bins: int = 1,
) -> nn.Module:
    """The network of a model entry.

    Args:
        settings: resolved settings of a `linear`, `mlp` or `capoyo` entry.
        n_electrodes: electrodes after selection.
        regions_of_electrodes: region name per electrode (capoyo with `region_embedding`, and
            weights of time bins); None: all the same.
        target_dim: components of the target space.
        members: networks trained in parallel (linear and mlp).
        bins: of time; column `bin * n_electrodes + electrode`.

    Raises:
        InputError: unknown kind, or several members of a kind that has one.
    """
    kind = settings["kind"]
    if kind in ("linear", "mlp"):
        time = time_layer(settings, n_electrodes, regions_of_electrodes, members, bins)
        inputs = bins * n_electrodes if time is None else time.outputs
        network = _stacked(settings, inputs, target_dim, members)
        return network if time is None else OverTime(time, network)
    if kind != "capoyo":
        raise InputError(f"kind: {kind!r} is not a network; use linear, mlp or capoyo")
    if members != 1:
        raise InputError("members: capoyo trains one at a time; use several seeds and combine them")
    groups = None
    if settings["region_embedding"] and regions_of_electrodes is not None:
        names = sorted(set(regions_of_electrodes))
        groups = torch.tensor([names.index(region) for region in regions_of_electrodes])
    return Capoyo(
        n_electrodes,
        target_dim,
        readout_queries=settings["readout_queries"],
        hidden=settings["hidden"],
        dim=settings["dim"],
        latents=settings["latents"],
        depth=settings["depth"],
        heads=settings["heads"],
        dropout=settings["dropout"],
        checkpointing=settings["checkpointing"],
        groups=groups,
        bins=bins,
    )


def _stacked(settings: Mapping[str, Any], inputs: int, target_dim: int, members: int) -> StackedMlp:
    if settings["kind"] == "linear":
        return StackedMlp(members, inputs, target_dim)
    return StackedMlp(
        members,
        inputs,
        target_dim,
        hidden=settings["hidden"],
        depth=settings["depth"],
        dropout=settings["dropout"],
        residual=settings["residual"],
        layer_norm=settings["layer_norm"],
    )
