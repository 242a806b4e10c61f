"""How far a unit trusts its forecast: against a plain slow rule, and never from the future."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from forecaster_toys import forecaster, geometry_of, recording_of, session
from scipy.optimize import minimize

from spikeline.horizon.forecaster.mixing import (
    BANDS,
    DRAW,
    ROUNDS_ALONE,
    alone,
    fit_together,
    learn_mixtures,
)
from spikeline.horizon.forecaster.prediction import co_smoothing, forecast
from spikeline.horizon.forecaster.trust import fit_shares, with_mixtures

EDGES = np.arange(6)  # a bin in each band
STARTS = np.arange(0, 900, 2)
RNG = np.random.default_rng(0)
RATES = torch.from_numpy(RNG.gamma(2, 0.2, (450, BANDS, 3)).astype(np.float32))
MEANS = torch.from_numpy(RNG.gamma(2, 0.2, (450, 3, 2)).astype(np.float32))
SHARES = torch.tensor([[0.6, 0.3, 0.1]]).repeat(BANDS, 1)


def learned(rates, means, counts, shares=SHARES):
    return learn_mixtures(rates, means, counts, STARTS, shares, EDGES, 100, 1000)


def test_a_renewal_goes_on_by_expectation_maximisation_over_all_that_was_seen():
    counts = torch.poisson(RATES, torch.Generator().manual_seed(0))
    found = learned(RATES, MEANS, counts)
    weights = np.tile(SHARES[2].numpy().astype(float), (3, 1))
    for renewal, end in enumerate(found.ends[1:5], start=1):
        past = end >= STARTS + 5
        for unit in range(3):
            y = np.column_stack([RATES[past, 2, unit], MEANS[past, unit]]).astype(float)
            n = counts[past, 2, unit].numpy()
            for _ in range(ROUNDS_ALONE):
                claimed = (n / (y @ weights[unit])) @ y * weights[unit]
                weights[unit] = claimed + DRAW * SHARES[2].numpy()
                weights[unit] /= y.sum(0) + DRAW
        np.testing.assert_allclose(found.weights[renewal, 2], weights, rtol=1e-4)


def test_a_unit_comes_to_trust_what_forecasts_it():
    generator = torch.Generator().manual_seed(0)
    right = torch.poisson(RATES[..., :1], generator)
    mean = torch.poisson(MEANS[:, None, 1:2, 0].expand(-1, BANDS, -1), generator)
    counts = torch.cat([right, mean, mean], 2)
    found = learned(RATES, MEANS, counts)
    assert found.weights[-1, :, 0, 0].mean() > 0.7 > SHARES[0, 0]
    assert found.weights[-1, :, 1, 1].mean() > 0.5 > SHARES[0, 1]


def test_what_is_known_at_a_bin_does_not_depend_on_what_comes_after():
    counts = torch.poisson(RATES, torch.Generator().manual_seed(0))
    changed = counts.clone()
    changed[200:] += 3  # windows from bin 400 on
    one, other = learned(RATES, MEANS, counts), learned(RATES, MEANS, changed)
    before = one.ends <= 400 + 5
    assert torch.equal(one.weights[before], other.weights[before])
    assert not torch.allclose(one.weights[-1], other.weights[-1], rtol=0.01)


def test_before_the_reference_window_ends_units_trust_as_all_do():
    found = learned(RATES, MEANS, torch.zeros_like(RATES))
    log_rates, means = RATES[:1].log(), MEANS[:1]
    mixed = found.mixed(log_rates, means, np.array([99]), 5).exp()
    expected = 0.6 * RATES[:1] + (MEANS[:1] @ torch.tensor([0.3, 0.1]))[:, None]
    torch.testing.assert_close(mixed, expected)
    later = found.mixed(log_rates, means, np.array([100]), 5).exp()
    assert (later < mixed).all()  # it never fired


def test_everybodys_weights_are_the_most_likely_ones():
    rates, means = RATES[..., 0], MEANS[:, 0]
    truth = 0.5 * rates + 0.4 * means[:, :1] + 0.3 * means[:, 1:]
    counts = torch.poisson(truth * 20, torch.Generator().manual_seed(1)) / 20
    found = fit_together(rates, means, counts)
    for band in range(BANDS):
        y = np.column_stack([rates[:, band], means]).astype(float)
        n = counts[:, band].numpy().astype(float)
        best = minimize(
            lambda w, y=y, n=n: (y @ w).sum() - n @ np.log(y @ w), [0.3] * 3,
            bounds=[(1e-6, None)] * 3,
        )  # fmt: skip
        np.testing.assert_allclose(found[band], best.x, atol=0.03)


@pytest.fixture(scope="module")
def trusting():
    """A recording half of whose units an untrained forecaster does not fit, and what it trusts."""
    model, geometry = forecaster(), geometry_of()
    recording = recording_of(session("a", bins=3000))
    fit_shares(model, [recording], geometry, 20000)
    return model, geometry, recording


def forecasts(model, recording, geometry, starts, **more):
    found = np.empty((len(starts), 10, recording.units), np.float32)
    for batch, rates in forecast(
        model, recording, geometry, starts, np.full(len(starts), 10), **more
    ):
        found[batch] = rates
    return found


def test_mixtures_change_forecasts_and_raise_their_likelihood(trusting):
    model, geometry, recording = trusting
    mixing = with_mixtures(recording, model, geometry)
    starts = np.arange(1500, 2900, 7)
    seen = recording.counts.numpy()[starts[:, None] + np.arange(10)]

    def loss(one):
        rates = forecasts(model, one, geometry, starts)
        return (rates - seen * np.log(rates)).mean()

    assert loss(mixing) < loss(recording) - 1e-3


def test_a_forecaster_that_all_trust_alone_is_left_as_it_is():
    model, geometry, recording = forecaster(), geometry_of(), recording_of(session("a"))
    assert torch.equal(model.shares, alone(3))
    assert with_mixtures(recording, model, geometry) is recording


def test_forecasts_of_a_session_do_not_change_with_its_future(trusting):
    model, geometry, recording = trusting
    counts = recording.counts.clone()
    counts[2000:] = 9
    changed = recording_of(replace(session("a", bins=3000), counts=counts.numpy()))
    starts = np.array([400, 1200, 2000])
    one, other = (
        forecasts(model, with_mixtures(each, model, geometry), geometry, starts)
        for each in (recording, changed)
    )
    np.testing.assert_array_equal(one, other)


def test_hidden_units_are_not_mixed_with_means_that_they_do_not_show(trusting):
    model, geometry, recording = trusting
    one, other = (
        co_smoothing(model, each, geometry, np.full(12, 0.3), [200], 0.02, groups=2)["200"]
        for each in (recording, with_mixtures(recording, model, geometry))
    )
    np.testing.assert_array_equal(one.blocks["nll"], other.blocks["nll"])
