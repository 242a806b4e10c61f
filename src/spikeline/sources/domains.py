"""Which seconds of a session train, validate and test, and which describe its units.

Interleaved blocks keep behaviour alike across the splits, where one cut in time would train on an
eager animal and test on a tired one. A guard gap between blocks of different splits keeps a
neuron's slow fluctuation from being seen on both sides.
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
INTERLEAVED = {"block_s": 20.0, "guard_s": 2.0, "reference_s": 60.0}
CHRONOLOGICAL = {"train": 0.595, "valid": 0.105, "test": None, "reference_s": 60.0}
DEFAULTS = {"interleaved": INTERLEAVED, "chronological": CHRONOLOGICAL}


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
    """The domains that a `split` entry asks for.

    Args:
        settings: {"kind": "interleaved", "block_s", "guard_s", "reference_s"} or
            {"kind": "chronological", "train", "valid", "test", "reference_s"}; what it leaves out
            takes its default, and what only the other kind knows is left aside.
        duration: of the session, seconds.
        where: the file or session that an error names.

    Raises:
        InputError: unknown or senseless settings, or a session too short for them.
    """
    kind = settings.get("kind", "interleaved")
    if kind not in DEFAULTS:
        raise InputError(f"split: kind is {kind!r}; known are {sorted(DEFAULTS)}")
    unknown = sorted(set(settings) - {"kind", *INTERLEAVED, *CHRONOLOGICAL})
    if unknown:
        raise InputError(
            f"split: unknown key {unknown[0]!r}; of kind {kind!r} are {list(DEFAULTS[kind])}"
        )
    given = {key: settings[key] for key in DEFAULTS[kind] if settings.get(key) is not None}
    for key, value in given.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not np.isfinite(value) or value < 0:
            raise InputError(f"split: {key} is {value!r}; a number from 0 is due")
    make = interleaved_blocks if kind == "interleaved" else chronological_blocks
    return make(duration, **given, where=where)


def interleaved_blocks(
    duration: float,
    block_s: float = INTERLEAVED["block_s"],
    guard_s: float = INTERLEAVED["guard_s"],
    reference_s: float = INTERLEAVED["reference_s"],
    where: str = "session",
) -> Domains:
    """The reference window as training, then blocks train, train, valid, train, test and again.

    Neighbouring training blocks become one. In a session too short for one round the blocks shrink
    until every split appears.

    Args:
        duration: of the session, seconds.
        block_s: length of a block, seconds.
        guard_s: seconds left out between blocks of different splits.
        reference_s: length of the reference window at the start, seconds.

    Raises:
        InputError: the reference window is longer than the session, or what it leaves is too short.
    """
    _check_reference(reference_s, duration, where)
    if block_s < SHORTEST_S:
        raise InputError(f"split: block_s is {block_s}; at least {SHORTEST_S} s are due")
    first = ("train", *PATTERN) if reference_s else PATTERN
    guards = guard_s * sum(a != b for a, b in pairwise(first))
    block = min(block_s, (duration - reference_s - guards) / len(PATTERN))
    if block < SHORTEST_S:
        due = reference_s + guards + SHORTEST_S * len(PATTERN)
        raise InputError(
            f"{where}: lasts {duration:.6g} s, too short for interleaved blocks after a reference "
            f"window of {reference_s:.6g} s ({due:.6g} s are due); shorten reference_s or guard_s"
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
    duration: float,
    train: float = CHRONOLOGICAL["train"],
    valid: float = CHRONOLOGICAL["valid"],
    test: float | None = CHRONOLOGICAL["test"],
    reference_s: float = CHRONOLOGICAL["reference_s"],
    where: str = "session",
) -> Domains:
    """One block of each split, in order of time, with no gap between them.

    Args:
        duration: of the session, seconds.
        train, valid, test: fractions of the session, together 1; None is what the others leave.
        reference_s: length of the reference window at the start of training, seconds.

    Raises:
        InputError: fractions that are not together 1, a block too short for a forecast, or a
            reference window longer than the session or its training block.
    """
    _check_reference(reference_s, duration, where)
    test = 1 - train - valid if test is None else test
    if abs(train + valid + test - 1) > 1e-6:
        raise InputError(f"split: train, valid and test are together {train + valid + test}, not 1")
    edges = [0.0, train * duration, (train + valid) * duration, duration]
    lengths = dict(zip(SPLITS, np.diff(edges), strict=True))
    for split, length in lengths.items():
        if length < SHORTEST_S:
            raise InputError(
                f"{where}: lasts {duration:.6g} s, so {split} gets {length:.3g} s where at least "
                f"{SHORTEST_S:.6g} s are due"
            )
    if reference_s > edges[1] + 1e-6:
        raise InputError(
            f"{where}: the reference window of {reference_s:.6g} s is longer than the training "
            f"block of {edges[1]:.6g} s; shorten reference_s"
        )
    blocks = {split: [[edges[i], edges[i + 1]]] for i, split in enumerate(SPLITS)}
    return _domains(blocks, reference_s, duration)


def _check_reference(reference_s: float, duration: float, where: str) -> None:
    if not duration > 0:
        raise InputError(f"{where}: lasts {duration} s; a session of some length is due")
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
