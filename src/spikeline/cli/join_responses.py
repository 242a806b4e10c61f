r"""Join the responses of several subjects to the same images: electrodes side by side.

Example:
    spikeline join-responses \
      --responses results/responses/monkeyF.h5 results/responses/monkeyN.h5 --output monkeys.h5
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance, responses
from spikeline.cli._options import add_output, start_log
from spikeline.sources.joined import joined


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--responses", required=True, nargs="+", metavar="FILE", help="HDF5, one per subject"
    )
    add_output(parser, "responses, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    recordings = {path: responses.read(path) for path in options.responses}
    record = provenance.describe(__name__, {}, options.responses)
    responses.write(options.output, joined(recordings), record)
