r"""Download the weights of a feature extractor (torchvision, SwAV) into a folder, as safetensors.

Where there is no network the folder says so, and its measures are "not computed" in every table.

Example:
    spikeline fetch-extractor --settings '{"kind": "torchvision", "model": "alexnet"}' \
      --output resources/extractors/alexnet
"""

from __future__ import annotations

import argparse
import logging

from spikeline.artifacts import provenance
from spikeline.artifacts.files import atomic_folder
from spikeline.bridge.reconstruction.scores import downloads
from spikeline.cli._options import add_output, add_settings, settings_of, start_log

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name", default="extractor", help="of the entry in the config, for errors"
    )
    add_settings(parser, "fetch-extractor")
    add_output(parser, "folder of the weights")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "fetch-extractor")
    with atomic_folder(options.output) as folder:
        missing = downloads.fetch(options.name, settings, folder)
        if missing:
            log.warning("%s: its measures will not be computed", missing)
        origin = {"name": f"{settings['kind']}:{settings.get('model', 'resnet50')}", **settings}
        record = provenance.describe(__name__, settings, origin=origin, missing=missing)
        provenance.write_beside(folder, record)
