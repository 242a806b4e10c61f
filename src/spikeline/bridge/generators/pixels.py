"""Images as arrays: square, of one size, eight bits a channel."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def square(image: Image.Image, size: int) -> np.ndarray:
    """The largest centred square of an image, resized with antialiasing: (size, size, 3) uint8."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    resized = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC, box)
    return np.asarray(resized, dtype=np.uint8)


def squares(images: Iterable[Image.Image], size: int) -> np.ndarray:
    """Images of any size as (n, size, size, 3) uint8; see `square`."""
    rows = [square(image, size) for image in images]
    return np.stack(rows) if rows else np.zeros((0, size, size, 3), np.uint8)


def to_tensor(pixels: np.ndarray, device: torch.device | None = None) -> Tensor:
    """(n, height, width, 3) uint8 to (n, 3, height, width) float32 in -1..1, channels last."""
    values = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
    return values.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pixels(values: Tensor) -> np.ndarray:
    """(n, 3, height, width) in -1..1 to (n, height, width, 3) uint8; what lies outside is cut."""
    scaled = (values.float().clamp(-1, 1) + 1) * 127.5
    return scaled.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
