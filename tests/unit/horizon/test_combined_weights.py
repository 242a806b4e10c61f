"""Weights that combine forecasters: optimal, sparse where they should be, cautious on little."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from spikeline.horizon.combined.weights import (
    FEWEST_WINDOWS,
    PENALTIES,
    RULES,
    SINGLE,
    Known,
    Rule,
    combined,
    fit_weights,
    fitted,
    log_likelihoods,
    log_rate_weights,
    mixture_weights,
)

MEAN = 0.3
LENGTH = 5


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def known_of(rng, ratios, truth, windows, units):
    """Windows of one band, 5 bins long and side by side, whose log ratio is `truth`."""
    expected = np.full((1, units), MEAN * LENGTH)
    spikes = rng.poisson(expected * np.exp(truth))
    return Known(
        starts=np.arange(windows) * LENGTH,
        length=LENGTH,
        log_ratios=np.stack(ratios)[:, None].astype(np.float32),
        spikes=spikes[None].astype(np.float32),
        expected=expected,
        shares=np.ones(1),
    )


def cases(rng, count=400):
    truth = rng.normal(0, 0.6, count)
    ratios = np.stack([truth + rng.normal(0, s, count) for s in (0.3, 0.5, 1.5)])
    expected = rng.uniform(0.5, 2, count)
    return ratios, rng.poisson(expected * np.exp(truth)).astype(float), expected


@pytest.mark.parametrize("penalty", [0.0, 10.0, 1000.0])
def test_weights_of_log_rates_are_those_of_an_independent_optimiser(rng, penalty):
    ratios, spikes, expected = cases(rng)
    ratios[2] *= -1  # pushes its weight against the bound
    centre = np.array([1.0, 0.0, 0.0])

    def loss(w):
        nats = (expected * np.exp(w @ ratios) - spikes * (w @ ratios)).sum()
        return nats + penalty / 2 * ((w - centre) ** 2).sum()

    other = minimize(loss, np.full(3, 0.3), bounds=[(0, None)] * 3, method="L-BFGS-B",
                     options={"ftol": 1e-14, "gtol": 1e-8})  # fmt: skip
    found = log_rate_weights(ratios, spikes, expected, centre, penalty)
    assert found == pytest.approx(other.x, abs=1e-3)
    assert loss(found) <= other.fun + 1e-6


def test_weights_of_rates_are_those_of_an_independent_optimiser(rng):
    ratios, spikes, expected = cases(rng)
    rates = expected * np.exp(ratios)

    def loss(w):
        return (w @ rates - spikes * np.log(w @ rates)).sum()

    other = minimize(loss, np.full(3, 1 / 3), bounds=[(1e-6, 1)] * 3, method="SLSQP",
                     constraints={"type": "eq", "fun": lambda w: w.sum() - 1})  # fmt: skip
    found = mixture_weights(ratios, spikes, expected)
    assert found.sum() == pytest.approx(1)
    assert loss(found) == pytest.approx(other.fun, abs=0.05)


def test_two_noisy_candidates_together_forecast_better_than_each(rng):
    truth = rng.normal(0, 0.7, (400, 8))
    ratios = [truth + rng.normal(0, 0.5, truth.shape) for _ in range(2)]
    known = known_of(rng, ratios, truth, *truth.shape)
    found = fit_weights(known)
    assert found.rule.kind == "log_rates" and (found.values > 0.2).all()
    later = known_of(rng, ratios, truth, *truth.shape)
    alone = [log_likelihoods(later, SINGLE, row[None]).sum() for row in np.eye(2)]
    assert log_likelihoods(later, found.rule, found.values).sum() > max(alone)


def test_a_useless_candidate_gets_no_weight_and_the_truth_gets_all(rng):
    truth = rng.normal(0, 0.7, (400, 8))
    known = known_of(rng, [rng.normal(0, 0.7, truth.shape), truth], truth, *truth.shape)
    useless, perfect = fitted(known, Rule("log_rates", "equal", min(PENALTIES)))[0]
    assert useless < 0.05 and perfect == pytest.approx(1, abs=0.07)
    useless, perfect = fitted(known, SINGLE)[0]
    assert (useless, perfect) == (0, 1)


def test_a_candidate_that_believes_in_itself_too_much_is_held_back(rng):
    truth = rng.normal(0, 0.5, (400, 8))
    known = known_of(rng, [2 * truth], truth, *truth.shape)
    found = fit_weights(known)
    assert found.rule.kind == "log_rates" and found.values[0, 0] == pytest.approx(0.5, abs=0.1)


def test_short_validation_falls_back_to_the_best_candidate_alone(rng):
    truth = rng.normal(0, 0.7, (FEWEST_WINDOWS - 1, 8))
    ratios = [truth + rng.normal(0, 0.5, truth.shape) for _ in range(2)] + [np.zeros_like(truth)]
    known = known_of(rng, ratios, truth, *truth.shape)
    found = fit_weights(known)
    assert found.rule is SINGLE and not found.gains
    assert sorted(found.values[0]) == [0, 0, 1] and found.values[0, 2] == 0


def test_windows_that_reach_into_the_fold_left_out_are_not_fitted_on(rng, monkeypatch):
    from spikeline.horizon.combined import weights

    truth = rng.normal(0, 0.7, (800, 2))
    known = known_of(rng, [truth], truth, *truth.shape)
    known = Known(np.arange(800), *[getattr(known, n) for n in (
        "length", "log_ratios", "spikes", "expected", "shares")])  # fmt: skip
    folds = weights._folds(known)
    assert len(folds) == weights.FOLDS
    for learnt, left_out in folds:
        apart = np.abs(known.starts[learnt][:, None] - known.starts[left_out]).min()
        assert apart == LENGTH


def test_the_rule_that_is_taken_is_never_worse_over_the_folds_than_the_best_candidate(rng):
    for _ in range(5):
        truth = rng.normal(0, 0.1, (60, 2))
        ratios = [truth + rng.normal(0, 0.4, truth.shape) for _ in range(3)]
        found = fit_weights(known_of(rng, ratios, truth, *truth.shape))
        assert found.gains[str(found.rule)] >= 0


def test_a_combination_applies_its_rule_to_rates_or_to_their_logs():
    ratios = np.log([[2.0], [8.0]])
    half = np.array([0.5, 0.5])
    assert np.exp(combined(ratios, Rule("log_rates"), half)) == pytest.approx([4.0])
    assert np.exp(combined(ratios, Rule("rates"), half)) == pytest.approx([5.0])
    assert len({str(rule) for rule in RULES}) == len(RULES)
