"""Count spikes in bins of 20 ms, with the behaviour, image and domain of each bin.

Example:
    spikeline bin-spikes --session results/sessions/ibl_01.h5 --output results/counts/ibl_01.h5
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import counts, provenance, sessions
from spikeline.artifacts.counts import BIN_S
from spikeline.cli._options import add_output, start_log
from spikeline.horizon.sessions.binning import binned_session


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", required=True, help="converted session, HDF5")
    add_output(parser, "counts, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    with sessions.opened(options.session) as data:
        binned = binned_session(data, options.session)
    record = provenance.describe(__name__, {"bin_s": BIN_S}, [options.session])
    counts.write(options.output, binned, record)
