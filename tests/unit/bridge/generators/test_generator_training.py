"""Autoencoders and diffusion models learn from images, and continue where they were killed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from defaults import settings as complete
from diffusers import AutoencoderKL, DDPMScheduler
from tiny_parts import emphases_of
from tiny_pipelines import EMBEDDING_DIM, conditioned_on_images

from spikeline.bridge.generators import diffusion
from spikeline.bridge.generators.autoencoder import decode, encode, train_autoencoder
from spikeline.bridge.generators.diffusion import noised
from spikeline.bridge.generators.image_conditioned import train_image_generator
from spikeline.bridge.generators.sampling import Sampler, embedding_conditions, sample
from spikeline.training import loop
from spikeline.training.device import make_fabric
from spikeline.training.state import StateFile

CPU = torch.device("cpu")
VAE = {"image_size": 16, "channels": [8, 8], "latent_channels": 4, "batch_size": 16}


def pictures(count=64, seed=0):
    """Images of one colour on the left and another on the right."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (count, 2, 3), dtype=np.uint8)
    return np.repeat(np.repeat(colours[:, None], 16, 1), 8, 2)


def vae(pixels, **given):
    own = complete("train-autoencoder", **{**VAE, "epochs": 30, **given})
    return train_autoencoder(pixels, own, seed=0, fabric=make_fabric("cpu"))[0]


def test_an_autoencoder_gives_new_images_of_its_kind_back():
    trained = vae(pictures(count=512))
    new = pictures(seed=1)
    back = decode(trained, encode(trained, new, CPU), CPU)
    assert back.shape == new.shape and back.dtype == np.uint8
    error = np.abs(back.astype(float) - new).mean()
    assert error < 0.5 * np.abs(new - new.mean(0)).mean()


def test_one_that_learnt_on_crops_gives_whole_images_back():
    trained = vae(pictures(count=512), crop=8)
    new = pictures(seed=1)
    back = decode(trained, encode(trained, new, CPU), CPU)
    error = np.abs(back.astype(float) - new).mean()
    assert error < 0.5 * np.abs(new - new.mean(0)).mean()


@pytest.mark.parametrize(("crop", "first"), [(None, 16), (8, 8)])
def test_all_but_the_last_quarter_of_the_steps_see_crops(crop, first, monkeypatch):
    seen = []
    forward = AutoencoderKL.encode
    monkeypatch.setattr(
        AutoencoderKL, "encode", lambda self, x: (seen.append(tuple(x.shape)), forward(self, x))[1]
    )
    vae(pictures(), epochs=1, crop=crop)
    # Four batches of 16; then all images for the scale of the latents.
    whole = [(16, 3, 16, 16), (64, 3, 16, 16)]
    assert seen == [(16, 3, first, first)] * 3 + whole


def test_scaled_latents_of_training_images_have_variance_one():
    pixels = pictures()
    latents = encode(vae(pixels, epochs=2), pixels, CPU)
    assert latents.std() == pytest.approx(1, rel=1e-4)


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def interrupted(monkeypatch, epochs):
    """The next training stops, as if killed, after so many epochs."""
    write, written = loop.write_state, []

    def writes(path, state):
        write(path, state)
        written.append(path)
        if len(written) == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "write_state", writes)


@pytest.mark.parametrize("crop", [None, 8])
def test_a_killed_autoencoder_continues_to_the_same_weights(crop, tmp_path, monkeypatch):
    pixels, own = pictures(), complete("train-autoencoder", **VAE, epochs=4, crop=crop)
    state = StateFile(tmp_path / "state.pt", 0.0)
    arguments = {"seed": 3, "fabric": make_fabric("cpu")}
    whole, history = train_autoencoder(pixels, own, **arguments)
    with monkeypatch.context() as patch:
        interrupted(patch, epochs=2)
        with pytest.raises(KeyboardInterrupt):
            train_autoencoder(pixels, own, **arguments, state_file=state)
    resumed, again = train_autoencoder(pixels, own, **arguments, state_file=state)
    assert again == history
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name


def generator(**given):
    """A generator of one latent pixel pattern for each of two embeddings."""
    rng = np.random.default_rng(0)
    which = rng.integers(0, 2, 128)
    patterns = rng.standard_normal((2, 4, 4, 4)).astype(np.float32)
    embeddings = np.eye(2, 6, dtype=np.float32)[which] * 3
    embeddings += 0.1 * rng.standard_normal(embeddings.shape).astype(np.float32)
    own = complete(
        "train-generator",
        **{"channels": [16, 16], "head_dim": 8, "noise_levels": 1, "epochs": 60, **given},
    )
    trained, _ = train_image_generator(
        patterns[which],
        embeddings,
        conditioned_on_images().vae,
        own,
        seed=0,
        fabric=make_fabric("cpu"),
    )
    return trained, patterns


def test_a_generator_draws_what_its_embedding_says():
    trained, patterns = generator()
    embeddings = np.repeat(np.eye(2, 6, dtype=np.float32) * 3, 8, axis=0)
    drawn = sample(trained, embedding_conditions(trained, embeddings), Sampler(10, 2.0), range(16))
    for row, pixels in enumerate(drawn):
        own, other = (np.corrcoef(pixels.ravel(), p.ravel())[0, 1] for p in patterns)
        assert (own if row < 8 else other) > (other if row < 8 else own) + 0.3


def test_it_is_trained_at_steps_of_the_emphasis_that_is_set(monkeypatch):
    seen = emphases_of(diffusion, monkeypatch)
    generator(epochs=1, noise_emphasis=2.5)
    assert seen == {2.5}


def test_its_normaliser_holds_the_moments_of_the_training_embeddings():
    trained, _ = generator(epochs=1)
    embeddings = np.ones((5, 6), np.float32)
    told = embedding_conditions(trained, embeddings).told["class_labels"]
    # Without noise, an embedding reaches the U-Net as it is.
    np.testing.assert_allclose(told[:, :6].numpy(), embeddings, atol=0.05)


def test_embeddings_are_noised_as_by_unclips_own_method():
    pipeline = conditioned_on_images()
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(5, EMBEDDING_DIM, generator=generator)
    noise = torch.randn(5, EMBEDDING_DIM, generator=generator)
    expected = pipeline.noise_image_embeddings(embeddings, 321, noise)
    found = noised(
        pipeline.image_normalizer,
        DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2"),
        embeddings,
        torch.full((5,), 321),
        noise,
    )
    torch.testing.assert_close(found, expected)
