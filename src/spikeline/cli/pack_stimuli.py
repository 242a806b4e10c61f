r"""Repack a folder or archive of images into one plain zip, read by name.

Example:
    spikeline pack-stimuli --images things.zip --prefix object_images/ \
      --password-variable THINGS_PASSWORD --output resources/stimuli/things.zip
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance
from spikeline.cli._options import add_output, secret, start_log
from spikeline.sources import stimuli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", required=True, help="a folder or a zip archive")
    parser.add_argument("--prefix", default="", help="leading folders to strip from the names")
    parser.add_argument(
        "--password-variable", help="environment variable that holds the archive's password"
    )
    parser.add_argument(
        "--shorter-side", type=int, metavar="PIXELS", help="reduce larger images to it (keep all)"
    )
    add_output(parser, "the plain zip")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = {"prefix": options.prefix, "shorter_side": options.shorter_side}
    record = provenance.describe(__name__, settings, [options.images])
    stimuli.pack(
        options.images,
        options.output,
        provenance.dumps(record),
        prefix=options.prefix,
        password=secret(options.password_variable),
        password_variable=options.password_variable or "",
        shorter_side=options.shorter_side,
    )
