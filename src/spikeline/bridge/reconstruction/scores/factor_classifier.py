"""A small network that reads named factors of an image: the shape of its object, the colour ...

Trained on images whose factors are known, it says whether a reconstruction shows the right ones.
Its early and late features stand in for those of a large network where there is none. Kept as a
folder: `classifier.json` and `classifier.safetensors`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from spikeline.bridge.images.what_and_where import WhatAndWhere
from spikeline.errors import InputError

EARLY, LATE = FEATURES = ("classifier_early", "classifier_late")
_DESCRIPTION, _WEIGHTS = "classifier.json", "classifier.safetensors"
_BATCH = 256


class FactorClassifier(nn.Module):
    """One linear readout for each factor, of a network that says what is there and where.

    Shape:
        images: (n, 3, size, size) in -1..1 -> list of (n, levels) logits, one for each factor.
    """

    def __init__(self, size: int, width: int, hidden: int, levels: Sequence[int]):
        """
        Args:
            size: side of its images, pixels, a multiple of 16.
            width, hidden: of `WhatAndWhere`.
            levels: of each factor.
        """
        super().__init__()
        self.size = size
        self.network = WhatAndWhere(width, hidden)
        self.readouts = nn.ModuleList(nn.Linear(hidden, count) for count in levels)

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(early, late): the second stage's map, flattened, and the hidden layer."""
        maps = self.network.maps(images)
        return maps[1].flatten(1), self.network.read(maps[-1])

    def forward(self, images: Tensor) -> list[Tensor]:
        late = self.network(images)
        return [readout(late) for readout in self.readouts]


def inputs(pixels: np.ndarray, size: int) -> Tensor:
    """(n, 3, size, size) float32 in -1..1 of (n, height, width, 3) uint8, with antialiasing."""
    values = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float()
    if values.shape[2:] != (size, size):
        values = functional.interpolate(
            values, (size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return values / 127.5 - 1


@torch.inference_mode()
def features(model: FactorClassifier, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """{EARLY: ..., LATE: ...}, each (n, dimensions) float32, of (n, height, width, 3) uint8."""
    found = [model.features(batch) for batch in _batches(model, pixels)]
    return {
        name: np.concatenate([part.float().cpu().numpy() for part in parts])
        for name, parts in zip(FEATURES, zip(*found, strict=True), strict=True)
    }


@torch.inference_mode()
def read(
    model: FactorClassifier, levels: Mapping[str, Sequence[str]], pixels: np.ndarray
) -> dict[str, np.ndarray]:
    """{factor: (n,) names of the levels that the model sees} in (n, height, width, 3) uint8."""
    found = [[one.argmax(1).cpu() for one in model(batch)] for batch in _batches(model, pixels)]
    return {
        factor: np.asarray(names, dtype=object)[torch.cat(parts).numpy()]
        for (factor, names), parts in zip(levels.items(), zip(*found, strict=True), strict=True)
    }


def save_folder(
    folder: Path, model: FactorClassifier, shape: Mapping[str, int], levels: Mapping[str, list[str]]
) -> None:
    """Write a model into a folder that exists.

    Args:
        shape: {"size", "width", "hidden"} as it was built with.
        levels: {factor: names of its levels}.
    """
    described = json.dumps({"shape": dict(shape), "levels": dict(levels)}, indent=1)
    (folder / _DESCRIPTION).write_text(described + "\n", encoding="utf-8")
    weights = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    (folder / _WEIGHTS).write_bytes(save(weights))


def load(folder: str | os.PathLike[str]) -> tuple[FactorClassifier, dict[str, list[str]]]:
    """A model in evaluation mode, and {factor: names of its levels}.

    Raises:
        InputError: missing or damaged.
    """
    try:
        described = json.loads((Path(folder) / _DESCRIPTION).read_text(encoding="utf-8"))
        levels = {factor: list(names) for factor, names in described["levels"].items()}
        model = FactorClassifier(
            **described["shape"], levels=[len(names) for names in levels.values()]
        )
        model.load_state_dict(load_file(Path(folder) / _WEIGHTS))
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError,
    ) as error:  # fmt: skip
        reason = str(error).partition("\n")[0]
        raise InputError(f"{folder}: is no whole classifier ({reason}); make it again") from None
    return model.eval(), levels


def _batches(model: FactorClassifier, pixels: np.ndarray) -> list[Tensor]:
    device = next(model.parameters()).device
    starts = range(0, len(pixels), _BATCH)
    return [inputs(pixels[k : k + _BATCH], model.size).to(device) for k in starts]
