"""Scores of reconstructions: how like the shown image each one is, for every seed of a model.

A JSON object; everything a table needs, so that tables are made without images or networks:

| key | value |
|---|---|
| contract | "reconstruction_scores/1" |
| settings | of the scoring |
| facts | of the first seed: how the images were made, the identity of the generator |
| measures | {measure: its family, see FAMILIES}, those that are missing too |
| missing | {measure: why it was not computed} |
| seeds | a list, one per seed: {seed, images, scores, others, sets} |
| provenance | see artifacts/provenance.py |

`images` are N names. `scores` has N numbers for each measure; `others` the same of the image made
from the responses to another image, a mean over several other images: what the decoder and
generator give without knowing the image. `sets` has one number for each measure that compares the
set of images made with the set shown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from spikeline.artifacts.formats import json_file
from spikeline.errors import InputError

CONTRACT = "reconstruction_scores/1"


class Family(NamedTuple):
    """What measures of one kind have in common.

    Attributes:
        share: each number is a share, 0..1.
        hit: each number is a single success or failure, or the chance of one among ties.
        lower: a lower number is better.
        whole: one number for the set of images instead of one for each.
    """

    share: bool = False
    hit: bool = False
    lower: bool = False
    whole: bool = False


FAMILIES = {
    "pixels": Family(),
    "similarity": Family(),
    "two_way": Family(share=True),
    "top1": Family(share=True, hit=True),
    "top5": Family(share=True, hit=True),
    "distance": Family(lower=True),
    "correct": Family(share=True, hit=True),
    "frechet": Family(lower=True, whole=True),
}


@dataclass(frozen=True)
class SeedScores:
    """The scores of one seed's N images; see the module's text."""

    seed: int
    images: np.ndarray
    scores: Mapping[str, np.ndarray]
    others: Mapping[str, np.ndarray]
    sets: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ReconstructionScores:
    """One model on one subject; see the module's table."""

    settings: Mapping[str, Any]
    measures: Mapping[str, str]
    seeds: Sequence[SeedScores]
    missing: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def write(
    path: str | os.PathLike[str], scores: ReconstructionScores, record: Mapping[str, Any]
) -> None:
    """Check against the contract and write with provenance, atomically."""
    check(scores, str(path))
    content = {
        "settings": dict(scores.settings),
        "facts": dict(scores.facts),
        "measures": dict(scores.measures),
        "missing": dict(scores.missing),
        "seeds": [
            {
                "seed": int(seed.seed),
                "images": [str(name) for name in seed.images],
                "scores": {name: _short(values) for name, values in seed.scores.items()},
                "others": {name: _short(values) for name, values in seed.others.items()},
                "sets": {name: float(value) for name, value in seed.sets.items()},
            }
            for seed in scores.seeds
        ],
    }
    json_file.write(path, CONTRACT, content, record)


def read(path: str | os.PathLike[str]) -> ReconstructionScores:
    """Read and check against the contract.

    Raises:
        InputError: missing, truncated, of another contract, or in violation of this one.
    """
    content = json_file.read(path, CONTRACT)
    with json_file.fields(path):
        seeds = [
            SeedScores(
                seed=int(seed["seed"]),
                images=np.asarray(seed["images"], dtype=object),
                scores={k: np.asarray(v, np.float64) for k, v in seed["scores"].items()},
                others={k: np.asarray(v, np.float64) for k, v in seed["others"].items()},
                sets={k: float(v) for k, v in seed["sets"].items()},
            )
            for seed in content["seeds"]
        ]
        names = ("settings", "measures", "missing", "facts")
        scores = ReconstructionScores(**{name: dict(content[name]) for name in names}, seeds=seeds)
        check(scores, str(path))
    return scores


def check(scores: ReconstructionScores, where: str) -> None:
    """Raise InputError, naming `where`, on any violation of the contract."""
    numbers = [seed.seed for seed in scores.seeds]
    if not numbers or len(set(numbers)) != len(numbers):
        raise InputError(f"{where}: expected one or more different seeds, got {numbers}")
    for name, family in scores.measures.items():
        if family not in FAMILIES:
            raise InputError(f"{where}: measure {name} is of unknown family {family!r}")
    unknown = set(scores.missing) - set(scores.measures)
    if unknown:
        raise InputError(f"{where}: {sorted(unknown)[0]} is missing, but is none of its measures")
    for name, reason in scores.missing.items():
        if not isinstance(reason, str) or not reason:
            raise InputError(f"{where}: does not say why {name} is missing")
    there = [name for name in scores.measures if name not in scores.missing]
    whole = {name for name in there if FAMILIES[scores.measures[name]].whole}
    for seed in scores.seeds:
        place = f"{where}: seed {seed.seed}"
        if len(seed.images) < 2 or len(set(seed.images)) != len(seed.images):
            raise InputError(f"{place}: expected two or more images with distinct names")
        for part, expected in (
            ("scores", set(there) - whole), ("others", set(there) - whole), ("sets", whole),
        ):  # fmt: skip
            found = set(getattr(seed, part))
            if found != expected:
                wrong = sorted(found ^ expected)[0]
                problem = "lacks" if wrong in expected else "has an unknown measure"
                raise InputError(f"{place}: {part}: {problem} {wrong}")
        for part in ("scores", "others"):
            for name, values in getattr(seed, part).items():
                _check_numbers(
                    values, len(seed.images), scores.measures[name], f"{place}: {part}: {name}"
                )
        if not np.isfinite(list(seed.sets.values())).all():
            raise InputError(f"{place}: sets: not all numbers are finite")


def _check_numbers(values: np.ndarray, size: int, family: str, where: str) -> None:
    if np.shape(values) != (size,) or not np.isfinite(values).all():
        raise InputError(f"{where}: expected {size} finite numbers")
    if FAMILIES[family].share and not ((values >= 0) & (values <= 1)).all():
        raise InputError(f"{where}: expected shares, 0..1")


def _short(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values]
