r"""Reduce an encoder's layers to the principal components of a subject's training images.

Example:
    spikeline reduce-layers --responses results/responses/monkeyF.h5 \
      --embeddings results/embeddings/demo_clip/twin_images.h5 \
      --settings '{"layer_components": 300}' --output targets.h5
"""

from __future__ import annotations

import argparse

import numpy as np
from tqdm import tqdm

from spikeline.artifacts import embeddings, provenance, responses
from spikeline.artifacts.embeddings import OUTPUT, Embeddings
from spikeline.bridge.images.layers import reduced
from spikeline.cli._options import add_output, add_settings, settings_of, start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--responses", required=True, help="responses, HDF5: which rows are tests")
    parser.add_argument("--embeddings", required=True, help="embeddings with layers, HDF5")
    add_settings(parser, "reduce-layers")
    add_output(parser, "reduced embeddings, HDF5: one set for each test split")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "reduce-layers")
    recorded = responses.read(options.responses)
    full = embeddings.read(options.embeddings)
    names = np.unique(recorded.images.astype(str)).astype(object)
    splits = []
    for split in tqdm(range(len(recorded.test)), desc="reduce", unit="split"):
        tested = set(recorded.images[recorded.split(split)])
        training = np.array([name not in tested for name in names])
        layers = {}
        for layer in full.layers:
            rows = full.rows_of(names, options.embeddings, [layer])
            transform = "none" if layer == OUTPUT else settings["layer_transform"]
            layers[layer] = reduced(rows, training, transform, settings["layer_components"])
        splits.append(layers)
    # A split may have fewer axes with variance; all share the least.
    kept = {layer: min(split[layer].shape[1] for split in splits) for layer in full.layers}
    identity = embeddings.identity(full.encoder, provenance.dumps(settings))
    record = provenance.describe(__name__, settings, [options.responses, options.embeddings])
    embeddings.write_reduced(
        options.output,
        [
            Embeddings.joined(
                {layer: rows[:, : kept[layer]] for layer, rows in split.items()}, names, identity
            )
            for split in splits
        ],
        record,
    )
