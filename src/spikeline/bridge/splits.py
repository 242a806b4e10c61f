"""Which rows a model is trained on, and which of them are held out to choose the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeline.errors import InputError


def training_rows(
    test: np.ndarray,
    images: np.ndarray,
    categories: np.ndarray,
    drop_test_concepts: bool = False,
    fraction: float = 1.0,
    seed: int = 0,
) -> np.ndarray:
    """Indices of the rows a model may be trained on.

    Args:
        test: bool (rows,), the test rows of the split.
        images, categories: str (rows,).
        drop_test_concepts: also leave out every row of a concept in the test.
        fraction: share of the images to keep, drawn with `seed`; draws of one seed are nested.

    Raises:
        InputError: concepts to be dropped are unknown, or no row is left.
    """
    keep = ~test & ~np.isin(images, images[test])
    if drop_test_concepts:
        concepts = np.unique(categories[test])
        if (concepts == "").any():
            raise InputError(
                "drop_test_concepts: concepts of the test are not named in the responses"
            )
        keep &= ~np.isin(categories, concepts)
    if not keep.any():
        raise InputError("drop_test_concepts: no training row is left outside the test's concepts")
    if fraction < 1:
        names = np.unique(images[keep])
        count = max(1, round(fraction * len(names)))
        keep &= np.isin(images, np.random.default_rng(seed).permutation(names)[:count])
    return np.flatnonzero(keep)


def left_out_together(images: np.ndarray, categories: np.ndarray, by_concept: bool) -> np.ndarray:
    """(rows,) labels of rows that validation leaves out together: of an image, or of a concept."""
    return categories if by_concept else images


@dataclass(frozen=True)
class ValidationSplit:
    """Row indices: `train` (rows,) and `galleries` (galleries, images), disjoint in images."""

    train: np.ndarray
    galleries: np.ndarray


def validation_split(
    images: np.ndarray,
    categories: np.ndarray,
    validation_images: int,
    gallery: int,
    by_concept: bool = False,
    seed: int = 0,
    fold: int = 0,
) -> ValidationSplit:
    """Hold validation images out, in galleries like the test's.

    No image of a gallery is among the training rows. With `by_concept` no concept is either: a
    gallery then shows one image of each of its concepts, and the galleries share the concepts.

    Args:
        images, categories: str (rows,), of the training rows.
        validation_images: images held out, in all galleries together; 0 holds none out.
        gallery: images of one gallery (as many as the test has); fewer if there are too few.
        seed: order of the images; fold: successive folds take successive images of that order,
            starting again once all have been used.

    Raises:
        InputError: more than half of the images (or concepts) would be held out.
    """
    if not validation_images:
        return ValidationSplit(np.arange(len(images)), np.zeros((0, gallery), dtype=int))
    units = left_out_together(images, categories, by_concept)
    names, unit_of_row = np.unique(units, return_inverse=True)
    size = min(gallery, validation_images)
    galleries = max(1, validation_images // size)
    wanted = size if by_concept else size * galleries
    if wanted > len(names) // 2:
        raise InputError(
            f"validation_images: {validation_images} in galleries of {size} need {wanted} "
            f"{'concepts' if by_concept else 'images'}, more than half of the {len(names)} that "
            "training has; lower validation_images"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = order[np.arange(fold * wanted, (fold + 1) * wanted) % len(names)]
    train = np.flatnonzero(~np.isin(unit_of_row, chosen))
    if not by_concept:
        first_row = np.unique(unit_of_row, return_index=True)[1]
        return ValidationSplit(train, first_row[chosen].reshape(galleries, size))
    picked = []
    for unit in chosen:
        rows = np.flatnonzero(unit_of_row == unit)
        rows = rows[np.unique(images[rows], return_index=True)[1]]
        picked.append(rows[np.arange(galleries) % len(rows)])
    return ValidationSplit(train, np.stack(picked, axis=1))
