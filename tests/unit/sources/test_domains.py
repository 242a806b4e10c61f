"""Domains: splits that are disjoint, guarded, alike over the session, and never empty."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from spikeline.errors import InputError
from spikeline.sources.domains import (
    SHORTEST_S,
    chronological_blocks,
    domains_of,
    interleaved_blocks,
)


def labelled(domains):
    """(start, end, split) of every block, in order of time."""
    rows = [(*block, split) for split in ("train", "valid", "test")
            for block in getattr(domains, split)]  # fmt: skip
    return sorted(rows)


def total(blocks):
    return np.diff(blocks, axis=1).sum()


@pytest.mark.parametrize("duration", [82.5, 120, 168, 500.02, 5382.3])
@pytest.mark.parametrize("guard_s", [0, 1, 2])
def test_interleaved_blocks_are_disjoint_guarded_and_inside_the_session(duration, guard_s):
    domains = interleaved_blocks(duration, guard_s=guard_s)
    rows = labelled(domains)
    assert rows[0][0] == 0 and rows[-1][1] <= duration
    assert {split for *_, split in rows} == {"train", "valid", "test"}
    for (_, end, before), (start, _, after) in pairwise(rows):
        assert before != after
        assert start - end == pytest.approx(guard_s, abs=2e-6)
    assert all(end - start >= SHORTEST_S - 1e-5 for start, end, _ in rows)


def test_the_reference_window_is_training():
    domains = interleaved_blocks(300, reference_s=60)
    assert domains.reference == (0, 60)
    assert domains.train[0][0] == 0 and domains.train[0][1] >= 60


def test_the_pattern_of_blocks_repeats():
    domains = interleaved_blocks(60 + 108 * 3, block_s=20, guard_s=2, reference_s=60)
    np.testing.assert_allclose(domains.train[0], [0, 100])
    np.testing.assert_allclose(domains.valid[:, 0], [102, 210, 318])
    np.testing.assert_allclose(domains.test[:, 0], [146, 254, 362])


def test_a_long_session_is_split_about_three_to_one_to_one():
    domains = interleaved_blocks(5000)
    whole = total(domains.train) + total(domains.valid) + total(domains.test)
    assert total(domains.valid) / whole == pytest.approx(0.2, abs=0.02)
    assert total(domains.test) / whole == pytest.approx(0.2, abs=0.02)
    assert whole > 0.9 * 5000


def test_blocks_shrink_in_a_short_session():
    domains = interleaved_blocks(120, block_s=20, guard_s=2, reference_s=60)
    assert len(domains.valid) == len(domains.test) == 1
    assert total(domains.test) == pytest.approx((60 - 6) / 5, abs=1e-5)
    assert domains.test[-1, 1] == pytest.approx(120, abs=1e-5)


def test_no_reference_window_is_no_training_block_of_its_own():
    domains = interleaved_blocks(200, reference_s=0)
    assert domains.reference == (0, 0)
    np.testing.assert_allclose(domains.train[0], [0, 40])


def test_a_session_too_short_is_refused_and_named():
    with pytest.raises(InputError, match=r"mouse: lasts 70 s, too short .*76 s are due"):
        interleaved_blocks(70, where="mouse")
    interleaved_blocks(76.001)


def test_chronological_blocks_follow_each_other_without_gaps():
    domains = chronological_blocks(120)
    np.testing.assert_array_equal(domains.train, [[0, 71.4]])
    np.testing.assert_array_equal(domains.valid, [[71.4, 84.0]])
    np.testing.assert_array_equal(domains.test, [[84.0, 120]])


@pytest.mark.parametrize("make", [interleaved_blocks, chronological_blocks])
def test_a_reference_window_longer_than_the_session_is_refused(make):
    with pytest.raises(InputError, match="mouse: the reference window of 60 s is longer"):
        make(50, where="mouse")


@pytest.mark.parametrize("make", [interleaved_blocks, chronological_blocks])
@pytest.mark.parametrize("duration", [0, -1, float("nan")])
def test_a_session_of_no_length_is_refused(make, duration):
    with pytest.raises(InputError, match="of some length is due"):
        make(duration)


def test_a_reference_window_beyond_chronological_training_is_refused():
    with pytest.raises(InputError, match=r"longer than the training block of 59\.5 s"):
        chronological_blocks(100)


def test_what_only_the_other_kind_knows_is_left_aside():
    both = {"block_s": 10, "train": 0.5, "valid": 0.25, "test": None, "reference_s": 10}
    interleaved = domains_of({"kind": "interleaved", **both}, 300)
    np.testing.assert_array_equal(
        interleaved.test, interleaved_blocks(300, block_s=10, reference_s=10).test
    )
    chronological = domains_of({"kind": "chronological", **both}, 300)
    np.testing.assert_array_equal(chronological.test, [[225, 300]])


def test_settings_choose_the_split():
    settings = {"kind": "chronological", "train": 0.5, "valid": 0.2, "test": 0.3, "reference_s": 10}
    np.testing.assert_array_equal(domains_of(settings, 100).test, [[70, 100]])
    assert domains_of({}, 300).reference == (0, 60)
    np.testing.assert_array_equal(
        domains_of({"kind": "interleaved", "block_s": 10}, 300).test,
        interleaved_blocks(300, block_s=10).test,
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "random"}, "kind is 'random'"),
        ({"blocks": 3}, "unknown key 'blocks'"),
        ({"kind": "chronological", "block": 3}, "unknown key 'block'"),
        ({"guard_s": -1}, "guard_s is -1"),
        ({"guard_s": "2"}, "guard_s is '2'"),
        ({"reference_s": True}, "reference_s is True"),
        ({"block_s": 1}, "block_s is 1"),
        ({"kind": "chronological", "train": 0.9, "test": 0.3}, "not 1"),
        ({"kind": "chronological", "train": 0.9}, "test gets"),
        ({"kind": "chronological", "train": 0.7, "valid": 0.0}, "valid gets 0 s"),
    ],
)
def test_senseless_settings_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        domains_of(settings, 300)
