"""The one denoising loop against diffusers' own pipelines, and what its batches may not change."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from tiny_pipelines import (
    EMBEDDING_DIM,
    LATENT_SHAPE,
    TEXT_DIM,
    TOKENS,
    conditioned_on_images,
    conditioned_on_text,
)
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from spikeline.bridge.generators import sampling
from spikeline.bridge.generators.sampling import Conditions, Sampler, sample
from spikeline.errors import InputError

SEEDS = [3, 1, 4]


def noise():
    """What the loop draws for these seeds."""
    return torch.stack(
        [torch.randn(LATENT_SHAPE, generator=torch.Generator().manual_seed(s)) for s in SEEDS]
    )


def texts(seed=0):
    """(told, untold) states of three prompts."""
    generator = torch.Generator().manual_seed(seed)
    told = torch.randn(3, TOKENS, TEXT_DIM, generator=generator)
    return told, torch.randn(1, TOKENS, TEXT_DIM, generator=generator).expand(3, -1, -1)


def conditions():
    told, untold = texts()
    return Conditions({"encoder_hidden_states": told}, {"encoder_hidden_states": untold})


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_text_is_drawn_as_by_stable_diffusions_own_call(guidance):
    pipeline = conditioned_on_text()
    told, untold = texts()
    drawn = sample(pipeline, conditions(), Sampler(5, guidance), SEEDS)
    expected = pipeline(
        prompt_embeds=told,
        negative_prompt_embeds=untold,
        num_inference_steps=5,
        guidance_scale=guidance,
        latents=noise(),
        output_type="latent",
        height=16,
        width=16,
    ).images
    np.testing.assert_allclose(drawn, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("strength", [0.4, 0.8])
def test_a_start_is_noised_and_drawn_on_as_by_diffusers_img2img(strength, monkeypatch):
    pipeline = conditioned_on_text()
    told, untold = texts()
    starts = torch.randn((3, *LATENT_SHAPE), generator=torch.Generator().manual_seed(9))
    drawn = sample(pipeline, conditions(), Sampler(5, 2.0, strength), SEEDS, starts.numpy())
    own = StableDiffusionImg2ImgPipeline(**pipeline.components, requires_safety_checker=False)
    own.set_progress_bar_config(disable=True)
    expected = own(
        image=starts,
        strength=strength,
        prompt_embeds=told,
        negative_prompt_embeds=untold,
        num_inference_steps=5,
        guidance_scale=2.0,
        generator=[torch.Generator().manual_seed(s) for s in SEEDS],
        output_type="latent",
    ).images
    np.testing.assert_allclose(drawn, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("level", [0, 200])
def test_an_image_embedding_is_drawn_as_by_unclips_own_call(level):
    pipeline = conditioned_on_images()
    embeddings = torch.randn(3, EMBEDDING_DIM, generator=torch.Generator().manual_seed(5))
    told = sampling.embedding_conditions(pipeline, embeddings.numpy(), level, seed=11)
    drawn = sample(pipeline, told, Sampler(4, 3.0), SEEDS)
    # Its call asks an encoder for its dtype even where the embedding is given.
    config = CLIPVisionConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        image_size=8, patch_size=8, projection_dim=EMBEDDING_DIM,
    )  # fmt: skip
    pipeline.register_modules(image_encoder=CLIPVisionModelWithProjection(config))
    zeros = torch.zeros(3, 1, TEXT_DIM)
    expected = pipeline(
        image_embeds=embeddings,
        noise_level=level,
        prompt_embeds=zeros,
        negative_prompt_embeds=zeros,
        num_inference_steps=4,
        guidance_scale=3.0,
        latents=noise(),
        generator=torch.Generator().manual_seed(11),
        output_type="latent",
        height=16,
        width=16,
    ).images
    np.testing.assert_allclose(drawn, expected.numpy(), atol=1e-5)


def test_an_image_does_not_depend_on_its_batch():
    pipeline = conditioned_on_text()
    whole = sample(pipeline, conditions(), Sampler(3, 2.0, batch_size=3), SEEDS)
    single = sample(pipeline, conditions(), Sampler(3, 2.0, batch_size=1), SEEDS)
    np.testing.assert_allclose(whole, single, atol=1e-5)
    assert not np.allclose(whole[0], whole[1])


def test_a_strength_of_no_step_gives_the_start_back():
    starts = np.random.default_rng(0).random((3, *LATENT_SHAPE)).astype(np.float32)
    drawn = sample(conditioned_on_text(), conditions(), Sampler(5, 2.0, 0.1), SEEDS, starts)
    np.testing.assert_array_equal(drawn, starts)


def limited(monkeypatch, most):
    """A GPU whose memory holds batches of at most so many images."""
    whole = sampling._sample_batch

    def batch(pipeline, conditions, rows, sampler, seeds, starts):
        if len(seeds) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(pipeline, conditions, rows, sampler, seeds, starts)

    monkeypatch.setattr(sampling, "_sample_batch", batch)


def test_a_batch_too_large_for_the_gpu_is_halved_and_the_log_says_so(monkeypatch, caplog):
    pipeline = conditioned_on_text()
    expected = sample(pipeline, conditions(), Sampler(2, 2.0, batch_size=3), SEEDS)
    limited(monkeypatch, most=1)
    with caplog.at_level(logging.WARNING):
        drawn = sample(pipeline, conditions(), Sampler(2, 2.0, batch_size=3), SEEDS)
    np.testing.assert_allclose(drawn, expected, atol=1e-5)
    assert "batches of 1 images" in caplog.text


def test_a_gpu_too_small_for_one_image_is_one_clear_line(monkeypatch):
    limited(monkeypatch, most=0)
    with pytest.raises(InputError, match="does not hold one image"):
        sample(conditioned_on_text(), conditions(), Sampler(2, 2.0), SEEDS)


def test_embeddings_that_do_not_fit_the_generator_are_refused():
    with pytest.raises(InputError, match="have width 5, and the generator takes 6"):
        sampling.embedding_conditions(conditioned_on_images(), np.zeros((2, 5)))


def test_predictions_that_are_not_finite_are_refused_and_counted():
    embeddings = np.zeros((4, EMBEDDING_DIM))
    embeddings[1, 2] = np.nan
    with pytest.raises(InputError, match="1 of 4 images are not finite"):
        sampling.embedding_conditions(conditioned_on_images(), embeddings)
