"""`--measured`: which benchmark and log of the workflow belong to which file."""

from __future__ import annotations

import argparse
import json

from spikeline.errors import InputError
from spikeline.report.costs import Measured


def add_measured(parser: argparse.ArgumentParser) -> None:
    """`--measured`: which benchmark and log belong to which file."""
    parser.add_argument(
        "--measured",
        default="[]",
        metavar="JSON",
        help='rules with a benchmark: [{"step": "train", "outputs": ["a/{x}.h5"], "benchmark":'
        ' "logs/{x}.tsv", "log": "logs/{x}.log"}, ...]',
    )


def measured_of(options: argparse.Namespace) -> list[Measured]:
    """The rules of `--measured`.

    Raises:
        InputError: no JSON list of such objects.
    """
    try:
        return [Measured(**rule) for rule in json.loads(options.measured)]
    except (ValueError, TypeError):
        raise InputError("--measured: no JSON list of rules; see --help") from None
