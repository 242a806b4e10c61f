"""The Poisson regression: its optimum, what it may know, and what it finds."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import PoissonRegressor

from spikeline.horizon.baselines import glm
from spikeline.horizon.baselines.glm import fit_glm
from spikeline.horizon.baselines.lead_bands import LeadBands, spikes_before
from spikeline.horizon.baselines.running import fit_running_mean
from spikeline.horizon.scores.bits_per_spike import pooled_bits, training_mean
from spikeline.horizon.scores.tiled import score_horizons
from spikeline.horizon.scores.windows import split_mask

BIN_S = 0.02


def coupled(bins: int = 12_000, units: int = 8, seed: int = 0):
    """Units of 5 to 20 Hz that follow one slow latent; counts and their true rates."""
    rng = np.random.default_rng(seed)
    latent = np.zeros(bins)
    for k in range(1, bins):
        latent[k] = 0.98 * latent[k - 1] + 0.2 * rng.normal()
    rates = np.geomspace(5, 20, units) * BIN_S * np.exp(0.5 * np.outer(latent, np.ones(units)))
    return rng.poisson(rates).astype(np.uint8), rates


def halves(bins: int) -> np.ndarray:
    return np.repeat([1, 2, 3], [bins // 2, bins // 8, bins - bins // 2 - bins // 8]).astype(
        np.uint8
    )


def masks(domains):
    return split_mask(domains, "train"), split_mask(domains, "valid")


def bits(fitted, counts, domains, ms):
    forecast = partial(fitted.forecasts, counts)
    null = training_mean(counts, domains)
    return pooled_bits(score_horizons(forecast, counts, domains, null, [ms], BIN_S)[str(ms)])


@pytest.mark.parametrize(("band", "gain"), [(0, False), (4, False), (4, True)])
def test_a_bands_weights_are_those_of_scikit_learn_on_the_same_windows(band, gain):
    counts, _ = coupled(6000, units=4)
    train, valid = masks(halves(6000))
    bands, fit = LeadBands([25]), train | valid
    means = fit_running_mean(counts, train, valid, bands, BIN_S) if gain else None
    fitted = fit_glm(counts, train, valid, bands, BIN_S, means)
    starts, stride = bands.starts(fit, band, glm.MOST_WINDOWS)
    choice, known = fitted.choices[band], fitted.features.before(counts, starts)
    seen = bands.means(spikes_before(counts), starts, band)
    own = known.own(choice.time_constants_s, band)
    assert len(own) == len(choice.time_constants_s) + gain
    for unit in range(4):
        design = np.concatenate([own[:, :, unit].T, known.shared], axis=1).astype(np.float64)
        # the mean of the running mean's weight is 1: a fixed part of the rate, as an exposure
        exposure = np.exp(own[-1, :, unit].astype(np.float64)) if gain else np.ones(len(starts))
        peer = PoissonRegressor(alpha=choice.penalty / stride / exposure.sum(), tol=1e-9,
                                max_iter=5000)  # fmt: skip
        peer.fit(design, seen[:, unit] / exposure, sample_weight=exposure)
        weights = fitted.weights[band][unit].copy()
        weights[len(own)] -= gain
        np.testing.assert_allclose(weights[1:], peer.coef_, atol=5e-3)
        constant = weights[0] + np.log(fitted.features.mean[unit])
        assert constant == pytest.approx(peer.intercept_, abs=5e-3)


def test_nothing_at_or_after_a_windows_start_changes_its_forecast():
    counts, _ = coupled(3000)
    domains = halves(3000)
    bands = LeadBands([10])
    means = fit_running_mean(counts, *masks(domains), bands, BIN_S)
    changed = counts.copy()
    changed[2500:] = 9
    for fitted in (
        fit_glm(counts, *masks(domains), bands, BIN_S),
        fit_glm(counts, *masks(domains), bands, BIN_S, means),
    ):
        starts = np.array([2400, 2500, 2501])
        before, after = fitted.rates(counts, starts), fitted.rates(changed, starts)
        np.testing.assert_array_equal(before[:, :2], after[:, :2])
        assert (before[:, 2] != after[:, 2]).any()


def test_what_comes_after_the_fit_changes_no_weight():
    counts, _ = coupled(3000)
    domains = halves(3000)
    changed = np.where((domains == 3)[:, None], 9, counts).astype(np.uint8)
    found, same = (fit_glm(c, *masks(domains), LeadBands([10]), BIN_S) for c in (counts, changed))
    assert found.choices == same.choices
    for one, other in zip(found.weights, same.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(found.bounds.highest, same.bounds.highest)


def test_it_finds_most_of_what_can_be_known_and_nothing_in_shifted_history():
    counts, true = coupled()
    domains = halves(len(counts))
    bands = LeadBands([50])
    found = fit_glm(counts, *masks(domains), bands, BIN_S)
    null = training_mean(counts, domains)

    def truth(starts, lengths):
        for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            yield np.array([row]), true[None, start : start + length]

    oracle = pooled_bits(score_horizons(truth, counts, domains, null, [100], BIN_S)["100"])
    near, far = (bits(found, counts, domains, ms) for ms in (100, 1000))
    assert 0.5 * oracle < near < oracle
    assert 0 < far < near
    rolled = np.roll(counts, len(counts) // 2, axis=0)
    control = fit_glm(counts, *masks(domains), bands, BIN_S, history=rolled)
    seen = partial(control.forecasts, rolled)
    control_bits = score_horizons(seen, counts, domains, null, [100], BIN_S)["100"]
    assert pooled_bits(control_bits) < 0.005
    assert control.choices[0].penalty >= found.choices[0].penalty


def test_the_gain_on_a_running_mean_follows_rates_that_drift():
    """Beside a common latent each unit's rate wanders over minutes, away from its fitted mean."""
    counts, rates = coupled(15_000)
    rng = np.random.default_rng(5)
    drift = np.cumsum(rng.normal(0, 0.015, rates.shape), axis=0)
    counts = rng.poisson(rates * np.exp(drift)).clip(0, 255).astype(np.uint8)
    domains, bands = halves(15_000), LeadBands([10])
    means = fit_running_mean(counts, *masks(domains), bands, BIN_S)
    gain = fit_glm(counts, *masks(domains), bands, BIN_S, means)
    plain = fit_glm(counts, *masks(domains), bands, BIN_S)
    mean, both, alone = (bits(one, counts, domains, 200) for one in (means[1], gain, plain))
    assert both > mean > 0
    assert both > alone - 0.002


def test_rates_far_outside_what_was_fitted_stay_within_the_bounds():
    """A unit that was nearly silent in the fit and bursts after it, as one that drifts in."""
    counts, _ = coupled(6000, units=3)
    counts[:4500, 0] = 0
    counts[[100, 1700], 0] = 1
    counts[4500:, 0] = 20
    fitted = fit_glm(counts, *masks(halves(6000)), LeadBands([50]), BIN_S)
    rates = fitted.rates(counts, np.arange(4500, 5900, 20))
    assert np.isfinite(rates).all() and (rates > 0).all()
    # at most one spike was seen in 100 ms, so twice two are believed
    assert rates[:, :, 0].max() <= 2 * 2 / 5 + 1e-6


def test_one_unit_and_a_silent_unit_are_fitted_too():
    counts, _ = coupled(3000, units=2)
    domains = halves(3000)
    counts[:, 1] = 0
    for some in (counts, counts[:, :1]):
        rates = fit_glm(some, *masks(domains), LeadBands([5]), BIN_S).rates(some, np.array([2000]))
        assert np.isfinite(rates).all() and (rates > 0).all()
