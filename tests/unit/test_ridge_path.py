"""The spectral path of ridge regression: moments, and rows left out by group."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from spikeline import ridge
from spikeline.ridge import Moments, RidgePath


def problem(rows=40, features=6, targets=3):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, features)) + 1
    return x, x @ rng.standard_normal((features, targets)) + rng.standard_normal((rows, targets))


def test_moments_of_parts_add_up_to_those_of_the_whole_and_subtract_again():
    x, y = problem()
    whole, first, second = (Moments.of(x[rows], y[rows]) for rows in np.s_[:, :15, 15:])
    summed = first + second
    piecewise = Moments.zeros(6, 3)
    for row in range(40):
        piecewise.include(x[row : row + 1], y[row : row + 1])
    for moments in (summed, piecewise, whole - second + second):
        for name, value in vars(whole).items():
            np.testing.assert_allclose(getattr(moments, name), value, atol=1e-12)


def test_moments_about_a_mean_are_those_of_the_shifted_and_scaled_rows():
    x, y = problem()
    factors = np.linspace(0, 2, 6)
    xx, xy, yy = Moments.of(x, y).scaled(factors).about(np.full(6, 0.5), np.full(3, 2.0))
    x, y = x * factors - 0.5, y - 2
    np.testing.assert_allclose(xx, x.T @ x, atol=1e-10)
    np.testing.assert_allclose(xy, x.T @ y, atol=1e-10)
    np.testing.assert_allclose(yy, np.square(y).sum(0))


@pytest.mark.parametrize("features", [6, 60], ids=["primal", "dual"])
@pytest.mark.parametrize("intercept", [False, True])
def test_coefficients_and_left_out_rows_are_those_of_scikit_learn(features, intercept):
    x, y = problem(features=features)
    path = RidgePath.of_rows(x, y, intercept)
    oracle = Ridge(alpha=0.7, fit_intercept=intercept)
    np.testing.assert_allclose(path.coefficients(0.7), oracle.fit(x, y).coef_.T, atol=1e-8)
    groups = np.arange(40) % 7
    (missed,) = path.left_out(path.rotated(x), y, [0.7], groups)
    for group in range(7):
        held = groups == group
        refit = oracle.fit(x[~held], y[~held])
        np.testing.assert_allclose(missed[held], y[held] - refit.predict(x[held]), atol=1e-8)


def test_an_infinite_penalty_leaves_the_intercept_alone():
    x, y = problem()
    path = RidgePath.of_rows(x, y)
    assert not path.coefficients(np.inf).any()
    (missed,) = path.left_out(path.rotated(x), y, [np.inf])
    np.testing.assert_allclose(missed, y - (y.sum(0) - y) / 39)


def test_features_that_repeat_each_other_or_do_not_vary_have_a_finite_solution():
    x, y = problem()
    repeated = np.concatenate([x, x[:, :2], np.ones((40, 1))], axis=1)
    path = RidgePath.of_rows(repeated, y)
    assert len(path.eigenvalues) == 6
    oracle = Ridge(alpha=0.1).fit(repeated, y)
    np.testing.assert_allclose(path.coefficients(0.1), oracle.coef_.T, atol=1e-8)


@pytest.mark.parametrize("block", [1, 5, 7])
def test_groups_left_out_block_by_block_are_those_left_out_at_once(block, monkeypatch):
    x, y = problem()
    path, groups = RidgePath.of_rows(x, y), np.arange(40) % 11
    at_once = list(path.left_out(path.rotated(x), y, [0.3, 3.0], groups))
    monkeypatch.setattr(ridge, "_GROUP_ROWS", block)
    monkeypatch.setattr(ridge, "_BLOCK_ROWS", block)
    in_blocks = list(path.left_out(path.rotated(x), y, [0.3, 3.0], groups))
    np.testing.assert_allclose(in_blocks, at_once, atol=1e-12)
