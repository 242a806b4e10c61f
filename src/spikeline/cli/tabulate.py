r"""Collect the evaluations of an ablation in a table (TSV), a figure (PNG) and a caption (text).

Example:
    spikeline tabulate \
      --evaluations results/evaluations/ridge/monkeyF.json results/evaluations/mlp/monkeyF.json \
      --conditions conditions.json --output table.tsv --figure table.png
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from spikeline import plotting
from spikeline.artifacts import evaluations, provenance, tables
from spikeline.artifacts.files import write_text
from spikeline.bridge.captions import caption
from spikeline.bridge.tables import categories_path, category_table, retrieval_table
from spikeline.cli._options import start_log
from spikeline.cli._tables import add_conditions, add_table, conditions_of, resamples_of
from spikeline.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

MEASURES = [
    plotting.Measure(
        f"neural_to_image_top{k}",
        f"top-{k}",
        control=f"control_top{k}",
        chance=f"chance_top{k}",
        ceiling=f"infinite_repetitions_top{k}",
        difference=f"difference_top{k}",
        control_label="retrained on broken pairs",
    )
    for k in (1, 5)
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--evaluations", required=True, nargs="+", metavar="FILE", help="JSON")
    add_conditions(
        parser, '[{"model": "mlp", "subject": "monkeyF", "varied": {"regions": ["IT"]}}, ...]'
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="take the first N seeds of an evaluation (all)"
    )
    add_table(parser)
    parser.add_argument(
        "--categories", metavar="FILE.tsv", help="per-category table (OUTPUT's .categories.tsv)"
    )
    parser.add_argument(
        "--caption", metavar="FILE.txt", help="what the table shows, in sentences (OUTPUT's .txt)"
    )


def run(options: argparse.Namespace) -> None:
    start_log()
    conditions = conditions_of(options)
    if len(conditions) != len(options.evaluations):
        raise InputError(
            f"--conditions: {len(conditions)} for {len(options.evaluations)} evaluations; "
            "give one for each, in their order"
        )
    resamples = resamples_of(options)
    read = [_first_seeds(evaluations.read(path), options.seeds) for path in options.evaluations]
    table = retrieval_table(read, conditions, resamples)
    categories = category_table(read, conditions, resamples)
    if categories.empty:
        log.info("no scores by category: the config names no `categories` of these stimuli")
    settings = {
        "conditions": conditions,
        "title": options.title,
        "resamples": resamples,
        "seeds": options.seeds,
    }
    record = provenance.describe(__name__, settings, options.evaluations)
    text = caption(table)
    figure = draw(table, options.title, text)
    tables.write(options.output, table, record)
    tables.write(options.categories or categories_path(options.output), categories, record)
    beside = options.caption or Path(options.output).with_suffix(".txt")
    write_text(beside, text + "\n")
    provenance.write_beside(beside, record)
    plotting.save(options.figure, figure, record)


def draw(table: pd.DataFrame, title: str, text: str = "") -> Figure:
    """The figure of a retrieval table: curves over a number, else one row per condition.

    Args:
        table: as `retrieval_table` or `artifacts.tables.read` return it.
        title: of the figure.
        text: below the panels.
    """
    table = _controls_beside(table)
    varied = tables.varied_columns(table)
    sizes = {name: f"{rows['gallery'].iloc[0]:g}" for name, rows in table.groupby("subject")}
    among = "share retrieved among N = {} images\n(95 % interval)"
    values = {name: among.format(size) for name, size in sizes.items()}
    numbers = pd.to_numeric(table[varied[0]], errors="coerce") if len(varied) == 1 else None
    one_entry = len({name.partition("@")[0] for name in table["model"]}) == 1
    if numbers is not None and one_entry and numbers.notna().all() and numbers.nunique() > 2:
        return plotting.curves_figure(
            table, numbers, MEASURES, title, values, varied[0].replace("_", " "), caption=text
        )
    if {"mask", "mask_share"} <= set(varied) and "masked_mse" in table and len(sizes) == 1:
        return plotting.masking_figure(table, title, *values.values(), caption=text)
    labels = tables.condition_labels(table)
    name = varied[0].replace("_", " ") if len(varied) == 1 else ""
    return plotting.conditions_figure(table, labels, MEASURES, title, values, name, caption=text)


def _controls_beside(table: pd.DataFrame) -> pd.DataFrame:
    """The table without its controls, each beside its own reference as control_topK."""
    compared = "group" if "group" in table else "subject"
    controls = table[table["row"] == tables.CONTROL].drop_duplicates(compared).set_index(compared)
    table = table[table["row"] != tables.CONTROL]
    references = table[compared].where(table["row"] == tables.REFERENCE)
    names = [f"top{k}{end}" for k in (1, 5) for end in ("", "_low", "_high")]
    return table.assign(
        **{f"control_{name}": references.map(controls[f"neural_to_image_{name}"]) for name in names}
    )


def _first_seeds(evaluation: evaluations.Evaluation, count: int | None) -> evaluations.Evaluation:
    """Another table may have asked for more seeds of the same model; this one keeps to its own."""
    return replace(evaluation, seeds=evaluation.seeds[:count])
