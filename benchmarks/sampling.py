"""Images per second of the sampling loop, against diffusers' own call with the same steps.

    python benchmarks/sampling.py [--images 64] [--batch 32] [--steps 10] [--repeats 5] [--cuda]

A pipeline of the demo's size with random weights. Both draw the same images from the same noise,
and decode them; runs are interleaved. Prints medians and the ratio; the goal is an overhead below
5 %. With --samples K also the peak memory of best-of-K, which the batch bounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import tracemalloc

import numpy as np
import torch
from diffusers import DDPMScheduler
from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from spikeline.bridge.generators.autoencoder import build_autoencoder
from spikeline.bridge.generators.diffusion import TRAINING_STEPS, build_unet, noise_scheduler
from spikeline.bridge.generators.pipelines import image_pipeline
from spikeline.bridge.generators.pixels import to_pixels
from spikeline.bridge.generators.sampling import Sampler, decoded, embedding_conditions, sample
from spikeline.bridge.reconstruction.drawing import Decoded, draw
from spikeline.settings.steps import completed

DIM, TEXT_DIM = 64, 32


def pipeline(device: torch.device):
    """The demo's generator, untrained."""
    vae = build_autoencoder(completed("train-autoencoder", {}))
    settings = completed("train-generator", {})
    side = latent_side(vae)
    shape = (vae.config.latent_channels, side, side)
    unet = build_unet(settings, shape, text_dim=TEXT_DIM, embedding_dim=DIM)
    noising = DDPMScheduler(TRAINING_STEPS, beta_schedule="squaredcos_cap_v2")
    normaliser = StableUnCLIPImageNormalizer(DIM).requires_grad_(False)
    found = image_pipeline(vae.eval(), unet.eval(), normaliser, noising, noise_scheduler())
    # Its call asks an encoder for its dtype even where the embedding is given.
    config = CLIPVisionConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        image_size=8, patch_size=8, projection_dim=DIM,
    )  # fmt: skip
    found.register_modules(image_encoder=CLIPVisionModelWithProjection(config))
    found.set_progress_bar_config(disable=True)
    return found.to(device)


def latent_side(vae) -> int:
    """Side of the latents of an autoencoder's images."""
    return vae.config.sample_size // 2 ** (len(vae.config.block_out_channels) - 1)


@torch.inference_mode()
def by_diffusers(drawer, embeddings: np.ndarray, noise: torch.Tensor, options) -> np.ndarray:
    """The pipeline's own call, batch after batch."""
    parts, device = [], drawer.unet.device
    for start in range(0, len(embeddings), options.batch):
        rows = slice(start, start + options.batch)
        shown = torch.from_numpy(embeddings[rows]).to(device)
        zeros = torch.zeros(len(shown), 1, TEXT_DIM, device=device)
        latents = drawer(
            image_embeds=shown,
            prompt_embeds=zeros,
            negative_prompt_embeds=zeros,
            num_inference_steps=options.steps,
            guidance_scale=2.0,
            latents=noise[rows].to(device),
            output_type="latent",
            height=drawer.vae.config.sample_size,
            width=drawer.vae.config.sample_size,
        ).images
        values = drawer.vae.decode(latents / drawer.vae.config.scaling_factor).sample
        parts.append(to_pixels(values))
    return np.concatenate(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--samples", type=int, default=16, help="of best-of-K (16)")
    parser.add_argument("--cuda", action="store_true", help="on the GPU, else on the CPU")
    options = parser.parse_args()
    if options.cuda and not torch.cuda.is_available():
        sys.exit("--cuda: there is no GPU")
    drawer = pipeline(torch.device("cuda" if options.cuda else "cpu"))
    embeddings = np.random.default_rng(0).standard_normal((options.images, DIM))
    embeddings = embeddings.astype(np.float32)
    seeds = list(range(options.images))
    shape = (drawer.unet.config.in_channels, *[drawer.unet.config.sample_size] * 2)
    noise = torch.stack(
        [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )
    sampler = Sampler(options.steps, 2.0, batch_size=options.batch)

    def ours() -> np.ndarray:
        conditions = embedding_conditions(drawer, embeddings)
        return decoded(drawer, sample(drawer, conditions, sampler, seeds), options.batch)

    def theirs() -> np.ndarray:
        return by_diffusers(drawer, embeddings, noise, options)

    ways = {"spikeline": ours, "diffusers": theirs}
    images = {name: way() for name, way in ways.items()}  # warms up
    worst = np.abs(images["spikeline"].astype(int) - images["diffusers"]).max()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name:<10} {options.images / median:8.1f} images/s")
    ratios = [a / b for a, b in zip(seconds["spikeline"], seconds["diffusers"], strict=True)]
    print(f"time, spikeline / diffusers: {statistics.median(ratios):.3f} (goal below 1.05)")
    print(f"largest difference between their images: {worst} of 255")
    for samples in (1, options.samples):
        what = Decoded(embedding_conditions(drawer, embeddings), latents=noise.numpy())
        tracemalloc.start()
        draw(drawer, what, {"guidance": 2.0}, steps=2, samples=samples, batch_size=options.batch)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        print(f"best of {samples}: arrays of numpy take {peak:.1f} MiB at most")


if __name__ == "__main__":
    main()
