"""Tuning of the simulated electrodes: V1 and V4 see the pixels, IT the factors behind them."""

from collections.abc import Sequence

import numpy as np

from spikeline.simulate import filters
from spikeline.simulate.backgrounds import BACKGROUNDS
from spikeline.simulate.images import COLOURS, DIVISIONS, TEXTURES, Stimuli
from spikeline.simulate.outlines import SHAPES
from spikeline.simulate.settings import ARRAY_ELECTRODES

FILTER_SIZE = 48
PATCHES = (0.35, 0.8)  # where arrays look, share of the image side, in x and in y
V4_RADII = (0.05, 0.10)  # of the receptive fields, standard deviation, share of the image side


def _retinotopy(count: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    """Receptive-field centres (count, 2): arrays of 8 x 8 electrodes, each over its own patch.

    The patches lie to the lower right, as for arrays in the upper bank of the left hemisphere.
    """
    arrays = -(-count // ARRAY_ELECTRODES)
    row, column = np.divmod(np.arange(ARRAY_ELECTRODES), 8)
    local = np.stack([column, row], axis=1) - 3.5
    centres = []
    for _ in range(arrays):
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        scatter = rng.normal(0, 0.01, local.shape)
        centres.append(rng.uniform(*PATCHES, 2) + pitch * local @ turn + scatter)
    return np.clip(np.concatenate(centres)[:count], 0.05, 0.95)


def v1_drive(grey: np.ndarray, electrodes: int, rng: np.random.Generator) -> np.ndarray:
    """Oriented energy at retinotopic places: (n, electrodes).

    Args:
        grey: (n, size, size) luminance.
    """
    centres = _retinotopy(electrodes, 0.035, rng)
    orientations = rng.uniform(0, np.pi, electrodes)
    wavelengths = rng.choice(filters.WAVELENGTHS, electrodes)
    return filters.gabor_energy(grey, centres, orientations, wavelengths)


class V4Maps:
    """Curvature, texture and hue maps of all images, shared by the subjects.

    Args:
        images: (n, size, size, 3) float, 0..1.
    """

    def __init__(self, images: np.ndarray):
        side, starts = images.shape[1] // 2, range(0, len(images), filters.BLOCK_IMAGES)
        for first in starts:
            block = slice(first, first + filters.BLOCK_IMAGES)
            kinds = [_halved(maps) for maps in _feature_maps(images[block])]
            if first == 0:
                counts = [len(maps) for maps in kinds]
                self.maps = np.empty((sum(counts), len(images), side, side), dtype=np.float32)
            self.maps[:, block] = np.concatenate(kinds)
        self.kind_of_map = np.repeat(np.arange(3), counts)
        for maps in np.split(self.maps, np.cumsum(counts)[:-1]):
            # One electrode mixes several kinds of map, so all need the same scale.
            maps /= maps.std(axis=(1, 2, 3), keepdims=True)


def _feature_maps(images: np.ndarray) -> tuple[np.ndarray, ...]:
    """Curvature, texture and hue of images (n, size, size, 3): (maps, n, size, size) each."""
    energy = filters.energy_maps(filters.luminance(images))
    texture = energy.reshape(-1, *energy.shape[2:])
    return filters.curvature_maps(energy), texture, filters.hue_maps(images)


def _halved(maps: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels: (maps, n, size, size) to (maps, n, size / 2, size / 2)."""
    rows = maps[..., ::2, :] + maps[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) / 4


def v4_drive(shared: V4Maps, electrodes: int, rng: np.random.Generator) -> np.ndarray:
    """Local curvature, texture and colour in wider receptive fields: (n, electrodes)."""
    centres = _retinotopy(electrodes, 0.05, rng)
    radii = rng.uniform(*V4_RADII, electrodes)
    drive = 0.0
    # Each electrode prefers one feature; a second one drives it less.
    for weight in (1.0, 0.4):
        kinds = rng.integers(3, size=electrodes)
        channels = np.array([rng.choice(np.flatnonzero(shared.kind_of_map == k)) for k in kinds])
        drive = drive + weight * np.sqrt(filters.pooled(shared.maps, channels, centres, radii))
    return drive


def factor_codes(stimuli: Stimuli) -> dict[str, np.ndarray]:
    """Each factor as numbers: (n, dimensions), levels as far apart as they look.

    Shapes, textures and backgrounds have one dimension per level, colours three (their RGB), size
    and place their continuous values. Divisions count where objects differ in them.
    """
    rgb = np.array(list(COLOURS.values()))
    colour = rgb[stimuli.colour] + stimuli.tint
    codes = {
        "shape": np.eye(len(SHAPES))[stimuli.shape],
        "colour": (colour - rgb.mean(axis=0)) / rgb.std(axis=0) / np.sqrt(3),
        "texture": np.eye(len(TEXTURES))[stimuli.texture],
        "size": (stimuli.radius[:, None] - 0.21) / 0.055,
        "place": np.stack([stimuli.x - 0.5, stimuli.y - 0.5], axis=1) / 0.17,
        "background": np.eye(len(BACKGROUNDS))[stimuli.background],
        "tilt": stimuli.tilt[:, None] / 0.17,
    }
    if stimuli.division.any():
        codes["division"] = np.eye(len(DIVISIONS))[stimuli.division]
    return codes


# How strongly IT follows each factor: the object's identity most, its size and place little.
IT_WEIGHTS = {
    "shape": 1.5,
    "colour": 1.0,
    "texture": 1.2,
    "size": 0.4,
    "place": 0.3,
    "background": 0.8,
    "tilt": 0.15,
    "division": 1.2,
}


def it_drive(stimuli: Stimuli, electrodes: int, rng: np.random.Generator) -> np.ndarray:
    """Nonlinear mixtures of the factors that generated the image: (n, electrodes).

    A layer of rectified units with random preferences in factor space; an electrode sums a few of
    them and is scaled by how near the object is to its broad preferred place.
    """
    codes = factor_codes(stimuli)
    hidden_units = 4 * electrodes
    hidden = np.zeros((len(stimuli), hidden_units))
    for name, code in codes.items():
        hidden += IT_WEIGHTS[name] * code @ rng.standard_normal((code.shape[1], hidden_units))
    hidden = np.maximum(hidden - rng.uniform(0.5, 1.5, hidden_units) * hidden.std(axis=0), 0)
    mixing = rng.exponential(size=(hidden_units, electrodes))
    mixing *= rng.random(mixing.shape) < 8 / hidden_units
    preferred = rng.uniform(0.35, 0.65, (electrodes, 2))
    distance = np.hypot(stimuli.x[:, None] - preferred[:, 0], stimuli.y[:, None] - preferred[:, 1])
    return (hidden @ mixing + 0.1) * np.exp(-(distance**2) / (2 * 0.5**2))


def region_drive(
    region: str,
    electrodes: int,
    stimuli: Stimuli,
    images: np.ndarray,
    maps: V4Maps,
    rng: np.random.Generator,
) -> np.ndarray:
    """Noise-free drive of a region's electrodes, (n, electrodes), each of mean 0 and variance 1."""
    if region == "V1":
        drive = v1_drive(filters.luminance(images), electrodes, rng)
    elif region == "V4":
        drive = v4_drive(maps, electrodes, rng)
    else:
        drive = it_drive(stimuli, electrodes, rng)
    return standardise(np.asarray(drive, dtype=np.float64))


def standardise(values: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and variance 1; a constant column becomes 0."""
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    return centred / np.where(spread > 1e-12, spread, 1)


def electrode_rows(regions: Sequence[str], region: str) -> np.ndarray:
    """Indices of the electrodes of a region."""
    return np.flatnonzero(np.asarray(regions) == region)
