"""A small generator conditioned on text, a pipeline as Stable Diffusion 1.5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from diffusers import AutoencoderKL, StableDiffusionPipeline
from transformers import CLIPTextModel, CLIPTokenizer

from spikeline.artifacts.images.prompts import Prompts
from spikeline.bridge.generators.diffusion import PromptConditions, noise_scheduler, train_unet
from spikeline.bridge.generators.pipelines import text_pipeline
from spikeline.bridge.generators.text_encoder import identity
from spikeline.errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from spikeline.training.state import StateFile


def train_text_generator(
    latents: np.ndarray,
    prompts: Prompts,
    rows: np.ndarray,
    autoencoder: AutoencoderKL,
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    settings: Mapping[str, Any],
    *,
    seed: int,
    fabric: Fabric,
    state_file: StateFile | None = None,
) -> tuple[StableDiffusionPipeline, list[dict]]:
    """Train on the latents of images and the text states of their captions.

    Args:
        latents: (images, channels, height, width) float32, scaled.
        prompts: of the stimulus set, encoded by `encoder`.
        rows: (images,) which of the prompts is an image's, see `Prompts.rows_of`.
        autoencoder: that made the latents; it becomes part of the pipeline, as do
            `encoder` and `tokenizer`.
        settings: resolved settings of a `trained` entry of `generators`.
        seed, fabric, state_file: see `train_unet`.

    Returns:
        The pipeline, on the CPU, and one history row per epoch.

    Raises:
        InputError: the prompts were encoded by another text encoder.
    """
    made_by = identity(encoder, tokenizer)
    if prompts.encoder != made_by:
        raise InputError(
            f"prompts are those of {prompts.encoder}, and the pipeline's text encoder is "
            f"{made_by}; encode the captions with the CLIP that the pipeline gets"
        )
    # Only what these images use: another image's caption does not make it another training.
    used, own = np.unique(rows, return_inverse=True)
    unet, history = train_unet(
        latents,
        PromptConditions(prompts.states[used], own, prompts.empty),
        settings,
        text_dim=prompts.states.shape[2],
        seed=seed,
        fabric=fabric,
        state_file=state_file,
    )
    encoder.to("cpu")
    return text_pipeline(autoencoder, unet, noise_scheduler(), encoder, tokenizer), history
