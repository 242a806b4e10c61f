"""Validation images of `auto`: which rows are held out, and how a decoder matches them.

Each fold holds some training images out (or, where training drops the concepts of the test, whole
concepts), in galleries of as many as the test has, or of fewer where there are few.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.bridge.decoder import Decoder
from spikeline.bridge.splits import ValidationSplit, left_out_together, validation_split
from spikeline.errors import InputError

logger = logging.getLogger(__name__)

# Fewer images (or concepts) of a gallery would tell candidates apart by luck.
_LEAST_WAYS = 5
# Validation takes at most one image (or concept) of so many.
_OF = 4


@dataclass(frozen=True)
class Rows:
    """Training rows and what tells them apart.

    Attributes:
        responses: (rows, columns of the file); embeddings: (rows, dim), of each row's image.
        images, categories: str (rows,).
    """

    responses: np.ndarray
    embeddings: np.ndarray
    images: np.ndarray
    categories: np.ndarray

    def take(self, rows: np.ndarray) -> Rows:
        return Rows(*(array[rows] for array in vars(self).values()))

    def left_out_together(self, by_concept: bool) -> int:
        """How many images, or concepts, validation can leave out."""
        return len(np.unique(left_out_together(self.images, self.categories, by_concept)))


def held_out(
    rows: Rows, settings: Mapping[str, Any], gallery: int, seed: int
) -> list[ValidationSplit]:
    """One split per fold, with smaller galleries where there are few images."""
    by_concept = settings["drop_test_concepts"]
    units = rows.left_out_together(by_concept)
    ways = min(gallery, units // _OF)
    if ways < _LEAST_WAYS:
        raise InputError(
            f"responses: {units} training {'concepts' if by_concept else 'images'} are too few to "
            f"weigh candidates, which takes {_LEAST_WAYS * _OF}; name one model instead of auto"
        )
    images = settings["validation_images"]
    if not by_concept:
        images = min(images, units // _OF)
    return [
        validation_split(
            rows.images, rows.categories, images, min(ways, images), by_concept, seed, fold
        )
        for fold in range(settings["folds"])
    ]


def gallery_similarities(decoder: Decoder, rows: Rows, split: ValidationSplit) -> np.ndarray:
    """(galleries, N, N) float64: responses by images of each gallery; the diagonal is the true."""
    shape = (*split.galleries.shape, -1)
    held = rows.take(split.galleries.ravel())
    responses = decoder.embed_responses(held.responses).astype(np.float64).reshape(shape)
    return responses @ decoder.embed_images(held.embeddings).reshape(shape).swapaxes(1, 2)


def with_fewer_validation_images(
    settings: Mapping[str, Any], rows: Rows, gallery: int
) -> Mapping[str, Any]:
    """Settings of a network that do not hold out more than half of the images (or concepts)."""
    by_concept = settings["drop_test_concepts"]
    units = rows.left_out_together(by_concept)
    held = settings["validation_images"]
    if (min(held, gallery) if by_concept else held) <= units // 2:
        return settings
    logger.info("validation_images of a network: %d, for there are few images", units // _OF)
    return {**settings, "validation_images": units // _OF}
