r"""Convert TVSD's THINGS_normMUA.mat and things_imgs.mat to a responses artifact.

Example:
    spikeline convert-tvsd --norm-mua resources/recordings/monkeyF/THINGS_normMUA.mat \
      --things-imgs resources/recordings/monkeyF/things_imgs.mat \
      --settings '{"regions": {"V1": [[0, 512]], "V4": [[512, 768]], "IT": [[768, 1024]]}}' \
      --output monkeyF.h5
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance, responses
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.sources import tvsd


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--norm-mua", required=True, help="THINGS_normMUA.mat (MATLAB v7.3)")
    parser.add_argument("--things-imgs", required=True, help="things_imgs.mat (MATLAB v7.3)")
    add_settings(parser, "convert-tvsd")
    add_output(parser, "responses, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "convert-tvsd")
    converted = tvsd.read_responses(options.norm_mua, options.things_imgs, settings["regions"])
    record = provenance.describe(__name__, settings, [options.norm_mua, options.things_imgs])
    responses.write(options.output, converted, record)
