"""Kernel ridge: against refits, scikit-learn, and its promise of size."""

import tracemalloc

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from spikeline.bridge.kernel_ridge import (
    Smoother,
    fit_smoother,
    rbf,
    shrunk_to_diagonal,
    squared_distances,
    whitener,
)
from spikeline.errors import InputError


def problem(rows=40, features=6, outputs=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, features)) / np.sqrt(features)
    y = np.sin(x @ rng.standard_normal((features, outputs))) + 0.3 * rng.standard_normal(
        (rows, outputs)
    )
    return x, y


def refitted_without(kernel, x, y, penalty, rows):
    """What scikit-learn predicts for `rows` when it has not seen them."""
    kept = np.setdiff1d(np.arange(len(x)), rows)
    options = {"gamma": 0.5} if kernel == "rbf" else {}
    model = KernelRidge(alpha=penalty, kernel=kernel, **options).fit(x[kept], y[kept])
    return model.predict(x[rows])


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("features", [6, 60])
def test_leave_one_out_predictions_are_those_of_refits_without_the_row(kernel, features):
    x, y = problem(features=features)
    _, left_out = fit_smoother(kernel, x, y, [0.3])
    refits = [refitted_without(kernel, x, y, 0.3, [row])[0] for row in range(len(x))]
    np.testing.assert_allclose(left_out, refits, atol=1e-6)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_rows_of_one_group_are_left_out_together(kernel):
    x, y = problem()
    groups = np.random.default_rng(1).permutation(
        np.repeat(np.arange(19), [1] * 8 + [2] * 5 + [3] * 4 + [5] * 2)
    )
    x = x[:40]
    x[groups == 3] = x[np.flatnonzero(groups == 3)[0]]
    _, left_out = fit_smoother(kernel, x, y, [0.3], groups=groups)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        expected = refitted_without(kernel, x, y, 0.3, rows)
        np.testing.assert_allclose(left_out[rows], expected, atol=1e-6)


def test_a_fixed_penalty_gives_scikit_learns_ridge_and_kernel_ridge():
    x, y = problem()
    new = problem(seed=5)[0]
    linear, _ = fit_smoother("linear", x, y, [0.7])
    expected = Ridge(alpha=0.7, fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(linear.coefficients, expected.coef_.T, atol=1e-8)
    kernel, _ = fit_smoother("rbf", x, y, [0.7])
    expected = KernelRidge(alpha=0.7, kernel="rbf", gamma=0.5).fit(x, y)
    np.testing.assert_allclose(kernel.predict(new), expected.predict(new), atol=1e-6)


def test_each_output_gets_the_penalty_with_its_least_leave_one_out_error():
    x, y = problem(outputs=3)
    y[:, 1] = np.random.default_rng(2).standard_normal(len(y))  # nothing to predict
    y[:, 2] = x[:, 0]  # nothing but signal
    penalties = [0.001, 0.1, 10.0, 1000.0]
    smoother, left_out = fit_smoother("linear", x, y, penalties)
    alone = [fit_smoother("linear", x, y, [penalty]) for penalty in penalties]
    for output in range(3):
        errors = [np.square(y - single[1])[:, output].sum() for single in alone]
        best = alone[int(np.argmin(errors))]
        np.testing.assert_allclose(left_out[:, output], best[1][:, output])
        np.testing.assert_allclose(
            smoother.coefficients[:, output], best[0].coefficients[:, output]
        )


def test_fewer_landmarks_than_rows_is_ridge_on_nystrom_features():
    x, y = problem(rows=60)
    smoother, left_out = fit_smoother("rbf", x, y, [0.2], landmarks=15)
    assert smoother.landmarks.shape == (15, 6)
    values, vectors = np.linalg.eigh(rbf(smoother.landmarks, smoother.landmarks))
    root = vectors / np.sqrt(values)
    features = rbf(x, smoother.landmarks) @ root
    expected = Ridge(alpha=0.2, fit_intercept=False).fit(features, y)
    np.testing.assert_allclose(smoother.predict(x), expected.predict(features), atol=1e-5)
    kept = np.arange(1, 60)
    without = Ridge(alpha=0.2, fit_intercept=False).fit(features[kept], y[kept])
    np.testing.assert_allclose(left_out[0], without.predict(features[:1])[0], atol=1e-5)


def test_nystrom_with_every_row_a_landmark_is_exact():
    x, y = problem()
    exact = KernelRidge(alpha=0.2, kernel="rbf", gamma=0.5).fit(x, y)
    shortcut, _ = fit_smoother("rbf", x, y, [0.2], landmarks=len(x))
    np.testing.assert_allclose(shortcut.predict(x), exact.predict(x), atol=1e-6)
    # all but one: the long way round, and hardly another function
    long_way, _ = fit_smoother("rbf", x, y, [0.2], landmarks=len(x) - 1)
    assert np.abs(long_way.predict(x) - exact.predict(x)).max() < 0.2


def test_nothing_of_rows_by_rows_is_formed():
    x, y = problem(rows=6000, outputs=2)
    tracemalloc.start()
    fit_smoother("rbf", x, y, [0.1, 1.0], landmarks=50)
    fit_smoother("linear", x, y, [0.1, 1.0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6000 * 6000 * 8 / 10


def test_the_whitener_gives_mahalanobis_lengths():
    rng = np.random.default_rng(4)
    covariance = np.cov(rng.standard_normal((5, 50)))
    x = rng.standard_normal((7, 5))
    expected = np.einsum("ni,ij,nj->n", x, np.linalg.inv(covariance), x)
    np.testing.assert_allclose(np.square(x @ whitener(covariance)).sum(1), expected, rtol=1e-4)


def test_shrinkage_keeps_the_diagonal():
    covariance = np.array([[2.0, 1.0], [1.0, 3.0]])
    assert shrunk_to_diagonal(covariance, 0.25).tolist() == [[2.0, 0.75], [0.75, 3.0]]


def test_squared_distances_are_those_of_rows():
    a, b = problem()[0], problem(seed=1)[0][:7]
    expected = ((a[:, None] - b) ** 2).sum(2)
    np.testing.assert_allclose(squared_distances(a, b), expected, atol=1e-12)


def test_prediction_takes_lower_precision_and_no_rows():
    x, y = problem()
    smoother, _ = fit_smoother("rbf", x, y, [1.0])
    small = Smoother(smoother.coefficients, smoother.landmarks.astype(np.float32))
    np.testing.assert_allclose(small.predict(x), smoother.predict(x), atol=1e-5)
    assert smoother.predict(x[:0]).shape == (0, 4)


@pytest.mark.parametrize(("kernel", "penalties"), [("poly", [1.0]), ("rbf", []), ("rbf", [0.0])])
def test_a_kernel_or_penalty_that_does_not_exist_is_refused(kernel, penalties):
    with pytest.raises(InputError):
        fit_smoother(kernel, *problem(), penalties)
