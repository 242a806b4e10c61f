"""Covariances of few factors against dense ones, and a decoder that is fitted with one."""

import numpy as np
import pytest

from spikeline.bridge.bayesian.noise import FactorCovariance, FullCovariance, covariance_of
from spikeline.bridge.kernel_ridge import shrunk_to_diagonal


def noisy(rows=400, outputs=30, factors=3, seed=0):
    """Rows whose covariance has so many factors, in outputs of very different units."""
    rng = np.random.default_rng(seed)
    loadings = 2 * rng.standard_normal((factors, outputs))
    values = rng.standard_normal((rows, factors)) @ loadings + rng.standard_normal((rows, outputs))
    return values * np.logspace(-1, 2, outputs)


def test_one_factor_of_two_outputs_whitens_as_worked_by_hand():
    # D = I, M = (1, 1)': the covariance [[2, 1], [1, 2]] has the inverse [[2, -1], [-1, 2]] / 3.
    given = FactorCovariance(np.array([2.0, 2.0]), np.array([[1.0], [1.0]]))
    w = np.eye(2) @ given.whitener(0.0)
    np.testing.assert_allclose(w @ w.T, np.array([[2, -1], [-1, 2]]) / 3, atol=1e-5)


@pytest.mark.parametrize("shrinkage", [0.05, 0.5, 0.8])
def test_the_whitener_of_factors_gives_the_lengths_of_the_dense_covariance(shrinkage):
    rows = noisy()
    few = covariance_of(rows, 3)
    dense = few.loadings @ few.loadings.T
    np.fill_diagonal(dense, few.variances)
    expected = np.einsum(
        "ni,ij,nj->n", rows, np.linalg.inv(shrunk_to_diagonal(dense, shrinkage)), rows
    )
    for scaled, square in ((few.whitener(shrinkage), 1), (few.whitener(shrinkage) * 3.0, 9)):
        np.testing.assert_allclose(np.square(rows @ scaled).sum(1), square * expected, rtol=1e-3)
        single = scaled.astype(np.float32)
        np.testing.assert_allclose(np.square(rows @ single).sum(1), square * expected, rtol=1e-3)


def test_as_many_factors_as_outputs_are_the_full_covariance():
    rows = noisy(outputs=12)
    full, few = covariance_of(rows, 0), covariance_of(rows, 12)
    assert isinstance(full, FullCovariance)
    np.testing.assert_allclose(few.loadings @ few.loadings.T, full.covariance, rtol=1e-6)


def test_three_planted_factors_are_found():
    rows = noisy(rows=20_000)
    few, full = covariance_of(rows, 3), covariance_of(rows, 0).covariance
    deviations = np.sqrt(np.diag(full))
    beside = (few.loadings @ few.loadings.T - full) / np.outer(deviations, deviations)
    np.fill_diagonal(beside, 0)
    # what is left is the sampling error of a correlation, and the share of noise in the factors
    assert np.abs(beside).max() < 0.1
    np.testing.assert_allclose(few.variances, np.diag(full))


def test_an_output_that_never_varies_stays_finite():
    rows = noisy(outputs=6)
    rows[:, 2] = 0
    assert np.isfinite(rows @ covariance_of(rows, 2).whitener(0.1)).all()
