"""A small classifier for the demo: it learns to read the factors that an image was drawn by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from spikeline.bridge.reconstruction.scores.factor_classifier import FactorClassifier, inputs, read
from spikeline.training.device import mixed_precision

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class ClassifierSettings:
    """Size and training of the classifier; the schema (`extractors`, kind demo_classifier)
    describes each key, with its unit, range and default."""

    seed: int
    image_size: int
    width: int
    hidden: int
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    shift: int
    turn: float
    zoom: float
    coarsening: int

    @property
    def shape(self) -> dict[str, int]:
        """What `FactorClassifier` is built with, but for its levels."""
        return {"size": self.image_size, "width": self.width, "hidden": self.hidden}


def levels_of(factors: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
    """{factor: the sorted names of its levels} of {factor: (images,) names}."""
    return {factor: sorted(set(names)) for factor, names in factors.items()}


def train_classifier(
    pixels: np.ndarray,
    factors: Mapping[str, np.ndarray],
    settings: ClassifierSettings,
    device: torch.device = _CPU,
    progress: Callable[[int, float], None] | None = None,
) -> FactorClassifier:
    """Train on images whose factors are known, with the sum of the factors' cross-entropies.

    Images are moved and coarsened at random: reconstructions are neither in place nor sharp.

    Args:
        pixels: (n, height, width, 3) uint8.
        factors: {factor: (n,) names of levels}.
        settings: of the training.
        device: where to train; a GPU that can runs the forward pass in bfloat16.
        progress: called after each epoch with its number and mean loss.

    Returns:
        The model on the CPU, in evaluation mode; its levels are those of `levels_of`.
    """
    torch.manual_seed(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    levels = levels_of(factors)
    # The last dimension: one column for each factor.
    truth = torch.stack(
        [torch.tensor([levels[name].index(one) for one in factors[name]]) for name in levels], 1
    ).to(device)
    images = inputs(pixels, settings.image_size).to(device)
    model = FactorClassifier(**settings.shape, levels=[len(names) for names in levels.values()])
    # Channels last: a third faster on CPU.
    model.to(device, memory_format=torch.channels_last).train()
    batches = max(1, len(images) // settings.batch_size)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        settings.learning_rate,
        total_steps=batches * settings.epochs,
        pct_start=0.1,
    )
    for epoch in range(settings.epochs):
        total = 0.0
        order = torch.randperm(len(images), generator=generator)
        for rows in torch.tensor_split(order, batches):
            rows = rows.to(device)
            batch = _moved(images[rows], settings, generator)
            batch = _coarsened(batch, settings.coarsening, generator)
            with mixed_precision(device):
                logits = model(batch.contiguous(memory_format=torch.channels_last))
            loss = sum(
                functional.cross_entropy(
                    one.float(), truth[rows, column], label_smoothing=settings.label_smoothing
                )
                for column, one in enumerate(logits)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if progress is not None:
            progress(epoch + 1, total / batches)
    return model.to("cpu", memory_format=torch.contiguous_format).eval()


def accuracy(
    model: FactorClassifier,
    pixels: np.ndarray,
    factors: Mapping[str, np.ndarray],
    levels: Mapping[str, Sequence[str]],
) -> dict[str, float]:
    """{factor: share of the images in which the model reads it right}; arguments as above."""
    seen = read(model, levels, pixels)
    return {factor: float(np.mean(seen[factor] == names)) for factor, names in factors.items()}


def _moved(
    images: torch.Tensor, settings: ClassifierSettings, generator: torch.Generator
) -> torch.Tensor:
    """Each image displaced, turned and zoomed at random about its centre, its border mirrored."""
    count, size = len(images), images.shape[-1]
    angle, zoom, x, y = 2 * torch.rand(4, count, generator=generator) - 1
    angle = np.radians(settings.turn) * angle
    scale = torch.exp(np.log1p(settings.zoom) * zoom)
    # In affine_grid's unit, half the side of an image.
    x, y = (2 * settings.shift / size * one for one in (x, y))
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    rows = [torch.stack([cos, -sin, x], 1), torch.stack([sin, cos, y], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return functional.grid_sample(
        images, grid.to(images.device), padding_mode="reflection", align_corners=False
    )


def _coarsened(images: torch.Tensor, most: int, generator: torch.Generator) -> torch.Tensor:
    """A batch shrunk by a random factor of 1 to `most` and enlarged again, every second time."""
    if most == 1 or torch.rand((), generator=generator) < 0.5:
        return images
    factor = 1 + (most - 1) * torch.rand((), generator=generator).item()
    small = functional.interpolate(
        images, scale_factor=1 / factor, mode="bilinear", antialias=True, align_corners=False
    )
    return functional.interpolate(small, images.shape[-2:], mode="bilinear", align_corners=False)
