"""Painted backgrounds: a gradient with a horizon, and the grain of its material."""

import numpy as np
from PIL import Image

BACKGROUNDS = ("sky", "meadow", "desert", "night", "snow", "sea", "wood", "brick")

# Colours from the top to the bottom of the image, with the heights (0..1) where they hold.
_GRADIENTS = {
    "sky": ((0.0, (0.42, 0.63, 0.88)), (1.0, (0.80, 0.90, 0.97))),
    "meadow": (
        (0.0, (0.62, 0.79, 0.93)),
        (0.42, (0.85, 0.92, 0.92)),
        (0.46, (0.48, 0.66, 0.34)),
        (1.0, (0.30, 0.50, 0.20)),
    ),
    "desert": (
        (0.0, (0.95, 0.80, 0.62)),
        (0.38, (0.98, 0.91, 0.76)),
        (0.42, (0.86, 0.70, 0.46)),
        (1.0, (0.74, 0.55, 0.32)),
    ),
    "night": ((0.0, (0.04, 0.05, 0.15)), (1.0, (0.16, 0.15, 0.32))),
    "snow": ((0.0, (0.80, 0.84, 0.90)), (0.5, (0.90, 0.93, 0.96)), (1.0, (0.97, 0.98, 0.99))),
    "sea": (
        (0.0, (0.75, 0.87, 0.92)),
        (0.33, (0.88, 0.94, 0.94)),
        (0.36, (0.16, 0.50, 0.60)),
        (1.0, (0.05, 0.30, 0.42)),
    ),
    "wood": ((0.0, (0.66, 0.47, 0.30)), (1.0, (0.58, 0.39, 0.24))),
    "brick": ((0.0, (0.60, 0.36, 0.30)), (1.0, (0.52, 0.30, 0.26))),
}
# Grain: columns and rows of the noise before it is smoothly enlarged, and its amplitude.
_GRAIN = {
    "sky": (4, 6, 0.05),
    "meadow": (40, 16, 0.06),
    "desert": (6, 18, 0.05),
    "night": (5, 5, 0.03),
    "snow": (10, 10, 0.025),
    "sea": (8, 30, 0.06),
    "wood": (36, 3, 0.06),
    "brick": (24, 24, 0.05),
}


def paint_background(name: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """A background of `size` x `size` pixels: (size, size, 3) float, 0..1."""
    height = (np.arange(size) + 0.5) / size
    stops, colours = zip(*_GRADIENTS[name], strict=True)
    column = np.stack([np.interp(height, stops, c) for c in np.transpose(colours)], axis=1)
    columns, rows, amplitude = _GRAIN[name]
    noise = Image.fromarray(rng.standard_normal((rows, columns)).astype(np.float32))
    grain = np.asarray(noise.resize((size, size), Image.Resampling.BICUBIC))
    picture = column[:, None, :] + amplitude * grain[..., None]
    if name == "night":
        stars = Image.fromarray((rng.random((size, size)) < 0.004).astype(np.float32))
        small = stars.resize((size, size), Image.Resampling.BOX, reducing_gap=None)
        picture = picture + 0.7 * np.asarray(small)[..., None]
    elif name == "wood":
        picture = picture * (1 - 0.28 * _line(height * 4, size / 4))[None, :, None]
    elif name == "brick":
        picture = picture + 0.16 * _mortar(height, size)[..., None]
    return picture


def _line(position: np.ndarray, pixels: float) -> np.ndarray:
    """1 on a thin line at every whole `position`, 0 elsewhere; a period has `pixels` pixels."""
    distance = np.abs((position + 0.5) % 1 - 0.5) * pixels
    return np.clip(1.2 - distance, 0, 1)


def _mortar(height: np.ndarray, size: int) -> np.ndarray:
    """Joints of a brick wall, (size, size): 1 on mortar."""
    rows = height * 8
    joints = _line(rows, size / 8)[:, None]
    shift = 0.5 * (np.floor(rows) % 2)
    uprights = _line(height[None, :] * 4 + shift[:, None], size / 4)
    return np.maximum(joints, uprights)
