"""Steps of noise that a training draws, and the error that a U-Net makes at them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from scipy import stats

from spikeline.bridge.generators.denoising import denoising_error
from spikeline.bridge.generators.noise_steps import random_steps

CPU = torch.device("cpu")
TOTAL = 1000


def steps(emphasis, count=20_000, total=TOTAL):
    torch.manual_seed(0)
    return random_steps(count, total, emphasis, CPU).numpy()


@pytest.mark.parametrize("emphasis", [0, 0.5, 1, 3])
def test_the_share_of_a_step_grows_with_its_number_to_the_emphasis(emphasis):
    drawn = (steps(emphasis) + 0.5) / TOTAL
    # Density proportional to x ** a on 0 to 1 is a beta distribution of a + 1 and 1.
    expected = stats.beta(emphasis + 1, 1)
    assert stats.kstest(drawn, expected.cdf).statistic < 0.01


def test_every_step_is_drawn_and_none_beyond():
    assert set(steps(1, total=8)) == set(range(8))


def test_steps_follow_the_seed_of_torch():
    np.testing.assert_array_equal(steps(1), steps(1))


def nothing_predicted(noisy, steps, **told):
    return SimpleNamespace(sample=torch.zeros_like(noisy))


def test_the_error_is_taken_at_steps_of_that_emphasis():
    seen = []

    def unet(noisy, steps, **told):
        seen.append(steps.float().mean().item())
        return nothing_predicted(noisy, steps)

    torch.manual_seed(0)
    for emphasis in (0, 1):
        denoising_error(unet, DDPMScheduler(TOTAL), torch.zeros(5000, 1, 1, 1), {}, emphasis)
    # The mean of a beta distribution of a + 1 and 1.
    assert seen == pytest.approx([TOTAL / 2, TOTAL * 2 / 3], rel=0.03)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_unet_that_predicts_nothing_errs_by_the_variance_of_its_target(prediction):
    scheduler = DDPMScheduler(TOTAL, prediction_type=prediction)
    torch.manual_seed(0)
    clean = torch.randn(64, 4, 16, 16)
    error = denoising_error(nothing_predicted, scheduler, clean, {}, 1)
    # Noise, and the velocity of latents of variance 1, have variance 1 at every step.
    assert float(error) == pytest.approx(1, abs=0.02)
