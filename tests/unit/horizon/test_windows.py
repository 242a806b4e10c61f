"""Forecast windows: no bin twice, no window across blocks."""

from __future__ import annotations

import numpy as np
import pytest

from spikeline.errors import InputError
from spikeline.horizon.scores.windows import bins_of, blocks, forecast_starts, gather, split_mask


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
    # Contiguity within a block, and every block tiled from its own start to the last that fits.
    assert (np.diff(starts)[np.diff(index) == 0] == length).all()
    long = [(a, b) for a, b in blocks(domains, split) if b - a >= length]
    assert len(long) == index.max() + 1 == len(np.unique(index))
    for number, (start, end) in enumerate(long):
        own = starts[index == number]
        assert own[0] == start and end - length < own[-1] + length <= end


def test_a_long_block_is_scored_in_pieces_of_some_five_seconds():
    domains = np.repeat([3, 0, 3], [1000, 50, 600]).astype(np.uint8)
    starts, index = forecast_starts(domains, "test", 50)
    assert np.bincount(index).tolist() == [5, 5, 5, 5, 5, 5, 2]
    assert starts[index == 4].min() == 1050


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
