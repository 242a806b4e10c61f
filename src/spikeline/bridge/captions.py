"""The caption of a table of retrieval: what it shows, said from its numbers alone.

A difference whose interval includes zero is told as such, never as a gain or a loss; a control that
is not at chance is the caption's last and loudest word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from spikeline.artifacts.embeddings import OUTPUT
from spikeline.artifacts.tables import CONTROL, MODEL, REFERENCE, condition_labels

SCORE, DIFFERENCE, CHANCE = "neural_to_image_top1", "difference_top1", "chance_top1"
_TWO_QUESTIONS = "not to be compared with retrieval in the space of an encoder's output"
# With more conditions than this, those that differ are counted and only the farthest are named.
MOST_NAMED = 4


def caption(table: pd.DataFrame) -> str:
    """One line per subject or group: its reference, what differs from it, and its control.

    Args:
        table: as `retrieval_table` or `artifacts.tables.read` give it.

    Returns:
        Sentences about top-1 from neural to image, in percent, with 95 % intervals in brackets.
    """
    table = table.assign(label=condition_labels(table, settings=True))
    lines = []
    for _, rows in table.groupby("group" if "group" in table else "subject", sort=False):
        (reference,) = rows[rows["row"] == REFERENCE].to_dict("records")
        subject = reference["subject"]
        if rows["subject"].nunique() > 1:
            rows = rows.assign(label=rows["label"] + " on " + rows["subject"])
        others = rows[(rows["row"] == MODEL) & rows[DIFFERENCE].notna()].to_dict("records")
        controls = rows[rows["row"] == CONTROL].to_dict("records")
        sentences = [_identified(subject, reference)]
        if others:
            few = len(others) <= MOST_NAMED
            sentences.append(_each_difference(others) if few else _most_differences(others))
        sentences += _targets(rows)
        sentences += [_control(row) for row in controls] or ["No control was retrained."]
        lines.append(" ".join(sentences))
    return "\n".join(lines)


def _identified(subject: str, row: dict[str, Any]) -> str:
    chance = f"chance is {_percent(row[CHANCE])} %"
    if row[f"{SCORE}_low"] <= row[CHANCE]:
        chance = f"that is not above chance, {_percent(row[CHANCE])} %"
    return (
        f"{subject}, {row['label']}: {_percent(row[SCORE])} % of responses identify their image "
        f"among {row['gallery']:g} {_interval(row, SCORE)}; {chance}."
    )


def _each_difference(rows: Sequence[dict[str, Any]]) -> str:
    return f"Compared with it image by image, {'; '.join(map(_difference, rows))}."


def _difference(row: dict[str, Any]) -> str:
    size = row[DIFFERENCE]
    told = f"{'higher' if size > 0 else 'lower'} by {_points(size)}" if size else "equal"
    doubt = "" if _side(row) else ", an interval that includes zero"
    return f"{row['label']} is {told}{doubt} {_interval(row, DIFFERENCE)}"


def _most_differences(rows: Sequence[dict[str, Any]]) -> str:
    """How many differ each way, and in brackets the one that does most."""
    parts = []
    for side, word in ((1, "higher"), (-1, "lower")):
        found = [row for row in rows if _side(row) == side]
        if found:
            farthest = max(found, key=lambda row: abs(row[DIFFERENCE]))
            by = f"{_points(farthest[DIFFERENCE])} {_interval(farthest, DIFFERENCE)}"
            verb = "is" if len(found) == 1 else "are"
            which = "" if len(found) == 1 else "most: "
            parts.append(f"{len(found)} {verb} {word} ({which}{farthest['label']}, by {by})")
    unclear = sum(_side(row) == 0 for row in rows)
    if unclear:
        parts.append(f"for {unclear} the interval of the difference includes zero")
    return f"Compared with it image by image, of {len(rows)} others {'; '.join(parts)}."


def _targets(rows: pd.DataFrame) -> list[str]:
    """Which question the rows ask, where it is not retrieval in the space of the output."""
    targets = set(rows["target"]) if "target" in rows else {OUTPUT}
    if targets == {OUTPUT}:
        return []
    which = f"Rows with another target than `{OUTPUT}`" if OUTPUT in targets else "These rows"
    return [f"{which} identify images by layers of a network: {_TWO_QUESTIONS}."]


def _control(row: dict[str, Any]) -> str:
    low, high, chance = row[f"{SCORE}_low"], row[f"{SCORE}_high"], row[CHANCE]
    numbers = f"({_percent(row[SCORE])} % {_interval(row, SCORE)}, chance {_percent(chance)} %)"
    if low > chance:
        return (
            f"The control, the same model trained on broken pairs, is NOT at chance {numbers}: "
            "something other than the pairs tells these images apart, so no score here is safe."
        )
    # Few hits of few trials: an interval below chance speaks of no leak.
    verdict = "does not exceed chance" if high < chance else "is at chance"
    return f"The control, the same model trained on broken pairs, {verdict} {numbers}."


def _side(row: dict[str, Any]) -> int:
    """1 or -1 where the interval of the difference excludes zero, else 0."""
    return int(row[f"{DIFFERENCE}_low"] > 0) - int(row[f"{DIFFERENCE}_high"] < 0)


def _interval(row: dict[str, Any], name: str) -> str:
    return f"[{_percent(row[f'{name}_low'])}, {_percent(row[f'{name}_high'])}]"


def _points(difference: float) -> str:
    size = _percent(abs(difference))
    return f"{size} point" if size == "1" else f"{size} points"


def _percent(share: float) -> str:
    # Adding 0 turns -0.0 into 0.0.
    return f"{round(100 * share, 1) + 0.0:g}"
