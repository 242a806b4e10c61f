"""Cross-attention from learned latents to electrodes, without building electrode tokens.

The token of electrode ``e`` is affine in its response ``x``: ``identity_e + x * direction``. Of
responses in time bins each bin of an electrode has a token, with ``identity_e + time_b`` in place
of its identity; what follows says electrode for either. With
``i_e`` and ``d`` the two vectors after LayerNorm's centring over the feature axis,

    LayerNorm(token) = u_e(x) (i_e + x d) * gain + bias,   u_e(x) = 1 / sqrt(var_e(x) + eps),
    var_e(x) = mean(i_e^2) + 2 x mean(i_e d) + x^2 mean(d^2),

so keys and values are ``u (A_e + x B)`` plus a constant. The constant part of the keys cancels in
the softmax, and the constant part of the values is added once, since attention weights sum to one.
The queries do not depend on the batch, so the logits need only ``queries . A_e`` and
``queries . B``. Neither direction of the pass needs anything of size (batch, electrodes, features),
and the weights of size (batch, latents, electrodes) exist only for a slice of the batch at a time:
the backward pass recomputes them, as in Dao et al. 2022 (FlashAttention).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

# Attention weights held at a time: on a CPU they stay in its cache; a GPU wants long kernels.
_SLICE_ELEMENTS = {"cpu": 1 << 18, "cuda": 1 << 25}

_INITIAL_LOGIT_STD = 3.0


def _slices(batch: int, per_sample: int, device: torch.device) -> list[tuple[int, int]]:
    size = max(1, _SLICE_ELEMENTS.get(device.type, 1 << 22) // per_sample)
    return [(start, min(start + size, batch)) for start in range(0, batch, size)]


def _over_rows(weights: Tensor) -> Tensor:
    """Sum over heads and latents: (heads, slice, latents, electrodes) to (slice, electrodes)."""
    return weights.sum(2).sum(0)  # twice one axis is an order of magnitude faster than both at once


class _ClosedAttention(torch.autograd.Function):
    """Attention over electrodes for keys and values that are ``u (A_e + x B)``.

    Shapes: values (batch, electrodes); norms (3, electrodes) = the three means of ``var_e``;
    key_base (heads, latents, electrodes) = scaled queries . A_e; key_slope (heads, latents);
    value_base (heads, electrodes, features); value_slope (heads, features); keep (batch,
    electrodes) bool or None. Returns (heads, batch, latents, features).
    """

    @staticmethod
    def _inverse_deviation(values: Tensor, norms: Tensor, eps: float) -> Tensor:
        variance = torch.addcmul(norms[1] * 2, values, norms[2]).mul_(values).add_(norms[0])
        return variance.clamp_(min=0).add_(eps).rsqrt_()

    @staticmethod
    def _weights(x: Tensor, u: Tensor, key_base: Tensor, key_slope: Tensor, keep: Tensor | None):
        """Keys before scaling by u, and weights: both (heads, slice, latents, electrodes)."""
        keys = torch.addcmul(key_base[:, None], x[:, None], key_slope[:, None, :, None])
        logits = keys * u[:, None]
        if keep is not None:
            logits.masked_fill_(~keep[:, None], -math.inf)
        return keys, torch.softmax(logits, -1)

    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda", cast_inputs=torch.float32)
    def forward(ctx, values, norms, key_base, key_slope, value_base, value_slope, keep, eps):
        heads, latents, electrodes = key_base.shape
        batch, features = len(values), value_base.shape[-1]
        output = values.new_empty(heads, batch, latents, features)
        slices = _slices(batch, key_base.numel(), values.device)
        for start, stop in slices:
            x = values[start:stop]
            u = _ClosedAttention._inverse_deviation(x, norms, eps)
            kept = None if keep is None else keep[start:stop]
            weights = _ClosedAttention._weights(x, u, key_base, key_slope, kept)[1]
            weights *= u[:, None]
            attended = torch.bmm(weights.view(heads, -1, electrodes), value_base)
            attended = attended.view(heads, stop - start, latents, features)
            slope = weights.mul_(x[:, None]).sum(-1, keepdim=True)
            torch.addcmul(attended, slope, value_slope[:, None, None], out=output[:, start:stop])
        ctx.save_for_backward(
            values, norms, key_base, key_slope, value_base, value_slope, keep, output
        )
        ctx.eps = eps
        return output

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cuda")
    def backward(ctx, gradient):
        values, norms, key_base, key_slope, value_base, value_slope, keep, output = (
            ctx.saved_tensors
        )
        heads, latents, electrodes = key_base.shape
        features = value_base.shape[-1]
        wants_values = ctx.needs_input_grad[0]
        d_values = torch.empty_like(values) if wants_values else None
        d_norms = torch.zeros_like(norms)
        d_key_base, d_key_slope = torch.zeros_like(key_base), torch.zeros_like(key_slope)
        d_value_base = torch.zeros_like(value_base.mT)  # features first: the faster product
        d_value_slope = torch.zeros_like(value_slope)
        slices = _slices(len(values), key_base.numel(), values.device)
        scratch = key_base.new_empty(heads, slices[0][1], latents, electrodes)
        for start, stop in slices:
            size = stop - start
            x = values[start:stop]
            u = _ClosedAttention._inverse_deviation(x, norms, ctx.eps)
            kept = None if keep is None else keep[start:stop]
            keys, scaled = _ClosedAttention._weights(x, u, key_base, key_slope, kept)
            scaled *= u[:, None]
            grad = gradient[:, start:stop]
            flat = grad.reshape(heads, size * latents, features)
            grad_slope = torch.matmul(
                grad, value_slope[:, None, :, None]
            )  # (heads, size, latents, 1)
            along_output = (grad * output[:, start:stop]).sum(-1, keepdim=True)

            d_value_base.baddbmm_(flat.mT, scaled.view(heads, -1, electrodes))
            times_x = torch.mul(scaled, x[:, None], out=scratch[:, :size])
            d_value_slope += (times_x.sum(-1, keepdim=True) * grad).sum((1, 2))

            # per weight: gradient of its attended value times u, then through the softmax
            work = torch.bmm(flat, value_base.mT).view(heads, size, latents, electrodes)
            work.addcmul_(grad_slope, x[:, None]).mul_(scaled)
            d_u = _over_rows(work)
            work.mul_(u[:, None]).addcmul_(scaled, along_output, value=-1)

            d_key_base += work.sum(1)
            d_key_slope += torch.mul(work, x[:, None], out=times_x).sum(-1).sum(1)
            d_u += _over_rows(keys.mul_(work))
            # both sums carry one factor u too many; d u / d variance = -u^3 / 2
            d_variance = d_u.mul_(u).mul_(u).mul_(-0.5)
            d_norms[0] += d_variance.sum(0)
            d_norms[1] += (d_variance * x).sum(0).mul_(2)
            d_norms[2] += (d_variance * x * x).sum(0)
            if wants_values:
                through_value = _over_rows(grad_slope * scaled)
                through_key = _over_rows(key_slope[:, None, :, None] * work)
                through_norm = 2 * d_variance * (norms[1] + x * norms[2])
                d_values[start:stop] = through_value + through_key + through_norm
        return (
            d_values, d_norms, d_key_base, d_key_slope, d_value_base.mT, d_value_slope, None, None,
        )  # fmt: skip


class ElectrodeAttention(nn.Module):
    """Learned latents attend to electrodes, whose tokens are identity plus value times direction.

    The tokenisation is CaPOYO's (Azabou et al. 2024, for calcium traces): one learned identity
    per electrode, one direction for the response. Responses are means over time or over a few bins
    that every sample has, so a learned vector of the bin stands for the rotary time encoding.

    Args:
        electrodes: number of electrodes.
        dim: features of a token and of a latent.
        latents: number of learned latents.
        heads: attention heads; ``dim_head`` features each (default ``dim // heads``).
        groups: for each electrode the index of its region, to add a learned region embedding.
        bins: of time; column `bin * electrodes + electrode` of the values.
    """

    def __init__(
        self,
        electrodes: int,
        dim: int,
        latents: int,
        heads: int = 1,
        dim_head: int | None = None,
        groups: Tensor | None = None,
        bins: int = 1,
    ):
        super().__init__()
        dim_head = dim_head or dim // heads
        self.heads = heads
        self.identity = nn.Parameter(torch.randn(electrodes, dim))
        self.direction = nn.Parameter(torch.randn(dim) * 0.4)
        self.latents = nn.Parameter(torch.randn(latents, dim) * 0.02)
        self.token_norm = nn.LayerNorm(dim)
        self.latent_norm = nn.LayerNorm(dim)
        self.to_query = nn.Linear(dim, heads * dim_head, bias=False)
        self.to_key = nn.Linear(dim, heads * dim_head, bias=False)
        self.to_value = nn.Linear(dim, heads * dim_head, bias=False)
        self.to_output = nn.Linear(heads * dim_head, dim)
        # At the usual small weights every head would start as the mean over all electrodes, the
        # same for all; with logits of this spread each head starts from different electrodes.
        for linear in (self.to_query, self.to_key):
            nn.init.normal_(linear.weight, std=math.sqrt(_INITIAL_LOGIT_STD / dim))
        for linear in (self.to_value, self.to_output):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
        if groups is None:
            self.region = None
        else:
            self.register_buffer("groups", groups.long(), persistent=False)
            self.region = nn.Parameter(torch.zeros(int(groups.max()) + 1, dim))
        self.time = nn.Parameter(torch.randn(bins, dim)) if bins > 1 else None

    def _identities(self) -> Tensor:
        """(columns, dim): all of a token that does not depend on the response."""
        found = self.identity if self.region is None else self.identity + self.region[self.groups]
        return found if self.time is None else (self.time[:, None] + found).flatten(0, 1)

    def _split(self, features: Tensor) -> Tensor:
        """(..., n, heads * features) to (..., heads, n, features)."""
        return features.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def forward(self, values: Tensor, keep: Tensor | None = None) -> Tensor:
        """Latents after one attention over the electrodes, without their residual.

        Args:
            values: standardised responses (batch, columns).
            keep: (batch, columns) bool; False removes that column's key and value. At least one
                of each row must be kept.

        Returns:
            (batch, latents, dim).
        """
        with torch.autocast(values.device.type, enabled=False):
            values = values.to(self.identity.dtype)
            identity, direction = self._identities(), self.direction
            identity = identity - identity.mean(-1, keepdim=True)
            direction = direction - direction.mean()
            norms = torch.stack(
                [
                    identity.square().mean(-1),
                    (identity * direction).mean(-1),
                    direction.square().mean().expand(len(identity)),
                ]
            )
            gained = torch.cat([identity, direction[None]]) * self.token_norm.weight
            keys, value = self._split(self.to_key(gained)), self._split(self.to_value(gained))
            query = self._split(self.to_query(self.latent_norm(self.latents)))
            logits = query @ keys.mT / math.sqrt(query.shape[-1])
            attended = _ClosedAttention.apply(
                values, norms, logits[..., :-1].contiguous(), logits[..., -1],
                value[:, :-1].contiguous(), value[:, -1], keep, self.token_norm.eps,
            )  # fmt: skip
            attended = attended.permute(1, 2, 0, 3).flatten(-2)
            return self.to_output(attended + self.to_value(self.token_norm.bias))

    def forward_plain(self, values: Tensor, keep: Tensor | None = None) -> Tensor:
        """The definition, token by token: what `forward` must equal. Shapes as in `forward`."""
        tokens = self._identities() + values[..., None] * self.direction
        tokens = self.token_norm(tokens)
        query = self._split(self.to_query(self.latent_norm(self.latents)))
        attended = functional.scaled_dot_product_attention(
            query.expand(len(values), -1, -1, -1),
            self._split(self.to_key(tokens)),
            self._split(self.to_value(tokens)),
            attn_mask=None if keep is None else keep[:, None, None],
        )
        return self.to_output(attended.transpose(1, 2).flatten(-2))
