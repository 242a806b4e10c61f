"""Intervals of ratios over time: correlation times, pieces, the t interval, and what it covers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from spikeline.time_series import (
    LEAST,
    MOST,
    correlation_time,
    equal_pieces,
    half_width,
    ratio_spread,
    skewed_reach,
)


def autoregressive(rng, steps, memory):
    """AR(1) of unit variance whose correlation falls to 1/e in `memory` steps."""
    keep = np.exp(-1 / memory)
    noise = rng.standard_normal(steps)
    noise[1:] *= np.sqrt(1 - keep**2)
    return lfilter([1.0], [1.0, -keep], noise)


@pytest.mark.parametrize("memory", [2.0, 10.0])
def test_the_correlation_time_of_an_autoregressive_series_is_the_known_one(memory):
    keep = np.exp(-1 / memory)
    known = (1 + keep) / (1 - keep)  # 1 + 2 (keep + keep^2 + ...)
    rng = np.random.default_rng(0)
    found = [correlation_time([autoregressive(rng, 20_000, memory)]) for _ in range(30)]
    assert np.mean(found) == pytest.approx(known, rel=0.06)


def test_short_runs_of_a_long_series_have_its_correlation_time():
    values = autoregressive(np.random.default_rng(1), 40_000, 2.0)
    runs = list(values.reshape(-1, 40))
    assert correlation_time(runs) == pytest.approx(correlation_time([values]), rel=0.15)


def test_a_white_series_has_a_correlation_time_of_one_step_and_a_constant_too():
    rng = np.random.default_rng(2)
    assert correlation_time([rng.standard_normal(20_000)]) < 1.1
    assert correlation_time([np.zeros(50)]) == 1


def test_the_mean_of_a_short_series_does_not_hide_its_correlation():
    rng = np.random.default_rng(3)
    known = (1 + np.exp(-0.2)) / (1 - np.exp(-0.2))
    found, plain = [], []
    for _ in range(400):
        values = autoregressive(rng, 200, 5.0)
        values = values - values.mean()
        found.append(correlation_time([values]))
        rho = [values[h:] @ values[:-h] / (values @ values) for h in range(1, 51)]
        sums = 1 + 2 * np.cumsum(rho)
        plain.append(sums[np.argmax(np.arange(1, 51) >= 5 * sums)])
    assert abs(np.mean(found) - known) < abs(np.mean(plain) - known)


def test_pieces_are_of_equal_length_and_a_rest_joins_its_neighbours():
    cut = equal_pieces([slice(0, 23), slice(24, 34), slice(35, 46)], 5)
    lengths = [one.stop - one.start for one in cut]
    assert lengths == [6, 6, 5, 6, 5, 5, 6, 5] or sorted(lengths) == [5, 5, 5, 5, 6, 6, 6, 6]
    covered = np.concatenate([np.arange(one.start, one.stop) for one in cut])
    assert covered.tolist() == [*range(23), *range(24, 34), *range(35, 46)]


def test_a_run_of_one_second_is_no_piece_beside_one_of_five():
    cut = equal_pieces([slice(0, 5), slice(6, 7), slice(8, 13), slice(14, 17)], 5)
    assert cut == [slice(0, 5), slice(8, 13), slice(14, 17)]


def test_the_interval_is_the_hand_worked_one():
    # Ratio 30 / 10 = 3; errors 1, -1 in turn, each divided by 1 - 1/10; s^2 = 10 / .81 / 10^2.
    above = 3 + np.tile([1.0, -1.0], 5)
    spread = ratio_spread(above, np.ones(10), [slice(0, 10)])
    assert spread.pieces == 10 and spread.piece == 1
    # t of 9 degrees of freedom, from a printed table: 2.262.
    assert spread.below == pytest.approx(2.262 * np.sqrt(10 / 0.81 / 100), rel=1e-3)
    assert spread.above == spread.below


def test_a_piece_that_weighs_much_does_not_draw_the_ratio_to_itself():
    # The ratio without the first piece is 0, with it 9 / 18: its error is how far it moves the sum.
    above, below = np.zeros(10), np.ones(10)
    above[0] = below[0] = 9.0
    spread = ratio_spread(above, below, [slice(0, 10)])
    first, others = (9 - 9 / 2) / (1 - 9 / 18), (0 - 1 / 2) / (1 - 1 / 18)
    squares, shared = first**2 + 9 * others**2, first * others + 8 * others**2
    assert squares + 2 * shared > 0
    narrow, wide = np.sqrt(squares), np.sqrt(squares + 2 * shared)
    freedom = 9 / (1 + 18 / 10)
    expected = max(stats.t.ppf(0.975, 9) * narrow, stats.t.ppf(0.975, freedom) * wide) / 18
    assert spread.below == pytest.approx(expected)


def test_neighbours_that_agree_widen_the_interval():
    # Squares 12, products of neighbours 11 - 2: s^2 = 12 + 18, and t has
    # 11 / (1 + 22/12) = 3.88 degrees of freedom, between 3.182 (3) and 2.776 (4).
    errors = np.repeat([1.0, -1.0], 6)
    half = half_width(errors)
    assert 2.776 * np.sqrt(30) < half < 2.87 * np.sqrt(30)
    assert half > half_width(np.tile([1.0, -1.0], 6))


def test_fewer_than_ten_pieces_make_no_interval():
    rng = np.random.default_rng(4)
    above, below = rng.random(400), np.ones(400)
    for steps, given in ((9 * 40, False), (LEAST * 40, True)):
        spread = ratio_spread(above[:steps], below[:steps], [slice(0, steps)], shortest=40)
        assert (spread.below is not None) is given
        assert spread.pieces == steps // 40 and spread.piece == 40


def test_pieces_are_longer_than_the_correlation_and_few():
    rng = np.random.default_rng(5)
    values = autoregressive(rng, 4000, 20.0)
    spread = ratio_spread(values, np.ones(4000), [slice(0, 4000)])
    assert LEAST <= spread.pieces <= MOST
    assert spread.piece > correlation_time([values - values.mean()])
    # A series of four correlation times has no interval: the times of ten pieces do not fit.
    wave = np.sin(np.arange(300) / 300 * 8 * np.pi) + 0.1 * rng.standard_normal(300)
    risen = ratio_spread(wave + np.linspace(-2, 2, 300), np.ones(300), [slice(0, 300)])
    assert risen.below is None and risen.above is None


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        ratio_spread(np.array([1.0, np.nan]), np.ones(2), [slice(0, 2)])
    with pytest.raises(ValueError, match="sum to zero"):
        ratio_spread(np.ones(2), np.zeros(2), [slice(0, 2)])


@pytest.mark.parametrize("memory", [0.1, 4.0])
def test_the_interval_covers_the_ratio_of_a_correlated_series(memory):
    rng = np.random.default_rng(6)
    held = []
    for _ in range(600):
        below = rng.poisson(20, 240).astype(float)
        wave = autoregressive(rng, 240, memory) + rng.standard_normal(240)
        above = 0.3 * below + 2 * wave
        spread = ratio_spread(above, below, [slice(0, 240)], shortest=20)
        if spread.below is not None:
            held.append(abs(above.sum() / below.sum() - 0.3) < spread.below)
    assert len(held) > 500 and 0.93 < np.mean(held) < 0.995


def test_the_skewed_interval_inverts_halls_transformation():
    # T3 of Hall (1992) of each end is the multiplier that an interval without skew has.
    errors = np.array([-1.0, -0.5, -0.4, -0.3, -0.2, -0.2, -0.1, 0.1, 0.1, 0.2, 0.3, 2.0])
    k = stats.skew(errors, bias=False) / np.sqrt(12)
    assert k > 0
    spread = np.linalg.norm(errors)
    below, above = skewed_reach(errors, 2.2 * spread)
    for end, multiplier in ((below, 2.2), (-above, -2.2)):
        t = end / spread
        assert t + k * (t**2 / 3 + 1 / 6) + k**2 * t**3 / 27 == pytest.approx(multiplier)
    # A large estimate of a quantity with large outliers is known less well than it seems to be.
    assert below < 2.2 * spread < above
    assert skewed_reach(-errors, 2.2 * spread) == pytest.approx((above, below))


def test_errors_that_are_not_skewed_reach_as_far_to_both_sides():
    assert skewed_reach(np.tile([1.0, -1.0], 6), 3.0) == (3.0, 3.0)
    assert skewed_reach(np.zeros(12), 0.0) == (0.0, 0.0)


def test_the_skewed_interval_covers_a_ratio_that_lively_pieces_decide():
    rng = np.random.default_rng(7)
    plain, minded = [], []
    for _ in range(800):
        lively = rng.lognormal(0, 1.2, 12)
        above = lively * (0.5 - 0.04 * lively) + 0.02 * rng.standard_normal(12)
        for held, skewed in ((plain, False), (minded, True)):
            spread = ratio_spread(above, lively, [slice(0, 12)], skewed=skewed)
            if spread.below is not None:
                held.append(above.sum() / lively.sum() - np.array([spread.below, -spread.above]))
    # E a / E b of the lognormal: E l = exp(s^2 / 2), E l^2 = exp(2 s^2).
    truth = 0.5 - 0.04 * np.exp(1.5 * 1.2**2)
    covered = [np.mean([low <= truth <= high for low, high in held]) for held in (plain, minded)]
    assert covered[0] + 0.05 < covered[1]
