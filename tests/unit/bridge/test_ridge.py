"""Ridge regression and the choice of its penalty against scikit-learn."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, LeaveOneOut, cross_val_predict

from spikeline.bridge import ridge
from spikeline.bridge.ridge import fit_ridge
from spikeline.errors import InputError

PENALTIES = (0.1, 3.0, 100.0)


def problem(rows, features=12, targets=4, dtype=np.float64):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, features)) @ rng.standard_normal((features, features)) + 2
    y = x @ rng.standard_normal((features, targets)) + 8 * rng.standard_normal((rows, targets)) - 5
    y[:, 0] = rng.standard_normal(rows)  # one target that nothing predicts
    y[:, 1] = x @ rng.standard_normal(features) + 0.01 * y[:, 0]  # and one without noise
    return x.astype(dtype), y.astype(dtype)


@pytest.mark.parametrize("rows", [60, 9], ids=["primal", "dual"])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_coefficients_equal_scikit_learn(rows, penalty):
    x, y = problem(rows)
    ours, oracle = fit_ridge(x, y, [penalty]), Ridge(alpha=penalty).fit(x, y)
    np.testing.assert_allclose(ours.coefficients, oracle.coef_.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.predict(x), oracle.predict(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [60, 9], ids=["primal", "dual"])
def test_leave_one_out_equals_refitting_without_each_row(rows):
    x, y = problem(rows)
    ours = fit_ridge(x, y, PENALTIES, selection="loo")
    for penalty, r2 in zip(PENALTIES, ours.r2, strict=True):
        left_out = cross_val_predict(Ridge(alpha=penalty), x, y, cv=LeaveOneOut())
        mean_left_out = (y.sum(0) - y) / (rows - 1)
        expected = 1 - ((y - left_out) ** 2).sum(0) / ((y - mean_left_out) ** 2).sum(0)
        np.testing.assert_allclose(r2, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("features", [12, 100], ids=["primal", "dual"])
def test_leave_one_out_of_groups_equals_refitting_without_each_group(features):
    groups = np.random.default_rng(2).permutation(
        np.repeat(np.arange(14), [1] * 5 + [*range(2, 11)])
    )
    x, y = problem(len(groups), features)
    ours = fit_ridge(x, y, PENALTIES, groups=groups)
    split = list(LeaveOneGroupOut().split(x, groups=groups))
    mean_left_out = np.zeros_like(y)
    for kept, held in split:
        mean_left_out[held] = y[kept].mean(0)
    for penalty, r2 in zip(PENALTIES, ours.r2, strict=True):
        left_out = cross_val_predict(Ridge(alpha=penalty), x, y, cv=split)
        expected = 1 - ((y - left_out) ** 2).sum(0) / ((y - mean_left_out) ** 2).sum(0)
        np.testing.assert_allclose(r2, expected, rtol=1e-6, atol=1e-8)
    oracle = Ridge(alpha=PENALTIES[ours.r2.mean(1).argmax()]).fit(x, y)
    np.testing.assert_allclose(ours.predict(x), oracle.predict(x), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("grouped", [False, True])
def test_many_rows_are_left_out_in_folds_and_few_exactly(grouped, monkeypatch):
    x, y = problem(60)
    groups = np.arange(60) // 3 if grouped else None

    def r2(selection):
        return fit_ridge(x, y, PENALTIES, selection=selection, groups=groups).r2

    np.testing.assert_array_equal(r2("auto"), r2("loo"))
    monkeypatch.setattr(ridge, "EXACT_ROWS", 59)
    np.testing.assert_array_equal(r2("auto"), r2("kfold"))


def r2_of_folds(x, y, penalty, folds):
    """Mean over folds of the R2 of scikit-learn's ridge fitted to the other rows."""
    scores = []
    for held in folds:
        kept = np.setdiff1d(np.arange(len(x)), held)
        error = y[held] - Ridge(alpha=penalty).fit(x[kept], y[kept]).predict(x[held])
        scores.append(1 - (error**2).sum(0) / ((y[held] - y[held].mean(0)) ** 2).sum(0))
    return np.mean(scores, 0)


@pytest.mark.parametrize("rows", [60, 14, 9], ids=["primal", "dual folds", "dual"])
def test_k_fold_scores_equal_refitting_on_the_other_folds(rows):
    x, y = problem(rows)
    ours = fit_ridge(x, y, PENALTIES, selection="kfold", folds=3, seed=5)
    order = np.random.default_rng(5).permutation(rows)
    edges = np.linspace(0, rows, 4).astype(int)
    folds = [order[start:stop] for start, stop in pairwise(edges)]
    for penalty, r2 in zip(PENALTIES, ours.r2, strict=True):
        np.testing.assert_allclose(r2, r2_of_folds(x, y, penalty, folds), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("features", [12, 100], ids=["primal", "dual"])
def test_groups_share_a_fold_as_in_scikit_learn(features):
    sizes = np.arange(2, 14)  # all different, so that the folds have no ties to break
    groups = np.random.default_rng(2).permutation(np.repeat(np.arange(12), sizes))
    x, y = problem(len(groups), features)
    ours = fit_ridge(x, y, PENALTIES, selection="kfold", groups=groups, folds=4)
    folds = [held for _, held in GroupKFold(4).split(x, groups=groups)]
    for penalty, r2 in zip(PENALTIES, ours.r2, strict=True):
        np.testing.assert_allclose(r2, r2_of_folds(x, y, penalty, folds), rtol=1e-6, atol=1e-8)
    chosen = PENALTIES[ours.r2.mean(1).argmax()]
    oracle = Ridge(alpha=chosen).fit(x, y)
    np.testing.assert_allclose(ours.predict(x), oracle.predict(x), rtol=1e-4, atol=1e-3)


def test_repeats_of_an_image_do_not_talk_the_penalty_down():
    rng = np.random.default_rng(0)
    images = np.arange(30).repeat(6)
    x = rng.standard_normal((30, 40))[images] + 0.1 * rng.standard_normal((180, 40))
    y = rng.standard_normal((30, 3))[images]  # nothing to do with x
    penalties = (0.1, 10.0, 1e3, 1e5)
    assert fit_ridge(x, y, penalties, groups=images).penalties[0] == 1e5
    assert fit_ridge(x, y, penalties).penalties[0] < 100


@pytest.mark.parametrize("selection", ["loo", "kfold"])
def test_groups_of_one_row_each_are_no_groups(selection):
    x, y = problem(60)
    plain = fit_ridge(x, y, PENALTIES, selection=selection)
    grouped = fit_ridge(x, y, PENALTIES, selection=selection, groups=np.arange(60))
    np.testing.assert_array_equal(plain.r2, grouped.r2)


def test_a_drift_over_the_file_does_not_make_the_folds():
    rng = np.random.default_rng(0)
    drift = np.linspace(-1, 1, 200)[:, None]
    r2 = fit_ridge(rng.standard_normal((200, 5)), drift, [1.0, 1e6], selection="kfold").r2
    assert r2.min() > -0.3  # contiguous folds would have to extrapolate: -9


def test_shared_penalty_and_penalty_per_target_follow_the_scores():
    x, y = problem(60)
    shared = fit_ridge(x, y, PENALTIES, selection="loo")
    assert set(shared.penalties) == {PENALTIES[shared.r2.mean(1).argmax()]}
    own = fit_ridge(x, y, PENALTIES, selection="loo", per_target=True)
    oracle = RidgeCV(alphas=PENALTIES, alpha_per_target=True).fit(x, y)
    np.testing.assert_array_equal(own.penalties, oracle.alpha_)
    assert len(set(own.penalties)) > 1


def test_float32_sums_over_many_rows_keep_small_eigenvalues():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((30_000, 20)).astype(np.float32)
    x[:, 1] = x[:, 0] + 1e-2 * x[:, 1]  # nearly collinear, on top of a large offset
    x += 5
    y = (100 * (x[:, :1] - x[:, 1:2]) + rng.standard_normal((30_000, 1))).astype(np.float32)
    ours = fit_ridge(x, y, [1e-4])
    oracle = Ridge(alpha=1e-4).fit(x.astype(np.float64), y.astype(np.float64))
    np.testing.assert_allclose(ours.coefficients[:, 0], oracle.coef_.ravel(), rtol=0.01, atol=0.01)


def test_penalties_that_are_not_positive_are_refused():
    with pytest.raises(InputError, match="penalties"):
        fit_ridge(np.ones((3, 2)), np.ones((3, 1)), [0.0])


def test_a_single_group_cannot_choose_a_penalty():
    x, y = problem(20)
    with pytest.raises(InputError, match="one group"):
        fit_ridge(x, y, PENALTIES, groups=np.zeros(20))
    assert fit_ridge(x, y, [1.0], groups=np.zeros(20)).penalties[0] == 1.0
