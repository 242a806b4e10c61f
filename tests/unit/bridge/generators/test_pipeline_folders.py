"""Folders of pipelines: what is saved loads the same, and what is wrong with one is one line."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from tiny_pipelines import conditioned_on_images

from spikeline.bridge.generators.pipelines import SCHEDULERS, load_autoencoder, load_pipeline
from spikeline.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipeline") / "drawer"
    conditioned_on_images().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of one test."""
    return shutil.copytree(saved, tmp_path / "drawer")


def load(folder, conditioning="image", scheduler="ddim"):
    return load_pipeline(folder, conditioning, scheduler=scheduler, device=CPU)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_saved_pipeline_loads_with_equal_weights_and_any_scheduler(saved, scheduler):
    loaded = load(saved, scheduler=scheduler)
    assert type(loaded.scheduler) is SCHEDULERS[scheduler]
    assert loaded.scheduler.config.prediction_type == "v_prediction"
    first = conditioned_on_images()
    for part in ("unet", "vae", "image_normalizer"):
        for name, value in getattr(first, part).state_dict().items():
            assert torch.equal(value, getattr(loaded, part).state_dict()[name]), (part, name)


def test_a_folder_without_an_index_is_no_pipeline(tmp_path):
    with pytest.raises(InputError, match=r"holds no model_index\.json"):
        load(tmp_path)


def test_a_part_that_is_missing_is_named(folder):
    shutil.rmtree(folder / "unet")
    with pytest.raises(InputError, match="its part unet is missing"):
        load(folder)


def test_weights_that_are_missing_are_named(folder):
    next((folder / "unet").glob("*.safetensors")).unlink()
    with pytest.raises(InputError, match=r"unet: holds no weights \(\*\.safetensors\)"):
        load(folder)


def test_pickled_weights_are_refused_with_the_way_to_convert_them(folder):
    weights = next((folder / "unet").glob("*.safetensors"))
    weights.rename(weights.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(InputError, match=r"\.bin: pickled weights.*safe_serialization=True"):
        load(folder)


def test_a_pipeline_of_another_conditioning_is_refused(saved):
    with pytest.raises(InputError, match=r"is a StableUnCLIPImg2ImgPipeline.*text"):
        load(saved, conditioning="text")


def test_truncated_weights_are_one_line(folder):
    weights = next((folder / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="drawer: cannot be loaded"):
        load(folder)


def test_a_damaged_index_is_one_line(folder):
    (folder / "model_index.json").write_text("{")
    with pytest.raises(InputError, match=r"model_index\.json: is damaged"):
        load(folder)


def test_the_autoencoder_of_a_pipeline_loads_alone(saved, tmp_path):
    found = load_autoencoder(saved / "vae")
    assert (
        found.config.scaling_factor
        == json.loads((saved / "vae/config.json").read_text())["scaling_factor"]
    )
    with pytest.raises(InputError, match=r"holds no config\.json"):
        load_autoencoder(tmp_path)
