"""Tables: tidy TSV of retrieval scores, a row for each condition and subject, with intervals.

| column | meaning |
|---|---|
| model | canonical name, overrides included |
| one for each varied setting | its value; lists joined by '+', 'none' for null |
| subject | |
| seeds | trained models that the row averages |
| images | distinct test images, the clusters of the bootstrap |
| gallery | N, images that each query chooses among |
| neural_to_image_top1, _top5, _top10 | share of responses whose image is among the first k |
| image_to_neural_top1, _top5, _top10 | share of images whose response is among the first k |
| median_rank | of the true image, 0 = first |
| positive_similarity | mean cosine between a response and its image |
| shuffled_top1, shuffled_top5 | neural to image with responses given to the wrong images |
| noise_ceiling_top1, noise_ceiling_top5 | see bridge/noise_ceiling.py |
| chance_top1, chance_top5 | k / N |
| further | facts about the decoder, e.g. parameters |

Scores are means over all seeds, draws and images; X_low and X_high are the 95 % interval of a
bootstrap over images, X_sd the standard deviation between seeds. Beside it, FILE.categories.tsv
has model, varied settings, subject, category, images, top1, top5 (neural to image); images of
unknown category are left out. Shares have four decimals, counts none; an empty cell means "not
available".
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spikeline.artifacts import provenance
from spikeline.artifacts.evaluations import DIRECTIONS, Draw, Evaluation
from spikeline.artifacts.files import write_text
from spikeline.errors import InputError
from spikeline.settings.entries import format_value
from spikeline.statistics import RESAMPLES, Interval, bootstrap_mean, bootstrap_median

# The last of the columns that name a row: everything after it but TEXT_COLUMNS is a number.
ROW_NAMES = ("subject", "session")
TEXT_COLUMNS = ("model", *ROW_NAMES, "category", "role")


def retrieval_table(
    evaluations: Sequence[Evaluation],
    conditions: Sequence[Mapping[str, Any]],
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """One row for each condition, in their order; columns as in the module's table.

    Args:
        evaluations: one for each condition.
        conditions: {"model": name, "subject": name, "varied": {setting: value}}.
        resamples: of the bootstrap.

    Raises:
        InputError: as many conditions as evaluations are not given, or a condition lacks a key.
    """
    varied = _varied(conditions, len(evaluations))
    rows = []
    for evaluation, condition in zip(evaluations, conditions, strict=True):
        row = {**_names(condition, varied), **_sizes(evaluation)}
        row |= _scores(evaluation, resamples)
        row |= {k: v for k, v in evaluation.facts.items() if k not in row}
        rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def category_table(
    evaluations: Sequence[Evaluation], conditions: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """One row for each condition and category of test image; no row where none is known."""
    varied = _varied(conditions, len(evaluations))
    rows = []
    for evaluation, condition in zip(evaluations, conditions, strict=True):
        categories, images = (_labels(evaluation, name) for name in ("categories", "images"))
        hits = [_pooled(evaluation, _hits("neural_to_image", k)) for k in (1, 5)]
        for category in sorted(set(categories) - {""}):
            chosen = categories == category
            row = {**_names(condition, varied), "category": category}
            row["images"] = len(set(images[chosen]))
            row |= {
                f"top{k}": float(hit[chosen].mean()) for k, hit in zip((1, 5), hits, strict=True)
            }
            rows.append(row)
    columns = ["model", *varied, "subject", "category", "images", "top1", "top5"]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def categories_path(path: str | os.PathLike[str]) -> Path:
    """Where the per-category table of a table lies: x.tsv -> x.categories.tsv."""
    path = Path(path)
    return path.with_name(f"{path.stem}.categories{path.suffix}")


def write(path: str | os.PathLike[str], table: pd.DataFrame, record: Mapping[str, Any]) -> None:
    """Write the TSV atomically, its provenance beside it; the same table gives the same bytes."""
    lines = ["\t".join(table.columns)]
    for row in table.itertuples(index=False):
        lines.append("\t".join(_cell(value) for value in row))
    write_text(path, "\n".join(lines) + "\n")
    provenance.write_beside(path, record)


def read(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A table as written: names and varied settings as text, all else as numbers.

    Raises:
        InputError: missing, empty, or without a column that names its rows.
    """
    try:
        table = pd.read_csv(
            path,
            sep="\t",
            dtype=str,
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,
            encoding="utf-8",
        )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError):
        raise InputError(f"{path}: is no table; delete it and rerun") from None
    names = [*_key_columns(table), *(name for name in TEXT_COLUMNS if name in table)]
    try:
        return table.assign(
            **{name: pd.to_numeric(table[name]) for name in table if name not in names}
        )
    except ValueError as error:
        raise InputError(f"{path}: {error}; delete it and rerun") from None


def varied_columns(table: pd.DataFrame) -> list[str]:
    """The settings that a table varies: the columns between `model` and the row's name."""
    return [name for name in _key_columns(table) if name not in TEXT_COLUMNS]


def condition_labels(table: pd.DataFrame) -> list[str]:
    """What sets each row's condition apart, in as few words as tell all conditions apart."""
    varied, models = varied_columns(table), list(table["model"])
    entries = [model.partition("@")[0] for model in models]
    labels = []
    for index, entry in enumerate(entries):
        values = {name: table[name].iloc[index] for name in varied}
        parts = [v if len(varied) == 1 else f"{k}={v}" for k, v in values.items() if v != ""]
        labels.append(" ".join(parts if len(set(entries)) == 1 else [entry, *parts]))
    told_apart = len(set(zip(labels, models, strict=True))) == len(set(labels)) == len(set(models))
    return labels if told_apart and all(labels) else models


def as_text(table: pd.DataFrame) -> str:
    """The table aligned for a terminal: top-1 and top-5 of neural to image with intervals, then
    top-1 of image to neural, of the shuffled control and of the noise ceiling.

    A table of forecasts shows bits per spike at each horizon, pooled over sessions. One of neither
    is shown whole, intervals beside their scores.
    """
    if table.empty:
        return "\t".join(table.columns)
    shown: dict[str, list[str]] = {}
    if "neural_to_image_top1" in table:
        shown["model"] = condition_labels(table)
        shown["subject"] = list(table["subject"])
        columns = {
            "neural_to_image_top1": "top-1 [95 %]",
            "neural_to_image_top5": "top-5 [95 %]",
            "image_to_neural_top1": "image->neural",
            "shuffled_top1": "shuffled",
            "noise_ceiling_top1": "ceiling",
            "gallery": "N",
            "seeds": "seeds",
        }
        varied = varied_columns(table)
        if varied and shown["model"] != list(table["model"]):
            name = " ".join(varied) if len(varied) == 1 else "condition"
            shown = {name: shown["model"], "subject": shown["subject"]}
    elif "bits_per_spike" in table:
        table = _horizons_side_by_side(table[table["session"] == "all"])
        shown["model"] = list(table["model"])
        columns = {name: name for name in table if name not in ("model", *_ends(table))}
    else:
        columns = {name: name for name in table if name not in _ends(table)}
    for column, title in columns.items():
        if column in table:
            interval = "[" in title or column == title
            texts = [_as_text(row, column, interval) for row in table.to_dict("records")]
            if any(texts):
                shown[title] = texts
    widths = {title: max(map(len, [title, *texts])) for title, texts in shown.items()}
    lines = ["  ".join(title.ljust(width) for title, width in widths.items())]
    lines.append("  ".join("-" * width for width in widths.values()))
    for index in range(len(table)):
        lines.append("  ".join(shown[title][index].ljust(width) for title, width in widths.items()))
    return "\n".join(line.rstrip() for line in lines)


def _ends(table: pd.DataFrame) -> tuple[str, ...]:
    """The columns that hold the ends of another's interval."""
    return tuple(f"{name}{end}" for name in table for end in ("_low", "_high"))


def _horizons_side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each model and role, bits per spike of each horizon in a column of its own."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    longest = max(table["horizon_ms"], default=0)
    for row in table.to_dict("records"):
        known = {key: row[key] for key in ("model", "role", "sessions", "units", "seeds")}
        wide = rows.setdefault((row["model"], row["role"]), known)
        name = f"{row['horizon_ms']:g} ms"
        wide |= {f"{name}{end}": row[f"bits_per_spike{end}"] for end in ("", "_low", "_high")}
        if row["horizon_ms"] == longest:
            for control in ("shuffled", "co_smoothing"):
                wide[f"{control} {name}"] = row.get(control)
    return pd.DataFrame(list(rows.values()))


# --- one row --------------------------------------------------------------------------------------


def _varied(conditions: Sequence[Mapping[str, Any]], evaluations: int) -> list[str]:
    """Every varied setting, in order of first appearance."""
    if len(conditions) != evaluations or not conditions:
        raise InputError(
            f"conditions: {len(conditions)} for {evaluations} evaluations; one for each is due"
        )
    for condition in conditions:
        missing = {"model", "subject", "varied"} - set(condition)
        if missing:
            raise InputError(f"conditions: {sorted(missing)} missing in {dict(condition)}")
    return list(dict.fromkeys(name for condition in conditions for name in condition["varied"]))


def _names(condition: Mapping[str, Any], varied: Sequence[str]) -> dict[str, str]:
    values = condition["varied"]
    settings = {name: format_value(values[name]) if name in values else "" for name in varied}
    return {"model": condition["model"], **settings, "subject": condition["subject"]}


def _sizes(evaluation: Evaluation) -> dict[str, Any]:
    galleries = [len(seed.images) for seed in evaluation.seeds]
    same = len(set(galleries)) == 1
    return {
        "seeds": len(evaluation.seeds),
        "images": len({name for seed in evaluation.seeds for name in seed.images}),
        "gallery": galleries[0] if same else float(np.mean(galleries)),
    }


def _scores(evaluation: Evaluation, resamples: int) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    images = _labels(evaluation, "images")

    def add(name: str, score: Callable[[Draw], np.ndarray], between_seeds: bool = False) -> None:
        interval = bootstrap_mean(_pooled(evaluation, score), images, resamples)
        row.update(_columns(name, interval))
        if between_seeds:
            row[f"{name}_sd"] = _sd_between_seeds(evaluation, score)

    for direction in DIRECTIONS:
        for k in (1, 5, 10):
            add(f"{direction}_top{k}", _hits(direction, k), between_seeds=k < 10)
    ranks = _pooled(evaluation, lambda draw: draw.neural_to_image.rank)
    row |= _columns("median_rank", bootstrap_median(ranks, images, resamples))
    add("positive_similarity", lambda draw: draw.positive_similarity)
    for k in (1, 5):
        add(f"shuffled_top{k}", _shuffled_hits(k))
    for k in (1, 5):
        row[f"noise_ceiling_top{k}"] = (evaluation.noise_ceiling or {}).get(f"top{k}")
    for k in (1, 5):
        chances = [min(k / len(seed.images), 1.0) for seed in evaluation.seeds]
        row[f"chance_top{k}"] = float(np.mean(chances))
    return row


def _hits(direction: str, k: int) -> Callable[[Draw], np.ndarray]:
    return lambda draw: getattr(draw, direction).hits(k)


def _shuffled_hits(k: int) -> Callable[[Draw], np.ndarray]:
    return lambda draw: draw.shuffled["neural_to_image"].hits(k).mean(axis=0)


def _pooled(evaluation: Evaluation, score: Callable[[Draw], np.ndarray]) -> np.ndarray:
    """Scores of all seeds, draws and images in one row."""
    return np.concatenate([score(draw) for seed in evaluation.seeds for draw in seed.draws])


def _labels(evaluation: Evaluation, name: str) -> np.ndarray:
    """The `images` or `categories` that the scores of `_pooled` belong to."""
    return np.concatenate([getattr(seed, name) for seed in evaluation.seeds for _ in seed.draws])


def _sd_between_seeds(evaluation: Evaluation, score: Callable[[Draw], np.ndarray]) -> float | None:
    """Sample standard deviation of the seeds' means; None for one seed."""
    means = [np.mean([score(draw).mean() for draw in seed.draws]) for seed in evaluation.seeds]
    return float(np.std(means, ddof=1)) if len(means) > 1 else None


def _columns(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


# --- cells ----------------------------------------------------------------------------------------


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, (float, np.floating)) and math.isnan(value)):
        return ""
    if isinstance(value, (float, np.floating)):
        # Adding 0 turns -0.0 into 0.0.
        return f"{round(float(value), 4) + 0.0:.4f}"
    text = str(value)
    if any(mark in text for mark in "\t\n\r"):
        raise InputError(f"table: {text!r} has a tab or line end; rename it")
    return text


def _key_columns(table: pd.DataFrame) -> list[str]:
    columns = list(table.columns)
    for last in ROW_NAMES:
        if last in columns:
            return columns[: columns.index(last) + 1]
    raise InputError(f"table: has no column {' or '.join(ROW_NAMES)}, only {columns}")


def _as_text(row: Mapping[str, Any], column: str, interval: bool) -> str:
    """A cell for people: three decimals, with its interval if asked for and known."""
    value = row[column]
    if isinstance(value, str):
        return value
    if value is None or math.isnan(value):
        return ""
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    if low is None and (isinstance(value, int) or (value > 1 and float(value).is_integer())):
        return str(int(value))
    if not interval or low is None:
        return f"{value:.3f}"
    between = ", " if low < 0 else "-"
    return f"{value:.3f} [{low:.3f}{between}{high:.3f}]"
