"""Embedding images with any encoder: order, batches, precision."""

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from spikeline.bridge.image_encoders import embed, load


def test_rows_follow_the_images_whatever_the_batch_size():
    images = [Image.new("L", (2, 2), level) for level in range(7)]
    precisions = []

    def encode(pixels):
        precisions.append((pixels.dtype, torch.is_autocast_enabled("cpu")))
        return pixels.mean((1, 2))[:, None] * torch.tensor([1.0, -0.5])

    def preprocess(image):
        return torch.from_numpy(np.asarray(image, dtype=np.float32).copy())

    for batch_size in (1, 3, 7, 20):
        rows = embed(iter(images), encode, preprocess, torch.device("cpu"), 7, batch_size)
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, np.outer(np.arange(7), [1, -0.5]))
    assert set(precisions) == {(torch.float32, False)}


@pytest.mark.parametrize(
    ("tag", "activation"), [("openai", "QuickGELU"), ("laion2b_s34b_b79k", "GELU")]
)
def test_weights_run_with_the_activation_they_were_trained_with(monkeypatch, tag, activation):
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *a, **k: "nowhere")
    monkeypatch.setattr(open_clip.factory, "load_checkpoint", lambda *a, **k: {})
    settings = {"kind": "open_clip", "model": "ViT-B-32", "pretrained": tag}
    encode, _ = load(settings, None, torch.device("cpu"))
    names = {type(module).__name__ for module in encode.__self__.modules()}
    assert {name for name in names if "GELU" in name} == {activation}
