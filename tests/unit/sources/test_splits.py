"""Random test splits: deterministic, and an image is on one side only."""

from __future__ import annotations

import numpy as np
import pytest

from spikeline.errors import InputError
from spikeline.sources.splits import random_splits

IMAGES = np.array([f"{k}.png" for k in range(40)], object)


def test_each_split_has_the_test_images_asked_for():
    masks = random_splits(IMAGES, 5, 10, "a")
    assert masks.shape == (5, 40) and masks.dtype == bool
    assert (masks.sum(axis=1) == 10).all()


def test_the_same_images_give_the_same_splits_and_splits_differ():
    first, second = (random_splits(IMAGES, 5, 10, "a") for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert len({tuple(mask) for mask in first}) == 5


def test_a_split_does_not_depend_on_how_many_are_drawn():
    np.testing.assert_array_equal(
        random_splits(IMAGES, 2, 10, "a"), random_splits(IMAGES, 5, 10, "a")[:2]
    )


def test_a_split_does_not_depend_on_what_the_images_are_called():
    renamed = np.array([f"{99 - k}.png" for k in range(40)], object)
    np.testing.assert_array_equal(
        random_splits(IMAGES, 3, 10, "a"), random_splits(renamed, 3, 10, "a")
    )


def test_rows_of_the_same_image_are_on_the_same_side():
    images = np.concatenate([IMAGES, IMAGES[::-1], IMAGES[:7]])
    for mask in random_splits(images, 5, 10, "a"):
        tested, trained = set(images[mask]), set(images[~mask])
        assert len(tested) == 10 and not tested & trained


def test_every_image_is_tested_about_equally_often():
    counts = random_splits(IMAGES, 400, 10, "a").sum(axis=0)
    # Binomial(400, 1/4): mean 100, standard deviation 8.7.
    assert abs(counts.mean() - 100) < 1e-9 and counts.min() > 60 and counts.max() < 140


@pytest.mark.parametrize("asked", [0, 40, 41, -1])
def test_a_test_set_that_leaves_nothing_is_refused(asked):
    with pytest.raises(InputError, match=rf"^a\.npy: {asked} test images requested of 40"):
        random_splits(IMAGES, 5, asked, "a.npy")
