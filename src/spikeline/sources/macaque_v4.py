"""The public macaque V4 set (Cowley, Stan, Pillow and Smith 2023): neurons x images, sorted names.

A session is `responses_{session}.npy`, float64 (neurons, images), the mean spike count in a 100 ms
window over repeats, and `images_{session}.zip`; image k of the sorted names is column k.

In some sessions a picture stands under two names (300 of 900 in session 190925). Its two columns
are averaged: apart, one could train the decoder that is tested on the other.
"""

from __future__ import annotations

import logging

import numpy as np

from spikeline.artifacts.responses import Responses
from spikeline.errors import InputError
from spikeline.sources.arrays import responses_from_arrays

logger = logging.getLogger(__name__)


def responses_of_session(
    counts: np.ndarray, images: np.ndarray, splits: int, test_size: int, where: str
) -> Responses:
    """A responses artifact with random test splits.

    Args:
        counts: (neurons, images) mean spike counts in 100 ms.
        images: (images,) names, sorted; columns of one name show one picture.

    Raises:
        InputError: the axes do not fit the images, or counts are negative.
    """
    if counts.ndim != 2 or counts.shape[1] != len(images):
        swapped = counts.ndim == 2 and counts.shape[0] == len(images)
        raise InputError(
            f"{where}: has shape {counts.shape} for {len(images)} images"
            f"{': its axes are swapped' if swapped else ''}; expected (neurons, images)"
        )
    if (counts < 0).any():
        raise InputError(f"{where}: has negative spike counts")
    counts, images = _each_once(counts, images)
    return responses_from_arrays(
        counts.T, images, {"V4": [[0, len(counts)]]}, where, splits=splits, test_size=test_size
    )


def _each_once(counts: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns of one name as their mean, in the order of first appearance."""
    names, first, image = np.unique(images.astype(str), return_index=True, return_inverse=True)
    if len(names) == len(images):
        return counts, images
    logger.info(
        "%d of %d images stand under several names: their responses are averaged",
        (np.bincount(image) > 1).sum(),
        len(names),
    )
    shown = np.bincount(image)
    means = np.stack([np.bincount(image, weights=neuron) for neuron in counts]) / shown
    order = np.argsort(first)
    return means[:, order], images[first[order]]
