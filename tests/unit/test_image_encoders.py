"""Embedding images with any encoder: order, batches, precision."""

import numpy as np
import torch
from PIL import Image

from spikeline.bridge.image_encoders import embed


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
