"""A trained forecaster as a safetensors file: weights, settings, and the units it learned."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikeline.artifacts.formats import safetensors_file
from spikeline.horizon.forecaster.lead_bins import edges_of
from spikeline.horizon.forecaster.network import Forecaster
from spikeline.horizon.forecaster.shared_glm import SharedForecaster

CONTRACT = "forecaster/3"


@dataclass(frozen=True)
class TrainedForecaster:
    """A forecaster and what it takes to apply it to any session.

    Attributes:
        model: in evaluation mode.
        settings: resolved settings it was trained with.
        bin_s: length of a bin in seconds.
        mean_rate: of its training units, expected counts per bin.
        sessions: names of its training sessions.
        unit_keys: of its training units, in the order of the learned vectors; empty unless
            `identity` is per_unit.
        image_dim, encoder: length of the image embeddings and which encoder made them; 0, "".
        seed: it was trained with.
    """

    model: Forecaster | SharedForecaster
    settings: Mapping[str, Any]
    bin_s: float
    mean_rate: float
    sessions: Sequence[str]
    unit_keys: Sequence[str]
    image_dim: int
    encoder: str
    seed: int


def build(
    settings: Mapping[str, Any],
    bin_s: float,
    feature_mean: Tensor,
    feature_std: Tensor,
    n_units: int,
    image_dim: int,
) -> Forecaster | SharedForecaster:
    """An untrained forecaster of the kind that its settings name; see `Forecaster`."""
    if settings["kind"] == "shared_glm":
        return SharedForecaster(settings["traces_s"], edges_of(settings, bin_s))
    return Forecaster(settings, bin_s, feature_mean, feature_std, n_units, image_dim)


_FACTS = ("bin_s", "mean_rate", "sessions", "unit_keys", "image_dim", "encoder", "seed")


def save(
    path: str | os.PathLike[str], trained: TrainedForecaster, record: Mapping[str, Any]
) -> None:
    """Write atomically, with provenance in the header."""
    arrays = {name: tensor.cpu().numpy() for name, tensor in trained.model.state_dict().items()}
    facts = {name: getattr(trained, name) for name in _FACTS}
    description = {"settings": dict(trained.settings), **facts}
    safetensors_file.write(path, CONTRACT, arrays, description, record)


def load(path: str | os.PathLike[str], device: torch.device | None = None) -> TrainedForecaster:
    """Read what `save` wrote.

    Raises:
        InputError: missing, damaged, or no forecaster.
    """
    description, arrays = safetensors_file.read(path, CONTRACT)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    with safetensors_file.whole(path):
        settings = description["settings"]
        facts = {name: description[name] for name in _FACTS}
        # the normalisation is among the tensors where it is needed at all
        mean = tensors.get("identity.mean", torch.zeros(1))
        std = tensors.get("identity.std", torch.ones(1))
        model = build(
            settings, facts["bin_s"], mean, std, len(facts["unit_keys"]), facts["image_dim"]
        )
        model.load_state_dict(tensors)
    return TrainedForecaster(model.to(device).eval(), settings, **facts)
