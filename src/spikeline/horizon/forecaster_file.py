"""A trained forecaster as a safetensors file: weights, settings, and the units it learned."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import safetensors
import safetensors.torch
import torch

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_bytes
from spikeline.errors import InputError
from spikeline.horizon.forecaster import Forecaster

FORMAT = "spikeline-forecaster-1"


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

    model: Forecaster
    settings: Mapping[str, Any]
    bin_s: float
    mean_rate: float
    sessions: Sequence[str]
    unit_keys: Sequence[str]
    image_dim: int
    encoder: str
    seed: int


_FACTS = ("bin_s", "mean_rate", "sessions", "unit_keys", "image_dim", "encoder", "seed")


def save(
    path: str | os.PathLike[str], trained: TrainedForecaster, record: Mapping[str, Any]
) -> None:
    """Write atomically, with provenance in the header."""
    tensors = {
        name: tensor.cpu().contiguous() for name, tensor in trained.model.state_dict().items()
    }
    description = {
        "settings": dict(trained.settings),
        **{name: getattr(trained, name) for name in _FACTS},
        provenance.KEY: dict(record),
    }
    # one key: the order of several is not fixed, and equal forecasters should be equal files
    header = {FORMAT: json.dumps(description, sort_keys=True)}
    write_bytes(path, safetensors.torch.save(tensors, metadata=header))


def load(path: str | os.PathLike[str], device: torch.device | None = None) -> TrainedForecaster:
    """Read what `save` wrote.

    Raises:
        InputError: missing, damaged, or no forecaster.
    """
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{path}: cannot be read as a forecaster ({error}); train it again"
        ) from None
    if FORMAT not in header:
        raise InputError(f"{path}: not a forecaster of this version; train it again")
    description = json.loads(header[FORMAT])
    settings = description["settings"]
    facts = {name: description[name] for name in _FACTS}
    # the normalisation is among the tensors where it is needed at all
    mean = tensors.get("identity.mean", torch.zeros(1))
    std = tensors.get("identity.std", torch.ones(1))
    model = Forecaster(
        settings, facts["bin_s"], mean, std, len(facts["unit_keys"]), facts["image_dim"]
    )
    model.load_state_dict(tensors)
    return TrainedForecaster(model.to(device).eval(), settings, **facts)
