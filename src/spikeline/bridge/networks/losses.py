"""Alignment losses between predicted and target embeddings.

Shapes: predictions and targets (..., batch, features), paired by row; leading axes are independent
members, each with its own loss. `same` (..., batch, batch) bool marks *other* rows of the batch
that show the same image, and so are not negatives.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

LOSSES = ("infonce", "softclip", "siglip", "cosine", "mse")
# Bounds of the learned inverse temperature; the upper one is CLIP's.
SCALE_RANGE = (1.0, 100.0)


def _cross_entropy(logits: Tensor, label_smoothing: float, same: Tensor | None) -> Tensor:
    """Mean cross-entropy of each row against its own column; `same` columns do not take part."""
    if same is not None:
        logits = logits.masked_fill(same, -math.inf)
    log_p = logits.log_softmax(-1)
    loss = -log_p.diagonal(dim1=-2, dim2=-1)
    if label_smoothing:
        if same is None:
            uniform = -log_p.mean(-1)
        else:
            uniform = -log_p.masked_fill(same, 0).sum(-1) / (~same).sum(-1)
        loss = (1 - label_smoothing) * loss + label_smoothing * uniform
    return loss.mean(-1)


def infonce(
    predictions: Tensor,
    targets: Tensor,
    scale: Tensor,
    label_smoothing: float = 0.0,
    same: Tensor | None = None,
) -> Tensor:
    """Symmetric InfoNCE of unit rows (Radford et al. 2021, CLIP): mean of both directions.

    ``scale`` (...) is the inverse temperature. Label smoothing spreads that share of the target
    evenly over all candidates, as `torch.nn.functional.cross_entropy` does.
    """
    logits = scale[..., None, None] * (predictions @ targets.mT)
    forward = _cross_entropy(logits, label_smoothing, same)
    backward = _cross_entropy(logits.mT, label_smoothing, None if same is None else same.mT)
    return (forward + backward) / 2


def softclip(predictions: Tensor, targets: Tensor, scale: Tensor, temperature: float) -> Tensor:
    """InfoNCE whose labels are the softmax of the targets' own similarities over `temperature`.

    Scotti et al. 2023 (MindEye). Rows of one image share their label.
    """
    labels = (targets @ targets.mT / temperature).softmax(-1)
    logits = scale[..., None, None] * (predictions @ targets.mT)
    forward = -(labels * logits.log_softmax(-1)).sum(-1).mean(-1)
    backward = -(labels * logits.mT.log_softmax(-1)).sum(-1).mean(-1)
    return (forward + backward) / 2


def siglip(
    predictions: Tensor,
    targets: Tensor,
    scale: Tensor,
    bias: Tensor,
    same: Tensor | None = None,
) -> Tensor:
    """Pairwise sigmoid loss of unit rows (Zhai et al. 2023), summed over pairs, mean over rows."""
    logits = scale[..., None, None] * (predictions @ targets.mT) + bias[..., None, None]
    positive = torch.eye(logits.shape[-1], dtype=torch.bool, device=logits.device)
    if same is not None:
        positive = positive | same
    signs = 2.0 * positive - 1.0
    return -functional.logsigmoid(signs * logits).sum(-1).mean(-1)


def cosine(predictions: Tensor, targets: Tensor) -> Tensor:
    """One minus the cosine of paired unit rows, mean over rows."""
    return 1 - (predictions * targets).sum(-1).mean(-1)


def mse(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error over rows and features."""
    return (predictions - targets).square().mean((-2, -1))


class AlignmentLoss(nn.Module):
    """The loss of a model entry, with its learned temperature and bias, one per member.

    All but `mse` compare directions: rows are normalised first.
    """

    def __init__(
        self,
        kind: str,
        members: int,
        label_smoothing: float,
        softclip_temperature: float,
    ):
        super().__init__()
        if kind not in LOSSES:
            raise ValueError(f"loss {kind!r} is not one of {', '.join(LOSSES)}")
        self.kind = kind
        self.label_smoothing = label_smoothing
        self.softclip_temperature = softclip_temperature
        start = 10.0 if kind == "siglip" else 1 / 0.07  # as the two papers start
        if kind in ("infonce", "softclip", "siglip"):
            self.log_scale = nn.Parameter(torch.full((members,), math.log(start)))
        if kind == "siglip":
            self.bias = nn.Parameter(torch.full((members,), -10.0))

    def forward(self, predictions: Tensor, targets: Tensor, same: Tensor | None = None) -> Tensor:
        """Loss per member: (members, batch, features) twice to (members,)."""
        predictions, targets = predictions.float(), targets.float()
        if self.kind == "mse":
            return mse(predictions, targets)
        predictions = functional.normalize(predictions, dim=-1)
        targets = functional.normalize(targets, dim=-1)
        if self.kind == "cosine":
            return cosine(predictions, targets)
        # in place, as in CLIP: a clamp in the graph has no gradient beyond its bounds
        with torch.no_grad():
            self.log_scale.clamp_(*map(math.log, SCALE_RANGE))
        scale = self.log_scale.exp()
        if self.kind == "softclip":
            return softclip(predictions, targets, scale, self.softclip_temperature)
        if self.kind == "siglip":
            return siglip(predictions, targets, scale, self.bias, same)
        return infonce(predictions, targets, scale, self.label_smoothing, same)
