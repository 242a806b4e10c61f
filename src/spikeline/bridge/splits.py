"""Which rows a model is trained on, and which of them are held out to choose the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.errors import InputError


def training_rows(
    test: np.ndarray,
    images: np.ndarray,
    categories: np.ndarray,
    drop_test_concepts: bool = False,
    drop_other_concepts: bool = False,
    fraction: float = 1.0,
    seed: int = 0,
) -> np.ndarray:
    """Indices of the rows a model may be trained on.

    Args:
        test: bool (rows,), the test rows of the split.
        images, categories: str (rows,).
        drop_test_concepts: also leave out every row of a concept in the test.
        drop_other_concepts: leave out as many rows as that would, of other concepts: whole concepts
            drawn with `seed`, the last one in part if need be.
        fraction: share of the images to keep, drawn with `seed`; draws of one seed are nested.

    Raises:
        InputError: concepts to be dropped are unknown, other concepts have too few rows, or no row
            is left.
    """
    keep = ~test & ~np.isin(images, images[test])
    if drop_test_concepts or drop_other_concepts:
        concepts = np.unique(categories[test])
        if (concepts == "").any():
            raise InputError(
                f"drop_{'test' if drop_test_concepts else 'other'}_concepts: concepts of the test "
                "are not named in the responses"
            )
        tested = np.isin(categories, concepts)
    if drop_test_concepts:
        keep &= ~tested
        if not keep.any():
            raise InputError(
                "drop_test_concepts: no training row is left outside the test's concepts"
            )
    if drop_other_concepts:
        others = np.flatnonzero(keep & ~tested)
        keep[_some(others, categories[others], (keep & tested).sum(), seed)] = False
    if fraction < 1:
        names = np.unique(images[keep])
        count = max(1, round(fraction * len(names)))
        keep &= np.isin(images, np.random.default_rng(seed).permutation(names)[:count])
    return np.flatnonzero(keep)


def training_rows_of(
    settings: Mapping[str, Any],
    test: np.ndarray,
    images: np.ndarray,
    categories: np.ndarray,
    seed: int,
) -> np.ndarray:
    """The training rows of a model with these settings; other arguments: `training_rows`."""
    return training_rows(
        test,
        images,
        categories,
        settings["drop_test_concepts"],
        settings["drop_other_concepts"],
        settings["training_fraction"],
        seed,
    )


def _some(rows: np.ndarray, concepts: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` of these rows, concept after concept in random order."""
    if count > len(rows):
        raise InputError(
            f"drop_other_concepts: the test's concepts have {count} training rows and all others "
            f"{len(rows)}, which cannot match; use responses with as many of other concepts"
        )
    names, concept = np.unique(concepts, return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(names))
    return rows[np.argsort(place[concept], kind="stable")[:count]]


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


def validation_split_of(
    settings: Mapping[str, Any],
    images: np.ndarray,
    categories: np.ndarray,
    gallery: int,
    seed: int,
    fold: int,
) -> ValidationSplit:
    """The validation split of a model with these settings; other arguments: `validation_split`.

    Without the test's concepts, validation is by concept. That takes whole concepts from training,
    so the control of size, `drop_other_concepts`, validates by image and leaves as many further
    rows out.
    """
    arguments = images, categories, settings["validation_images"], gallery
    split = validation_split(*arguments, settings["drop_test_concepts"], seed, fold)
    if settings["drop_other_concepts"]:
        size = len(validation_split(*arguments, True, seed, fold).train)
        kept = np.random.default_rng([seed, fold]).permutation(split.train)[:size]
        split = ValidationSplit(np.sort(kept), split.galleries)
    return split
