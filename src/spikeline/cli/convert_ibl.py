r"""Convert an IBL session, as `fetch-ibl` exports it, to a session; its probes are merged.

Example:
    spikeline convert-ibl --recording resources/recordings/ibl_01 --settings '{"min_units": 20}' \
      --output ibl_01.h5
"""

from __future__ import annotations

import argparse
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
from spikeline.errors import InputError
from spikeline.sources.conversion import to_session
from spikeline.sources.ibl import read_recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recording", required=True, metavar="DIR", help="what fetch-ibl exported")
    add_name(parser)
    add_settings(parser, "convert-ibl")
    add_output(parser, "session, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "convert-ibl")
    if not Path(options.recording).is_dir():
        raise InputError(f"{options.recording}: no such folder; run fetch-ibl first")
    recording = read_recording(options.recording, name_of(options))
    data = to_session(recording, settings)
    sessions.save(
        options.output, data, provenance.describe(__name__, settings, [options.recording])
    )
