"""Import precomputed image embeddings (.npy or .csv, one row per image in sorted name order)."""

from __future__ import annotations

import argparse

import numpy as np

from spikeline.artifacts import embeddings, provenance
from spikeline.artifacts.files import sha256
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.sources import arrays, stimuli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--values", required=True, help="images x dimensions, .npy or .csv")
    parser.add_argument("--stimuli", required=True, help="the packed images")
    parser.add_argument("--images", help="text file, one image name per row; default: sorted names")
    parser.add_argument("--encoder", required=True, help="name of the encoder that made them")
    add_settings(parser, "import-embeddings")
    add_output(parser, "embeddings, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "import-embeddings")
    values = arrays.read_array(options.values) * settings["scale"]
    names = arrays.read_names(options.images) if options.images else stimuli.names(options.stimuli)
    if values.ndim != 2 or len(values) != len(names):
        raise InputError(
            f"{options.values}: has shape {values.shape} for {len(names)} images of "
            f"{options.stimuli}; expected (images, dimensions)"
        )
    listed = [options.images] if options.images else []
    record = provenance.describe(__name__, settings, [options.values, options.stimuli, *listed])
    made_by = provenance.dumps(
        {
            "values": sha256(options.values),
            "scale": settings["scale"],
            "images": [sha256(path) for path in listed],
        }
    )
    identity = embeddings.identity(options.encoder, made_by)
    imported = embeddings.Embeddings(values.astype(np.float32), names, identity)
    embeddings.write(options.output, imported, record)
