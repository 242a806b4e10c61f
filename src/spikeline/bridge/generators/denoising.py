"""The error of a frozen U-Net at denoising latents: what is learnt around it is told by this."""

from __future__ import annotations

import torch
from diffusers import DDPMScheduler, DiffusionPipeline, UNet2DConditionModel
from torch import Tensor

from spikeline.bridge.generators.noise_steps import random_steps
from spikeline.errors import InputError
from spikeline.training.device import mixed_precision


def frozen_unet(
    pipeline: DiffusionPipeline, device: torch.device
) -> tuple[UNet2DConditionModel, DDPMScheduler]:
    """A pipeline's U-Net in full precision, which no longer learns, and the noise it learnt on.

    Raises:
        InputError: it predicts neither noise nor velocity.
    """
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    if scheduler.config.prediction_type not in ("epsilon", "v_prediction"):
        raise InputError(
            f"the generator predicts {scheduler.config.prediction_type!r}, expected epsilon or "
            "v_prediction; use another generator"
        )
    unet = pipeline.unet.to(device).eval().requires_grad_(False)
    # Casting what needs no cast makes diffusers warn.
    return unet if unet.dtype == torch.float32 else unet.float(), scheduler


def denoising_error(
    unet: UNet2DConditionModel,
    scheduler: DDPMScheduler,
    clean: Tensor,
    told: dict,
    emphasis: float,
) -> Tensor:
    """Mean squared error of the prediction at random steps; a scalar.

    Args:
        clean: (n, channels, height, width), scaled latents.
        told: keyword arguments of the U-Net.
        emphasis: on strong noise, see `random_steps`.
    """
    total = scheduler.config.num_train_timesteps
    steps = random_steps(len(clean), total, emphasis, clean.device)
    noise = torch.randn_like(clean)
    with mixed_precision(clean.device):
        predicted = unet(scheduler.add_noise(clean, noise, steps), steps, **told).sample
    target = noise
    if scheduler.config.prediction_type == "v_prediction":
        target = scheduler.get_velocity(clean, noise, steps)
    return (predicted.float() - target).square().mean()
