"""Domains: splits that are disjoint, guarded, alike over the session, and never empty."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from defaults import blocks

from spikeline.errors import InputError
from spikeline.sources.domains import SHORTEST_S, interleaved_blocks


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
    domains = blocks(duration, guard_s=guard_s)
    rows = labelled(domains)
    assert rows[0][0] == 0 and rows[-1][1] <= duration
    assert {split for *_, split in rows} == {"train", "valid", "test"}
    for (_, end, before), (start, _, after) in pairwise(rows):
        assert before != after
        assert start - end == pytest.approx(guard_s, abs=2e-6)
    assert all(end - start >= SHORTEST_S - 1e-5 for start, end, _ in rows)


def test_the_reference_window_is_training():
    domains = blocks(300, reference_s=60)
    assert domains.reference == (0, 60)
    assert domains.train[0][0] == 0 and domains.train[0][1] >= 60


def test_the_pattern_of_blocks_repeats():
    domains = blocks(60 + 108 * 3, block_s=20, guard_s=2, reference_s=60)
    np.testing.assert_allclose(domains.train[0], [0, 100])
    np.testing.assert_allclose(domains.valid[:, 0], [102, 210, 318])
    np.testing.assert_allclose(domains.test[:, 0], [146, 254, 362])


def test_a_long_session_is_split_about_three_to_one_to_one():
    domains = blocks(5000)
    whole = total(domains.train) + total(domains.valid) + total(domains.test)
    assert total(domains.valid) / whole == pytest.approx(0.2, abs=0.02)
    assert total(domains.test) / whole == pytest.approx(0.2, abs=0.02)
    assert whole > 0.9 * 5000


def test_blocks_shrink_in_a_short_session():
    domains = blocks(120, block_s=20, guard_s=2, reference_s=60)
    assert len(domains.valid) == len(domains.test) == 1
    assert total(domains.test) == pytest.approx((60 - 6) / 5, abs=1e-5)
    assert domains.test[-1, 1] == pytest.approx(120, abs=1e-5)


def test_no_reference_window_is_no_training_block_of_its_own():
    domains = interleaved_blocks(200, block_s=20, guard_s=2, reference_s=0)
    assert domains.reference == (0, 0)
    np.testing.assert_allclose(domains.train[0], [0, 40])


def test_a_session_too_short_is_refused_and_named():
    with pytest.raises(InputError, match=r"mouse: lasts 70 s, too short .*which need 76 s"):
        blocks(70, where="mouse")
    blocks(76.001)


def test_chronological_blocks_follow_each_other_without_gaps():
    domains = blocks(120, kind="chronological")
    np.testing.assert_array_equal(domains.train, [[0, 71.4]])
    np.testing.assert_array_equal(domains.valid, [[71.4, 84.0]])
    np.testing.assert_array_equal(domains.test, [[84.0, 120]])


def test_a_fold_tests_its_stretch_validates_on_the_next_and_trains_on_the_rest():
    cut = {"kind": "fold", "folds": 5, "guard_s": 2, "reference_s": 30}
    middle = blocks(132, fold=2, **cut)  # stretches of 20 s from 32 s on
    np.testing.assert_array_equal(middle.train, [[0, 50], [94, 132]])
    np.testing.assert_array_equal(middle.test, [[52, 72]])
    np.testing.assert_array_equal(middle.valid, [[74, 92]])
    first = blocks(132, fold=1, **cut)
    np.testing.assert_array_equal(first.train, [[0, 30], [74, 132]])
    np.testing.assert_array_equal(first.valid, [[54, 72]])
    last = blocks(132, fold=5, **cut)
    np.testing.assert_array_equal(last.train, [[0, 30], [54, 110]])
    np.testing.assert_array_equal(last.valid, [[32, 52]])
    assert first.reference == last.reference == (0, 30)


@pytest.mark.parametrize("folds", [3, 5, 10])
@pytest.mark.parametrize("guard_s", [0, 2])
def test_folds_test_all_that_follows_the_reference_window_once(folds, guard_s):
    cut = {"kind": "fold", "folds": folds, "guard_s": guard_s, "reference_s": 30}
    every = [blocks(200.5, fold=one, **cut) for one in range(1, folds + 1)]
    tests = np.concatenate([domains.test for domains in every])
    np.testing.assert_allclose(tests[1:, 0], tests[:-1, 1], atol=2e-6)
    assert (tests[0, 0], tests[-1, 1]) == (30 + guard_s, 200.5)
    assert np.ptp(np.diff(tests, axis=1)) < 1e-5
    for domains in every:
        assert domains.train[0][0] == 0 and domains.train[0][1] >= 30
        for (_, end, before), (start, _, after) in pairwise(labelled(domains)):
            assert before != after and start - end == pytest.approx(guard_s, abs=2e-6)


def test_a_session_too_short_for_its_folds_is_refused():
    with pytest.raises(InputError, match=r"mouse: lasts 51 s, too short for 5 folds .* need 52 s"):
        blocks(51, where="mouse", kind="fold", folds=5, reference_s=30)
    for fold in range(1, 6):
        cut = blocks(52, kind="fold", folds=5, fold=fold, reference_s=30)
        assert all(end - start >= SHORTEST_S - 1e-5 for start, end, _ in labelled(cut))


@pytest.mark.parametrize("kind", ["interleaved", "chronological", "fold"])
def test_a_reference_window_longer_than_the_session_is_refused(kind):
    with pytest.raises(InputError, match="mouse: the reference window of 60 s is longer"):
        blocks(50, where="mouse", kind=kind)


@pytest.mark.parametrize("kind", ["interleaved", "chronological", "fold"])
@pytest.mark.parametrize("duration", [0, -1, float("nan")])
def test_a_session_of_no_length_is_refused(kind, duration):
    with pytest.raises(InputError, match="expected a duration above 0"):
        blocks(duration, kind=kind)


def test_a_reference_window_beyond_chronological_training_is_refused():
    with pytest.raises(InputError, match=r"longer than the training block of 59\.5 s"):
        blocks(100, kind="chronological")


def test_what_only_the_other_kind_knows_is_left_aside():
    both = {"block_s": 10, "train": 0.5, "valid": 0.25, "reference_s": 10}
    interleaved = blocks(300, **both)
    np.testing.assert_array_equal(interleaved.test, blocks(300, block_s=10, reference_s=10).test)
    np.testing.assert_array_equal(blocks(300, kind="chronological", **both).test, [[225, 300]])


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"train": 0.894}, "test gets 0.3 s; expected at least 2 s"),
        ({"train": 0.7, "valid": 0.001}, "valid gets 0.3 s"),
    ],
)
def test_a_part_too_short_for_a_forecast_is_refused(shares, words):
    with pytest.raises(InputError, match=words):
        blocks(300, kind="chronological", **shares)
