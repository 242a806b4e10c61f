"""Slow gains, units that come and go and population bursts are what their settings say."""

from __future__ import annotations

import numpy as np
import pytest

from spikeline.simulate.slow_changes import AWAY, population_bursts, presence, slow_gain

BIN_S = 0.02


def test_a_slow_gain_has_the_strength_and_time_constant_asked_for():
    rng = np.random.default_rng(0)
    # Two hours, one minute: 120 time constants of each of 40 units.
    gain = slow_gain(rng, 360_000, 40, BIN_S, 0.5, 0.0, (1.0, 1.0))
    assert np.sqrt((gain**2).mean()) == pytest.approx(0.5, rel=0.05)
    minute = round(60 / BIN_S)
    later = np.mean([np.corrcoef(g[:-minute], g[minute:])[0, 1] for g in gain.T])
    assert later == pytest.approx(np.exp(-1), abs=0.05)


def test_the_shared_part_of_a_slow_gain_is_one_course_of_all_units():
    arguments = 180_000, 30, BIN_S, 0.5
    one = slow_gain(np.random.default_rng(1), *arguments, 1.0, (0.5, 0.5))
    singular = np.linalg.svd(one[::100], compute_uv=False)
    assert singular[1] < 1e-6 * singular[0]
    own = slow_gain(np.random.default_rng(1), *arguments, 0.0, (0.5, 0.5))
    related = np.corrcoef(own[::100].T) - np.eye(30)
    assert np.abs(related).max() < 0.5
    part = slow_gain(np.random.default_rng(1), *arguments, 0.3, (0.5, 0.5))
    assert np.sqrt((part**2).mean()) == pytest.approx(0.5, rel=0.15)


def test_the_share_of_units_that_come_and_go_is_away_for_part_of_the_session_only():
    bins, units = 90_000, 40
    log_gain = presence(np.random.default_rng(2), bins, units, BIN_S, 0.25)
    away = log_gain < np.log(2 * AWAY)
    part = away.mean(axis=0)
    assert (part > 0.1).sum() == 10 and (part == 0).sum() == 30
    assert (part[part > 0] < 0.9).all()
    assert log_gain.min() == pytest.approx(np.log(AWAY), abs=1e-3)
    np.testing.assert_allclose(log_gain[:, part == 0], 0, atol=1e-9)
    assert log_gain.max() <= 1e-9
    # Some leave, some arrive.
    leaving = part > 0
    assert away[0, leaving].any() and not away[0, leaving].all()


def test_none_come_and_go_where_none_should():
    log_gain = presence(np.random.default_rng(2), 1000, 5, BIN_S, 0.0)
    np.testing.assert_allclose(log_gain, 0, atol=1e-9)


def test_population_bursts_are_as_frequent_and_as_high_as_asked_and_of_all_units_at_once():
    bins = 180_000
    log_gain = population_bursts(np.random.default_rng(3), bins, 20, BIN_S, 12.0, 0.8)
    on = log_gain > 0
    assert (on.any(axis=1) == on.all(axis=1)).all()
    starts = np.count_nonzero(np.diff(on[:, 0].astype(int), prepend=0) == 1)
    # 60 minutes of 12 each; a few overlap.
    assert starts == pytest.approx(720, rel=0.1)
    assert log_gain[on.any(axis=1)].mean() == pytest.approx(0.8, rel=0.2)
