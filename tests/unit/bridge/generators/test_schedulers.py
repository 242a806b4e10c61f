"""The denoising loop with every scheduler, against the calls of diffusers."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from tiny_parts import LATENT_SHAPE, TEXT_DIM, TOKENS, tiny_text_pipeline

from spikeline.bridge.generators.pipelines import SCHEDULERS
from spikeline.bridge.generators.sampling import Sampler, empty_states, prompt_conditions, sample
from spikeline.errors import InputError

STEPS, SEEDS = 5, range(3)
STATES = np.random.default_rng(0).standard_normal((3, TOKENS, TEXT_DIM)).astype(np.float32)
STARTS = np.random.default_rng(2).standard_normal((3, *LATENT_SHAPE)).astype(np.float32)


def told(pipeline, guidance):
    return {
        "prompt_embeds": torch.from_numpy(STATES),
        "negative_prompt_embeds": empty_states(pipeline).repeat(3, 1, 1),
        "num_inference_steps": STEPS,
        "guidance_scale": guidance,
        "generator": [torch.Generator().manual_seed(seed) for seed in SEEDS],
        "output_type": "latent",
    }


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("guidance", [1, 3])
def test_drawing_from_noise_equals_stable_diffusions_call(scheduler, guidance):
    pipeline = tiny_text_pipeline(scheduler)
    ours = sample(pipeline, prompt_conditions(pipeline, STATES), Sampler(STEPS, guidance), SEEDS)
    theirs = pipeline(**told(pipeline, guidance), height=16, width=16).images
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("guidance", [1, 3])
def test_drawing_from_latents_equals_the_img2img_call(scheduler, guidance):
    pipeline = tiny_text_pipeline(scheduler)
    conditions = prompt_conditions(pipeline, STATES)
    ours = sample(pipeline, conditions, Sampler(STEPS, guidance, 0.6), SEEDS, STARTS)
    other = StableDiffusionImg2ImgPipeline(**pipeline.components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    theirs = other(image=torch.from_numpy(STARTS), strength=0.6, **told(pipeline, guidance)).images
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5, rtol=1e-5)
    forgotten = sample(pipeline, conditions, Sampler(STEPS, guidance), SEEDS)
    assert np.abs(forgotten - ours).max() > 0.01


def test_text_states_that_do_not_fit_the_generator_or_are_not_finite_are_one_line():
    with pytest.raises(InputError, match=f"width 5, and the generator takes {TEXT_DIM}"):
        prompt_conditions(tiny_text_pipeline(), np.zeros((2, TOKENS, 5)))
    broken = STATES.copy()
    broken[1, 0, 0] = np.inf
    with pytest.raises(InputError, match="1 of 3 images are not finite"):
        prompt_conditions(tiny_text_pipeline(), broken)


def test_conditions_take_part_in_no_gradient():
    conditions = prompt_conditions(tiny_text_pipeline(), STATES)
    assert not conditions.untold["encoder_hidden_states"].requires_grad
