"""Write simulated sessions as a filled AllenSDK cache of NWB files (Allen client environment).

Example:
    spikeline write-nwb --simulation simulation --output nwb
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spikeline.artifacts import provenance
from spikeline.artifacts.files import atomic_folder
from spikeline.cli._options import start_log
from spikeline.simulate.behaving.store import (
    PICTURES_FILE,
    read_pictures,
    read_session,
    session_files,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument(
        "--simulation", type=Path, required=True, metavar="DIR", help="what simulate-behaving wrote"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="the cache; holds manifest.json"
    )


def run(options: argparse.Namespace) -> None:
    """Write the cache next to its place, then move it there."""
    # Here, so that --help works in any environment.
    from spikeline.simulate.behaving.allen_cache import write_cache

    start_log()
    files = session_files(options.simulation, "allen")
    record = provenance.describe(__name__, {}, [*files, options.simulation / PICTURES_FILE])
    scenes, movie = read_pictures(options.simulation)
    with atomic_folder(options.output) as folder:
        write_cache(folder, [read_session(path) for path in files], scenes, movie)
        provenance.write_beside(folder, record)
