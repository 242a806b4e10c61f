r"""Fetch one file from a path or address, proving its checksum.

Example:
    spikeline fetch-file --location https://example.org/responses.npy --sha256 SHA256 \
      --output resources/recordings/mine/responses.npy
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance
from spikeline.cli._options import add_output, start_log
from spikeline.sources import download


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--location", required=True, help="a path or an https:// address")
    parser.add_argument("--sha256", help="the checksum that the content must have")
    add_output(parser, "the plain file")


def run(options: argparse.Namespace) -> None:
    start_log()
    origin = download.fetch(options.location, options.output, checksum=options.sha256)
    settings = {"location": options.location, "sha256": options.sha256}
    record = provenance.describe(__name__, settings, origin=origin)
    provenance.write_beside(options.output, record)
