r"""Collect forecasts and their baselines in a table (TSV), a figure (PNG) and a caption (text).

Example:
    spikeline tabulate-forecasts --forecasts results/forecasts/idencoder.json \
      --baselines results/baselines/*.json --conditions conditions.json --output table.tsv \
      --figure table.png
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from spikeline import plotting
from spikeline.artifacts import forecasts, provenance, tables
from spikeline.artifacts.files import write_text
from spikeline.cli._options import start_log
from spikeline.cli._tables import add_conditions, add_table, conditions_of
from spikeline.errors import InputError
from spikeline.horizon.scores.captions import caption
from spikeline.horizon.scores.figures import draw
from spikeline.horizon.scores.rotations import joined_turns
from spikeline.horizon.scores.tables import forecast_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--forecasts", required=True, nargs="+", metavar="FILE",
        help="JSON, one for each condition; of one with rotations one for each of them",
    )  # fmt: skip
    parser.add_argument(
        "--baselines", required=True, nargs="+", metavar="FILE", help="JSON, of every session"
    )
    add_conditions(parser, '[{"model": "idencoder", "varied": {"identity": "mean"}}, ...]')
    parser.add_argument(
        "--rows",
        choices=["conditions", "horizons", "sessions"],
        default="conditions",
        help="what the figure sets side by side",
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="take the first N of a model (all)")
    parser.add_argument(
        "--reference", metavar="NAME", help="condition or baseline to compare with (the first)"
    )
    parser.add_argument(
        "--caption", metavar="FILE.txt", help="what the table shows, in sentences (OUTPUT's .txt)"
    )
    add_table(parser, resampled=False)


def run(options: argparse.Namespace) -> None:
    start_log()
    conditions = conditions_of(options)
    table = forecast_table(
        _of_conditions(options.forecasts, conditions),
        conditions,
        [forecasts.read(path) for path in options.baselines],
        options.seeds,
        options.reference,
    )
    settings = {
        "conditions": conditions,
        "rows": options.rows,
        "title": options.title,
        "seeds": options.seeds,
        "reference": options.reference,
    }
    record = provenance.describe(__name__, settings, [*options.forecasts, *options.baselines])
    text = caption(table)
    figure = draw(table, options.rows, options.title, text)
    tables.write(options.output, table, record)
    beside = options.caption or Path(options.output).with_suffix(".txt")
    write_text(beside, text + "\n")
    provenance.write_beside(beside, record)
    plotting.save(options.figure, figure, record)


def _of_conditions(
    paths: Sequence[str], conditions: Sequence[Mapping[str, Any]]
) -> list[forecasts.Forecasts]:
    """The forecasts of each condition, rotations joined."""
    turns = [condition.get("rotations", []) for condition in conditions]
    wanted = sum(max(1, len(models)) for models in turns)
    if wanted != len(paths):
        raise InputError(f"--forecasts: {len(paths)} files for {wanted} models of --conditions")
    found, files = [], map(forecasts.read, paths)
    for models in turns:
        parts = list(islice(files, max(1, len(models))))
        found.append(joined_turns(parts, models) if models else parts[0])
    return found
