"""Directions of a population's activity against their closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from spikeline.horizon.regression.subspaces import principal_components, reduced_rank


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    activity = rng.normal(size=(400, 8)) @ rng.normal(size=(8, 8))
    activity -= activity.mean(axis=0)
    targets = activity @ rng.normal(size=(8, 5)) + rng.normal(size=(400, 5))
    return activity, targets - targets.mean(axis=0)


def moments(activity: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return activity.T @ activity / len(activity), activity.T @ targets / len(activity)


def test_without_a_ridge_the_directions_give_the_closed_form_of_reduced_rank_regression(data):
    activity, targets = data
    coefficients = np.linalg.lstsq(activity, targets, rcond=None)[0]
    _, _, right = np.linalg.svd(activity @ coefficients, full_matrices=False)
    due = activity @ coefficients @ right[:2].T @ right[:2]
    shared = activity @ reduced_rank(*moments(activity, targets), 0.0, 2)
    found = shared @ np.linalg.lstsq(shared, targets, rcond=None)[0]
    np.testing.assert_allclose(found, due, atol=1e-3)


def test_a_ridge_gives_the_leading_part_of_the_ridge_predictions(data):
    activity, targets = data
    gram, cross = moments(activity, targets)
    ridge = 3.0 * np.trace(gram) / len(gram)
    coefficients = np.linalg.solve(gram + ridge * np.eye(len(gram)), cross)
    left, _, _ = np.linalg.svd(activity @ coefficients, full_matrices=False)
    shared = activity @ reduced_rank(gram, cross, 3.0, 2)
    np.testing.assert_allclose(
        shared @ shared.T / len(shared), left[:, :2] @ left[:, :2].T, atol=1e-4
    )


def test_principal_components_are_the_leading_ones_scaled_to_mean_square_one(data):
    activity, _ = data
    shared = activity @ principal_components(moments(activity, activity)[0], 3)
    left, _, _ = np.linalg.svd(activity, full_matrices=False)
    np.testing.assert_allclose(
        np.abs(np.sum(shared * left[:, :3], axis=0)), np.sqrt(400), rtol=1e-4
    )
    np.testing.assert_allclose(np.mean(shared**2, axis=0), 1, rtol=1e-4)


def test_more_directions_than_columns_and_silent_columns_stay_finite(data):
    activity, targets = data
    silent = np.concatenate([activity[:, :3], np.zeros((len(activity), 2))], axis=1)
    gram, cross = moments(silent, targets)
    for found in (principal_components(gram, 40), reduced_rank(gram, cross, 0.0, 40)):
        assert found.shape == (5, 5)
        assert np.isfinite(found).all()
        assert (np.abs(found).max(axis=0) > 0).sum() == 3


def test_a_population_that_never_fires_has_no_directions():
    assert not principal_components(np.zeros((4, 4)), 2).any()
    assert not reduced_rank(np.zeros((4, 4)), np.zeros((4, 3)), 1.0, 2).any()
