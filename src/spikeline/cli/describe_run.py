"""Describe how files came about as a Process Run Crate (RO-Crate, zip) that holds them.

Example:
    spikeline describe-run --files results/ablation_regions.* --output run.crate.zip
"""

from __future__ import annotations

import argparse

from spikeline.cli._options import add_output, start_log
from spikeline.report import crate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--files", required=True, nargs="+", metavar="FILE", help="tables, figures, pages"
    )
    parser.add_argument("--name", default="Spikeline run", help="of the crate")
    parser.add_argument(
        "--license",
        default="No licence is stated: ask who shared this crate.",
        metavar="URL",
        help="of the results, yours to choose: an address or words (that none is stated)",
    )
    add_output(parser, "crate, ZIP")


def run(options: argparse.Namespace) -> None:
    start_log()
    description = (
        f"{len(options.files)} files, and every step behind them with its inputs, settings and code"
    )
    crate.write(options.output, options.files, options.name, description, options.license)
