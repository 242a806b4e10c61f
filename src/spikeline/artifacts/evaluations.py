"""Evaluations: where the true partner of each test image was ranked, for every seed of a model.

A JSON object; everything a table needs, so that tables are made without the decoder:

| key | value |
|---|---|
| contract | "evaluations/2" |
| settings | of the evaluation |
| encoder | identity of the encoder whose embeddings were retrieved |
| facts | of the first decoder: {members, electrodes, parameters}; any further numbers |
| noise_ceiling | null, or {query_repetitions, gallery_repetitions, draws, top1, top5, top10} |
| seeds | a list, one object per seed: {seed, images, categories, draws} |
| provenance | see artifacts/provenance.py |

`images` and `categories` are lists of N strings ('' = category unknown): the gallery of that seed.
Each of `draws` is one choice of test repetitions:

| key | value |
|---|---|
| repetitions | indices of the averaged repetitions, or null: the mean of all |
| neural_to_image, image_to_neural | ranks of the N queries |
| positive_similarity | N cosines between a response and its own image |

Ranks are {"rank", "tied"}: `rank` is the 0-based mid-rank of the true item among N, `tied` how many
other items had exactly its similarity; so rank - tied/2 items were more similar.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeline.artifacts.formats import json_file
from spikeline.errors import InputError

CONTRACT = "evaluations/2"
DIRECTIONS = ("neural_to_image", "image_to_neural")


@dataclass(frozen=True)
class Ranks:
    """The rank of the true item for each query.

    Attributes:
        rank: (queries,) float, 0-based mid-rank: items ranked before it + half of those tied.
        tied: (queries,) int, other items with exactly the similarity of the true one.
    """

    rank: np.ndarray
    tied: np.ndarray

    def hits(self, k: int) -> np.ndarray:
        """Probability that the true item is among the first k, ties broken at random.

        1 or 0 where nothing is tied. If all similarities are equal it is k / N, which is chance.

        Returns:
            (queries,) float64 in [0, 1].
        """
        better = self.rank - self.tied / 2
        return np.clip((k - better) / (self.tied + 1), 0.0, 1.0)


@dataclass(frozen=True)
class Draw:
    """One choice of test repetitions; see the module's second table."""

    neural_to_image: Ranks
    image_to_neural: Ranks
    positive_similarity: np.ndarray
    repetitions: Sequence[int] | None = None


@dataclass(frozen=True)
class SeedEvaluation:
    """One decoder on its test images: N names, N categories, one or more draws."""

    seed: int
    images: np.ndarray
    categories: np.ndarray
    draws: Sequence[Draw]


@dataclass(frozen=True)
class Evaluation:
    """One model on one subject; see the module's first table."""

    settings: Mapping[str, Any]
    encoder: str
    seeds: Sequence[SeedEvaluation]
    noise_ceiling: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def write(path: str | os.PathLike[str], evaluation: Evaluation, record: Mapping[str, Any]) -> None:
    """Check against the contract and write with provenance, atomically."""
    check(evaluation, str(path))
    content = {
        "settings": dict(evaluation.settings),
        "encoder": evaluation.encoder,
        "facts": dict(evaluation.facts),
        "noise_ceiling": None if evaluation.noise_ceiling is None else evaluation.noise_ceiling,
        "seeds": [_seed_to_json(seed) for seed in evaluation.seeds],
    }
    json_file.write(path, CONTRACT, content, record)


def read(path: str | os.PathLike[str]) -> Evaluation:
    """Read and check against the contract.

    Raises:
        InputError: missing, truncated, of another contract, or in violation of this one.
    """
    content = json_file.read(path, CONTRACT)
    with json_file.fields(path):
        evaluation = Evaluation(
            settings=content["settings"],
            encoder=content["encoder"],
            facts=content["facts"],
            noise_ceiling=content["noise_ceiling"],
            seeds=[_seed_from_json(seed) for seed in content["seeds"]],
        )
    check(evaluation, str(path))
    return evaluation


def check(evaluation: Evaluation, where: str) -> None:
    """Raise InputError, naming `where`, on any violation of the contract."""
    numbers = [seed.seed for seed in evaluation.seeds]
    if not numbers or len(set(numbers)) != len(numbers):
        raise InputError(f"{where}: expected one or more different seeds, got {numbers}")
    if not evaluation.encoder:
        raise InputError(f"{where}: does not name the encoder whose embeddings were retrieved")
    for seed in evaluation.seeds:
        place = f"{where}: seed {seed.seed}"
        size = len(seed.images)
        if size < 2 or len(set(seed.images)) != size:
            raise InputError(f"{place}: expected two or more images with distinct names")
        if len(seed.categories) != size:
            raise InputError(f"{place}: expected {size} categories, got {len(seed.categories)}")
        if not seed.draws:
            raise InputError(f"{place}: has no draw")
        for draw in seed.draws:
            for direction in DIRECTIONS:
                _check_ranks(getattr(draw, direction), (size,), f"{place}: {direction}")
            similarity = draw.positive_similarity
            if similarity.shape != (size,) or not np.isfinite(similarity).all():
                raise InputError(f"{place}: expected {size} finite numbers as positive_similarity")
    if evaluation.noise_ceiling is not None:
        values = [evaluation.noise_ceiling.get(f"top{k}") for k in (1, 5, 10)]
        if not all(isinstance(v, (int, float)) and 0 <= v <= 1 for v in values):
            raise InputError(f"{where}: expected top1, top5, top10 within 0..1 in noise_ceiling")


def _check_ranks(ranks: Ranks, shape: tuple[int, ...], where: str) -> None:
    if ranks.rank.shape != shape or ranks.tied.shape != shape or not ranks.rank.size:
        raise InputError(f"{where}: expected ranks of shape {shape}, got {ranks.rank.shape}")
    better = ranks.rank - ranks.tied / 2
    # Also False for NaN.
    if not ((ranks.tied >= 0) & (better >= 0) & (better + ranks.tied < shape[-1])).all():
        raise InputError(f"{where}: ranks outside 0..{shape[-1] - 1}")


def _seed_to_json(seed: SeedEvaluation) -> dict[str, Any]:
    return {
        "seed": int(seed.seed),
        "images": [str(name) for name in seed.images],
        "categories": [str(name) for name in seed.categories],
        "draws": [
            {
                "repetitions": None
                if draw.repetitions is None
                else [int(index) for index in draw.repetitions],
                **{name: _ranks_to_json(getattr(draw, name)) for name in DIRECTIONS},
                "positive_similarity": [
                    round(float(value), 6) for value in draw.positive_similarity
                ],
            }
            for draw in seed.draws
        ],
    }


def _seed_from_json(content: Mapping[str, Any]) -> SeedEvaluation:
    return SeedEvaluation(
        seed=int(content["seed"]),
        images=np.asarray(content["images"], dtype=object),
        categories=np.asarray(content["categories"], dtype=object),
        draws=[
            Draw(
                repetitions=draw["repetitions"],
                positive_similarity=np.asarray(draw["positive_similarity"], np.float64),
                **{name: _ranks_from_json(draw[name]) for name in DIRECTIONS},
            )
            for draw in content["draws"]
        ],
    )


def _ranks_to_json(ranks: Ranks) -> dict[str, Any]:
    return {"rank": _short(ranks.rank.tolist()), "tied": ranks.tied.tolist()}


def _ranks_from_json(content: Mapping[str, Any]) -> Ranks:
    return Ranks(np.asarray(content["rank"], np.float64), np.asarray(content["tied"], np.int64))


def _short(values: list[float]) -> list[float]:
    """Whole mid-ranks without their '.0', which would be a third of the file."""
    return [int(v) if math.isfinite(v) and v == int(v) else v for v in values]
