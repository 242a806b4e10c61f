"""Measures of reconstructed images against loops, scipy, scikit-image and torchmetrics."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import correlation as correlation_distance
from skimage.color import rgb2gray
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance

from spikeline.bridge.reconstruction.scores import measures as scores


@pytest.fixture
def pairs():
    """Images shown, and the same under noise of growing strength."""
    random = np.random.default_rng(0)
    shown = random.integers(0, 256, size=(6, 24, 24, 3))
    shown = (shown + np.roll(shown, 1, 1) + np.roll(shown, 1, 2)) // 3
    noise = random.normal(0, 1, shown.shape) * np.linspace(5, 120, 6)[:, None, None, None]
    made = np.clip(shown + noise, 0, 255)
    return shown.astype(np.uint8), made.astype(np.uint8)


def features(images=8, dimensions=5, noise=1.0):
    random = np.random.default_rng(1)
    shown = random.normal(size=(images, dimensions))
    return shown, shown + noise * random.normal(size=shown.shape)


def test_pixel_correlation_is_pearsons_over_pixels_and_channels(pairs):
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(*pairs, strict=True)]
    np.testing.assert_allclose(scores.pixel_correlation(*pairs), expected, atol=1e-12)


def test_a_constant_image_correlates_with_nothing(pairs):
    shown, _ = pairs
    grey = np.full_like(shown, 117)
    np.testing.assert_array_equal(scores.pixel_correlation(shown, grey), 0)
    np.testing.assert_array_equal(scores.pixel_correlation(grey, grey), 0)


def test_structural_similarity_is_that_of_torchmetrics_within_the_border(pairs):
    """With MindEye's window; torchmetrics pads, and the published code leaves the border out."""
    border = scores.SSIM_WINDOW // 2
    expected = []
    for shown, made in zip(*pairs, strict=True):
        grey = [torch.from_numpy(rgb2gray(image))[None, None] for image in (made, shown)]
        _, whole = structural_similarity_index_measure(
            *grey, data_range=1.0, sigma=1.5, kernel_size=scores.SSIM_WINDOW, return_full_image=True
        )
        expected.append(float(whole[..., border:-border, border:-border].mean()))
    found = scores.structural_similarity(*pairs)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found[0] > 0.9 > found[-1]


def test_an_image_is_like_itself(pairs):
    shown, _ = pairs
    np.testing.assert_allclose(scores.pixel_correlation(shown, shown), 1)
    np.testing.assert_allclose(scores.structural_similarity(shown, shown), 1, atol=1e-6)


def test_correlations_have_the_images_made_as_rows():
    shown, made = features()
    expected = np.corrcoef(made, shown)[: len(made), len(made) :]
    np.testing.assert_allclose(scores.correlations(shown, made), expected, atol=1e-6)
    paired = scores.paired_correlations(shown, made)
    np.testing.assert_allclose(paired, np.diagonal(expected), atol=1e-12)
    distances = [correlation_distance(a, b) for a, b in zip(shown, made, strict=True)]
    np.testing.assert_allclose(1 - paired, distances, atol=1e-12)


def test_two_way_identification_counts_the_shown_images_that_are_less_alike():
    shown, made = features(noise=2)
    table = np.corrcoef(made, shown)[: len(made), len(made) :]
    expected = [
        np.mean([table[i, i] > table[i, j] for j in range(len(made)) if j != i])
        for i in range(len(made))
    ]
    assert 0 < np.mean(expected) < 1
    np.testing.assert_allclose(scores.two_way(scores.correlations(shown, made)), expected)


def test_two_way_identification_by_hand():
    # Rows: image made. The first beats both others, the second one of two, the third ties one.
    similarity = np.array([[0.9, 0.1, 0.2], [0.5, 0.4, 0.3], [0.7, 0.2, 0.7]])
    np.testing.assert_allclose(scores.two_way(similarity), [1, 0.5, 0.75])


def test_features_that_do_not_depend_on_the_image_are_at_chance():
    shown, _ = features()
    constant = np.ones_like(shown)
    found = scores.correlations(shown, constant)
    np.testing.assert_array_equal(scores.two_way(found), 0.5)
    np.testing.assert_allclose(scores.identified(found, 2), 2 / len(shown))


def test_n_way_identification_looks_among_all_images():
    shown, made = features(noise=2)
    cosines = scores.cosines(shown, made)
    by_hand = made @ shown.T / np.outer(*(np.linalg.norm(x, axis=1) for x in (made, shown)))
    np.testing.assert_allclose(cosines, by_hand, atol=1e-12)
    for k in (1, 5):
        nearest = np.argsort(-by_hand, axis=1)[:, :k]
        expected = [float(i in row) for i, row in enumerate(nearest)]
        np.testing.assert_array_equal(scores.identified(cosines, k), expected)


def test_the_frechet_distance_is_that_of_torchmetrics():
    random = np.random.default_rng(0)
    shown = random.random((60, 3, 2, 2)).astype(np.float32)
    made = (random.random((60, 3, 2, 2)) ** 2).astype(np.float32)

    class Means(torch.nn.Module):
        num_features = 3

        def forward(self, images):
            return images.mean((2, 3))

    oracle = FrechetInceptionDistance(
        feature=Means(), normalize=True, input_img_size=(3, 2, 2), antialias=False
    ).set_dtype(torch.float64)
    oracle.update(torch.from_numpy(shown), real=True)
    oracle.update(torch.from_numpy(made), real=False)
    found = scores.frechet_distance(shown.mean((2, 3)), made.mean((2, 3)))
    assert found == pytest.approx(float(oracle.compute()), rel=1e-3)
    assert found > 0.01


def test_the_frechet_distance_of_two_gaussians_in_one_dimension():
    # |m1 - m2|^2 + (s1 - s2)^2
    shown, made = np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])
    assert scores.frechet_distance(shown, made) == pytest.approx(9 + 2 * (2 - 1) ** 2)
    assert scores.frechet_distance(shown, shown) == pytest.approx(0, abs=1e-12)


def test_a_frechet_distance_wants_ten_images_for_each_feature():
    assert scores.enough_for_frechet(640, 64)
    assert not scores.enough_for_frechet(639, 64)


@pytest.mark.parametrize(("images", "count", "expected"), [(20, 5, 5), (4, 5, 3), (2, 5, 1)])
def test_in_a_mispairing_no_image_stands_for_itself_and_all_stand_once(images, count, expected):
    found = scores.mispairings(images, count, seed=0)
    assert len(found) == expected
    for pairing in found:
        assert sorted(pairing) == list(range(images))
        assert not (pairing == np.arange(images)).any()
    stacked = np.array(found)
    assert all(len(set(column)) == expected for column in stacked.T)
    again = scores.mispairings(images, count, seed=0)
    np.testing.assert_array_equal(stacked, again)


def test_large_images_are_compared_at_the_size_asked_for(pairs):
    shown, _ = pairs
    assert scores.resized(shown, 24) is not None
    np.testing.assert_array_equal(scores.resized(shown, 24), shown)
    small = scores.resized(shown, 12)
    assert small.shape == (6, 12, 12, 3) and small.dtype == np.uint8
    means = shown.reshape(6, 12, 2, 12, 2, 3).mean((2, 4))
    assert np.corrcoef(means.ravel(), small.ravel())[0, 1] > 0.9
