"""Evaluations: where the true partner of each test image was ranked, for every seed of a model.

A JSON object; everything a table needs, so that tables are made without the decoder:

| key | value |
|---|---|
| contract | "evaluations/2" |
| settings | of the evaluation |
| encoder | identity of the encoder whose embeddings were retrieved |
| facts | of the first decoder: members, electrodes, parameters, similarity_unit, any further |
| seeds | a list, one per seed: {seed, images, distractors, categories, draws, repetition_curve} |
| provenance | see artifacts/provenance.py |

`images` are N names, the gallery of that seed but for so many `distractors`, images that are in the
gallery and evoked no test response; `categories` a list of names for each image, maybe empty.
Each of `draws` is one choice of test repetitions:

| key | value |
|---|---|
| repetitions | indices of the averaged repetitions, or null: the mean of all |
| neural_to_image, image_to_neural | ranks of the N queries |
| positive_similarity | N similarities between a response and its own image |

`repetition_curve` is null where there are no single repetitions, or {repetitions, top1, top5}: the
numbers of repetitions averaged, ascending to all, and for each a list of N shares, of the draws in
which the image was among the first k (neural to image).

Ranks are {"rank", "tied"}: `rank` is the 0-based mid-rank of the true item in the gallery (of an
image: among the N responses), `tied` how many other items had exactly its similarity; so
rank - tied/2 items were more similar.
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
class RepetitionCurve:
    """How often each image is found with fewer repetitions.

    Attributes:
        repetitions: (counts,) averaged, ascending to all there are.
        top1, top5: (counts, N) share of the draws in which the image was among the first k.
    """

    repetitions: np.ndarray
    top1: np.ndarray
    top5: np.ndarray


@dataclass(frozen=True)
class SeedEvaluation:
    """One decoder on its N test images: their names and categories, one or more draws."""

    seed: int
    images: np.ndarray
    categories: Sequence[Sequence[str]]
    draws: Sequence[Draw]
    repetition_curve: RepetitionCurve | None = None
    distractors: int = 0

    @property
    def gallery(self) -> int:
        """Images that each response chooses among."""
        return len(self.images) + self.distractors


@dataclass(frozen=True)
class Evaluation:
    """One model on one subject; see the module's first table."""

    settings: Mapping[str, Any]
    encoder: str
    seeds: Sequence[SeedEvaluation]
    facts: Mapping[str, Any] = field(default_factory=dict)


def write(path: str | os.PathLike[str], evaluation: Evaluation, record: Mapping[str, Any]) -> None:
    """Check against the contract and write with provenance, atomically."""
    check(evaluation, str(path))
    content = {
        "settings": dict(evaluation.settings),
        "encoder": evaluation.encoder,
        "facts": dict(evaluation.facts),
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
            raise InputError(
                f"{place}: {len(seed.categories)} lists of categories, expected {size}"
            )
        if any(isinstance(names, str) for names in seed.categories):
            raise InputError(f"{place}: expected a list of categories for each image")
        if not seed.draws:
            raise InputError(f"{place}: has no draw")
        for draw in seed.draws:
            for direction in DIRECTIONS:
                items = seed.gallery if direction == "neural_to_image" else size
                _check_ranks(getattr(draw, direction), (size,), items, f"{place}: {direction}")
            similarity = draw.positive_similarity
            if similarity.shape != (size,) or not np.isfinite(similarity).all():
                raise InputError(f"{place}: expected {size} finite numbers as positive_similarity")
        if seed.repetition_curve is not None:
            _check_curve(seed.repetition_curve, size, place)


def _check_ranks(ranks: Ranks, shape: tuple[int, ...], items: int, where: str) -> None:
    if ranks.rank.shape != shape or ranks.tied.shape != shape or not ranks.rank.size:
        raise InputError(f"{where}: expected ranks of shape {shape}, got {ranks.rank.shape}")
    better = ranks.rank - ranks.tied / 2
    # Also False for NaN.
    if not ((ranks.tied >= 0) & (better >= 0) & (better + ranks.tied < items)).all():
        raise InputError(f"{where}: ranks outside 0..{items - 1}")


def _check_curve(curve: RepetitionCurve, size: int, where: str) -> None:
    counts = curve.repetitions
    if not len(counts) or not (np.diff(counts, prepend=0) > 0).all():
        raise InputError(f"{where}: repetition_curve: expected ascending numbers of repetitions")
    for name in ("top1", "top5"):
        shares = getattr(curve, name)
        # Also False for NaN.
        if shares.shape != (len(counts), size) or not ((shares >= 0) & (shares <= 1)).all():
            raise InputError(
                f"{where}: repetition_curve: expected {len(counts)} x {size} shares as {name}"
            )


def _seed_to_json(seed: SeedEvaluation) -> dict[str, Any]:
    return {
        "seed": int(seed.seed),
        "images": [str(name) for name in seed.images],
        "distractors": int(seed.distractors),
        "categories": [[str(name) for name in names] for names in seed.categories],
        "repetition_curve": _curve_to_json(seed.repetition_curve),
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
        categories=[n if isinstance(n, str) else tuple(n) for n in content["categories"]],
        repetition_curve=_curve_from_json(content["repetition_curve"]),
        distractors=content["distractors"],
        draws=[
            Draw(
                repetitions=draw["repetitions"],
                positive_similarity=np.asarray(draw["positive_similarity"], np.float64),
                **{name: _ranks_from_json(draw[name]) for name in DIRECTIONS},
            )
            for draw in content["draws"]
        ],
    )


def _curve_to_json(curve: RepetitionCurve | None) -> dict[str, Any] | None:
    if curve is None:
        return None
    return {
        "repetitions": [int(count) for count in curve.repetitions],
        **{
            name: [_short(shares) for shares in getattr(curve, name).round(4).tolist()]
            for name in ("top1", "top5")
        },
    }


def _curve_from_json(content: Mapping[str, Any] | None) -> RepetitionCurve | None:
    if content is None:
        return None
    shares = {name: np.asarray(content[name], np.float64) for name in ("top1", "top5")}
    return RepetitionCurve(np.asarray(content["repetitions"], np.int64), **shares)


def _ranks_to_json(ranks: Ranks) -> dict[str, Any]:
    return {"rank": _short(ranks.rank.tolist()), "tied": ranks.tied.tolist()}


def _ranks_from_json(content: Mapping[str, Any]) -> Ranks:
    return Ranks(np.asarray(content["rank"], np.float64), np.asarray(content["tied"], np.int64))


def _short(values: Any) -> Any:
    """Whole numbers without their '.0', which would be a third of the file."""
    if isinstance(values, list):
        return [_short(value) for value in values]
    return int(values) if math.isfinite(values) and values == int(values) else values
