"""Remove what killed processes left half written; the workflow does so as it starts.

Example:
    spikeline sweep results resources
"""

from __future__ import annotations

import argparse

from spikeline.artifacts.files import sweep


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders", nargs="+", metavar="FOLDER", help="to look through, e.g. results"
    )


def run(options: argparse.Namespace) -> None:
    if removed := sweep(options.folders):
        print(f"removed {len(removed)} unfinished files of processes that are gone")
