"""Write simulated sessions as an ALF tree with ONE cache tables (IBL client environment).

Example:
    spikeline write-alf --simulation simulation --output alf
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spikeline.artifacts import provenance
from spikeline.artifacts.files import atomic_folder
from spikeline.cli._options import start_log
from spikeline.simulate.behaving.store import read_session, session_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument(
        "--simulation", type=Path, required=True, metavar="DIR", help="what simulate-behaving wrote"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="cache_dir of ONE"
    )


def run(options: argparse.Namespace) -> None:
    """Write the tree next to its place, then move it there."""
    # Here, so that --help works in any environment.
    from spikeline.simulate.behaving.alf import write_tree

    start_log()
    files = session_files(options.simulation, "ibl")
    record = provenance.describe(__name__, {}, files)
    with atomic_folder(options.output) as folder:
        write_tree(folder, [read_session(path) for path in files])
        provenance.write_beside(folder, record)
