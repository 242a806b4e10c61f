"""Local image measurements that stand in for what early and middle visual areas compute.

Images are small (about 48 pixels on each side); positions and lengths are shares of the image side.
"""

import numpy as np
from scipy import fft

ORIENTATIONS = 8
WAVELENGTHS = (0.08, 0.13, 0.21)
HUES = 12
# Images that are measured together: of the maps of more, memory would run out.
BLOCK_IMAGES = 2048


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(size) + 0.5) / size
    return np.meshgrid(axis, axis)


def shrink(images: np.ndarray, size: int) -> np.ndarray:
    """Average (n, side, side, 3) uint8 images down to (n, size, size, 3) float32, 0..1."""
    side = images.shape[1]
    edges = np.linspace(0, side, size + 1)
    pixels = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.clip(overlap, 0, None).astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    small = np.empty((len(images), size, size, 3), dtype=np.float32)
    for first in range(0, len(images), BLOCK_IMAGES):
        block = slice(first, first + BLOCK_IMAGES)
        rows = np.tensordot(weights, images[block].astype(np.float32) / 255, axes=(1, 1))
        small[block] = np.tensordot(rows, weights, axes=(2, 1)).transpose(1, 0, 3, 2)
    return small


def luminance(images: np.ndarray) -> np.ndarray:
    """Luminance (n, size, size) of images (n, size, size, 3)."""
    return images @ np.array([0.30, 0.59, 0.11], dtype=np.float32)


def gabor_energy(
    grey: np.ndarray,
    centres: np.ndarray,
    orientations: np.ndarray,
    wavelengths: np.ndarray,
) -> np.ndarray:
    """Energy of a Gabor quadrature pair at one place per unit (Adelson and Bergen 1985).

    Args:
        grey: (n, size, size) luminance.
        centres: (units, 2) x and y of the receptive fields.
        orientations: (units,) radians.
        wavelengths: (units,).

    Returns:
        (n, units) amplitude, the root of the energy.
    """
    x, y = _grid(grey.shape[1])
    dx = x.ravel()[None] - centres[:, :1]
    dy = y.ravel()[None] - centres[:, 1:]
    along = dx * np.cos(orientations)[:, None] + dy * np.sin(orientations)[:, None]
    envelope = np.exp(-(dx**2 + dy**2) / (2 * (0.45 * wavelengths[:, None]) ** 2))
    envelope /= envelope.sum(axis=1, keepdims=True)
    angle = 2 * np.pi * along / wavelengths[:, None]
    flat = grey.reshape(len(grey), -1)
    energy = np.zeros((len(grey), len(centres)), dtype=np.float32)
    for wave in (np.cos(angle), np.sin(angle)):
        kernel = envelope * wave
        # Uniform luminance must drive no unit.
        kernel -= envelope * kernel.sum(axis=1, keepdims=True)
        energy += (flat @ kernel.T.astype(np.float32)) ** 2
    return np.sqrt(energy)


def energy_maps(grey: np.ndarray) -> np.ndarray:
    """Gabor amplitude everywhere: (wavelengths, orientations, n, size, size) float32."""
    size = grey.shape[1]
    x, y = _grid(size)
    dx, dy = x - x[size // 2, size // 2], y - y[size // 2, size // 2]
    spectrum = fft.rfft2(grey - grey.mean(axis=(1, 2), keepdims=True))
    maps = np.empty((len(WAVELENGTHS), ORIENTATIONS, *grey.shape), dtype=np.float32)
    for k, wavelength in enumerate(WAVELENGTHS):
        envelope = np.exp(-(dx**2 + dy**2) / (2 * (0.45 * wavelength) ** 2))
        envelope /= envelope.sum()
        for o in range(ORIENTATIONS):
            theta = np.pi * o / ORIENTATIONS
            angle = 2 * np.pi * (dx * np.cos(theta) + dy * np.sin(theta)) / wavelength
            energy = 0.0
            for wave in (np.cos(angle), np.sin(angle)):
                kernel = envelope * wave
                kernel -= envelope * kernel.sum()
                transfer = fft.rfft2(fft.ifftshift(kernel)).astype(np.complex64)
                energy = energy + fft.irfft2(spectrum * transfer, s=(size, size)) ** 2
            maps[k, o] = np.sqrt(energy)
    return maps


def curvature_maps(energy: np.ndarray) -> np.ndarray:
    """Where two edges meet at an angle: (orientations, n, size, size).

    Map k is the geometric mean of edges tilted 45 degrees to either side of direction k, each
    shifted a little to its own side: large on corners and tight curves that point along k.
    """
    fine = energy[0]
    count, size = len(fine), fine.shape[-1]
    reach = max(1, round(0.05 * size))
    maps = np.empty_like(fine)
    for k in range(count):
        theta = np.pi * k / count
        step = (round(reach * np.sin(theta)), round(reach * np.cos(theta)))
        one = np.roll(fine[(k + count // 4) % count], step, axis=(1, 2))
        other = np.roll(fine[(k - count // 4) % count], (-step[0], -step[1]), axis=(1, 2))
        maps[k] = np.sqrt(one * other)
    return maps


def hue_maps(images: np.ndarray) -> np.ndarray:
    """Strength of each of HUES opponent directions: (hues, n, size, size)."""
    red, green, blue = np.moveaxis(images, -1, 0)
    red_green, blue_yellow = red - green, blue - (red + green) / 2
    angles = 2 * np.pi * np.arange(HUES) / HUES
    return np.stack(
        [np.maximum(red_green * np.cos(a) + blue_yellow * np.sin(a), 0) ** 2 for a in angles]
    ).astype(np.float32)


def pooled(maps: np.ndarray, channels: np.ndarray, centres: np.ndarray, radii: np.ndarray):
    """Gaussian average of one map per unit around its receptive field's centre.

    Args:
        maps: (channels, n, size, size).
        channels: (units,) which map each unit pools.
        centres: (units, 2); radii: (units,) standard deviation.

    Returns:
        (n, units).
    """
    x, y = _grid(maps.shape[-1])
    out = np.empty((maps.shape[1], len(channels)), dtype=np.float32)
    for channel in np.unique(channels):
        units = np.flatnonzero(channels == channel)
        dx = x.ravel()[:, None] - centres[units, 0]
        dy = y.ravel()[:, None] - centres[units, 1]
        weights = np.exp(-(dx**2 + dy**2) / (2 * radii[units] ** 2))
        weights /= weights.sum(axis=0)
        flat = maps[channel].reshape(maps.shape[1], -1)
        out[:, units] = flat @ weights.astype(np.float32)
    return out
