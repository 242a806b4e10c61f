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
from spikeline.cli._tables import add_table
from spikeline.horizon.wheel.table import CONTROL, REFERENCE, wheel_table

TITLE = "Velocity decoded from spikes, POYO and ridge"
VALUE = "R2 on test blocks"
LABELS = {
    "poyo": "POYO",
    "poyo_joint": "POYO, sessions jointly",
    "ridge": "ridge on binned counts",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--decodings",
        required=True,
        nargs="+",
        metavar="FILE",
        help="JSON, one per session and seed, and those of decode-wheel-jointly",
    )
    add_table(parser, TITLE, resampled=False)


def run(options: argparse.Namespace) -> None:
    start_log()
    table = wheel_table([one for path in options.decodings for one in decodings.read(path)])
    settings = {"title": options.title}
    record = provenance.describe(__name__, settings, options.decodings)
    figure = draw(table, options.title)
    tables.write(options.output, table, record)
    plotting.save(options.figure, figure, record)


def draw(table: pd.DataFrame, title: str) -> Any:
    """One row per session, one mark per decoder with its control, one panel per behaviour.

    Beside the scores, how far each decoder is from ridge.

    Args:
        table: as `wheel_table` or `tables.read` give it.
        title: of the figure.

    Returns:
        A matplotlib Figure.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in table.to_dict("records"):
        which = row["session"], row["behaviour"]
        wide = rows.setdefault(which, {"session": which[0], "subject": which[1]})
        for end in ("", "_low", "_high"):
            wide[f"{row['decoder']}{end}"] = row[f"r2{end}"]
            wide[f"{row['decoder']}_difference{end}"] = row[f"difference{end}"]
    wide = pd.DataFrame(list(rows.values()))
    measures = [
        plotting.Measure(
            name,
            label,
            control=f"{name}{CONTROL}",
            difference=None if name == REFERENCE else f"{name}_difference",
        )
        for name, label in LABELS.items()
        if name in wide
    ]
    known = table["r2_low"].notna().any()
    values = dict.fromkeys(wide["subject"], f"{VALUE} (95 % interval)" if known else VALUE)
    return plotting.conditions_figure(
        wide,
        list(wide["session"]),
        measures,
        title,
        values,
        "session",
        shares=False,
        caption=f"The reference is {LABELS[REFERENCE]}.",
    )
