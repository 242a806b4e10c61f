"""Which seconds of a session train, validate and test, and which describe its units.

Interleaved blocks keep behaviour alike across the splits, where one cut in time would train on an
eager animal and test on a tired one. A guard gap between blocks of different splits keeps a
neuron's slow fluctuation from being seen on both sides. The folds of a short recording test
nearly all of it in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from spikeline.errors import InputError

SPLITS = ("train", "valid", "test")
PATTERN = ("train", "train", "valid", "train", "test")
# A block holds a whole forecast of the longest horizon, 1 s, with some to spare.
SHORTEST_S = 2.0


@dataclass(frozen=True)
class Domains:
    """Half-open intervals in seconds, sorted and disjoint, (n, 2) float64 each.

    `reference` is (start, end) of the window that a unit's features are taken from; it lies in the
    first training block.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    reference: tuple[float, float]


def domains_of(settings: Mapping[str, Any], duration: float, where: str = "session") -> Domains:
    """The domains that a session's validated `split` asks for.

    Args:
        settings: kind (interleaved, chronological or fold), block_s, guard_s, reference_s, train,
            valid, fold, folds; a kind reads its own alone.
        duration: of the session, seconds.
        where: the file or session that an error names.

    Raises:
        InputError: a session too short for them.
    """
    make, keys = {
        "interleaved": (interleaved_blocks, ("block_s", "guard_s", "reference_s")),
        "chronological": (chronological_blocks, ("train", "valid", "reference_s")),
        "fold": (fold_blocks, ("fold", "folds", "guard_s", "reference_s")),
    }[settings["kind"]]
    return make(duration, **{key: settings[key] for key in keys}, where=where)


def interleaved_blocks(
    duration: float, block_s: float, guard_s: float, reference_s: float, where: str = "session"
) -> Domains:
    """The reference window as training, then blocks train, train, valid, train, test and again.

    Neighbouring training blocks become one. In a session too short for one round the blocks shrink
    until every split appears.

    Args:
        duration: of the session, seconds.
        block_s: length of a block, seconds, at least SHORTEST_S.
        guard_s: seconds left out between blocks of different splits.
        reference_s: length of the reference window at the start, seconds.

    Raises:
        InputError: the reference window is longer than the session, or what it leaves is too short.
    """
    _check_reference(reference_s, duration, where)
    first = ("train", *PATTERN) if reference_s else PATTERN
    guards = guard_s * sum(a != b for a, b in pairwise(first))
    block = min(block_s, (duration - reference_s - guards) / len(PATTERN))
    if block < SHORTEST_S:
        least = reference_s + guards + SHORTEST_S * len(PATTERN)
        raise InputError(
            f"{where}: lasts {duration:.6g} s, too short for interleaved blocks after a reference "
            f"window of {reference_s:.6g} s, which need {least:.6g} s; shorten reference_s or "
            "guard_s"
        )
    blocks: dict[str, list[list[float]]] = {split: [] for split in SPLITS}
    start, last, count = reference_s, "train" if reference_s else None, 0
    if reference_s:
        blocks["train"].append([0.0, reference_s])
    while True:
        split = PATTERN[count % len(PATTERN)]
        if last is not None and split != last:
            start += guard_s
        end = min(start + block, duration)
        # The last block of a shrunken round ends with the session, but for rounding.
        if end - start < min(SHORTEST_S, block) - 1e-6:
            break
        if split == last:
            blocks[split][-1][1] = end
        else:
            blocks[split].append([start, end])
        start, last, count = end, split, count + 1
    return _domains(blocks, reference_s, duration)


def chronological_blocks(
    duration: float, train: float, valid: float, reference_s: float, where: str = "session"
) -> Domains:
    """One block of each split, in order of time, with no gap between them.

    Args:
        duration: of the session, seconds.
        train, valid: shares of the session, together below 1; test takes the rest.
        reference_s: length of the reference window at the start of training, seconds.

    Raises:
        InputError: a block too short for a forecast, or a reference window longer than the session
            or its training block.
    """
    _check_reference(reference_s, duration, where)
    edges = [0.0, train * duration, (train + valid) * duration, duration]
    lengths = dict(zip(SPLITS, np.diff(edges), strict=True))
    for split, length in lengths.items():
        if length < SHORTEST_S:
            raise InputError(
                f"{where}: lasts {duration:.6g} s, so {split} gets {length:.3g} s; expected at "
                f"least {SHORTEST_S:.6g} s"
            )
    if reference_s > edges[1] + 1e-6:
        raise InputError(
            f"{where}: the reference window of {reference_s:.6g} s is longer than the training "
            f"block of {edges[1]:.6g} s; shorten reference_s"
        )
    blocks = {split: [[edges[i], edges[i + 1]]] for i, split in enumerate(SPLITS)}
    return _domains(blocks, reference_s, duration)


def fold_blocks(
    duration: float,
    fold: int,
    folds: int,
    guard_s: float,
    reference_s: float,
    where: str = "session",
) -> Domains:
    """One fold of several: what follows the reference window is cut into equal stretches, of which
    the fold's own tests, the next one (of the last fold the first) validates, and the rest trains.

    The tests of all folds are disjoint and equally long, and together all that follows the
    reference window and its guard. Guards are taken from what lies beside a test, and from training
    beside validation.

    Args:
        duration: of the session, seconds.
        fold: whose stretch tests, counted from 1.
        folds: how many stretches, at least 3.
        guard_s: seconds left out between blocks of different splits.
        reference_s: length of the reference window at the start, which always trains, seconds.

    Raises:
        InputError: a stretch too short for a forecast, or a reference window longer than the
            session.
    """
    _check_reference(reference_s, duration, where)
    first = reference_s + guard_s
    # Validation loses a guard beside its test; training at most one at each end.
    stretch = max(SHORTEST_S + guard_s, (SHORTEST_S + 2 * guard_s) / (folds - 2))
    if duration < first + folds * stretch:
        raise InputError(
            f"{where}: lasts {duration:.6g} s, too short for {folds} folds after a reference "
            f"window of {reference_s:.6g} s, which need {first + folds * stretch:.6g} s; take "
            "fewer folds, or shorten reference_s or guard_s"
        )
    edges = np.linspace(first, duration, folds + 1)
    parts = ["train"] * folds
    parts[fold - 1], parts[fold % folds] = "test", "valid"
    rows = [["train", 0.0, first]]
    for split, start, end in zip(parts, edges, edges[1:], strict=False):
        if split == rows[-1][0]:
            rows[-1][2] = end
        else:
            rows.append([split, start, end])
    for one, other in pairwise(rows):
        # The split that comes later in SPLITS keeps all its seconds.
        if SPLITS.index(one[0]) < SPLITS.index(other[0]):
            one[2] -= guard_s
        else:
            other[1] += guard_s
    blocks = {split: [row[1:] for row in rows if row[0] == split] for split in SPLITS}
    return _domains(blocks, reference_s, duration)


def _check_reference(reference_s: float, duration: float, where: str) -> None:
    if not duration > 0:
        raise InputError(f"{where}: lasts {duration} s; expected a duration above 0")
    if reference_s > duration:
        raise InputError(
            f"{where}: the reference window of {reference_s:.6g} s is longer than the session of "
            f"{duration:.6g} s; shorten reference_s"
        )


def _domains(
    blocks: Mapping[str, list[list[float]]], reference_s: float, duration: float
) -> Domains:
    # Microseconds: sums of block lengths carry rounding that would move an edge past its bin's.
    rounded = {
        split: np.minimum(np.round(np.asarray(blocks[split], float), 6), duration)
        for split in SPLITS
    }
    return Domains(**rounded, reference=(0.0, float(reference_s)))
