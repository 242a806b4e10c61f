"""Sessions of the behaving twin: alike with a seed, true to their rates, poor where planned."""

import dataclasses
import itertools

import numpy as np
import pytest
from defaults import settings

from spikeline.simulate.behaving.behaviour import ENCODER_RAD, STEP_S
from spikeline.simulate.behaving.pictures import draw_movie, draw_scenes, drives
from spikeline.simulate.behaving.screen import MOVIE, SCENES, shown
from spikeline.simulate.behaving.sessions import simulate
from spikeline.simulate.behaving.settings import BIN_S, BehavingSettings, plans
from spikeline.simulate.behaving.unit_types import TYPES

SETTINGS = BehavingSettings(
    **settings(
        "simulate-behaving",
        duration_s=120,
        scenes=8,
        movie_frames=90,
        image_height=48,
        image_width=60,
    )
)


@pytest.fixture(scope="module")
def pictures():
    shape = (SETTINGS.image_height, SETTINGS.image_width, SETTINGS.seed)
    scenes = draw_scenes(SETTINGS.scenes, *shape)
    return np.concatenate([scenes, draw_movie(SETTINGS.movie_frames, *shape)])


@pytest.fixture(scope="module")
def sessions(pictures):
    wanted = ("ibl_01", "ibl_02", "ibl_06", "allen_01")
    return {
        plan.name: simulate(plan, SETTINGS, pictures)
        for plan in plans(SETTINGS)
        if plan.name in wanted
    }


def counts(session):
    """(bins, good units)"""
    good = np.flatnonzero(session.units.good)
    table = np.zeros((len(session.rates), len(session.units)))
    np.add.at(table, ((session.times / BIN_S).astype(int), session.index), 1)
    return table[:, good]


def test_the_same_seed_gives_the_same_session_and_another_seed_another(sessions, pictures):
    first = sessions["ibl_01"]
    again = simulate(first.plan, SETTINGS, pictures)
    assert np.array_equal(first.times, again.times)
    assert np.array_equal(first.rates, again.rates)
    other = simulate(first.plan, dataclasses.replace(SETTINGS, seed=1), pictures)
    assert len(first.times) != len(other.times)


def test_spikes_are_sorted_and_units_come_by_probe_and_cluster(sessions):
    for session in sessions.values():
        assert (np.diff(session.times) >= 0).all()
        assert session.times[0] >= 0 and session.times[-1] < session.duration_s
        units = session.units
        place = units.probe * 10_000 + units.cluster
        assert (np.diff(place) > 0).all()
        assert set(units.probe) == set(range(len(session.plan.probes)))


def test_the_true_rates_predict_the_counts_and_no_unit_is_favoured(sessions):
    for session in sessions.values():
        spikes, expected = counts(session).sum(axis=0), session.rates.sum(axis=0)
        # Bursts make counts more scattered than Poisson's.
        assert (np.abs(spikes - expected) < 8 * np.sqrt(expected)).all()
        if not session.plan.poor:
            assert spikes.sum() == pytest.approx(expected.sum(), rel=0.02)


def test_the_true_rates_are_worth_about_half_a_bit_per_spike(sessions):
    for name in ("ibl_01", "ibl_02", "allen_01"):
        n, rate = counts(sessions[name]), sessions[name].rates.astype(float)
        null = n.mean(axis=0)
        gain = (n * np.log(rate / null) - rate + null).sum() / n.sum() / np.log(2)
        # Half of it the slow gains and the bursts.
        assert 0.3 < gain < 0.65


def test_a_poor_session_has_few_good_units_among_many(sessions):
    poor = sessions["ibl_06"].units
    assert poor.good.sum() == SETTINGS.poor_units and len(poor) > 50
    for name in ("ibl_01", "ibl_02", "allen_01"):
        good = sessions[name].units.good.sum()
        assert SETTINGS.min_units <= good <= SETTINGS.max_units


def test_irregularity_follows_the_order_of_the_types(sessions):
    found = {kind.name: [] for kind in TYPES}
    for session in sessions.values():
        for unit in np.flatnonzero(session.units.good):
            gaps = np.diff(session.times[session.index == unit])
            found[TYPES[session.units.type[unit]].name].append(gaps.std() / gaps.mean())
    median = {name: np.median(values) for name, values in found.items()}
    assert max(median["fast"], median["regular"]) < min(median["visual"], median["slow"])
    assert max(median["visual"], median["slow"]) < min(median["bursty"], median["chattering"])


def test_units_of_opposite_coupling_move_apart_when_the_wheel_turns(sessions):
    session = sessions["ibl_01"]
    speed = np.abs(session.wheel.velocity).reshape(len(session.rates), -1).mean(axis=1)
    units = session.units
    coupling = units.speed[units.good]
    related = np.array([np.corrcoef(speed, rate)[0, 1] for rate in session.rates.T])
    assert related[coupling > 0.3].mean() > 0.1 > 0 > related[coupling < -0.3].mean()


def test_the_encoder_reports_where_the_wheel_is(sessions):
    wheel = sessions["ibl_01"].wheel
    assert (np.diff(wheel.timestamps) > 0).all()
    truth = np.concatenate([[0.0], np.cumsum(wheel.velocity) * STEP_S])
    at = np.interp(wheel.timestamps, np.arange(len(truth)) * STEP_S, truth)
    assert np.abs(at - wheel.position).max() <= ENCODER_RAD
    # Also between the samples, where it rests.
    between = np.arange(1.0, 100.0, 0.005)
    truth = np.interp(between, np.arange(len(truth)) * STEP_S, truth)
    reported = np.interp(between, wheel.timestamps, wheel.position)
    assert np.abs(truth - reported).max() < 0.05


def test_trials_follow_one_another_and_events_within_them(sessions):
    trials = sessions["ibl_01"].wheel.trials
    order = ("intervals_0", "stimOn_times", "firstMovement_times", "response_times", "intervals_1")
    for before, after in itertools.pairwise(order):
        assert (trials[before] < trials[after]).all()
    assert (trials["intervals_0"][1:] >= trials["intervals_1"][:-1]).all()
    assert (np.isnan(trials["contrastLeft"]) != np.isnan(trials["contrastRight"])).all()


def test_scenes_come_with_blank_sweeps_and_the_movie_in_order(sessions):
    screen = sessions["allen_01"].screen
    assert (screen.start[1:] >= screen.stop[:-1] - 1e-9).all()
    assert screen.stop[-1] <= SETTINGS.duration_s
    scenes = screen.frame[screen.name == SCENES]
    assert set(scenes) == {-1.0, *range(SETTINGS.scenes)}
    assert 0.05 < np.mean(scenes == -1) < 0.4
    movie = screen.frame[screen.name == MOVIE]
    assert set(np.diff(movie)) <= {1.0, 1.0 - SETTINGS.movie_frames}
    picture = shown(np.array([1.0, 2.01, 49.0]), screen, SETTINGS.scenes)
    assert picture[0] == -2 and -1 <= picture[1] < SETTINGS.scenes <= picture[2]


def test_a_drive_is_a_function_of_the_picture_alone(pictures):
    drive, common = drives(pictures, 20, np.random.default_rng(0))
    assert drive.shape == (len(pictures), 20)
    assert np.allclose(drive.mean(axis=0), 0, atol=1e-5)
    twice, _ = drives(np.concatenate([pictures, pictures]), 20, np.random.default_rng(0))
    assert np.allclose(twice[: len(pictures)], twice[len(pictures) :], atol=1e-5)
    # What all units share: the contrast of the whole picture.
    related = [np.corrcoef(common, column)[0, 1] for column in drive.T]
    assert min(related) > 0.5
