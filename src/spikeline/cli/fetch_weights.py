r"""Download the weights of an image encoder (open_clip, timm) into a folder.

A step of its own, because the node that embeds may have no network.

Example:
    spikeline fetch-weights \
      --settings '{"kind": "open_clip", "model": "ViT-L-14", "pretrained": "openai"}' \
      --output resources/weights/vit_l_14
"""

from __future__ import annotations

import argparse

import torch

from spikeline.artifacts import provenance
from spikeline.artifacts.files import atomic_folder
from spikeline.bridge.images import encoders
from spikeline.cli._options import add_output, add_settings, settings_of, start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, "fetch-weights")
    add_output(parser, "folder of the weights")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "fetch-weights")
    with atomic_folder(options.output) as folder:
        encoders.load(settings, None, torch.device("cpu"), cache=folder)
        origin = {"name": f"{settings['kind']}:{settings['model']}", **settings}
        provenance.write_beside(folder, provenance.describe(__name__, settings, origin=origin))
