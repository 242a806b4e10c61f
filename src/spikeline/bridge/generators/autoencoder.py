"""A small variational autoencoder of images, whose latents a diffusion model draws.

It is diffusers' AutoencoderKL, of few channels, so that what holds for it holds for the
autoencoder of Stable Diffusion (Rombach et al. 2022). Latents leave this module scaled to unit
variance, by the `scaling_factor` that the autoencoder's own config keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from tqdm import tqdm

from spikeline.bridge.generators.pixels import to_pixels, to_tensor
from spikeline.bridge.networks.batches import ShuffledRows
from spikeline.training.device import mixed_precision
from spikeline.training.loop import train
from spikeline.training.schedule import Schedule
from spikeline.training.state import fingerprint

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from spikeline.training.state import StateFile

# The share of the steps that see crops, where there are any.
_CROPPED = 0.75


def build_autoencoder(settings: Mapping[str, Any]) -> AutoencoderKL:
    """The untrained network of a `trained` entry of `autoencoders`."""
    channels = tuple(settings["channels"])
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=settings["latent_channels"],
        sample_size=settings["image_size"],
        mid_block_add_attention=False,
        scaling_factor=1.0,  # until the latents are known
    )


def train_autoencoder(
    pixels: np.ndarray,
    settings: Mapping[str, Any],
    *,
    seed: int,
    fabric: Fabric,
    state_file: StateFile | None = None,
) -> tuple[AutoencoderKL, list[dict]]:
    """Train on images alone: squared error, and a little of the divergence from a normal prior.

    The network is convolutional, so that what it learns on crops holds for whole images, and a step
    of crops costs less. The last quarter of the steps sees whole images: the statistics that group
    normalisation divides by are another size's.

    Args:
        pixels: (images, size, size, 3) uint8, of training images.
        settings: resolved settings of a `trained` entry of `autoencoders`.
        seed: of initial weights, the order of images, the places of crops and the latents' noise.
        fabric, state_file: see `spikeline.training.loop.train`.

    Returns:
        The autoencoder, on the CPU, its `scaling_factor` set so that latents have variance 1, and
        one history row per epoch.
    """
    torch.manual_seed(2 * seed)
    network = build_autoencoder(settings)
    network.to(fabric.device, memory_format=torch.channels_last)
    images = to_tensor(pixels, fabric.device)
    rows = [torch.arange(len(images), device=fabric.device)]
    batches = ShuffledRows(rows, settings["batch_size"], 2 * seed + 1, fabric.world_size)
    cropped = int(_CROPPED * settings["epochs"] * batches.steps)

    def loss(number: int) -> Tensor:
        shown = images[batches(number)[0]]
        # All processes of a step see the same size.
        if settings["crop"] is not None and number // fabric.world_size < cropped:
            shown = _cropped(shown, settings["crop"])
        with mixed_precision(fabric.device):
            posterior = network.encode(shown).latent_dist
            drawn = network.decode(posterior.sample()).sample
        error = (drawn.float() - shown).square().mean()
        return (error + settings["kl_weight"] * posterior.kl().mean())[None]

    history = train(
        network,
        loss,
        Schedule.of({**settings, "patience": 0}, batches.steps),
        fabric=fabric,
        seed=2 * seed + 1,
        state_file=state_file,
        fingerprint=fingerprint([dict(settings), seed], pixels),
    )
    network.to("cpu", memory_format=torch.contiguous_format)
    latents = encode(network, pixels, torch.device("cpu"))
    network.register_to_config(scaling_factor=float(1 / latents.std()))
    return network.eval(), history


def _cropped(images: Tensor, side: int) -> Tensor:
    """The same square, at a random place, of all images of a batch."""
    size = images.shape[-1]
    y, x = torch.randint(size - side + 1, (2,)).tolist()
    crops = images[..., y : y + side, x : x + side]
    return crops.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def encode(
    autoencoder: AutoencoderKL, pixels: np.ndarray, device: torch.device, batch_size: int = 64
) -> np.ndarray:
    """The mean latents of images: (n, height, width, 3) uint8 to (n, c, h, w) float32, scaled."""
    autoencoder.to(device)
    parts = []
    for start in tqdm(range(0, len(pixels), batch_size), desc="encode", mininterval=2):
        values = to_tensor(pixels[start : start + batch_size], device).to(autoencoder.dtype)
        means = autoencoder.encode(values).latent_dist.mode()
        parts.append(scaled(autoencoder, means).float().cpu().numpy())
    return np.concatenate(parts)


@torch.inference_mode()
def decode(
    autoencoder: AutoencoderKL, latents: np.ndarray, device: torch.device, batch_size: int = 64
) -> np.ndarray:
    """Images of scaled latents: (n, c, h, w) to (n, height, width, 3) uint8."""
    autoencoder.to(device)
    parts = []
    for start in range(0, len(latents), batch_size):
        values = torch.from_numpy(np.asarray(latents[start : start + batch_size], np.float32))
        values = unscaled(autoencoder, values.to(device, autoencoder.dtype))
        parts.append(to_pixels(autoencoder.decode(values).sample))
    return np.concatenate(parts)


def scaled(autoencoder: AutoencoderKL, latents: Tensor) -> Tensor:
    """Latents as a diffusion model reads them."""
    return (latents - (autoencoder.config.shift_factor or 0)) * autoencoder.config.scaling_factor


def unscaled(autoencoder: AutoencoderKL, latents: Tensor) -> Tensor:
    """Latents as the autoencoder's decoder reads them."""
    return latents / autoencoder.config.scaling_factor + (autoencoder.config.shift_factor or 0)
