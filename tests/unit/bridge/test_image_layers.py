"""Layers reduced to principal components of training images."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from spikeline.bridge.images import layers as image_layers
from spikeline.bridge.images.layers import reduced


def layer(images=60, values=200):
    rng = np.random.default_rng(0)
    return np.maximum(rng.standard_normal((images, 8)) @ rng.standard_normal((8, values)), 0) + 0.01


def test_components_are_those_of_the_rooted_unit_length_training_images():
    rows, training = layer(), np.arange(60) >= 15
    prepared = np.sqrt(rows) / np.linalg.norm(np.sqrt(rows), axis=1, keepdims=True)
    oracle = PCA(10, svd_solver="full").fit(prepared[training]).transform(prepared)
    ours = reduced(rows, training, "sqrt", 10)
    assert ours.shape == (60, 10) and ours.dtype == np.float32
    np.testing.assert_allclose(np.abs(ours), np.abs(oracle), atol=1e-4)


def test_test_images_have_no_part_in_the_components_of_others():
    rows, training = layer(), np.arange(60) >= 15
    changed = rows.copy()
    changed[~training] = layer()[::-1][~training] ** 2
    ours, theirs = (reduced(each, training, "none", 10) for each in (rows, changed))
    np.testing.assert_array_equal(ours[training], theirs[training])
    assert not np.allclose(ours[~training], theirs[~training])


@pytest.mark.parametrize("transform", ["none", "sqrt"])
def test_a_large_layer_is_reduced_by_random_projection_to_the_same_components(
    monkeypatch, transform
):
    rows, training = layer(300, 400), np.arange(300) >= 15
    exact = reduced(rows, training, transform, 6)
    monkeypatch.setattr(image_layers, "_EXACT_UP_TO", 1)
    fast = reduced(rows, training, transform, 6)
    np.testing.assert_allclose(np.abs(fast), np.abs(exact), atol=2e-3)
