"""Tiny real parts of diffusion pipelines, and images of four classes that train in seconds."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer
from transformers import CLIPTextConfig, CLIPTextModel

from spikeline.bridge.generators.autoencoder import build_autoencoder
from spikeline.bridge.generators.diffusion import build_unet, noise_scheduler
from spikeline.bridge.generators.pipelines import SCHEDULERS, image_pipeline, text_pipeline
from spikeline.bridge.generators.text_encoder import tokenizer_of
from spikeline.training import loop
from spikeline.training.state import StateFile

CPU = torch.device("cpu")
AUTOENCODER = {"channels": [8, 16], "latent_channels": 4, "image_size": 16}
LATENT_SHAPE = (4, 8, 8)
UNET = {"channels": [16, 32], "head_dim": 8}
TRAINING = {
    "batch_size": 16, "learning_rate": 0.004, "weight_decay": 0.0, "warmup_epochs": 1,
    "noise_emphasis": 1,
}  # fmt: skip
TEXT_DIM, TOKENS, EMBEDDING_DIM = 32, 12, 6
CLASSES = ("red ring", "blue square", "green star", "grey arrow")


def tiny_autoencoder(scaling_factor: float = 0.8) -> AutoencoderKL:
    """Images of 16 x 16 pixels, latents of 4 x 8 x 8."""
    torch.manual_seed(0)
    autoencoder = build_autoencoder(AUTOENCODER)
    autoencoder.register_to_config(scaling_factor=scaling_factor)
    return autoencoder.eval()


@cache
def tiny_text_encoder():
    """(text encoder, tokenizer) with random weights."""
    torch.manual_seed(2)
    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=TEXT_DIM, intermediate_size=64, projection_dim=8,
        num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=TOKENS,
        hidden_act="gelu", initializer_range=0.5,
    )  # fmt: skip
    return CLIPTextModel(config).eval(), tokenizer_of(TOKENS)


def tiny_text_pipeline(scheduler: str = "ddim") -> StableDiffusionPipeline:
    """Random weights."""
    encoder, tokenizer = tiny_text_encoder()
    torch.manual_seed(1)
    unet = build_unet(UNET, LATENT_SHAPE, text_dim=TEXT_DIM).eval()
    made = text_pipeline(tiny_autoencoder(), unet, noise_scheduler(), encoder, tokenizer)
    return _quiet(made, scheduler)


def tiny_image_pipeline(scheduler: str = "ddim"):
    """Random weights; its normaliser has a mean and a spread."""
    torch.manual_seed(1)
    unet = build_unet(UNET, LATENT_SHAPE, text_dim=TEXT_DIM, embedding_dim=EMBEDDING_DIM).eval()
    normaliser = StableUnCLIPImageNormalizer(EMBEDDING_DIM).requires_grad_(False)
    normaliser.mean.copy_(torch.linspace(-1, 1, EMBEDDING_DIM))
    normaliser.std.copy_(torch.linspace(0.5, 2, EMBEDDING_DIM))
    noising = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2")
    made = image_pipeline(tiny_autoencoder(), unet, normaliser, noising, noise_scheduler())
    return _quiet(made, scheduler)


def images_of_classes(count: int = 64):
    """Latents, embeddings and class of each image: a class has a pattern and an embedding.

    Returns:
        (latents, embeddings, classes, patterns of the classes).
    """
    rng = np.random.default_rng(0)
    # Blocks of 4 x 4, so that a small network can draw them.
    patterns = rng.standard_normal((len(CLASSES), LATENT_SHAPE[0], 2, 2))
    patterns = np.kron(patterns, np.ones((4, 4)))
    codes = rng.standard_normal((len(CLASSES), EMBEDDING_DIM))
    classes = np.arange(count) % len(CLASSES)
    latents = patterns[classes] + 0.2 * rng.standard_normal((count, *LATENT_SHAPE))
    embeddings = 2 + codes[classes] + 0.1 * rng.standard_normal((count, EMBEDDING_DIM))
    scale = latents.std()
    return (
        (latents / scale).astype(np.float32),
        embeddings.astype(np.float32),
        classes,
        (patterns / scale).astype(np.float32),
    )


def share_of_class(latents: np.ndarray, classes: np.ndarray, patterns: np.ndarray) -> float:
    """Share of latents that are nearest to the pattern of their class."""
    distance = np.square(latents[:, None] - patterns).mean((2, 3, 4))
    return float((distance.argmin(1) == classes).mean())


def killed(monkeypatch, tmp_path, run, states: int = 2):
    """What `run(state_file)` gives when it was killed after so many states and started again."""
    state = StateFile(tmp_path / "x.state", interval_s=0)
    written = []

    def write_state(path, content):
        whole(path, content)
        written.append(path)
        if len(written) == states:
            raise KeyboardInterrupt

    whole = loop.write_state
    monkeypatch.setattr(loop, "write_state", write_state)
    with pytest.raises(KeyboardInterrupt):
        run(state)
    result = run(state)
    monkeypatch.undo()
    assert len(written) > states
    return result


def _quiet(pipeline, scheduler: str):
    pipeline.scheduler = SCHEDULERS[scheduler].from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def emphases_of(module, monkeypatch) -> set[float]:
    """Fills with the emphasis of every draw of steps of noise that a module makes from now on."""
    seen, drawn = set(), module.random_steps

    def recorded(count, total, emphasis, device):
        seen.add(emphasis)
        return drawn(count, total, emphasis, device)

    monkeypatch.setattr(module, "random_steps", recorded)
    return seen
