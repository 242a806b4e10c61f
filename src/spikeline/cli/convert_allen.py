"""Convert an Allen session's NWB file to a session: good units, running, images shown."""

from __future__ import annotations

import argparse
from pathlib import Path

from spikeline.artifacts import provenance, sessions
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.sources.allen import read_recording
from spikeline.sources.conversion import HELP, name_of, settings_with_defaults, to_session


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recording", required=True, metavar="PATH", help="what fetch-allen made, or an .nwb file"
    )
    add_settings(parser, HELP + "}")
    add_output(parser, "session, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_with_defaults(settings_of(options))
    path = Path(options.recording)
    nwb = path if path.suffix == ".nwb" else path / "session.nwb"
    data = to_session(read_recording(nwb, name_of(settings, options.output)), settings)
    record = provenance.describe(__name__, settings, [options.recording])
    sessions.save(options.output, data, record)
