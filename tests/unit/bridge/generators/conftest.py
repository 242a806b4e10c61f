"""A text pipeline that has learnt four classes, shared by what is built around it."""

import numpy as np
import pytest
from tiny_parts import (
    CLASSES,
    CPU,
    TRAINING,
    UNET,
    images_of_classes,
    tiny_autoencoder,
    tiny_text_encoder,
)

from spikeline.bridge.generators.prompts import encode_captions
from spikeline.bridge.generators.text_conditioned import train_text_generator
from spikeline.training.device import make_fabric


@pytest.fixture(scope="session")
def class_prompts():
    """Prompts of the four classes, one image each."""
    names = np.array(CLASSES, object)
    return encode_captions(names, names, *tiny_text_encoder(), CPU)


@pytest.fixture(scope="session")
def trained_text_pipeline(class_prompts):
    latents, _, classes, _ = images_of_classes()
    rows = class_prompts.rows_of(np.array(CLASSES)[classes])
    settings = {**UNET, **TRAINING, "condition_dropout": 0.1, "epochs": 60}
    pipeline, history = train_text_generator(
        latents, class_prompts, rows, tiny_autoencoder(), *tiny_text_encoder(), settings,
        seed=0, fabric=make_fabric("cpu"),
    )  # fmt: skip
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
