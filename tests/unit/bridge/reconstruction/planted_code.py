"""Responses that carry a linear code of embeddings and latents, or nothing at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from defaults import settings as complete

from spikeline.bridge.reconstruction.decoding import Shown

LATENT_SHAPE = (2, 3, 3)
DIM = 6


@dataclass(frozen=True)
class Recording:
    """Rows of training and of test images; the first `training` rows train."""

    responses: np.ndarray
    images: np.ndarray
    shown: Shown
    training: int

    def part(self, test: bool) -> tuple[np.ndarray, Shown]:
        """Responses and what evoked them, of the test or of training."""
        rows = slice(self.training, None) if test else slice(0, self.training)
        shown = Shown(self.shown.embeddings[rows], self.shown.latents[rows])
        return self.responses[rows], shown


def recording(signal: float, training: int = 300, test: int = 60, seed: int = 0) -> Recording:
    """Responses of 40 electrodes: a linear image of 4 latent causes, times `signal`, and noise."""
    rng = np.random.default_rng(seed)
    count = training + test
    causes = rng.standard_normal((count, 4))
    mix = lambda width: rng.standard_normal((4, width))  # noqa: E731
    responses = signal * causes @ mix(40) + rng.standard_normal((count, 40))
    embeddings = 3 + causes @ mix(DIM) * 2
    latents = (causes @ mix(np.prod(LATENT_SHAPE))).reshape(count, *LATENT_SHAPE)
    names = np.array([f"c/{k:04d}.png" for k in range(count)], object)
    shown = Shown(embeddings.astype(np.float32), latents.astype(np.float32))
    return Recording(responses.astype(np.float32), names, shown, training)


def electrodes(count: int = 40) -> dict[str, np.ndarray]:
    """Their table."""
    nothing = np.full(count, np.nan, np.float32)
    region = np.array(["V4"] * count, object)
    return {"region": region, "snr": nothing, "reliability": nothing}


def settings(kind: str, **given: Any) -> dict[str, Any]:
    """Complete settings of an entry of this kind."""
    return complete("fit-reconstructor", kind=kind, regions=["V4"], **given)
