"""Tables of retrieval: one row per condition and subject, and one per category of test image.

| column | meaning |
|---|---|
| model | canonical name, overrides included |
| one for each varied setting | its value; lists joined by '+', 'none' for null |
| subject | |
| group | its number, in a table of groups: rows are compared within a group |
| row | reference (the first condition of its subject or group), model, or control |
| seeds | trained models that the row averages |
| images | distinct test images, the clusters of the bootstrap |
| gallery | N, images that each query chooses among |
| neural_to_image_top1, _top5, _top10 | share of responses whose image is among the first k |
| image_to_neural_top1, _top5, _top10 | share of images whose response is among the first k |
| median_rank | of the true image, 0 = first |
| positive_similarity | mean similarity of a response and its image, in `similarity_unit` |
| infinite_repetitions_top1, _top5 | neural to image as repetitions go to infinity, extrapolated |
| chance_top1, chance_top5 | k / N |
| difference_top1, difference_top5 | neural to image, less that of the reference; see below |
| target | what the decoder predicts: `embedding`, the encoder's output, or layers joined by '+' |
| further | other facts about the decoder: parameters, similarity_unit ... |

Scores are means over all seeds, draws and images; X_low and X_high are the 95 % interval of a
bootstrap over images, X_sd the standard deviation between seeds. How the score at infinitely many
repetitions is extrapolated: bridge/repetition_curve.py. The control is the reference trained on
broken pairs of responses and images: where nothing leaks it is at chance.

Differences are paired. A trial is a test image in its gallery, scored by the mean over all seeds
and draws that a row has for it: rows may differ in both. Only trials of both rows count (or images
of both, where the rows share no gallery), and both rows are resampled together, by image. So where
one row has other galleries, or more seeds of one than of another, a difference need not be exactly
that of the two scores. Only one whose interval excludes zero is evidence that a row is better.

With it goes FILE.categories.tsv: model, varied settings, subject, category, images, top1, top5
(neural to image, with intervals). An image of several categories counts in each; where none is
known there is no row. Shares have four decimals, counts none; an empty cell means "not available".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spikeline.artifacts.evaluations import DIRECTIONS, Draw, Evaluation
from spikeline.artifacts.tables import CONTROL, MODEL, REFERENCE
from spikeline.bridge.repetition_curve import infinite_repetitions
from spikeline.errors import InputError
from spikeline.settings.entries import format_value
from spikeline.statistics import (
    RESAMPLES,
    Interval,
    bootstrap_difference,
    bootstrap_mean,
    bootstrap_median,
)

# A test image in its gallery: the names of all test images of that seed, and how many others.
Trial = tuple[tuple[frozenset[str], int], str]


def retrieval_table(
    evaluations: Sequence[Evaluation],
    conditions: Sequence[Mapping[str, Any]],
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """One row per condition, in their order; columns as in the module's table.

    Args:
        evaluations: one per condition.
        conditions: {"model": name, "subject": name, "varied": {setting: value}}, with "control":
            true for the reference trained on broken pairs, and "group": number where rows are
            compared within groups instead of subjects.
        resamples: of the bootstrap.

    Raises:
        InputError: not one condition per evaluation, or a condition lacks a key.
    """
    varied = varied_settings(conditions, len(evaluations))
    rows = []
    references: dict[str | int, Evaluation] = {}
    for evaluation, condition in zip(evaluations, conditions, strict=True):
        compared = condition.get("group", condition["subject"])
        reference = references.get(compared)
        references.setdefault(compared, evaluation)
        other = CONTROL if condition.get("control") else MODEL
        row = condition_names(condition, varied)
        if "group" in condition:
            row["group"] = condition["group"]
        row["row"] = REFERENCE if reference is None else other
        row |= _sizes(evaluation)
        row |= _scores(evaluation, resamples)
        for k in (1, 5):
            row |= _difference(evaluation, reference, k, resamples)
        row |= {k: v for k, v in evaluation.facts.items() if k not in row}
        rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def category_table(
    evaluations: Sequence[Evaluation],
    conditions: Sequence[Mapping[str, Any]],
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """One row per condition and known category of test image; columns as in the module's text."""
    varied = varied_settings(conditions, len(evaluations))
    rows = []
    for evaluation, condition in zip(evaluations, conditions, strict=True):
        categories = [c for seed in evaluation.seeds for _ in seed.draws for c in seed.categories]
        images = _images(evaluation)
        hits = {k: _pooled(evaluation, _hits("neural_to_image", k)) for k in (1, 5)}
        for category in sorted({name for names in categories for name in names}):
            chosen = np.array([category in names for names in categories])
            row = {**condition_names(condition, varied), "category": category}
            row["images"] = len(set(images[chosen]))
            for k, hit in hits.items():
                row |= interval_columns(
                    f"top{k}", bootstrap_mean(hit[chosen], images[chosen], resamples)
                )
            rows.append(row)
    ends = ("", "_low", "_high")
    columns = ["category", "images", *(f"top{k}{end}" for k in (1, 5) for end in ends)]
    return pd.DataFrame(rows, columns=["model", *varied, "subject", *columns], dtype=object)


def categories_path(path: str | os.PathLike[str]) -> Path:
    """The path of the per-category table that goes with a table: x.tsv -> x.categories.tsv."""
    path = Path(path)
    return path.with_name(f"{path.stem}.categories{path.suffix}")


def varied_settings(conditions: Sequence[Mapping[str, Any]], evaluations: int) -> list[str]:
    """Every varied setting, in order of first appearance."""
    if len(conditions) != evaluations or not conditions:
        raise InputError(
            f"conditions: {len(conditions)} for {evaluations} evaluations; give one for each"
        )
    for condition in conditions:
        missing = {"model", "subject", "varied"} - set(condition)
        if missing:
            raise InputError(f"conditions: {sorted(missing)} missing in {dict(condition)}")
    return list(dict.fromkeys(name for condition in conditions for name in condition["varied"]))


def condition_names(condition: Mapping[str, Any], varied: Sequence[str]) -> dict[str, Any]:
    """The columns that name a row: model, varied settings, subject."""
    values = condition["varied"]
    settings = {name: format_value(values[name]) if name in values else "" for name in varied}
    return {"model": condition["model"], **settings, "subject": condition["subject"]}


def _sizes(evaluation: Evaluation) -> dict[str, Any]:
    galleries = [seed.gallery for seed in evaluation.seeds]
    same = len(set(galleries)) == 1
    return {
        "seeds": len(evaluation.seeds),
        "images": len({name for seed in evaluation.seeds for name in seed.images}),
        "gallery": galleries[0] if same else float(np.mean(galleries)),
    }


def _scores(evaluation: Evaluation, resamples: int) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    images = _images(evaluation)

    def add(name: str, score: Callable[[Draw], np.ndarray], between_seeds: bool = False) -> None:
        interval = bootstrap_mean(_pooled(evaluation, score), images, resamples)
        row.update(interval_columns(name, interval))
        if between_seeds:
            row[f"{name}_sd"] = _sd_between_seeds(evaluation, score)

    for direction in DIRECTIONS:
        for k in (1, 5, 10):
            add(f"{direction}_top{k}", _hits(direction, k), between_seeds=k < 10)
    ranks = _pooled(evaluation, lambda draw: draw.neural_to_image.rank)
    row |= interval_columns("median_rank", bootstrap_median(ranks, images, resamples))
    add("positive_similarity", lambda draw: draw.positive_similarity)
    for k in (1, 5):
        row |= interval_columns(f"infinite_repetitions_top{k}", _limit(evaluation, k, resamples))
    for k in (1, 5):
        chances = [min(k / seed.gallery, 1.0) for seed in evaluation.seeds]
        row[f"chance_top{k}"] = float(np.mean(chances))
    return row


def _hits(direction: str, k: int) -> Callable[[Draw], np.ndarray]:
    return lambda draw: getattr(draw, direction).hits(k)


def _difference(
    evaluation: Evaluation, reference: Evaluation | None, k: int, resamples: int
) -> dict[str, float | None]:
    """How much more often the image is among the first k than for the reference, paired.

    Empty for the reference itself, given as None, and where the two share no image.
    """
    name = f"difference_top{k}"
    empty = dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    if reference is None:
        return empty
    own, others = _by_trial(evaluation, k), _by_trial(reference, k)
    if not own.keys() & others.keys():
        own, others = _by_image(own), _by_image(others)
    # In an order that does not depend on how sets are hashed.
    shared = [trial for trial in own if trial in others]
    if not shared:
        return empty
    values, reference_values = (
        np.array([np.mean(one[trial]) for trial in shared]) for one in (own, others)
    )
    scores = min(np.mean([len(one[trial]) for trial in shared]) for one in (own, others))
    images = [image for _, image in shared]
    interval = bootstrap_difference(values, reference_values, images, scores, resamples)
    return interval_columns(name, interval)


def _by_trial(evaluation: Evaluation, k: int) -> dict[Trial, list[float]]:
    """The hits of each trial, of all seeds of that gallery and their draws."""
    found: dict[Trial, list[float]] = {}
    for seed in evaluation.seeds:
        gallery = frozenset(seed.images), seed.distractors
        for draw in seed.draws:
            for image, hit in zip(seed.images, draw.neural_to_image.hits(k), strict=True):
                found.setdefault((gallery, image), []).append(hit)
    return found


def _by_image(trials: Mapping[Trial, list[float]]) -> dict[Trial, list[float]]:
    """The hits of each image in all its galleries."""
    found: dict[Trial, list[float]] = {}
    for (_, image), hits in trials.items():
        found.setdefault((frozenset(), image), []).extend(hits)
    return found


def _pooled(evaluation: Evaluation, score: Callable[[Draw], np.ndarray]) -> np.ndarray:
    """Scores of all seeds, draws and images, concatenated."""
    return np.concatenate([score(draw) for seed in evaluation.seeds for draw in seed.draws])


def _images(evaluation: Evaluation) -> np.ndarray:
    """The images that the scores of `_pooled` belong to."""
    return np.concatenate([seed.images for seed in evaluation.seeds for _ in seed.draws])


def _limit(evaluation: Evaluation, k: int, resamples: int) -> Interval | None:
    """The score as repetitions go to infinity; None where there are no single repetitions."""
    curves = [seed.repetition_curve for seed in evaluation.seeds]
    if any(curve is None for curve in curves):
        return None
    # Responses with single repetitions have one split, so all seeds share the images.
    shares = np.mean([getattr(curve, f"top{k}") for curve in curves], axis=0)
    gallery = evaluation.seeds[0].gallery
    return infinite_repetitions(curves[0].repetitions, shares, gallery, k, resamples)


def _sd_between_seeds(evaluation: Evaluation, score: Callable[[Draw], np.ndarray]) -> float | None:
    """Sample standard deviation of the seeds' means; None for one seed."""
    means = [np.mean([score(draw).mean() for draw in seed.draws]) for seed in evaluation.seeds]
    return float(np.std(means, ddof=1)) if len(means) > 1 else None


def interval_columns(name: str, interval: Interval | None) -> dict[str, float | None]:
    """A score with its interval; empty cells for None."""
    values = (None, None, None) if interval is None else interval
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
