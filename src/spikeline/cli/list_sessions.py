"""List what each session holds: spikes, units, duration, regions, behaviour (TSV).

Example:
    spikeline list-sessions --sessions results/sessions/*.h5 --output sessions.tsv
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance, tables
from spikeline.cli._options import add_output, start_log
from spikeline.report.sessions import sessions_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sessions", required=True, nargs="+", metavar="FILE", help="sessions, HDF5"
    )
    add_output(parser, "table, a row for each session")


def run(options: argparse.Namespace) -> None:
    start_log()
    table = sessions_table(options.sessions)
    # Sessions are large: their size stands for them, they were checked when they were converted.
    tables.write(options.output, table, provenance.describe(__name__, {}, large=options.sessions))
