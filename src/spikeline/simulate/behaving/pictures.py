"""Scenes and a movie, and the local measurements of them that drive units."""

from __future__ import annotations

import numpy as np

from spikeline.simulate.filters import gabor_energy, luminance, shrink
from spikeline.simulate.images import Stimuli, design_stimuli, render

# Side to which a picture is shrunk before it is measured, pixels.
_MEASURED = 24
# Frames that the camera takes from one place to the next.
_SHOT = 75
# Share of a unit's drive that all units have in common: the contrast of the whole picture.
_COMMON = 0.6
# The drive of an empty screen, in standard deviations of the drive of pictures.
BLANK = -1.2


def draw_scenes(count: int, height: int, width: int, seed: int) -> np.ndarray:
    """Grey scenes of one object each, (count, height, width) uint8."""
    stimuli = design_stimuli(count, 1, 0, seed)
    return np.stack([_grey(stimuli, i, width)[_middle(width, height)] for i in range(count)])


def draw_movie(frames: int, height: int, width: int, seed: int) -> np.ndarray:
    """A camera that moves over large pictures, fading from one to the next.

    Returns:
        (frames, height, width) uint8.
    """
    shots = -(-frames // _SHOT) + 1
    stimuli = design_stimuli(shots, 1, 0, seed + 1)
    rng = np.random.default_rng([seed, 11])
    room = width // 3
    large = [_grey(stimuli, i, width + room).astype(np.float32) for i in range(shots)]
    corners = rng.integers(0, room + 1, (shots + 1, 2))
    movie = np.empty((frames, height, width), dtype=np.uint8)
    for frame in range(frames):
        shot, way = divmod(frame / _SHOT, 1)
        shot = int(shot)
        fade = np.clip((way - 0.8) / 0.2, 0, 1)
        picture = 0.0
        for one, share, along in ((shot, 1 - fade, way), (shot + 1, fade, way - 1)):
            along = np.clip(along, 0, 1)
            top, left = np.round(corners[one] * (1 - along) + corners[one + 1] * along).astype(int)
            picture = picture + share * large[one][top : top + height, left : left + width]
            if share == 1:
                break
        movie[frame] = picture + 0.5
    return movie


def _middle(side: int, height: int) -> slice:
    top = (side - height) // 2
    return slice(top, top + height)


def _grey(stimuli: Stimuli, image: int, side: int) -> np.ndarray:
    grey = luminance(render(stimuli, image, side).astype(np.float32))
    low, high = np.percentile(grey, (1, 99))
    return np.clip((grey - low) / max(high - low, 1) * 255, 0, 255).astype(np.uint8)


def drives(
    pictures: np.ndarray, units: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """How strongly each picture drives each unit: a fixed function of the picture's pixels.

    A unit adds its own receptive field (the oriented energy at a place, and the luminance there)
    to the contrast of the whole picture, which drives all units alike.

    Args:
        pictures: (n, height, width) uint8.
        units: how many receptive fields to draw.

    Returns:
        (n, units) with zero mean and unit variance over the pictures, and (n,) the common part.
    """
    _, height, width = pictures.shape
    left = (width - height) // 2
    square = pictures[:, :, left : left + height]
    small = shrink(np.repeat(square[..., None], 3, axis=-1), _MEASURED)[..., 0]
    common = _standardised(np.log(small.std(axis=(1, 2)) + 0.02))
    centres = rng.uniform(0.25, 0.75, (units, 2))
    angles = rng.uniform(0, np.pi, units)
    energy = gabor_energy(small, centres, angles, rng.choice([0.13, 0.21, 0.3], units))
    pixels = np.clip((centres * _MEASURED).astype(int), 0, _MEASURED - 1)
    light = small[:, pixels[:, 1], pixels[:, 0]] * rng.choice([-1.0, 1.0], units)
    own = _standardised(_standardised(energy) + 0.7 * _standardised(light))
    mixed = np.sqrt(_COMMON) * common[:, None] + np.sqrt(1 - _COMMON) * own
    return _standardised(mixed), common


def _standardised(values: np.ndarray) -> np.ndarray:
    values = values - values.mean(axis=0)
    return values / np.maximum(values.std(axis=0), 1e-9)
