"""Pipelines of diffusers from tiny random components: real classes, no downloads."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer

from spikeline.bridge.generators.diffusion import noise_scheduler
from spikeline.bridge.generators.pipelines import image_pipeline, text_pipeline

EMBEDDING_DIM, TEXT_DIM, TOKENS = 6, 16, 3
# Four channels, as Stable Diffusion's: its img2img takes images of as many channels for latents.
LATENT_SHAPE = (4, 8, 8)


def autoencoder() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=8,
        latent_channels=LATENT_SHAPE[0],
        sample_size=16,
        scaling_factor=0.5,
    ).eval()


def unet(embedding_dim: int = 0) -> UNet2DConditionModel:
    torch.manual_seed(1)
    image = {
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": 2 * embedding_dim,
    }
    return UNet2DConditionModel(
        sample_size=LATENT_SHAPE[1],
        in_channels=LATENT_SHAPE[0],
        out_channels=LATENT_SHAPE[0],
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 16),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=8,
        cross_attention_dim=TEXT_DIM,
        **(image if embedding_dim else {}),
    ).eval()


def conditioned_on_images():
    """As Stable Diffusion 2.1 unCLIP, without its encoders."""
    normaliser = StableUnCLIPImageNormalizer(EMBEDDING_DIM).requires_grad_(False)
    torch.manual_seed(2)
    normaliser.mean.copy_(torch.randn(1, EMBEDDING_DIM))
    normaliser.std.copy_(1 + torch.rand(1, EMBEDDING_DIM))
    noising = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2")
    drawn = image_pipeline(
        autoencoder(), unet(EMBEDDING_DIM), normaliser, noising, noise_scheduler()
    )
    drawn.set_progress_bar_config(disable=True)
    return drawn


def conditioned_on_text() -> StableDiffusionPipeline:
    """As Stable Diffusion, without its text encoder."""
    drawn = text_pipeline(autoencoder(), unet(), noise_scheduler(), None, None)
    drawn.set_progress_bar_config(disable=True)
    return drawn
