"""Intervals of scores of forecasts: seeds, pairs, R2, and sessions as the outer level."""

from __future__ import annotations

import numpy as np
import pytest

from spikeline.errors import InputError
from spikeline.horizon.scores.bits_per_spike import pooled_bits, score_sums
from spikeline.horizon.scores.intervals import (
    Series,
    bits_series,
    difference,
    pooled,
    runs_of,
    unexplained_series,
)


def some_sums(rng, quality, counts=None, seconds=16, blocks=12):
    """Windows of 1 s in blocks with a step between them; rates near or far from the true ones."""
    windows = seconds * blocks
    true = rng.gamma(4, 0.1, (windows, 1, 5))
    counts = rng.poisson(np.broadcast_to(true, (windows, 50, 5))) if counts is None else counts
    rates = true**quality * 0.4 ** (1 - quality)
    steps = np.arange(windows) + np.repeat(np.arange(blocks), seconds)
    return score_sums(rates, counts, np.full(5, 0.4), steps), counts


def series(gains, spikes=10.0):
    """A session whose blocks of one step have these gains."""
    above = np.zeros(2 * len(gains))
    above[::2] = gains
    below = np.zeros(len(above))
    below[::2] = spikes
    return Series(above, below, 50.0 * (below > 0), 1.0)


def test_an_empty_step_parts_two_blocks():
    assert runs_of(np.array([5, 5, 0, 5, 0, 3, 3])) == [slice(0, 2), slice(3, 4), slice(5, 7)]
    assert runs_of(np.array([5, 5])) == [slice(0, 2)]


def test_seeds_of_the_same_windows_are_averaged_and_no_further_pieces():
    rng = np.random.default_rng(0)
    one, counts = some_sums(rng, 1.0)
    other, _ = some_sums(rng, 0.5, counts)
    both = pooled([bits_series([one, other], 1000)])
    assert both.score == pytest.approx(pooled_bits([one, other]))
    assert both.pieces == pooled([bits_series([one], 1000)]).pieces == 12
    alone, twice = pooled([bits_series([one], 1000)]), pooled([bits_series([one, one], 1000)])
    assert twice == pytest.approx(alone)


def test_a_difference_is_paired_piece_by_piece():
    rng = np.random.default_rng(1)
    shared, own = rng.normal(0, 10, 12), rng.normal(0, 0.1, 12)
    reference, better = series(shared), series(shared + 1 + own)
    found = pooled([difference(better, reference, "one")])
    assert found.score == pytest.approx((1 + own.mean()) / 10)
    # Each score alone is as uncertain as what both share.
    assert found.high - found.low < 0.1 * (pooled([better]).high - pooled([better]).low)
    assert found.low > 0


def test_scores_of_other_windows_are_not_compared():
    with pytest.raises(InputError, match=r"session one: .* other windows"):
        difference(series(np.ones(12)), series(np.ones(11)), "session one")
    with pytest.raises(InputError, match="other windows"):
        difference(series(np.ones(12)), series(np.ones(12), spikes=9.0), "one")


def test_r2_and_its_interval_are_those_of_the_squared_errors():
    rng = np.random.default_rng(2)
    sums, _ = some_sums(rng, 1.0)
    found = pooled([unexplained_series([sums], 1000)], by_session=True)
    assert 1 - found.score == pytest.approx(sums.r2)
    assert 0 < found.high - found.low < 0.1


def test_an_interval_of_several_sessions_is_wider_where_they_differ():
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 1, (4, 12))
    noise -= noise.mean(axis=1, keepdims=True)
    alike, unlike = (
        pooled([series(step * k + row) for k, row in enumerate(noise)]) for step in (0, 5)
    )
    # Sessions that agree by chance: what their own pieces allow is left.
    halves = [one.high - one.low for one in (pooled([series(row)]) for row in noise)]
    assert alike.high - alike.low == pytest.approx(np.hypot.reduce(halves) / 4)
    # Scores 0, .5, 1, 1.5: t of 3 degrees of freedom is 3.182; each weighs 1/4.
    assert unlike.score == pytest.approx(0.75)
    squares = 2 * 0.25**2 + 2 * 0.75**2
    assert unlike.high - 0.75 == pytest.approx(3.182 * np.sqrt(squares) / 4 / 0.75, rel=1e-3)
    assert unlike.pieces == 48


def test_three_sessions_too_short_for_themselves_have_an_interval_and_two_have_none():
    short = [series(np.full(3, gain)) for gain in (1.0, 2.0, 3.0)]
    assert pooled(short[:1]).low is None and pooled(short[:1]).pieces == 3
    assert pooled(short[:2]).low is None
    assert pooled(short).low < 0.2 < pooled(short).high


def test_two_sessions_say_little_of_a_third():
    found = pooled([series(np.full(12, 1.0)), series(np.full(12, 2.0))])
    # t of one degree of freedom; scores .1 and .2, each half of their mean.
    half = 12.706 * np.sqrt(2 * 0.05**2)
    assert found.high - found.score == pytest.approx(half, rel=1e-3)


def test_a_session_that_weighs_much_does_not_hide_how_far_others_are():
    heavy, light = series(np.full(12, 10.0), 100.0), series(np.full(12, 2.0), 10.0)
    found = pooled([heavy, light, light])
    shares = np.array([1200, 120, 120]) / 1440
    residuals = shares * (np.array([0.1, 0.2, 0.2]) - found.score) / (1 - shares)
    half = 4.3027 * np.sqrt((residuals**2).sum())
    assert found.high - found.score == pytest.approx(half, rel=1e-3)


def test_sessions_without_a_spike_are_left_out():
    silent = series(np.zeros(12), 0.0)
    assert pooled([silent]).score is None
    one = series(np.random.default_rng(4).normal(1, 1, 12))
    assert pooled([one, silent]) == pooled([one])


def test_the_interval_over_sessions_covers_the_score_of_all():
    rng = np.random.default_rng(5)
    held = []
    for _ in range(400):
        sessions = []
        for own in rng.normal(2, 1, 4):
            sessions.append(series(own + rng.normal(0, 2, 3), float(rng.uniform(8, 12))))
        found = pooled(sessions)
        held.append(found.low < 0.2 < found.high)
    assert np.mean(held) > 0.92
