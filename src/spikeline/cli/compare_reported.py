"""Set what others reported beside what was measured here on the same data (TSV).

Example:
    spikeline compare-reported --tables results/ablation_regions.tsv --output reported.tsv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spikeline.artifacts import provenance, tables
from spikeline.cli._options import add_output, start_log
from spikeline.report.reported import reported_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tables", nargs="*", default=[], metavar="FILE", help="TSV, with their provenance"
    )
    add_output(parser, "table, a row for each reported figure")


def run(options: argparse.Namespace) -> None:
    start_log()
    found = {path.stem: path for path in map(Path, options.tables)}
    record = provenance.describe(__name__, {}, options.tables)
    tables.write(options.output, reported_table(found), record)
