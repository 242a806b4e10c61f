r"""Collect the wheel decodings of several sessions in a table (TSV) and a figure (PNG).

Example:
    spikeline tabulate-wheel \
      --decodings results/wheel/ibl_01/seed0.json results/wheel/ibl_01/seed1.json \
      --output wheel.tsv --figure wheel.png
"""

from __future__ import annotations

import argparse
from typing import Any

import pandas as pd

from spikeline import plotting
from spikeline.artifacts import decodings, provenance, tables
from spikeline.cli._options import start_log
from spikeline.cli._tables import add_table, resamples_of
from spikeline.horizon.wheel.table import CONTROL, wheel_table

TITLE = "Velocity decoded from spikes, POYO and ridge"
VALUE = "R2 on test blocks (95 % interval)"
LABELS = {"poyo": "POYO", "ridge": "ridge on binned counts"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--decodings",
        required=True,
        nargs="+",
        metavar="FILE",
        help="JSON, one per session and seed",
    )
    add_table(parser, TITLE)


def run(options: argparse.Namespace) -> None:
    start_log()
    resamples = resamples_of(options)
    table = wheel_table([decodings.read(path) for path in options.decodings], resamples)
    settings = {"title": options.title, "resamples": resamples}
    record = provenance.describe(__name__, settings, options.decodings)
    figure = draw(table, options.title)
    tables.write(options.output, table, record)
    plotting.save(options.figure, figure, record)


def draw(table: pd.DataFrame, title: str) -> Any:
    """One row per session, one mark per decoder with its control, one panel per behaviour.

    Args:
        table: as `wheel_table` or `tables.read` give it.
        title: of the figure.

    Returns:
        A matplotlib Figure.
    """
    rows: dict[str, dict[str, Any]] = {}
    for row in table.to_dict("records"):
        wide = rows.setdefault(
            row["session"], {"session": row["session"], "subject": row["behaviour"]}
        )
        for end in ("", "_low", "_high"):
            wide[f"{row['decoder']}{end}"] = row[f"r2{end}"]
    wide = pd.DataFrame(list(rows.values()))
    measures = [
        plotting.Measure(name, label, control=f"{name}{CONTROL}") for name, label in LABELS.items()
    ]
    values = dict.fromkeys(wide["subject"], VALUE)
    return plotting.conditions_figure(
        wide, list(wide["session"]), measures, title, values, "session", shares=False
    )
