r"""Fetch one file from a path or address, proving its checksum.

Example:
    spikeline fetch-file --location https://example.org/responses.npy --sha256 SHA256 \
      --output resources/recordings/mine/responses.npy
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance
from spikeline.cli._options import add_output, secret, start_log
from spikeline.errors import InputError
from spikeline.sources import download
from spikeline.sources.stimuli import LICENCE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--location", required=True, help="a path or an https:// address")
    parser.add_argument("--sha256", help="the checksum that the content must have")
    parser.add_argument(
        "--password-variable",
        help="environment variable of the password that a later step opens the file with; must be "
        "set, so that its lack is not found after a long download",
    )
    add_output(parser, "the plain file")


def run(options: argparse.Namespace) -> None:
    start_log()
    if options.password_variable and secret(options.password_variable) is None:
        reason = LICENCE.format(variable=options.password_variable)
        raise InputError(f"{options.location}: {reason}")
    origin = download.fetch(options.location, options.output, checksum=options.sha256)
    settings = {"location": options.location, "sha256": options.sha256}
    record = provenance.describe(__name__, settings, origin=origin)
    provenance.write_beside(options.output, record)
