"""Covariates of behaviour: worked by hand, causal, silent where unknown, read where they help."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from artifact_examples import some_counts
from defaults import settings

from spikeline.horizon.regression import checkpoint
from spikeline.horizon.regression.covariates import (
    FIELD_BUMPS,
    TRACES_S,
    TRACK_BUMPS,
    Behaviour,
    Covariates,
)
from spikeline.horizon.regression.fitting import fit_regression
from spikeline.horizon.scores.bits_per_spike import bits_per_spike, training_mean
from spikeline.horizon.scores.windows import forecast_starts, gather

BIN_S = 0.02
SMALL = settings(
    "fit-regression",
    lead_bins_ms=[100, 500],
    own_traces_s=[0.1, 1],
    population_traces_s=[0.1],
    principal_components=2,
    reduced_ranks=[],
    rank_ridges=[],
    slow_traces="never",
)


def on_a_track(bins: int = 8000) -> Behaviour:
    """Back and forth between 0 and 100 in 10 s, with a little noise."""
    phase = np.arange(bins) * BIN_S / 10 * 2 * np.pi
    position = 50 - 50 * np.cos(phase) + np.random.default_rng(0).normal(0, 0.1, bins)
    return Behaviour(50 * np.sin(phase) * 2 * np.pi / 10, position[:, None])


def in_a_field(bins: int = 8000) -> Behaviour:
    """A curve that fills the lower left triangle of a field."""
    t = np.arange(bins) * BIN_S
    x, y = 50 + 50 * np.sin(t / 1.7), 50 + 50 * np.sin(t / 2.3)
    flip = x + y > 100
    x, y = np.where(flip, 100 - y, x), np.where(flip, 100 - x, y)
    position = np.stack([x, y], axis=1)
    speed = np.linalg.norm(np.gradient(position, BIN_S, axis=0), axis=1)
    return Behaviour(np.minimum(speed, 80), position)


def fitted(behaviour: Behaviour) -> Covariates:
    return Covariates.fitted(behaviour, np.ones(len(behaviour.velocity), bool), BIN_S)


def raw(one: Covariates, behaviour, starts, lead_s) -> np.ndarray:
    """Covariates before they are scaled."""
    scaled = one.before(behaviour, np.asarray(starts), lead_s, BIN_S)
    return scaled * one.scale + one.mean


def test_bumps_of_a_track_are_evenly_spaced_and_worked_out_by_hand():
    behaviour = on_a_track()
    one = fitted(behaviour)
    assert one.centres.shape == (TRACK_BUMPS, 1)
    spacing = np.diff(one.centres[:, 0])
    np.testing.assert_allclose(spacing, spacing[0])
    np.testing.assert_allclose(one.width, 0.8 * spacing[0])
    start = 1234
    place = behaviour.position[start - 1, 0]
    columns = 1 + 2 * len(TRACES_S)  # a speed, and traces of speed and of signed velocity
    found = raw(one, behaviour, [start], 0.0)[0, columns : columns + TRACK_BUMPS]
    by_hand = np.exp(-((place - one.centres[:, 0]) ** 2) / (2 * one.width[0] ** 2))
    np.testing.assert_allclose(found, by_hand, atol=1e-5)
    # The way of running: the same bumps, by sign and by how much it runs, measured over 0.2 s.
    moved = (place - behaviour.position[start - 11, 0]) / 0.2
    running = moved / (abs(moved) + one.speed_scale[0])
    way = raw(one, behaviour, [start], 0.0)[0, columns + TRACK_BUMPS :]
    np.testing.assert_allclose(way, by_hand * running, atol=1e-5)


def test_a_later_lead_bin_looks_at_where_the_animal_will_be_and_not_beyond_the_track():
    bins = 3000
    position = np.concatenate([np.linspace(0, 100, bins // 2), np.linspace(100, 0, bins // 2)])
    behaviour = Behaviour(np.gradient(position, BIN_S), position[:, None])
    one = fitted(behaviour)
    columns = 1 + 2 * len(TRACES_S)
    speed = position[701] - position[700]
    start = 700
    later = raw(one, behaviour, [start], 0.4)[0, columns : columns + TRACK_BUMPS]
    ahead = position[start - 1] + speed / BIN_S * 0.4
    by_hand = np.exp(-((ahead - one.centres[:, 0]) ** 2) / (2 * one.width[0] ** 2))
    np.testing.assert_allclose(later, by_hand, atol=1e-4)
    edge = raw(one, behaviour, [bins // 2], 0.5)[0, columns : columns + TRACK_BUMPS]
    assert edge.argmax() == TRACK_BUMPS - 1 and edge[-1] == pytest.approx(1, abs=1e-3)


def test_bumps_of_a_field_cover_what_was_visited_and_the_heading_is_a_unit_vector_that_runs():
    behaviour = in_a_field()
    one = fitted(behaviour)
    # Half of the square: the corner beyond the diagonal has none.
    assert len(one.centres) < 0.75 * FIELD_BUMPS**2
    assert (one.centres.sum(axis=1) < 135).all()
    starts = np.arange(100, 8000, 97)
    last = raw(one, behaviour, starts, 0.0)
    covered = last[:, -2 - len(one.centres) : -2].sum(axis=1)
    assert covered.min() > 0.3 * np.median(covered)
    moved = (behaviour.position[starts - 1] - behaviour.position[starts - 11]) / 0.2
    fast = np.linalg.norm(moved, axis=1)
    heading = moved / fast[:, None] * (fast / (fast + one.speed_scale[0]))[:, None]
    np.testing.assert_allclose(last[:, -2:], heading, atol=1e-4)


def test_a_velocity_that_turns_negative_after_the_fit_adds_no_columns():
    behaviour = in_a_field()
    assert not fitted(behaviour).signed and fitted(on_a_track()).signed
    late = behaviour.velocity.copy()
    late[7000:] *= -1
    fit = np.arange(len(late)) < 6000
    one = Covariates.fitted(Behaviour(late, behaviour.position), fit, BIN_S)
    before = Covariates.fitted(behaviour, fit, BIN_S)
    for name, value in vars(before).items():
        np.testing.assert_array_equal(getattr(one, name), value, name)
    starts = np.array([6500, 7900])
    assert one.before(Behaviour(late, behaviour.position), starts, 0, BIN_S).shape[1] == len(
        one.mean
    )


def test_a_wheel_has_traces_of_its_velocity_and_no_place():
    counts = dataclasses.replace(some_counts(bins=2000), behaviour_kind="wheel")
    wave = np.sin(np.arange(2000) / 30).astype(np.float32)
    behaviour = Behaviour.of(dataclasses.replace(counts, behaviour=wave))
    assert behaviour.position is None
    one = fitted(behaviour)
    assert not len(one.centres)
    found = raw(one, behaviour, [900], 0.0)[0]
    assert len(found) == 1 + 2 * len(TRACES_S)
    # The exponential mean of what came before, summed by hand.
    ages = np.arange(900)[::-1]
    for k, seconds in enumerate(TRACES_S):
        weight = np.exp(-ages * BIN_S / seconds)
        mean = (weight * wave[:900]).sum() / weight.sum() / one.speed_scale[0]
        assert found[1 + len(TRACES_S) + k] == pytest.approx(mean, abs=1e-4)


def test_unknown_behaviour_is_as_at_its_mean():
    behaviour = on_a_track()
    one = fitted(behaviour)
    lost = Behaviour(behaviour.velocity.copy(), behaviour.position.copy())
    lost.velocity[3000:4000] = np.nan
    lost.position[3000:4000] = np.nan
    assert not one.before(lost, np.array([3999]), 0.1, BIN_S).any()
    assert np.isfinite(one.before(lost, np.arange(0, 8000, 7), 0.1, BIN_S)).all()


def test_an_animal_that_never_moved_or_was_never_seen_has_no_covariates():
    fit = np.ones(1000, bool)
    assert Covariates.fitted(Behaviour(np.zeros(1000), None), fit, BIN_S) is None
    assert Covariates.fitted(Behaviour(np.full(1000, np.nan), None), fit, BIN_S) is None
    assert Behaviour.of(dataclasses.replace(some_counts(), behaviour=np.full(100, np.nan))) is None


# --- in a regression ------------------------------------------------------------------------------


def place_cells(behaviour: Behaviour) -> np.ndarray:
    """(bins, units) counts of 8 cells with fields along the track, two fields each."""
    rng = np.random.default_rng(4)
    place = behaviour.position[:, :1]
    rate = np.exp(-((place - np.linspace(5, 95, 8)) ** 2) / (2 * 8**2))
    return rng.poisson(0.02 + 0.5 * rate).astype(np.uint8)


@pytest.fixture(scope="module")
def session():
    behaviour = on_a_track()
    return place_cells(behaviour), np.arange(8000) < 6000, behaviour


@pytest.fixture(scope="module")
def regression(session):
    counts, fit, behaviour = session
    return fit_regression(counts, fit, BIN_S, SMALL, behaviour)


def rates_of(regression, counts, starts, behaviour, length=25) -> np.ndarray:
    rates = np.full((len(starts), length, counts.shape[1]), np.nan)
    lengths = np.full(len(starts), length)
    for rows, part in regression.forecasts(counts, starts, lengths, behaviour):
        rates[rows] = part
    return rates


def bits(regression, counts, fit, behaviour) -> float:
    domains = np.where(fit, 1, 3).astype(np.uint8)
    starts, _ = forecast_starts(domains, "test", 25)
    rates = rates_of(regression, counts, starts, behaviour)
    return bits_per_spike(rates, gather(counts, starts, 25), training_mean(counts, domains))


def test_behaviour_from_the_start_on_changes_no_forecast(session, regression):
    counts, _, behaviour = session
    starts = np.array([0, 1, 12, 3000, 7000])
    known = rates_of(regression, counts, starts, behaviour)
    for place, start in enumerate(starts):
        velocity, position = behaviour.velocity.copy(), behaviour.position.copy()
        velocity[start:], position[start:] = -7.0, 3.0
        other = rates_of(regression, counts, starts, Behaviour(velocity, position))
        np.testing.assert_array_equal(other[place], known[place])
        if start:
            position[start - 1] += 20
            moved = rates_of(regression, counts, starts, Behaviour(velocity, position))
            assert not np.allclose(moved[place], known[place])


def test_behaviour_behind_the_fit_changes_no_weight(session, regression):
    counts, fit, behaviour = session
    velocity = np.where(fit, behaviour.velocity, 99.0)
    position = np.where(fit[:, None], behaviour.position, -500.0)
    again = fit_regression(counts, fit, BIN_S, SMALL, Behaviour(velocity, position))
    np.testing.assert_array_equal(again.weights, regression.weights)
    np.testing.assert_array_equal(again.covariates.mean, regression.covariates.mean)


def test_place_helps_place_cells_and_validation_finds_that(session, regression):
    counts, fit, behaviour = session
    never = fit_regression(counts, fit, BIN_S, {**SMALL, "behaviour": "never"}, behaviour)
    assert never.covariates is None
    assert bits(regression, counts, fit, behaviour) > bits(never, counts, fit, None) + 0.02


def test_behaviour_that_says_nothing_is_left_out_by_validation(session):
    _, fit, behaviour = session
    counts = np.random.default_rng(9).poisson(0.2, (8000, 8)).astype(np.uint8)
    found = fit_regression(counts, fit, BIN_S, SMALL, behaviour)
    own = len(SMALL["own_traces_s"])
    columns = 0 if found.covariates is None else len(found.covariates.mean)
    assert not found.weights[:, :, 1 + own : 1 + own + columns].any()
    assert abs(bits(found, counts, fit, behaviour)) < 0.003


def test_slow_traces_follow_a_gain_of_minutes_and_validation_finds_that():
    rng = np.random.default_rng(2)
    bins = 30_000
    gain = np.cumsum(rng.normal(0, 0.012, (bins, 6)), axis=0)
    counts = rng.poisson(np.exp(np.clip(gain - 1.5, -4, 1))).astype(np.uint8)
    fit = np.arange(bins) < 24_000
    given = {**SMALL, "own_traces_s": [0.1], "slow_traces_s": [5, 30]}
    without = fit_regression(counts, fit, BIN_S, given)
    found = fit_regression(counts, fit, BIN_S, {**given, "slow_traces": "validated"})
    assert len(found.own_s) == 3 and found.weights[:, :, 2:4].any()
    assert bits(found, counts, fit, None) > bits(without, counts, fit, None) + 0.02


def test_a_slow_trace_longer_than_half_of_the_fit_is_left_out(session):
    counts, fit, _ = session
    given = {**SMALL, "slow_traces": "always", "slow_traces_s": [30, 60, 61]}
    found = fit_regression(counts, fit, BIN_S, given)
    np.testing.assert_array_equal(found.own_s, [0.1, 1, 30, 60])


def test_a_regression_with_covariates_is_read_back_as_it_was_written(tmp_path, regression):
    ids = [f"u{k}" for k in range(8)]
    written = checkpoint.SessionRegression("one", "seen", ids, SMALL, regression)
    checkpoint.save(tmp_path / "r.safetensors", written, {"step": "test"})
    found = checkpoint.load(tmp_path / "r.safetensors")
    for field in dataclasses.fields(Covariates):
        np.testing.assert_array_equal(
            getattr(found.regression.covariates, field.name),
            getattr(regression.covariates, field.name),
        )
    assert found.parameters == written.parameters
