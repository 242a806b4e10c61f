"""Gather the reference features of a cohort's training sessions, and fit their scale.

Example:
    spikeline normalise-features --features results/features/ibl_0*.h5 --output normalisation.h5
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import features, provenance
from spikeline.cli._options import add_output, start_log
from spikeline.horizon.sessions import normalisation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--features", required=True, nargs="+", metavar="FILE", help="one per session, HDF5"
    )
    add_output(parser, "normalisation, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    fitted = normalisation.fit([features.read(path) for path in options.features], "--features")
    record = provenance.describe(__name__, {"sessions": list(fitted.sessions)}, options.features)
    features.write_normalisation(options.output, fitted, record)
