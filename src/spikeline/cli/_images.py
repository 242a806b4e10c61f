"""Which images a generator may learn from: those of a subject's training rows, first split."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeline.artifacts import provenance, responses
from spikeline.errors import InputError


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """`--responses` and `--stimuli`."""
    parser.add_argument("--responses", required=True, help="responses, HDF5: which images train")
    parser.add_argument("--stimuli", required=True, help="the packed images")


def training_images(path: str) -> np.ndarray:
    """Sorted names of the images of the first split's training rows that no test row shows."""
    recorded = responses.read(path)
    test = recorded.split(0)
    tested = set(recorded.images[test])
    return np.array(sorted(set(recorded.images[~test]) - tested), dtype=object)


def some_of(images: np.ndarray, settings: Mapping[str, Any], where: str) -> np.ndarray:
    """As many of the images as a training takes.

    Args:
        images: (n,) names.
        settings: `images`, how many, or None for all; `seed`, by which they are drawn.
        where: the file that they are from, for the error.

    Returns:
        Their names, in the order given.

    Raises:
        InputError: there are fewer.
    """
    wanted = settings["images"]
    if wanted is None:
        return images
    if wanted > len(images):
        raise InputError(
            f"{where}: has {len(images)} training images, and the training asks for {wanted}; "
            "lower `images`, or leave it out for all"
        )
    rng = np.random.default_rng([settings["seed"], 11])
    return images[np.sort(rng.choice(len(images), wanted, replace=False))]


def learnt_from(folder: str) -> set[str]:
    """Names of the images that a folder's weights were learnt from, as far as it says."""
    try:
        return set(provenance.read(folder).get("training_images", ()))
    except InputError:  # a part of a downloaded pipeline, say
        return set()


def check_unseen(folder: str, images: np.ndarray, where: str) -> None:
    """Raise InputError where a folder's weights were learnt from one of these images.

    Weights that were downloaded do not say; they are taken to be of other images.
    """
    seen = learnt_from(folder) & set(map(str, images))
    if seen:
        raise InputError(
            f"{folder}: was trained on {len(seen)} of the test images of {where}, {min(seen)!r} "
            "among them; use a seed whose split it was trained for, or train another"
        )
