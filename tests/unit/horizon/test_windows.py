"""Forecast windows: no bin twice, no window across blocks."""

from __future__ import annotations

import numpy as np
import pytest

from spikeline.errors import InputError
from spikeline.horizon.scores.windows import (
    bins_of,
    blocks,
    forecast_starts,
    gather,
    split_mask,
    step_s,
)


def random_domains(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.repeat(rng.integers(0, 4, size=60), rng.integers(1, 90, size=60)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("length", [1, 5, 10, 25, 50])
@pytest.mark.parametrize("split", ["train", "valid", "test", "fit"])
def test_windows_never_overlap_and_never_cross_blocks(seed, length, split):
    domains = random_domains(seed)
    starts, index = forecast_starts(domains, split, length)
    covered = (starts[:, None] + np.arange(length)).ravel()
    assert len(np.unique(covered)) == len(covered)
    inside = gather(domains, starts, length)
    assert (inside == inside[:, :1]).all()
    assert split_mask(domains, split)[covered].all()
    assert (np.diff(starts) >= length).all()
    # Every block is tiled from its own start to the last window that fits.
    long = [(a, b) for a, b in blocks(domains, split) if b - a >= length]
    # A step is a second or one window, and one number is left out between two blocks.
    runs = np.split(np.arange(len(starts)), np.flatnonzero(np.diff(index) > 1) + 1)
    assert len(runs) == len(long)
    for (start, end), run in zip(long, runs, strict=True):
        own, steps = starts[run], index[run]
        assert own[0] == start and end - length < own[-1] + length <= end
        assert (np.diff(own) == length).all()
        assert (steps - steps[0] == (own - start) // max(50, length)).all()


def test_windows_are_numbered_by_the_second_with_a_gap_between_blocks():
    domains = np.repeat([3, 0, 3], [120, 50, 60]).astype(np.uint8)
    starts, steps = forecast_starts(domains, "test", 25)
    assert starts.tolist() == [0, 25, 50, 75, 170, 195]
    assert steps.tolist() == [0, 0, 1, 1, 3, 3]
    # Windows longer than a second are a step each.
    assert forecast_starts(domains, "test", 60)[1].tolist() == [0, 1, 3]
    assert step_s(0.1) == 1 and step_s(1.2) == 1.2


def test_train_next_to_valid_without_a_guard_are_two_blocks_of_the_fit_domain():
    domains = np.array([1, 1, 1, 2, 2, 0, 3, 3], np.uint8)
    assert blocks(domains, "fit").tolist() == [[0, 3], [3, 5]]
    assert forecast_starts(domains, "fit", 2)[0].tolist() == [0, 3]


def test_a_split_that_holds_no_window_is_an_error():
    domains = np.array([1, 1, 3, 0, 3], np.uint8)
    with pytest.raises(InputError, match="no block of the test domain holds 2 bins"):
        forecast_starts(domains, "test", 2)
    with pytest.raises(InputError, match="valid domain"):
        split_mask(domains, "valid")


def test_gathered_windows_are_slices():
    values = np.arange(60).reshape(20, 3)
    windows = gather(values, [2, 7], 5)
    assert (windows[0] == values[2:7]).all() and (windows[1] == values[7:12]).all()


def test_horizons_are_whole_numbers_of_bins():
    assert [bins_of(ms, 0.02) for ms in (20, 100, 200, 500, 1000)] == [1, 5, 10, 25, 50]
    for wrong in (0, 10, 110.5):
        with pytest.raises(InputError, match="multiple"):
            bins_of(wrong, 0.02)
