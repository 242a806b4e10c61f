"""Steps of noise that a training draws, and the error of a U-Net that predicts perfectly."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from scipy import stats

from spikeline.bridge.generators.denoising import denoising_error, random_steps

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


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_unet_that_predicts_nothing_errs_by_the_variance_of_its_target(prediction):
    scheduler = DDPMScheduler(TOTAL, prediction_type=prediction)
    unet = lambda noisy, steps, **told: SimpleNamespace(sample=torch.zeros_like(noisy))  # noqa: E731
    torch.manual_seed(0)
    clean = torch.randn(64, 4, 16, 16)
    error = denoising_error(unet, scheduler, clean, {}, 1)
    # Noise, and the velocity of latents of variance 1, have variance 1 at every step.
    assert float(error) == pytest.approx(1, abs=0.02)
