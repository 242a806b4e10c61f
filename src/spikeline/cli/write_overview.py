r"""Write the first page: what was run on which data, and what each table showed.

Example:
    spikeline write-overview --summary results/summary.tsv \
      --tables results/ablation_regions.tsv --output overview.html
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_text
from spikeline.cli._measured import add_measured, measured_of
from spikeline.cli._options import add_output, start_log
from spikeline.report.overview import overview


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--summary", required=True, metavar="FILE.tsv", help="table of tables")
    parser.add_argument(
        "--tables", required=True, nargs="+", metavar="FILE", help="TSV, with their provenance"
    )
    parser.add_argument("--sessions", metavar="FILE.tsv", help="table of sessions")
    parser.add_argument("--reported", metavar="FILE.tsv", help="what others reported")
    parser.add_argument(
        "--front", metavar="FILE.html", help="a fragment without style, for a report's front"
    )
    add_measured(parser)
    add_output(parser, "page, HTML that needs no other file")


def run(options: argparse.Namespace) -> None:
    start_log()
    page, front = overview(
        options.summary,
        options.tables,
        options.sessions,
        options.reported,
        measured_of(options),
    )
    write_text(options.output, page)
    record = provenance.describe(__name__, {}, [options.summary, *options.tables])
    provenance.write_beside(options.output, record)
    if options.front:
        write_text(options.front, front)
