"""Sampling from a diffusion pipeline: conditions for many images, one denoising loop for all kinds.

The loop is that of diffusers' own pipelines (StableDiffusionPipeline, its img2img, and
StableUnCLIPImg2ImgPipeline), in one place, so that any of them may start from given latents. An
image's noise comes from its own seed, whatever else is in its batch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DiffusionPipeline, StableUnCLIPImg2ImgPipeline
from torch import Tensor
from tqdm import tqdm

from spikeline.bridge.generators.autoencoder import decode
from spikeline.bridge.generators.diffusion import noised
from spikeline.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conditions:
    """What the U-Net is told of each image, and what in its place for guidance.

    Attributes:
        told, untold: keyword arguments of the U-Net; tensors with the images on their first axis.
    """

    told: dict[str, Tensor]
    untold: dict[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.told.values())))

    def batch(
        self, rows: slice | np.ndarray, device: torch.device, dtype: torch.dtype
    ) -> Conditions:
        """Those of some images, on a device."""
        sides = [
            {name: value[rows].to(device, dtype) for name, value in side.items()}
            for side in (self.told, self.untold)
        ]
        return Conditions(*sides)

    def both(self) -> dict[str, Tensor]:
        """Untold and told, one after the other."""
        return {name: torch.cat([self.untold[name], self.told[name]]) for name in self.told}

    def repeated(self, times: int) -> Conditions:
        """Each image so many times, the copies next to each other."""
        sides = [
            {name: value.repeat_interleave(times, dim=0) for name, value in side.items()}
            for side in (self.told, self.untold)
        ]
        return Conditions(*sides)


@dataclass(frozen=True)
class Sampler:
    """How images are drawn.

    Attributes:
        steps: of the scheduler.
        guidance: how far beyond the untold prediction to go; 1: exactly to the told one.
        strength: share of the steps that is run from given latents, 0..1; 1 forgets them.
        batch_size: images at once.
    """

    steps: int
    guidance: float
    strength: float = 1.0
    batch_size: int = 64


@torch.no_grad()
def embedding_conditions(
    pipeline: StableUnCLIPImg2ImgPipeline,
    embeddings: np.ndarray,
    noise_level: int = 0,
    seed: int = 0,
) -> Conditions:
    """Of a pipeline that is conditioned on image embeddings (n, dim).

    Args:
        noise_level: steps of noise that the embeddings get and the network is told of, 0 for none.
        seed: of that noise.

    Raises:
        InputError: embeddings of another length than the pipeline's, or not finite.
    """
    expected = pipeline.image_normalizer.config.embedding_dim
    values = torch.from_numpy(checked(embeddings, expected))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(values.shape, generator=generator)
    levels = torch.full((len(values),), noise_level)
    normaliser = pipeline.image_normalizer.to("cpu", torch.float32)
    told = noised(normaliser, pipeline.image_noising_scheduler, values, levels, noise)
    states = empty_states(pipeline).expand(len(values), -1, -1)
    return Conditions(
        {"class_labels": told, "encoder_hidden_states": states},
        {"class_labels": torch.zeros_like(told), "encoder_hidden_states": states},
    )


def prompt_conditions(pipeline: DiffusionPipeline, states: np.ndarray) -> Conditions:
    """Of a pipeline that is conditioned on text-encoder states (n, tokens, dim).

    Raises:
        InputError: states of another width than the pipeline's, or not finite.
    """
    values = torch.from_numpy(checked(states, pipeline.unet.config.cross_attention_dim))
    empty = empty_states(pipeline).expand(len(values), -1, -1)
    return Conditions({"encoder_hidden_states": values}, {"encoder_hidden_states": empty})


@torch.inference_mode()
def sample(
    pipeline: DiffusionPipeline,
    conditions: Conditions,
    sampler: Sampler,
    seeds: Sequence[int],
    starts: np.ndarray | None = None,
) -> np.ndarray:
    """Draw one image for each condition: scaled latents (n, c, h, w) float32.

    Args:
        seeds: of each image's noise.
        starts: scaled latents that the drawing starts from, noised as far as `strength` says.

    Raises:
        InputError: even one image is too much for the GPU's memory.
    """
    parts, done, batch_size = [], 0, sampler.batch_size
    bar = tqdm(total=len(conditions), desc="sample", unit="image", mininterval=2)
    while done < len(conditions):
        rows = slice(done, done + batch_size)
        try:
            begin = None if starts is None else starts[rows]
            parts.append(_sample_batch(pipeline, conditions, rows, sampler, seeds[rows], begin))
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise InputError(
                    "sampling: the GPU's memory does not hold one image; use a larger GPU or a "
                    "smaller generator"
                ) from None
            batch_size = max(1, batch_size // 2)
            torch.cuda.empty_cache()
            logger.warning("the GPU's memory is too small: batches of %d images", batch_size)
            continue
        bar.update(len(parts[-1]))
        done += len(parts[-1])
    bar.close()
    return np.concatenate(parts)


def _sample_batch(
    pipeline: DiffusionPipeline,
    conditions: Conditions,
    rows: slice,
    sampler: Sampler,
    seeds: Sequence[int],
    starts: np.ndarray | None,
) -> np.ndarray:
    unet, scheduler = pipeline.unet, pipeline.scheduler
    device, dtype = unet.device, unet.dtype
    batch = conditions.batch(rows, device, dtype)
    guided = sampler.guidance != 1
    told = batch.both() if guided else batch.told
    scheduler.set_timesteps(sampler.steps, device=device)
    steps = scheduler.timesteps
    latents = _noise(unet, seeds).to(device, dtype)
    if starts is None:
        latents = latents * scheduler.init_noise_sigma
    else:
        first = sampler.steps - min(int(sampler.steps * sampler.strength), sampler.steps)
        steps = steps[first * scheduler.order :]
        begin = torch.from_numpy(np.asarray(starts, np.float32)).to(device, dtype)
        if not len(steps):
            return begin.float().cpu().numpy()
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(first * scheduler.order)
        latents = scheduler.add_noise(begin, latents, steps[:1].repeat(len(begin)))
    added = {name: told.pop(name) for name in ("image_embeds",) if name in told}
    if added:
        told["added_cond_kwargs"] = {"image_embeds": [added["image_embeds"]]}
    for step in steps:
        shown = torch.cat([latents] * 2) if guided else latents
        predicted = unet(scheduler.scale_model_input(shown, step), step, **told).sample
        if guided:
            untold, predicted = predicted.chunk(2)
            predicted = untold + sampler.guidance * (predicted - untold)
        latents = scheduler.step(predicted, step, latents).prev_sample
    return latents.float().cpu().numpy()


def decoded(pipeline: DiffusionPipeline, latents: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Images of scaled latents: (n, height, width, 3) uint8."""
    return decode(pipeline.vae, latents, pipeline.unet.device, batch_size)


def _noise(unet: torch.nn.Module, seeds: Sequence[int]) -> Tensor:
    """Standard normal latents, each from its own seed."""
    side = unet.config.sample_size
    shape = (unet.config.in_channels, side, side)
    draws = [torch.randn(shape, generator=torch.Generator().manual_seed(int(s))) for s in seeds]
    return torch.stack(draws)


@torch.no_grad()
def empty_states(pipeline: DiffusionPipeline) -> Tensor:
    """(1, tokens, dim): the states of the empty prompt; zeros where there is no text encoder."""
    if pipeline.text_encoder is None:
        return torch.zeros(1, 1, pipeline.unet.config.cross_attention_dim)
    states = pipeline.encode_prompt([""], pipeline.device, 1, False)[0]
    return states.float().cpu()


def checked(values: np.ndarray, expected: int) -> np.ndarray:
    """The values as float32.

    Raises:
        InputError: of another width than `expected`, or not finite.
    """
    values = np.asarray(values, dtype=np.float32)
    if values.shape[-1] != expected:
        raise InputError(
            f"conditions have width {values.shape[-1]}, and the generator takes {expected}; "
            "use the encoder that the generator was made for"
        )
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).any(axis=tuple(range(1, values.ndim))).sum())
        raise InputError(
            f"conditions of {bad} of {len(values)} images are not finite; check the responses "
            "and the decoder"
        )
    return values
