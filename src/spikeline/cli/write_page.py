r"""Write a table's page: sortable rows, figure, curves, galleries, cost and origins in one file.

Example:
    spikeline write-page --table results/ablation_regions.tsv \
      --figure results/ablation_regions.png --output regions.html
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_text
from spikeline.cli._measured import add_measured, measured_of
from spikeline.cli._options import add_output, start_log
from spikeline.report.pages import table_page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", required=True, metavar="FILE.tsv", help="with its provenance")
    parser.add_argument("--figure", required=True, metavar="FILE.png", help="of the table")
    parser.add_argument("--caption", metavar="FILE.txt", help="its sentences (from its numbers)")
    parser.add_argument("--gallery", metavar="FILE.png", help="of images")
    add_measured(parser)
    add_output(parser, "page, HTML that needs no other file")


def run(options: argparse.Namespace) -> None:
    start_log()
    caption = Path(options.caption).read_text(encoding="utf-8") if options.caption else None
    rules = measured_of(options)
    page = table_page(options.table, options.figure, caption, options.gallery, rules)
    write_text(options.output, page)
    record = provenance.describe(__name__, {}, [options.table, options.figure])
    provenance.write_beside(options.output, record)
