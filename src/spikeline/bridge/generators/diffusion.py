"""Training of a small latent-diffusion U-Net, conditioned on image embeddings or on text states.

Latents are noised at a random step and the network predicts the velocity (Salimans and Ho 2022).
An image embedding reaches it as in unCLIP (Ramesh et al. 2022, and Stable Diffusion 2.1 unCLIP):
noised at a level that the network is told, added to the embedding of the step. Text states reach
it by cross-attention, as in Stable Diffusion. Now and then the condition is left out, for guidance
(Ho and Salimans 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer
from torch import Tensor

from spikeline.bridge.generators.noise_steps import random_steps
from spikeline.bridge.networks.batches import ShuffledRows
from spikeline.training.device import mixed_precision
from spikeline.training.loop import train
from spikeline.training.schedule import Schedule
from spikeline.training.state import fingerprint

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from spikeline.training.state import StateFile

TRAINING_STEPS = 1000


class Conditions(Protocol):
    """What a U-Net is told of each training image."""

    def arrays(self) -> list[np.ndarray]:
        """All that they are made from, for the identity of a training."""

    def to(self, device: torch.device) -> None:
        """Move everything to a device."""

    def of(self, rows: Tensor, dropped: Tensor) -> dict[str, Tensor]:
        """Keyword arguments of the U-Net for images (n,), those `dropped` (n,) untold."""


class EmbeddingConditions:
    """Image embeddings, noised at random levels.

    Args:
        embeddings: (images, dim) float32.
        normaliser: their mean and standard deviation.
        noising: the scheduler that noises them.
        levels: the noise level is drawn below this.
        text_dim: width of the states that a U-Net without text attends to, all zero.
    """

    def __init__(
        self,
        embeddings: np.ndarray,
        normaliser: StableUnCLIPImageNormalizer,
        noising: DDPMScheduler,
        levels: int,
        text_dim: int,
    ):
        self.embeddings = torch.from_numpy(np.asarray(embeddings, np.float32))
        self.normaliser, self.noising = normaliser, noising
        self.levels, self.text_dim = levels, text_dim

    def arrays(self) -> list[np.ndarray]:
        return [self.embeddings.numpy()]

    def to(self, device: torch.device) -> None:
        self.embeddings = self.embeddings.to(device)
        self.normaliser.to(device)

    @torch.no_grad()
    def of(self, rows: Tensor, dropped: Tensor) -> dict[str, Tensor]:
        shown = self.embeddings[rows]
        levels = torch.randint(self.levels, (len(rows),), device=shown.device)
        noise = torch.randn_like(shown)
        told = noised(self.normaliser, self.noising, shown, levels, noise)
        return {
            "class_labels": told * ~dropped[:, None],
            "encoder_hidden_states": shown.new_zeros(len(rows), 1, self.text_dim),
        }


class PromptConditions:
    """Text-encoder states of a caption for each image.

    Args:
        states: (prompts, tokens, dim) float32.
        prompt: (images,) which of them is an image's.
        empty: (tokens, dim) float32, the states of the empty prompt.
    """

    def __init__(self, states: np.ndarray, prompt: np.ndarray, empty: np.ndarray):
        self.states = torch.from_numpy(np.asarray(states, np.float32))
        self.prompt = torch.from_numpy(np.asarray(prompt, np.int64))
        self.empty = torch.from_numpy(np.asarray(empty, np.float32))

    def arrays(self) -> list[np.ndarray]:
        return [self.states.numpy(), self.prompt.numpy(), self.empty.numpy()]

    def to(self, device: torch.device) -> None:
        self.states, self.prompt = self.states.to(device), self.prompt.to(device)
        self.empty = self.empty.to(device)

    def of(self, rows: Tensor, dropped: Tensor) -> dict[str, Tensor]:
        told = self.states[self.prompt[rows]]
        return {"encoder_hidden_states": torch.where(dropped[:, None, None], self.empty, told)}


def noised(
    normaliser: StableUnCLIPImageNormalizer,
    noising: DDPMScheduler,
    embeddings: Tensor,
    levels: Tensor,
    noise: Tensor,
) -> Tensor:
    """Image embeddings as an unCLIP model takes them.

    Args:
        embeddings: (n, dim); levels: (n,) steps of `noising`; noise: (n, dim) standard normal.

    Returns:
        (n, 2 dim): the embeddings, noised in the normaliser's scale, and an embedding of the level.
    """
    noisy = noising.add_noise(normaliser.scale(embeddings), noise, levels)
    level = get_timestep_embedding(levels, embeddings.shape[1], True, 0)
    return torch.cat([normaliser.unscale(noisy), level.to(embeddings.dtype)], dim=1)


def build_unet(
    settings: Mapping[str, Any],
    latent_shape: tuple[int, int, int],
    *,
    text_dim: int,
    embedding_dim: int = 0,
) -> UNet2DConditionModel:
    """An untrained U-Net: attention at all but its finest level.

    Args:
        settings: resolved settings of a `trained` entry of `generators`.
        latent_shape: (channels, height, width).
        text_dim: width of the text states.
        embedding_dim: of the image embeddings that it is conditioned on; 0: on text alone.
    """
    channels = tuple(settings["channels"])
    deeper = len(channels) - 1
    image = {} if not embedding_dim else {
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": 2 * embedding_dim,
    }  # fmt: skip
    # A level of cross-attention is worth its time where there is text to attend to.
    down, up = ("DownBlock2D", "UpBlock2D")
    if not embedding_dim:
        down, up = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D")
    return UNet2DConditionModel(
        sample_size=latent_shape[1],
        in_channels=latent_shape[0],
        out_channels=latent_shape[0],
        down_block_types=("DownBlock2D", *(down,) * deeper),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=(*(up,) * deeper, "UpBlock2D"),
        block_out_channels=channels,
        layers_per_block=1,
        norm_num_groups=8,
        # What is told scales and shifts a block's features after their normalisation. Added before
        # it, as by default, it would be normalised away where groups are of few channels.
        resnet_time_scale_shift="scale_shift",
        attention_head_dim=settings["head_dim"],
        cross_attention_dim=text_dim,
        **image,
    )


def noise_scheduler() -> DDPMScheduler:
    """The steps by which latents are noised: those of Stable Diffusion, down to pure noise."""
    return DDPMScheduler(
        TRAINING_STEPS,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )


def train_unet(
    latents: np.ndarray,
    conditions: Conditions,
    settings: Mapping[str, Any],
    *,
    text_dim: int,
    embedding_dim: int = 0,
    seed: int,
    fabric: Fabric,
    state_file: StateFile | None = None,
) -> tuple[UNet2DConditionModel, list[dict]]:
    """Train a U-Net to denoise the latents of images, given their conditions.

    Args:
        latents: (images, channels, height, width) float32, scaled to variance 1.
        conditions: of the images, in the same order.
        settings: resolved settings of a `trained` entry of `generators`.
        text_dim, embedding_dim: see `build_unet`.
        seed: of initial weights, the order of images, noise and what is left out.
        fabric, state_file: see `spikeline.training.loop.train`.

    Returns:
        The U-Net, on the CPU, and one history row per epoch.
    """
    torch.manual_seed(2 * seed)
    unet = build_unet(settings, latents.shape[1:], text_dim=text_dim, embedding_dim=embedding_dim)
    device = fabric.device
    unet.to(device, memory_format=torch.channels_last)
    identity = fingerprint([dict(settings), seed], latents, *conditions.arrays())
    shown = torch.from_numpy(latents).to(device)
    conditions.to(device)
    scheduler = noise_scheduler()
    rows = [torch.arange(len(shown), device=device)]
    batches = ShuffledRows(rows, settings["batch_size"], 2 * seed + 1, fabric.world_size)

    def loss(number: int) -> Tensor:
        chosen = batches(number)[0]
        clean = shown[chosen]
        steps = random_steps(len(clean), TRAINING_STEPS, settings["noise_emphasis"], device)
        noise = torch.randn_like(clean)
        dropped = torch.rand(len(clean), device=device) < settings["condition_dropout"]
        told = conditions.of(chosen, dropped)
        with mixed_precision(device):
            predicted = unet(scheduler.add_noise(clean, noise, steps), steps, **told).sample
        velocity = scheduler.get_velocity(clean, noise, steps)
        return (predicted.float() - velocity).square().mean()[None]

    history = train(
        unet,
        loss,
        Schedule.of({**settings, "patience": 0}, batches.steps),
        fabric=fabric,
        seed=2 * seed + 1,
        state_file=state_file,
        fingerprint=identity,
    )
    return unet.to("cpu", memory_format=torch.contiguous_format).eval(), history
