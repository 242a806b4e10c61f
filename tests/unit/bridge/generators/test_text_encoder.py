"""The text tower of a CLIP, as transformers computes it."""

import json
import shutil

import open_clip
import pytest
import torch
from tiny_parts import AUTOENCODER, UNET, tiny_autoencoder

from spikeline.bridge.generators import text_encoder
from spikeline.bridge.generators.diffusion import build_unet, noise_scheduler
from spikeline.bridge.generators.pipelines import load_pipeline, text_pipeline
from spikeline.errors import InputError
from spikeline.simulate.clip import ClipSettings, open_clip_config, save_clip

CAPTIONS = [
    "",
    "a large blue checkered arrow at the lower right in front of night",
    "It's 42 naïve   RINGS!, & two o'clock",
    "one " * 40,
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """(folder, model) of a tiny CLIP with random weights."""
    settings = ClipSettings(0, 32, 16, "residual", 8, 32, 2, 12, 1, 8, 1e-3, 0.0, 0, 0.0)
    torch.manual_seed(1)
    model = open_clip.CLIP(**open_clip_config(settings)["model_cfg"]).eval()
    with torch.no_grad():  # norms and biases begin as ones and zeros, which would hide a mistake
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    folder = tmp_path_factory.mktemp("clip")
    save_clip(model, settings, folder)
    return folder, model


def test_token_ids_are_those_of_open_clips_tokenizer(clip):
    _, tokenizer = text_encoder.from_clip(clip[0])
    found = tokenizer(CAPTIONS, padding="max_length", truncation=True, return_tensors="pt")
    own = open_clip.SimpleTokenizer(context_length=12)(CAPTIONS)
    assert torch.equal(found.input_ids, own)


def test_states_are_those_of_open_clip_after_its_last_norm(clip):
    folder, model = clip
    encoder, _ = text_encoder.from_clip(folder)
    tokens = open_clip.SimpleTokenizer(context_length=12)(CAPTIONS)
    with torch.no_grad():
        states = encoder(tokens).last_hidden_state
        x = model.token_embedding(tokens) + model.positional_embedding
        own = model.ln_final(model.transformer(x, attn_mask=model.attn_mask))
    assert own.std() > 0.5
    torch.testing.assert_close(states, own, atol=1e-5, rtol=0)


def test_a_pipeline_with_it_is_saved_and_loaded_whole(clip, tmp_path):
    encoder, tokenizer = text_encoder.from_clip(clip[0])
    torch.manual_seed(0)
    unet = build_unet(UNET, (AUTOENCODER["latent_channels"], 8, 8), text_dim=32)
    made = text_pipeline(tiny_autoencoder(), unet, noise_scheduler(), encoder, tokenizer)
    made.save_pretrained(tmp_path / "pipeline")
    loaded = load_pipeline(
        tmp_path / "pipeline", "text", scheduler="ddim", device=torch.device("cpu")
    )
    with torch.no_grad():
        states = [
            one.encode_prompt(CAPTIONS, torch.device("cpu"), 1, False)[0] for one in (made, loaded)
        ]
    assert states[0].shape == (4, 12, 32)
    assert torch.equal(*states)


def test_its_identity_is_the_same_from_the_clip_and_from_the_pipeline(clip, tmp_path):
    encoder, tokenizer = text_encoder.from_clip(clip[0])
    encoder.save_pretrained(tmp_path / "text_encoder")
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    own = text_encoder.identity(encoder, tokenizer)
    assert text_encoder.identity(*text_encoder.of_pipeline(tmp_path)) == own
    with torch.no_grad():
        encoder.final_layer_norm.bias[0] += 1
    assert text_encoder.identity(encoder, tokenizer) != own


def test_a_pipeline_without_a_prompt_tokenizer_is_one_line(clip, tmp_path):
    encoder, tokenizer = text_encoder.from_clip(clip[0])
    encoder.save_pretrained(tmp_path / "text_encoder")
    with pytest.raises(InputError, match="prompt tokenizer is missing"):
        text_encoder.of_pipeline(tmp_path)
    (tmp_path / "tokenizer").mkdir()
    with pytest.raises(InputError, match="tokenizer"):
        text_encoder.of_pipeline(tmp_path)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    text_encoder.of_pipeline(tmp_path)


def test_a_folder_that_is_no_clip_is_one_line(clip, tmp_path):
    with pytest.raises(InputError, match="is no CLIP of open_clip"):
        text_encoder.from_clip(tmp_path)
    copied = shutil.copytree(clip[0], tmp_path / "copy")
    (copied / text_encoder.WEIGHTS).write_bytes(b"cut")
    with pytest.raises(InputError, match="cannot be read"):
        text_encoder.from_clip(copied)


def test_a_config_of_another_size_or_tower_is_one_line(clip, tmp_path):
    copied = shutil.copytree(clip[0], tmp_path / "copy")
    config = json.loads((copied / text_encoder.CONFIG).read_text())
    config["model_cfg"]["text_cfg"]["width"] = 48
    (copied / text_encoder.CONFIG).write_text(json.dumps(config))
    with pytest.raises(InputError, match="holds no text tower of the config beside it"):
        text_encoder.from_clip(copied)
    config["model_cfg"]["text_cfg"]["hf_model_name"] = "roberta-base"
    (copied / text_encoder.CONFIG).write_text(json.dumps(config))
    with pytest.raises(InputError, match="none of the original CLIP"):
        text_encoder.from_clip(copied)
