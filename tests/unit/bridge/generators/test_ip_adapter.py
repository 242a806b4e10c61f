"""Image embeddings for a text pipeline, through an IP-Adapter."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tiny_parts import (
    EMBEDDING_DIM,
    TRAINING,
    emphases_of,
    images_of_classes,
    killed,
    share_of_class,
    tiny_text_pipeline,
)

from spikeline.bridge.generators import denoising
from spikeline.bridge.generators.ip_adapter import (
    ip_adapter_conditions,
    load_ip_adapter,
    save,
    train_ip_adapter,
)
from spikeline.bridge.generators.sampling import Sampler, sample
from spikeline.errors import InputError
from spikeline.training.device import make_fabric

SETTINGS = {**TRAINING, "condition_dropout": 0.1, "noise_std": 0.1, "epochs": 2}


def trained(pipeline, state_file=None, **changed):
    latents, embeddings, _, _ = images_of_classes()
    return train_ip_adapter(
        pipeline, latents, embeddings, {**SETTINGS, **changed}, seed=0,
        fabric=make_fabric("cpu"), state_file=state_file,
    )  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """An adapter of the tiny random pipeline."""
    path = tmp_path_factory.mktemp("adapter") / "ip_adapter.safetensors"
    save(path, trained(tiny_text_pipeline())[0], {"encoder": "tiny"})
    return path


def test_it_is_trained_at_steps_of_the_emphasis_that_is_set(monkeypatch):
    seen = emphases_of(denoising, monkeypatch)
    trained(tiny_text_pipeline(), epochs=1, noise_emphasis=2.5)
    assert seen == {2.5}


def drawn_by_diffusers(pipeline, embeddings, guidance):
    """One call for each image: theirs takes one embedding for all prompts."""
    drawn = []
    for seed, embedding in enumerate(embeddings):
        told = torch.from_numpy(embedding)[None, None]
        if guidance > 1:
            told = torch.cat([torch.zeros_like(told), told])
        found = pipeline(
            prompt="", num_inference_steps=4, guidance_scale=guidance, height=16, width=16,
            generator=torch.Generator().manual_seed(seed), ip_adapter_image_embeds=[told],
            output_type="latent",
        )  # fmt: skip
        drawn.append(found.images.numpy())
    return np.concatenate(drawn)


@pytest.mark.parametrize("guidance", [1, 3])
def test_sampling_equals_the_call_of_diffusers(file, guidance):
    embeddings = images_of_classes(3)[1]
    pipeline = tiny_text_pipeline()
    load_ip_adapter(pipeline, file, scale=0.7)
    conditions = ip_adapter_conditions(pipeline, embeddings)
    ours = sample(pipeline, conditions, Sampler(4, guidance), range(3))
    other = tiny_text_pipeline()
    # Their own reader of the file.
    other.load_ip_adapter(
        str(file.parent), subfolder="", weight_name=file.name, image_encoder_folder=None
    )
    other.set_ip_adapter_scale(0.7)
    theirs = drawn_by_diffusers(other, embeddings, guidance)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    load_ip_adapter(pipeline, file, scale=0)
    silent = sample(pipeline, conditions, Sampler(4, guidance), range(3))
    assert np.abs(silent - ours).max() > 1e-3


def test_it_draws_the_class_of_the_embedding_and_leaves_the_rest_as_it_was(
    trained_text_pipeline,
):
    pipeline = tiny_text_pipeline()
    pipeline.unet.load_state_dict(trained_text_pipeline.unet.state_dict())
    trained(pipeline, epochs=40)
    kept = pipeline.unet.state_dict()
    for name, value in trained_text_pipeline.unet.state_dict().items():
        assert torch.equal(kept[name], value), name
    _, embeddings, classes, patterns = images_of_classes(16)
    conditions = ip_adapter_conditions(pipeline, embeddings)
    found = sample(pipeline, conditions, Sampler(8, 2), range(16))
    assert share_of_class(found, classes, patterns) >= 0.8
    assert share_of_class(found, (classes + 1) % 4, patterns) <= 0.2


def test_a_killed_training_ends_with_the_weights_of_an_unbroken_one(monkeypatch, tmp_path):
    whole, history = trained(tiny_text_pipeline(), epochs=4)
    arrays, resumed = killed(
        monkeypatch, tmp_path, lambda state: trained(tiny_text_pipeline(), state, epochs=4)
    )
    assert resumed == history
    assert arrays.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(arrays[name], value)


def test_an_adapter_may_replace_another(file):
    pipeline = tiny_text_pipeline()
    conditions = {}
    for scale in (1, 0.5, 1):
        load_ip_adapter(pipeline, file, scale)
        told = ip_adapter_conditions(pipeline, images_of_classes(2)[1])
        drawn = sample(pipeline, told, Sampler(2, 1), range(2))
        conditions.setdefault(scale, []).append(drawn)
    np.testing.assert_array_equal(*conditions[1])
    assert np.abs(conditions[0.5][0] - conditions[1][0]).max() > 1e-4


def test_embeddings_of_another_length_or_not_finite_are_one_line(file):
    pipeline = tiny_text_pipeline()
    with pytest.raises(InputError, match="no IP-Adapter"):
        ip_adapter_conditions(pipeline, np.zeros((2, EMBEDDING_DIM)))
    load_ip_adapter(pipeline, file)
    with pytest.raises(InputError, match="width 9, and the generator takes 6"):
        ip_adapter_conditions(pipeline, np.zeros((2, 9)))
    with pytest.raises(InputError, match="1 of 2 images are not finite"):
        ip_adapter_conditions(pipeline, np.array([[np.nan] * EMBEDDING_DIM, [0] * EMBEDDING_DIM]))


def test_pickled_damaged_and_foreign_files_are_refused(file, tmp_path):
    pipeline = tiny_text_pipeline()
    with pytest.raises(InputError, match="can run code"):
        load_ip_adapter(pipeline, tmp_path / "ip-adapter_sd15.bin")
    with pytest.raises(InputError, match="cannot be read"):
        load_ip_adapter(pipeline, tmp_path / "none.safetensors")
    arrays = load_file(file)
    other = tmp_path / "other.safetensors"
    save_file({k: v for k, v in arrays.items() if "image_proj" not in k}, other)
    with pytest.raises(InputError, match="no plain IP-Adapter"):
        load_ip_adapter(pipeline, other)
    name = "ip_adapter.3.to_k_ip.weight"
    save_file({**arrays, name: np.ascontiguousarray(arrays[name][:, :16])}, other)
    with pytest.raises(InputError, match="made for this generator"):
        load_ip_adapter(pipeline, other)
    assert pipeline.unet.encoder_hid_proj is None
