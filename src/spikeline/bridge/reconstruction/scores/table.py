"""Tables of reconstruction: one row per condition and subject, controls and ceilings among them.

| column | meaning |
|---|---|
| model | canonical name, overrides included |
| one for each varied setting | its value; lists joined by '+', 'none' for null |
| subject | |
| group | its number, in a table of groups: rows are compared within a group |
| row | reference (the first condition of its subject or group), model, control, or ceiling |
| seeds | reconstructions that the row averages |
| images | distinct test images, the clusters of the bootstrap |
| gallery | N, images that an identification is among |
| M | of each measure: mean over all seeds and images |
| others_M | the same of images made from the responses to other images |
| above_others_M | M less others_M, paired by image |
| difference_M | M less that of the reference, paired by image |
| chance_M | of identifications: .5, or k / N |

X_low and X_high are the 95 % interval of a bootstrap over images. Measures: `pixcorr`, `ssim`;
those of the config's `extractors`, two-way identification (`alexnet2`, `clip` ...) or a distance
(`swav`, lower is better); `clip_similarity`, `clip_top1`, `clip_top5` (N-way); `shape_correct` and
other factors of a twin; `frechet_M`, one number for all images. What was not computed has empty
cells, and the caption says why. A row is a control where its condition says so, or its model was
trained on broken pairs or is not told the responses (`source=mean`, `source=random`), and a ceiling
where it is told the truth (`source=image`).

Differences are those of the mean over the seeds that a row has for an image; only images of both
rows count. Of measures that count hits they are the interval that `statistics.bootstrap_difference`
gives, which holds near 0 and 1; of others, whose values lie dense, a plain bootstrap of the
differences. Only one whose interval excludes zero is evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from spikeline.artifacts.images.reconstruction_scores import FAMILIES, ReconstructionScores
from spikeline.artifacts.tables import CEILING, CONTROL, MODEL, REFERENCE
from spikeline.bridge.tables import condition_names, interval_columns, varied_settings
from spikeline.settings.entries import parse_name
from spikeline.statistics import RESAMPLES, Interval, bootstrap_difference, bootstrap_mean

# What a decoder is told instead of the responses, as the override `source` of its name.
_ROLE_OF_SOURCE = {"image": CEILING, "mean": CONTROL, "random": CONTROL}


def reconstruction_table(
    scores: Sequence[ReconstructionScores],
    conditions: Sequence[Mapping[str, Any]],
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """One row per condition, in their order; columns as in the module's table.

    Args:
        scores: one per condition.
        conditions: {"model": name, "subject": name, "varied": {setting: value}}, with "control":
            true for a control and "ceiling": true for a ceiling, and "group": number where rows
            are compared within groups instead of subjects.
        resamples: of the bootstrap.

    Raises:
        InputError: not one condition for each, or a condition lacks a key.
    """
    varied = varied_settings(conditions, len(scores))
    measures = measures_of(scores)
    rows = []
    references: dict[str | int, ReconstructionScores] = {}
    for one, condition in zip(scores, conditions, strict=True):
        compared = condition.get("group", condition["subject"])
        role = _role(condition)
        # A control or ceiling is nothing to be compared with, wherever it stands.
        reference = references.get(compared)
        if role == MODEL and reference is None:
            references[compared] = one
            role = REFERENCE
        row = condition_names(condition, varied)
        if "group" in condition:
            row["group"] = condition["group"]
        row["row"] = role
        row |= _sizes(one)
        for measure, family in measures.items():
            row |= _measured(one, measure, family, resamples)
            if not FAMILIES[family].whole:
                row |= _difference(one, reference, measure, family, resamples)
        rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def measures_of(scores: Sequence[ReconstructionScores]) -> dict[str, str]:
    """{measure: family} of all, in order of first appearance."""
    return {name: family for one in scores for name, family in one.measures.items()}


def missing_of(scores: Sequence[ReconstructionScores]) -> dict[str, str]:
    """{measure: why it was not computed}, of those that no model has."""
    computed = {name for one in scores for name in one.measures if name not in one.missing}
    return {
        name: reason
        for one in scores
        for name, reason in one.missing.items()
        if name not in computed
    }


def by_image(scores: ReconstructionScores, measure: str, part: str = "scores") -> dict[str, float]:
    """{image: mean of a measure over the seeds that have it}; `part` may be "others"."""
    found: dict[str, list[float]] = {}
    for seed in scores.seeds:
        for image, value in zip(seed.images, getattr(seed, part)[measure], strict=True):
            found.setdefault(image, []).append(value)
    return {image: float(np.mean(values)) for image, values in found.items()}


def _role(condition: Mapping[str, Any]) -> str:
    for key, role in (("control", CONTROL), ("ceiling", CEILING)):
        if condition.get(key):
            return role
    _, overrides = parse_name(condition["model"])
    if overrides.get("shuffle_responses") == "true":
        return CONTROL
    return _ROLE_OF_SOURCE.get(overrides.get("source", ""), MODEL)


def _sizes(scores: ReconstructionScores) -> dict[str, Any]:
    galleries = [len(seed.images) for seed in scores.seeds]
    same = len(set(galleries)) == 1
    return {
        "seeds": len(scores.seeds),
        "images": len({name for seed in scores.seeds for name in seed.images}),
        "gallery": galleries[0] if same else float(np.mean(galleries)),
    }


def _measured(
    scores: ReconstructionScores, measure: str, family: str, resamples: int
) -> dict[str, float | None]:
    """A measure with its interval, what other responses give, and chance."""
    there = _has(scores, measure)
    if FAMILIES[family].whole:
        values = [seed.sets[measure] for seed in scores.seeds] if there else []
        return {measure: float(np.mean(values)) if values else None}
    chance = {f"chance_{measure}": _chance(scores, family)} if _has_chance(family) else {}
    if not there:
        return {
            **interval_columns(measure, None),
            f"others_{measure}": None,
            **interval_columns(f"above_others_{measure}", None),
            **dict.fromkeys(chance),
        }
    values, others = (
        np.concatenate([getattr(seed, part)[measure] for seed in scores.seeds])
        for part in ("scores", "others")
    )
    images = np.concatenate([seed.images for seed in scores.seeds])
    own, other = (by_image(scores, measure, part) for part in ("scores", "others"))
    above = _paired(own, other, family, len(scores.seeds), resamples)
    return {
        **interval_columns(measure, bootstrap_mean(values, images, resamples)),
        f"others_{measure}": float(others.mean()),
        **interval_columns(f"above_others_{measure}", above),
        **chance,
    }


def _has(scores: ReconstructionScores, measure: str) -> bool:
    return measure in scores.measures and measure not in scores.missing


def _has_chance(family: str) -> bool:
    return family in ("two_way", "top1", "top5")


def _chance(scores: ReconstructionScores, family: str) -> float:
    if family == "two_way":
        return 0.5
    k = int(family.removeprefix("top"))
    return float(np.mean([min(k / len(seed.images), 1.0) for seed in scores.seeds]))


def _difference(
    scores: ReconstructionScores,
    reference: ReconstructionScores | None,
    measure: str,
    family: str,
    resamples: int,
) -> dict[str, float | None]:
    """A measure less that of the reference; empty for the reference itself, given as None."""
    name = f"difference_{measure}"
    if reference is None or not (_has(scores, measure) and _has(reference, measure)):
        return interval_columns(name, None)
    own, other = by_image(scores, measure), by_image(reference, measure)
    seeds = min(len(scores.seeds), len(reference.seeds))
    return interval_columns(name, _paired(own, other, family, seeds, resamples))


def _paired(
    own: Mapping[str, float], other: Mapping[str, float], family: str, seeds: int, resamples: int
) -> Interval | None:
    """Mean difference over the images of both; None where they share none."""
    shared = [image for image in own if image in other]
    if not shared:
        return None
    values, reference = (np.array([one[image] for image in shared]) for one in (own, other))
    if FAMILIES[family].hit:
        return bootstrap_difference(values, reference, None, seeds, resamples)
    return bootstrap_mean(values - reference, None, resamples)
