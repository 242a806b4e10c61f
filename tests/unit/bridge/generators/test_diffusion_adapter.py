"""From an image embedding to the text states of its caption."""

import numpy as np
import pytest
import torch
from tiny_parts import (
    CLASSES,
    EMBEDDING_DIM,
    TEXT_DIM,
    TOKENS,
    TRAINING,
    emphases_of,
    images_of_classes,
    killed,
    share_of_class,
)

from spikeline.bridge.generators import denoising
from spikeline.bridge.generators.sampling import Sampler, prompt_conditions, sample
from spikeline.bridge.reconstruction import diffusion_adapter
from spikeline.bridge.reconstruction.diffusion_adapter import DiffusionAdapter, train_adapter
from spikeline.errors import InputError
from spikeline.training.device import make_fabric

SETTINGS = {
    **TRAINING, "context_tokens": 2, "heads": 2, "layers": 1, "dropout": 0.0,
    "states_weight": 1.0, "denoising_weight": 1.0, "epochs": 2,
}  # fmt: skip


def trained(pipeline, prompts, state_file=None, **changed):
    latents, embeddings, classes, _ = images_of_classes()
    rows = prompts.rows_of(np.array(CLASSES)[classes])
    return train_adapter(
        pipeline, embeddings, latents, prompts, rows, {**SETTINGS, **changed}, seed=0,
        fabric=make_fabric("cpu"), state_file=state_file,
    )  # fmt: skip


def test_it_is_trained_at_steps_of_the_emphasis_that_is_set(
    trained_text_pipeline, class_prompts, monkeypatch
):
    seen = emphases_of(denoising, monkeypatch)
    trained(trained_text_pipeline, class_prompts, epochs=1, noise_emphasis=2.5)
    assert seen == {2.5}


def test_at_the_reports_sizes_it_has_the_reports_17_million_parameters():
    adapter = DiffusionAdapter(768, 77, 768, context_tokens=1, heads=12, layers=2, dropout=0.0)
    count = sum(p.numel() for p in adapter.parameters())
    assert round(count / 1e6, 1) == 17.2


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_either_loss_alone_and_both_draw_the_class_of_the_embedding(
    trained_text_pipeline, class_prompts, weights
):
    changed = dict(zip(("states_weight", "denoising_weight"), weights, strict=True))
    adapter, _ = trained(trained_text_pipeline, class_prompts, epochs=30, **changed)
    _, embeddings, classes, patterns = images_of_classes(16)
    states = diffusion_adapter.apply(adapter, embeddings)
    assert states.shape == (16, TOKENS, TEXT_DIM)
    conditions = prompt_conditions(trained_text_pipeline, states)
    drawn = sample(trained_text_pipeline, conditions, Sampler(8, 2), range(16))
    assert share_of_class(drawn, classes, patterns) >= 0.8
    own = class_prompts.states[class_prompts.rows_of(np.array(CLASSES)[classes])]
    error = np.square(states - own).mean() / own.var(0).mean()
    if changed["states_weight"]:
        assert error < 0.1
    else:
        assert error > 0.1  # the states never entered


def test_a_killed_training_ends_with_the_weights_of_an_unbroken_one(
    trained_text_pipeline, class_prompts, monkeypatch, tmp_path
):
    whole, history = trained(trained_text_pipeline, class_prompts, epochs=4)
    adapter, resumed = killed(
        monkeypatch,
        tmp_path,
        lambda state: trained(trained_text_pipeline, class_prompts, state, epochs=4),
    )
    assert resumed == history
    for name, value in whole.state_dict().items():
        assert torch.equal(adapter.state_dict()[name], value), name


def test_it_reads_back_as_it_was_written(trained_text_pipeline, class_prompts, tmp_path):
    adapter, _ = trained(trained_text_pipeline, class_prompts)
    path = tmp_path / "adapter.safetensors"
    diffusion_adapter.save(path, adapter, SETTINGS, {"generator": "tiny"})
    found, described = diffusion_adapter.load(path)
    assert described["generator"] == "tiny"
    embeddings = images_of_classes(5)[1]
    np.testing.assert_array_equal(
        diffusion_adapter.apply(found, embeddings), diffusion_adapter.apply(adapter, embeddings)
    )


def test_embeddings_of_another_length_are_one_line():
    sizes = {name: SETTINGS[name] for name in diffusion_adapter.SIZES}
    adapter = DiffusionAdapter(EMBEDDING_DIM, TOKENS, TEXT_DIM, **sizes)
    with pytest.raises(InputError, match="width 9, and the generator takes 6"):
        diffusion_adapter.apply(adapter, np.zeros((2, 9)))
