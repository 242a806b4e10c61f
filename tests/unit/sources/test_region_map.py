"""Region maps name every electrode once; unusable electrodes are found."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from spikeline.errors import InputError
from spikeline.sources.electrodes import region_of_each, usable, whole_part


def refusal(regions, electrodes):
    with pytest.raises(InputError) as caught:
        region_of_each(regions, electrodes, "a.mat")
    assert str(caught.value).startswith("a.mat: ") and "\n" not in str(caught.value)
    return str(caught.value)


def test_ranges_are_half_open_and_0_based():
    assert list(region_of_each({"V1": [[0, 2]], "IT": [[2, 3]]}, 3, "")) == ["V1", "V1", "IT"]


def test_both_monkeys_of_tvsd_have_their_own_map():
    monkeys = {
        "F": {"V1": [[0, 512]], "IT": [[512, 832]], "V4": [[832, 1024]]},
        "N": {"V1": [[0, 512]], "V4": [[512, 768]], "IT": [[768, 1024]]},
    }
    counts = {
        monkey: {r: int((region_of_each(m, 1024, "") == r).sum()) for r in ("V1", "V4", "IT")}
        for monkey, m in monkeys.items()
    }
    assert counts == {
        "F": {"V1": 512, "V4": 192, "IT": 320},
        "N": {"V1": 512, "V4": 256, "IT": 256},
    }
    assert region_of_each(monkeys["F"], 1024, "")[600] == "IT"
    assert region_of_each(monkeys["N"], 1024, "")[600] == "V4"


@pytest.mark.parametrize("regions", [{"V1": [[0, 3]], "IT": [[2, 4]]}, {"V1": [[0, 4], [1, 2]]}])
def test_an_overlap_is_refused(regions):
    assert "twice" in refusal(regions, 4)


def test_a_gap_names_the_first_electrode_left_out():
    assert "leaves out electrode 2" in refusal({"V1": [[0, 2]], "IT": [[3, 4]]}, 4)


@pytest.mark.parametrize("pair", [[0, 5], [3, 3], [3, 2], [-1, 2]])
def test_a_range_that_does_not_fit_is_refused(pair):
    assert "region V1" in refusal({"V1": [pair]}, 4)


def test_only_finite_and_varying_electrodes_are_usable(caplog):
    nan = np.nan
    values = np.array([[1, nan, 1, 0, np.inf], [2, nan, nan, 0, 1], [3, nan, 1, 0, 1]])
    with caplog.at_level(logging.WARNING):
        assert list(usable(values, "a.mat")) == [True, False, False, False, False]
    assert caplog.records[0].getMessage() == (
        "a.mat: dropped 4 of 5 electrodes: 1 all-NaN, 2 partly NaN, 1 constant"
    )


def test_what_is_left_is_whole_and_loses_no_more_than_it_must():
    rng = np.random.default_rng(0)
    for _ in range(20):
        present = np.ones((60, 24), bool)
        arrays = rng.choice(6, 2, replace=False)
        silent = slice(4 * arrays[0], 4 * arrays[0] + 4)
        paused = slice(4 * arrays[1], 4 * arrays[1] + 4)
        present[:, silent] = False
        times = rng.choice(60, rng.integers(1, 9), replace=False)
        present[np.ix_(times, range(paused.start, paused.stop))] = False
        rows, electrodes = whole_part(present)
        assert present[np.ix_(rows, electrodes)].all()
        assert set(np.flatnonzero(~rows)) == set(times)
        assert set(np.flatnonzero(~electrodes)) == set(range(silent.start, silent.stop))
    rows, electrodes = whole_part(rng.random((60, 24)) > 0.02)
    assert rows.sum() * electrodes.sum() > 0.5 * 60 * 24


def test_nothing_is_logged_where_all_electrodes_are_usable(caplog):
    with caplog.at_level(logging.WARNING):
        assert usable(np.arange(6.0).reshape(3, 2), "a.mat").all()
    assert not caplog.records


def test_a_recording_without_a_usable_electrode_is_refused():
    with pytest.raises(InputError, match=r"a\.mat: no electrode"):
        usable(np.zeros((3, 2)), "a.mat")
