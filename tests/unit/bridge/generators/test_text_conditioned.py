"""A generator that is told text."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_parts import (
    CLASSES,
    CPU,
    TRAINING,
    UNET,
    images_of_classes,
    share_of_class,
    tiny_autoencoder,
    tiny_text_encoder,
)

from spikeline.bridge.generators.prompts import encode_captions, text_states
from spikeline.bridge.generators.sampling import Sampler, prompt_conditions, sample
from spikeline.bridge.generators.text_conditioned import train_text_generator
from spikeline.errors import InputError
from spikeline.training.device import make_fabric


def test_it_draws_the_class_that_its_prompt_names(trained_text_pipeline, class_prompts):
    classes = np.arange(16) % 4
    states = class_prompts.states[class_prompts.rows_of(np.array(CLASSES)[classes])]
    conditions = prompt_conditions(trained_text_pipeline, states)
    drawn = sample(trained_text_pipeline, conditions, Sampler(8, 2), range(16))
    patterns = images_of_classes()[3]
    assert share_of_class(drawn, classes, patterns) >= 0.8
    assert share_of_class(drawn, (classes + 1) % 4, patterns) <= 0.2


def test_prompts_of_another_text_encoder_are_refused(class_prompts):
    other = replace(class_prompts, encoder="text-encoder:0123")
    latents = images_of_classes(4)[0]
    with pytest.raises(InputError, match="prompts are those of text-encoder:0123"):
        train_text_generator(
            latents, other, np.arange(4), tiny_autoencoder(), *tiny_text_encoder(),
            {**UNET, **TRAINING}, seed=0, fabric=make_fabric("cpu"),
        )  # fmt: skip


def test_each_distinct_caption_is_encoded_once_in_batches_of_any_size():
    images = np.array(["a", "b", "c", "d"], object)
    captions = np.array(["a ring", "a star", "a ring", "an arrow"], object)
    encoder, tokenizer = tiny_text_encoder()
    found = encode_captions(images, captions, encoder, tokenizer, CPU, batch_size=2)
    assert sorted(found.prompts) == ["a ring", "a star", "an arrow"]
    assert list(found.prompts[found.prompt]) == list(captions)
    own = text_states([*captions, ""], encoder, tokenizer, CPU)
    np.testing.assert_allclose(found.states[found.prompt], own[:4], atol=2e-3)
    np.testing.assert_allclose(found.empty, own[4], atol=2e-3)
