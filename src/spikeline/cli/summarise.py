"""Summarise tables in one: for each its reference, the best of the others, their difference.

Example:
    spikeline summarise --tables results/ablation_regions.tsv --output summary.tsv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spikeline.artifacts import provenance, tables
from spikeline.cli._options import add_output, start_log
from spikeline.report.pages import read
from spikeline.report.summary import summary_row, summary_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tables", required=True, nargs="+", metavar="FILE", help="TSV, with their provenance"
    )
    add_output(parser, "table, a row for each of them")


def run(options: argparse.Namespace) -> None:
    start_log()
    rows = []
    for path in map(Path, options.tables):
        title = provenance.read(path)["settings"].get("title") or path.stem
        rows.append(summary_row(path.stem, title, read(path)))
    record = provenance.describe(__name__, {}, options.tables)
    tables.write(options.output, summary_table(rows), record)
