"""What a forecaster knows of a unit before it has seen it fire: an embedding, in one of six modes.

| mode | where the embedding comes from |
|---|---|
| idencoder | a 3-layer MLP over the unit's 33 reference features: any unit of any session has one |
| linear | a learned matrix in place of the MLP |
| projection | a random matrix that nothing trains: features reach the network, unlearned |
| random | one fixed random vector per unit, drawn from its name: it only tells units apart |
| mean | one learned vector for all |
| per_unit | a learned vector for each training unit; an unseen unit has the mean of them |
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from spikeline.errors import InputError

MODES = ("idencoder", "linear", "projection", "random", "mean", "per_unit")
UNSEEN = -1
# Standard deviations; Fano factors of bursting units have a long tail.
FARTHEST = 8.0
# Of the fixed matrix, the same for every seed of a forecaster.
_PROJECTION_SEED = 0


@dataclass(frozen=True)
class Units:
    """The units of one session, as tensors.

    Attributes:
        features: (units, 33) raw reference features.
        valid: (units,) bool: enough intervals between spikes for their shape to mean anything.
        rows: (units,) int64: place among the training units, UNSEEN for others.
        vectors: (units, dim) what `random_vectors` gives; may be empty in other modes.
    """

    features: Tensor
    valid: Tensor
    rows: Tensor
    vectors: Tensor


class FeatureIdentity(nn.Module):
    """Reference features to embeddings.

    Args:
        layers: from (units, 34) features, the last of which says whether the others are valid.
        mean, std: (33,) of each feature over training units.
        noise_std: Gaussian noise on the features while training, in their standard deviations.
        raw: features enter as they are, rather than as z-scores.
    """

    def __init__(
        self,
        layers: nn.Module,
        mean: Tensor,
        std: Tensor,
        noise_std: float = 0.0,
        raw: bool = False,
    ):
        super().__init__()
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", std.float())
        self.noise_std = noise_std
        self.raw = raw
        self.layers = layers

    def forward(self, units: Units) -> Tensor:
        """(units, dim)."""
        features, scale = units.features, self.std
        if not self.raw:
            features = ((features - self.mean) / self.std).clamp(-FARTHEST, FARTHEST)
            # without enough intervals only the rate means something
            features = torch.cat([features[:, :1], features[:, 1:] * units.valid[:, None]], 1)
            scale = torch.ones_like(self.std)
        if self.training and self.noise_std:
            features = features + self.noise_std * scale * torch.randn_like(features)
        return self.layers(torch.cat([features, units.valid[:, None].float()], 1))


def idencoder_layers(inputs: int, hidden: int, dim: int) -> nn.Module:
    """The MLP of the mode `idencoder`."""
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.GELU(),
        nn.Linear(hidden, hidden),
        nn.GELU(),
        nn.Linear(hidden, dim),
    )


def fixed_projection(inputs: int, dim: int) -> nn.Module:
    """A random matrix, always the same one, that keeps lengths on average."""
    layer = nn.Linear(inputs, dim, bias=False)
    drawn = torch.Generator().manual_seed(_PROJECTION_SEED)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(dim, inputs, generator=drawn) / inputs**0.5)
    return layer.requires_grad_(False)


class RandomIdentity(nn.Module):
    def forward(self, units: Units) -> Tensor:
        return units.vectors


class MeanIdentity(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.vector = nn.Parameter(torch.randn(dim))

    def forward(self, units: Units) -> Tensor:
        return self.vector.expand(len(units.features), -1)


class PerUnitIdentity(nn.Module):
    def __init__(self, n_units: int, dim: int):
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(n_units, dim))

    def forward(self, units: Units) -> Tensor:
        """(units, dim); the mean of all vectors for units that training did not see."""
        known = self.vectors[units.rows.clamp(min=0)]
        return torch.where((units.rows == UNSEEN)[:, None], self.vectors.mean(0), known)


def build_identity(
    mode: str,
    dim: int,
    hidden: int,
    mean: Tensor,
    std: Tensor,
    n_units: int,
    noise_std: float,
    raw: bool,
) -> nn.Module:
    """The module of a mode: `Units` to (units, dim).

    Raises:
        InputError: unknown mode.
    """
    inputs = len(mean) + 1
    read = {
        "idencoder": lambda: idencoder_layers(inputs, hidden, dim),
        "linear": lambda: nn.Linear(inputs, dim),
        "projection": lambda: fixed_projection(inputs, dim),
    }
    if mode in read:
        return FeatureIdentity(read[mode](), mean, std, noise_std, raw)
    if mode == "random":
        return RandomIdentity()
    if mode == "mean":
        return MeanIdentity(dim)
    if mode == "per_unit":
        return PerUnitIdentity(n_units, dim)
    raise InputError(f"identity: {mode!r} is not one of {', '.join(MODES)}")


def random_vectors(keys: Sequence[str], dim: int) -> np.ndarray:
    """(keys, dim) float32, normal; a key has the same vector in every session list and process."""

    def drawn(key: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
        return np.random.default_rng(seed).standard_normal(dim)

    return np.array([drawn(key) for key in keys], np.float32).reshape(len(keys), dim)
