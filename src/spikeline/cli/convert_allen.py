r"""Convert an Allen session's NWB file to a session: good units, running, images shown.

Example:
    spikeline convert-allen --recording resources/recordings/allen_01 \
      --settings '{"min_units": 20}' --output allen_01.h5
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from spikeline.artifacts import provenance, sessions
from spikeline.cli._options import (
    add_name,
    add_output,
    add_settings,
    name_of,
    settings_of,
    start_log,
)
from spikeline.sources.allen import read_recording
from spikeline.sources.conversion import to_session

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recording", required=True, metavar="PATH", help="what fetch-allen made, or an .nwb file"
    )
    add_name(parser)
    add_settings(parser, "convert-allen")
    add_output(parser, "session, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "convert-allen")
    path = Path(options.recording)
    nwb = path if path.suffix == ".nwb" else path / "session.nwb"
    channels = path / "channels.tsv"
    if not channels.is_file():
        log.warning("%s: regions are those of the file, not of the release's table", nwb)
        channels = None
    data = to_session(read_recording(nwb, name_of(options), channels), settings)
    record = provenance.describe(__name__, settings, [options.recording])
    sessions.save(options.output, data, record)
