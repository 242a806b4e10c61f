"""Weights of candidates: hand-worked cases, a grid, noise, and what a mix gains."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from spikeline.bridge.automatic.weights import (
    cross_fitted,
    figures,
    fit_shares,
    fit_weights,
    log_loss,
)

RNG = np.random.default_rng(0)


def galleries(signal, count=12, ways=10, seed=0):
    """(count, ways, ways) of unit noise with the true image `signal` higher."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, ways, ways)) + signal * np.eye(ways)


def test_the_weight_of_one_candidate_makes_its_probabilities_true():
    # Of four responses three prefer the true image of two by 1, one the wrong image by 1: the log
    # loss is least where the probability, 1 / (1 + exp(-w)), is 3/4.
    scores = np.array([[[1.0, 0], [0, 1]], [[1, 0], [1, 0]]])[None]
    assert fit_weights(scores, 0)[0] == pytest.approx(np.log(3), abs=1e-4)
    loss, _ = log_loss(np.array([np.log(3)]), scores)
    assert loss == pytest.approx(-(3 * np.log(3 / 4) + np.log(1 / 4)) / 4)


def test_the_gradient_of_the_log_loss_is_that_of_its_differences():
    scores = np.stack([galleries(1, seed=seed) for seed in range(3)])
    error = check_grad(
        lambda w: log_loss(w, scores)[0], lambda w: log_loss(w, scores)[1], [0.3, 1.2, 0.0]
    )
    assert error < 1e-6


def test_without_a_pull_no_weights_on_a_grid_have_a_lower_loss():
    scores = np.stack([galleries(1.5, seed=1), galleries(0.8, seed=2)])
    found = fit_weights(scores, 0)
    axis = np.linspace(0, 3, 61)
    losses = [[log_loss(np.array([a, b]), scores)[0] for b in axis] for a in axis]
    assert log_loss(found, scores)[0] <= np.min(losses)
    best = np.unravel_index(np.argmin(losses), (61, 61))
    np.testing.assert_allclose(found, axis[list(best)], atol=0.05)


def test_with_a_pull_no_calibrated_weights_on_a_grid_have_a_lower_objective():
    scores = np.stack([galleries(1.5, seed=1), galleries(0.8, seed=2)])
    alone = np.array([fit_weights(one[None], 0)[0] for one in scores])

    def objective(u):
        return log_loss(u * alone, scores)[0] + 0.3 * np.square(u - u.mean()).sum()

    axis = np.linspace(0, 2, 81)
    best = min(objective(np.array([a, b])) for a in axis for b in axis)
    assert objective(fit_weights(scores, 0.3) / alone) <= best


def test_a_strong_pull_gives_calibrated_candidates_the_same_weight():
    scores = np.stack([galleries(1.5, seed=1), galleries(0.8, seed=2)])
    alone = np.array([fit_weights(one[None], 0)[0] for one in scores])
    u = fit_weights(scores, 1e4) / alone
    assert u[0] == pytest.approx(u[1], rel=1e-2)


def test_a_candidate_of_noise_gets_no_share():
    scores = np.stack([galleries(2, 40, seed=1), galleries(0, 40, seed=2)])
    assert fit_shares(scores).tolist() == [1, 0]


def test_candidates_that_tell_nothing_share_equally():
    assert fit_shares(np.zeros((2, 3, 5, 5))).tolist() == [0.5, 0.5]
    against = -np.stack([galleries(2, seed=1), galleries(2, seed=2)])
    assert fit_shares(against).tolist() == [0.5, 0.5]


def test_the_mix_of_two_candidates_with_errors_of_their_own_beats_both():
    scores = np.stack([galleries(2, 60, seed=1), galleries(1.5, 60, seed=2)])
    share = fit_weights(scores[:, :30])
    mixed = figures(np.tensordot(share, scores[:, 30:], 1))
    each = [figures(one[30:]) for one in scores]
    assert mixed["top1"] > max(one["top1"] for one in each) + 0.05
    assert mixed["log_loss"] < min(one["log_loss"] for one in each)


def test_a_gallery_of_the_mix_is_weighed_without_itself():
    scores = np.stack([galleries(2, 5, seed=1), galleries(1, 5, seed=2)])
    mixed = cross_fitted(scores)
    changed = scores.copy()
    changed[:, 3] = RNG.standard_normal((2, 10, 10))
    share = fit_shares(np.delete(scores, 3, 1))
    np.testing.assert_allclose(cross_fitted(changed)[3], np.tensordot(share, changed[:, 3], 1))
    np.testing.assert_allclose(mixed[3], np.tensordot(share, scores[:, 3], 1))
    alone = scores[:, :1]
    np.testing.assert_allclose(cross_fitted(alone)[0], np.tensordot(fit_shares(alone), alone, 1)[0])


def test_figures_count_the_true_image_among_the_first():
    scores = np.zeros((1, 6, 6))
    scores[0] -= np.arange(6)  # every response prefers the first image, then the second ...
    found = figures(scores)
    assert (found["top1"], found["top5"]) == pytest.approx((1 / 6, 5 / 6))
    assert found["log_loss"] == pytest.approx(np.log(6))
