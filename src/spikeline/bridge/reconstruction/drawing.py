"""From decoded embeddings and latents to images: where drawing starts, and which sample is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from diffusers import DiffusionPipeline

from spikeline.bridge.generators.sampling import Conditions, Sampler, decoded, sample

# Image embeddings (n, dim) of images (n, height, width, 3) uint8.
Embed = Callable[[np.ndarray], np.ndarray]
# The seeds of two images are so far apart that the samples of one have seeds between them.
_MOST_SAMPLES = 1000


@dataclass(frozen=True)
class Decoded:
    """What was decoded for each image.

    Attributes:
        conditions: what the generator is told.
        embeddings: (n, dim), or None where none is decoded.
        latents: (n, channels, height, width), or None.
        starts: latents that drawing starts from, or None for noise alone.
    """

    conditions: Conditions
    embeddings: np.ndarray | None = None
    latents: np.ndarray | None = None
    starts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.conditions)

    def part(self, rows: slice) -> Decoded:
        """Of some images."""
        cut = {
            name: None if array is None else array[rows]
            for name, array in vars(self).items()
            if name != "conditions"
        }
        sides = [
            {name: value[rows] for name, value in side.items()}
            for side in (self.conditions.told, self.conditions.untold)
        ]
        return Decoded(Conditions(*sides), **cut)


def draw(
    pipeline: DiffusionPipeline,
    what: Decoded,
    choices: Mapping[str, float],
    *,
    steps: int,
    samples: int = 1,
    batch_size: int = 64,
    seed: int = 0,
    embed: Embed | None = None,
) -> np.ndarray:
    """Images of decoded embeddings and latents: (n, height, width, 3) uint8.

    Memory is that of `batch_size` images: of several samples only the best is ever kept.

    Args:
        choices: guidance and strength; strength counts where there are starts.
        samples: drawn for each image; kept is the one whose latents and, given `embed`, whose
            embedding agree best with the decoded ones. The shown image plays no part.
        seed: of the noise; image k's sample j has a seed of its own.
    """
    drawn = []
    together = max(1, batch_size // samples)
    sampler = Sampler(steps, choices["guidance"], choices.get("strength", 1.0), batch_size)
    for first in range(0, len(what), together):
        part = what.part(slice(first, first + together))
        numbers = first + np.arange(len(part))
        seeds = [
            (seed << 32) + int(number) * _MOST_SAMPLES + j
            for number in numbers
            for j in range(samples)
        ]
        starts = None if part.starts is None else np.repeat(part.starts, samples, axis=0)
        latents = sample(pipeline, part.conditions.repeated(samples), sampler, seeds, starts)
        pixels = decoded(pipeline, latents, batch_size)
        if samples > 1:
            agree = _agreement(part, latents, pixels, samples, embed)
            best = agree.argmax(1) + samples * np.arange(len(part))
            pixels = pixels[best]
        drawn.append(pixels)
    return np.concatenate(drawn)


def _agreement(
    part: Decoded, latents: np.ndarray, pixels: np.ndarray, samples: int, embed: Embed | None
) -> np.ndarray:
    """How well each sample (images, samples) agrees with what was decoded, summed correlations."""
    total = np.zeros(len(latents))
    if part.latents is not None:
        total += correlations(latents, np.repeat(part.latents, samples, axis=0))
    if embed is not None and part.embeddings is not None:
        total += correlations(embed(pixels), np.repeat(part.embeddings, samples, axis=0))
    return total.reshape(len(part), samples)


def correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's r of each row of two arrays (n, ...), over all other axes; 0 for a constant row."""
    rows = [np.asarray(a, dtype=np.float64).reshape(len(a), -1) for a in (one, other)]
    rows = [a - a.mean(1, keepdims=True) for a in rows]
    lengths = np.prod([np.linalg.norm(a, axis=1) for a in rows], axis=0)
    products = (rows[0] * rows[1]).sum(1)
    return np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)


def candidates(settings: Mapping[str, Any]) -> list[dict[str, float]]:
    """Every combination of the listed guidances, strengths and start weights."""
    names = ("guidance", "strength", "start_weight")
    combinations = product(*(settings[name] for name in names))
    return [dict(zip(names, map(float, values), strict=True)) for values in combinations]
