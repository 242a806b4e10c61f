"""The table of tables: for each its reference, the best of the others, and their paired difference.

| column | meaning |
|---|---|
| table, title | its name, and the question it asks |
| rows | conditions and subjects or sessions that it holds |
| subject | of the two rows compared: the first of the table; of forecasts how many sessions |
| metric | what `reference` and `best` are |
| N | images of the gallery, or units that were scored |
| reference_model, reference | the row that others are compared with |
| best_model, best | of the other models on the same target the highest; no control, no ceiling |
| best_of | how many others it is the best of: the more, the more luck its place holds |
| difference | best less reference, paired; by image, window or piece as its table says |
| verdict | higher or lower where the interval of the difference excludes zero, else unclear |

X_low and X_high are the 95 % interval of X. The interval of `difference` is of one comparison: it
does not know that the best of many was picked. An empty cell means "not available".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from spikeline.artifacts.tables import MODEL, REFERENCE, two_way_measures
from spikeline.errors import InputError

# Columns that are text.
TEXTS = ("table", "title", "subject", "metric", "reference_model", "best_model", "verdict")
HIGHER, LOWER, UNCLEAR = "higher", "lower", "unclear"
CONTROL = "_shuffled"
ROLES = ("held_out", "seen")


@dataclass(frozen=True)
class Kind:
    """What a table measures: its score and paired difference as column names, and their words."""

    score: str
    difference: str
    metric: str
    main: tuple[str, ...]


def kind_of(table: pd.DataFrame) -> Kind:
    """What a table measures, told by its columns.

    Raises:
        InputError: no table of this workflow.
    """
    if "neural_to_image_top1" in table:
        main = ("neural_to_image_top1", "difference_top1", "neural_to_image_top5")
        main += ("image_to_neural_top1", "gallery", "seeds", "target")
        return Kind(main[0], main[1], "top-1, response to image", main)
    if "pixcorr" in table:
        two_way = two_way_measures(table)
        score = next((name for name in ("clip", *two_way) if name in two_way), "pixcorr")
        words = "pixel correlation" if score == "pixcorr" else f"two-way identification, {score}"
        main = ("pixcorr", "ssim", *two_way, f"difference_{score}", "gallery", "seeds")
        return Kind(score, f"difference_{score}", words, main)
    if "bits_per_spike" in table:
        main = ("horizon_ms", "bits_per_spike", "difference", "sessions", "units", "seeds")
        return Kind("bits_per_spike", "difference", "bits per spike", main)
    if "decoder" in table and "r2" in table:
        return Kind("r2", "", "R2 of velocity", ("r2", "units", "seeds"))
    raise InputError(f"table: columns {list(table)} are of no known kind")


def summary_row(name: str, title: str, table: pd.DataFrame) -> dict[str, Any]:
    """One table in a row; columns as in the module's table.

    Args:
        name: of the table.
        title: of its figure.
        table: as `artifacts.tables.read` gives it.
    """
    kind = kind_of(table)
    row = {"table": name, "title": title, "rows": len(table), "metric": kind.metric}
    if kind.score == "r2":
        return row | _wheel(table)
    subject, compared, metric, count = _compared(table, kind)
    row |= {"subject": subject, "metric": metric, "N": count}
    references = [one for one in compared if one["row"] == REFERENCE]
    others = [one for one in compared if one["row"] == MODEL and _known(one, kind.score)]
    if references:
        # Retrieval in an encoder's output space and identification by its layers are two questions.
        others = [one for one in others if one.get("target") == references[0].get("target")]
    if references:
        row["reference_model"] = references[0]["model"]
        row |= _interval("reference", references[0], kind.score)
    if others:
        best = max(others, key=lambda one: one[kind.score])
        elsewhere = best.get("subject") not in (None, subject)
        name = f"{best['model']} on {best['subject']}" if elsewhere else best["model"]
        row |= {"best_model": name, "best_of": len(others)}
        row |= _interval("best", best, kind.score)
        row |= _interval("difference", best, kind.difference)
        row["verdict"] = _verdict(row)
    return row


def summary_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of `summary_row` with all columns in their order, no text where there is none."""
    ends = ("", "_low", "_high")
    columns = ["table", "title", "rows", "subject", "metric", "N", "reference_model"]
    columns += [*(f"reference{end}" for end in ends), "best_model", "best_of"]
    columns += [f"{name}{end}" for name in ("best", "difference") for end in ends]
    table = pd.DataFrame(rows, columns=[*columns, "verdict"], dtype=object)
    return table.fillna({name: "" for name in TEXTS})


def sentence(row: Mapping[str, Any]) -> str:
    """A row of the summary in words: who wins, by how much, with its paired interval."""
    scored = row["reference_model"]
    if not scored or not _known(row, "reference"):
        return "No row to compare with."
    text = f"{row['subject']}, {row['metric']}: {scored} {_words(row, 'reference')}"
    if not row["best_model"] or not _known(row, "best"):
        return f"{text}; no other model answers the same question."
    count = int(row["best_of"])
    best = f"the best of {count} others" if count > 1 else "the other"
    text += f"; {best}, {row['best_model']}, {_words(row, 'best')}"
    if not _known(row, "difference"):
        return f"{text}, without a paired difference."
    size = f"{row['difference']:+.3f}{_ends(row, 'difference')}"
    if row["verdict"] != UNCLEAR:
        return f"{text}, is {row['verdict']}: paired difference {size}."
    known = _known(row, "difference_low") and _known(row, "difference_high")
    why = "includes zero" if known else "is not known"
    return f"{text}: paired difference {size}, whose interval {why}."


def _compared(table: pd.DataFrame, kind: Kind) -> tuple[str, list[dict[str, Any]], str, Any]:
    """Whose rows are compared, those rows, the metric in full, and N."""
    if kind.score == "bits_per_spike":
        rows = table[table["session"] == "all"]
        longest = max(rows["horizon_ms"], default=0)
        rows = rows[rows["horizon_ms"] == longest]
        # Sessions never seen are what counts, unless they are too few for an interval.
        known = rows[rows["difference_low"].notna()]
        roles = [*known["role"], *rows["role"]]
        role = next((one for one in ROLES if one in roles[: len(known)]), roles[0])
        rows = rows[rows["role"] == role]
        sessions = int(max(rows["sessions"], default=0))
        what = "fold" if role == "fold" else "session"
        where = {"held_out": " never seen", "seen": " seen"}.get(role, "")
        words = f"{sessions} {what}{'s' * (sessions != 1)}{where}"
        units = max(rows["units"], default=np.nan)
        return words, rows.to_dict("records"), f"{kind.metric} at {longest:g} ms", units
    group = "group" if "group" in table else "subject"
    rows = table[table[group] == table[group].iloc[0]]
    count = rows["gallery"].iloc[0] if "gallery" in rows else np.nan
    metric = f"{kind.metric}, of {count:g}" if kind.score.endswith("top1") else kind.metric
    return str(rows["subject"].iloc[0]), rows.to_dict("records"), metric, count


def _wheel(table: pd.DataFrame) -> dict[str, Any]:
    """Decoders of the first session; the table has no paired difference of two of them."""
    session = table["session"].iloc[0]
    rows = table[table["session"] == session].to_dict("records")
    decoders = [row for row in rows if not row["decoder"].endswith(CONTROL)]
    # The simple one is what the other has to beat.
    reference = next((row for row in decoders if row["decoder"] == "ridge"), decoders[0])
    others = [row for row in decoders if row is not reference]
    found = {"subject": session, "N": reference["units"], "reference_model": reference["decoder"]}
    found |= _interval("reference", reference, "r2")
    if others:
        best = max(others, key=lambda row: row["r2"])
        found |= {"best_model": best["decoder"], "best_of": len(others)}
        found |= _interval("best", best, "r2")
    return found


def _interval(name: str, row: Mapping[str, Any], column: str) -> dict[str, Any]:
    return {f"{name}{end}": row.get(f"{column}{end}", np.nan) for end in ("", "_low", "_high")}


def _verdict(row: Mapping[str, Any]) -> str:
    if _known(row, "difference_low") and row["difference_low"] > 0:
        return HIGHER
    if _known(row, "difference_high") and row["difference_high"] < 0:
        return LOWER
    return UNCLEAR


def _known(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name)
    return value is not None and value != "" and not np.isnan(value)


def _words(row: Mapping[str, Any], name: str) -> str:
    return f"{row[name]:.3f}{_ends(row, name)}"


def _ends(row: Mapping[str, Any], name: str) -> str:
    if not (_known(row, f"{name}_low") and _known(row, f"{name}_high")):
        return ""
    return f" [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"
