"""Embedding images with any encoder: order, batches, precision, layers."""

import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image

from spikeline.bridge.images.encoders import embed, load
from spikeline.errors import InputError

OUTPUT_ONLY = {"layers": [], "pool": "grid", "grid": 4}
CPU = torch.device("cpu")


def test_rows_follow_the_images_whatever_the_batch_size():
    images = [Image.new("L", (2, 2), level) for level in range(7)]
    precisions = []

    def encode(pixels):
        precisions.append((pixels.dtype, torch.is_autocast_enabled("cpu")))
        rows = pixels.mean((1, 2))[:, None] * torch.tensor([1.0, -0.5])
        return {"embedding": rows, "layer3": 2 * rows}

    def preprocess(image):
        return torch.from_numpy(np.asarray(image, dtype=np.float32).copy())

    for batch_size in (1, 3, 7, 20):
        layers = embed(iter(images), encode, preprocess, CPU, 7, batch_size)
        assert list(layers) == ["embedding", "layer3"]
        assert layers["embedding"].dtype == np.float32
        np.testing.assert_array_equal(layers["embedding"], np.outer(np.arange(7), [1, -0.5]))
        np.testing.assert_array_equal(layers["layer3"], np.outer(np.arange(7), [2, -1]))
    assert set(precisions) == {(torch.float32, False)}


@pytest.mark.parametrize(
    ("tag", "activation"), [("openai", "QuickGELU"), ("laion2b_s34b_b79k", "GELU")]
)
def test_weights_run_with_the_activation_they_were_trained_with(monkeypatch, tag, activation):
    made = {}
    create = open_clip.create_model_and_transforms

    def recorded(*args, **kwargs):
        made["model"], *rest = create(*args, **kwargs)
        return made["model"], *rest

    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *a, **k: "nowhere")
    monkeypatch.setattr(open_clip.factory, "load_checkpoint", lambda *a, **k: {})
    monkeypatch.setattr(open_clip, "create_model_and_transforms", recorded)
    settings = {"kind": "open_clip", "model": "ViT-B-32", "pretrained": tag, **OUTPUT_ONLY}
    load(settings, None, CPU)
    names = {type(module).__name__ for module in made["model"].modules()}
    assert {name for name in names if "GELU" in name} == {activation}


def tiny_open_clip(vision):
    torch.manual_seed(0)
    text = {"context_length": 8, "vocab_size": 100, "width": 16, "heads": 1, "layers": 1}
    model = open_clip.CLIP(12, {"image_size": 64, **vision}, text).eval()
    return model, lambda image: torch.zeros(3, 64, 64)


VIT = {"layers": 3, "width": 16, "head_width": 8, "patch_size": 16}
RESNET = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 64}


def loaded(monkeypatch, made, **settings):
    """The encoder of an untrained network that the library's loading is replaced by."""
    name = "_timm" if settings["kind"] == "timm" else "_open_clip"
    monkeypatch.setattr(f"spikeline.bridge.images.encoders.{name}", lambda *args: made)
    return load({"grid": 2, "pool": "grid", **settings}, None, CPU)[0]


@pytest.mark.parametrize("vision", [VIT, RESNET], ids=["transformer", "resnet"])
def test_layers_are_what_hooks_on_the_blocks_see_and_the_output_stays_as_it_is(monkeypatch, vision):
    made = tiny_open_clip(vision)
    model, pixels = made[0], torch.randn(2, 3, 64, 64, generator=torch.manual_seed(1))
    encode = loaded(monkeypatch, made, kind="open_clip", layers=[1, 2])
    seen = []
    visual = model.visual
    blocks = visual.transformer.resblocks if vision is VIT else [visual.layer1, visual.layer2]
    hooked = blocks[1:] if vision is VIT else blocks
    for block in hooked:
        block.register_forward_hook(lambda module, given, out: seen.append(out))
    with torch.inference_mode():
        rows = encode(pixels)
        expected = model.encode_image(pixels)
    assert list(rows) == ["embedding", "layer1", "layer2"]
    torch.testing.assert_close(rows["embedding"], expected)
    for name, features in zip(["layer1", "layer2"], seen, strict=False):
        if vision is VIT:  # class token and 4 x 4 patches
            features = features[:, 1:].transpose(1, 2).unflatten(2, (4, 4))
        side = features.shape[-1] // 2
        cells = features.unfold(2, side, side).unfold(3, side, side).mean((4, 5))
        torch.testing.assert_close(rows[name], cells.flatten(1))


def test_a_class_token_is_the_first_of_a_layer(monkeypatch):
    made = tiny_open_clip(VIT)
    pixels = torch.randn(2, 3, 64, 64, generator=torch.manual_seed(1))
    encode = loaded(monkeypatch, made, kind="open_clip", layers=[1], pool="class")
    seen = []
    made[0].visual.transformer.resblocks[1].register_forward_hook(
        lambda m, g, out: seen.append(out)
    )
    with torch.inference_mode():
        torch.testing.assert_close(encode(pixels)["layer1"], seen[-1][:, 0])


@pytest.mark.parametrize("pool", ["mean", "class"])
def test_timm_networks_give_their_layers_through_their_own_interface(monkeypatch, pool):
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=64, num_classes=0, depth=2, embed_dim=24, num_heads=2
    ).eval()
    preprocess = lambda image: torch.zeros(3, 64, 64)  # noqa: E731
    encode = loaded(monkeypatch, (model, preprocess), kind="timm", layers=[0], pool=pool)
    pixels = torch.randn(2, 3, 64, 64, generator=torch.manual_seed(1))
    seen = []
    model.blocks[0].register_forward_hook(lambda module, given, out: seen.append(out))
    with torch.inference_mode():
        rows = encode(pixels)
        torch.testing.assert_close(rows["embedding"], model(pixels))
    tokens = seen[0]
    expected = tokens[:, 0] if pool == "class" else tokens[:, 1:].mean(1)
    torch.testing.assert_close(rows["layer0"], expected)


@pytest.mark.parametrize(
    ("vision", "wrong", "said"),
    [
        (VIT, {"layers": [7]}, "layers: open_clip  cannot give"),
        (RESNET, {"layers": [1], "pool": "class"}, "no class token; use mean or grid"),
    ],
)
def test_a_layer_or_token_that_a_network_lacks_is_refused_before_any_image(
    monkeypatch, vision, wrong, said
):
    with pytest.raises(InputError, match=said) as caught:
        loaded(monkeypatch, tiny_open_clip(vision), kind="open_clip", **wrong)
    assert "\n" not in str(caught.value)
