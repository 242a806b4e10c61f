r"""Fetch files out of a DataLad dataset as plain files.

Works on a local path, file:// and https:// addresses; the clone is kept, so a retry continues.

Example:
    spikeline fetch-dataset --url https://gin.g-node.org/paolo_papale/TVSD \
      --clone resources/datasets/tvsd --files monkeyF/THINGS_normMUA.mat \
      --outputs THINGS_normMUA.mat
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance
from spikeline.cli._options import start_log
from spikeline.errors import InputError
from spikeline.sources import datalad


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", required=True, help="the dataset: a path or address")
    parser.add_argument("--commit", help="the version to read (default: the origin's current one)")
    parser.add_argument("--clone", required=True, metavar="DIR", help="where the clone is kept")
    parser.add_argument("--files", required=True, nargs="+", help="paths inside the dataset")
    parser.add_argument("--outputs", required=True, nargs="+", help="one destination for each file")
    parser.add_argument("--attempts", type=int, default=3, help="tries of a network step (3)")


def run(options: argparse.Namespace) -> None:
    start_log()
    if len(options.files) != len(options.outputs):
        raise InputError("--outputs: give one for each of --files")
    wanted = dict(zip(options.files, options.outputs, strict=True))
    origin = datalad.fetch(
        options.url, wanted, options.clone, commit=options.commit, attempts=options.attempts
    )
    settings = {"url": options.url, "commit": options.commit}
    for name, output in wanted.items():
        record = provenance.describe(__name__, {**settings, "file": name}, origin=origin)
        provenance.write_beside(output, record)
