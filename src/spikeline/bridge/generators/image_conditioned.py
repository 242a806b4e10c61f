"""A small generator conditioned on image embeddings, a pipeline as Stable Diffusion 2.1 unCLIP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableUnCLIPImg2ImgPipeline
from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer

from spikeline.bridge.generators.diffusion import (
    TRAINING_STEPS,
    EmbeddingConditions,
    noise_scheduler,
    train_unet,
)
from spikeline.bridge.generators.pipelines import image_pipeline

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from spikeline.training.state import StateFile

# The U-Net attends to one token of zeros where there is no text; so few values suffice.
_TEXT_DIM = 32


def train_image_generator(
    latents: np.ndarray,
    embeddings: np.ndarray,
    autoencoder: AutoencoderKL,
    settings: Mapping[str, Any],
    *,
    seed: int,
    fabric: Fabric,
    state_file: StateFile | None = None,
) -> tuple[StableUnCLIPImg2ImgPipeline, list[dict]]:
    """Train on the latents and embeddings of images.

    Args:
        latents: (images, channels, height, width) float32, scaled.
        embeddings: (images, dim) float32, as the encoder gives them.
        autoencoder: that made the latents; it becomes part of the pipeline.
        settings: resolved settings of a `trained` entry of `generators`.
        seed, fabric, state_file: see `train_unet`.

    Returns:
        The pipeline, on the CPU, and one history row per epoch.
    """
    dim = embeddings.shape[1]
    normaliser = StableUnCLIPImageNormalizer(dim).requires_grad_(False)
    normaliser.mean.copy_(torch.from_numpy(embeddings.mean(0, keepdims=True)))
    spread = embeddings.std(0, keepdims=True)
    normaliser.std.copy_(torch.from_numpy(np.where(spread > 0, spread, 1)))
    noising = DDPMScheduler(TRAINING_STEPS, beta_schedule="squaredcos_cap_v2")
    conditions = EmbeddingConditions(
        embeddings, normaliser, noising, settings["noise_levels"], _TEXT_DIM
    )
    unet, history = train_unet(
        latents,
        conditions,
        settings,
        text_dim=_TEXT_DIM,
        embedding_dim=dim,
        seed=seed,
        fabric=fabric,
        state_file=state_file,
    )
    normaliser.to("cpu")
    return image_pipeline(autoencoder, unet, normaliser, noising, noise_scheduler()), history
