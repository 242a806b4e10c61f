r"""Embed every image of a stimulus set with open_clip (any model or local-dir:) or timm.

Example:
    spikeline embed --stimuli resources/stimuli/things.zip --cache resources/weights/vit_l_14 \
      --encoder vit_l_14 \
      --settings '{"kind": "open_clip", "model": "ViT-L-14", "pretrained": "openai"}' \
      --output things.h5
"""

from __future__ import annotations

import argparse
import os

from spikeline.artifacts import embeddings, provenance
from spikeline.artifacts.embeddings import Embeddings
from spikeline.artifacts.files import sha256
from spikeline.bridge.images import encoders
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.sources import stimuli
from spikeline.training.device import choose_device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stimuli", required=True, help="the packed images")
    parser.add_argument("--weights", metavar="DIR", help="an encoder saved in local-dir: format")
    parser.add_argument("--cache", metavar="DIR", help="a folder that fetch-weights made")
    parser.add_argument("--encoder", required=True, help="name of the encoder in the config")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    add_settings(parser, "embed")
    add_output(parser, "embeddings, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "embed")
    device = choose_device(options.device)
    if options.cache:
        os.environ["HF_HUB_OFFLINE"] = "1"  # all that is needed lies there
    encode, preprocess = encoders.load(settings, options.weights, device, options.cache)
    names = stimuli.names(options.stimuli)
    loaded = stimuli.load(options.stimuli, names)
    layers = encoders.embed(
        loaded, encode, preprocess, device, total=len(names), batch_size=settings["batch_size"]
    )
    inputs = [path for path in (options.stimuli, options.weights, options.cache) if path]
    record = provenance.describe(__name__, settings, inputs)
    # How many images go through at once changes nothing.
    model = {key: value for key, value in settings.items() if key != "batch_size"}
    weights = sha256(options.weights) if options.weights else None
    made_by = provenance.dumps({"model": model, "weights": weights})
    identity = embeddings.identity(options.encoder, made_by)
    embeddings.write(options.output, Embeddings.joined(layers, names, identity), record)
