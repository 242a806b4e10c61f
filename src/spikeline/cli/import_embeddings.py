r"""Import precomputed image embeddings (.npy or .csv, one row per image in sorted name order).

A folder of such files gives one layer per file, called as the file.

Example:
    spikeline import-embeddings --values embeddings.npy --images images.txt \
      --stimuli resources/stimuli/mine.zip --encoder mine --settings '{"scale": 0.01}' \
      --output mine.h5
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from spikeline.artifacts import embeddings, provenance
from spikeline.artifacts.embeddings import OUTPUT, Embeddings
from spikeline.artifacts.files import sha256
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.sources import arrays, stimuli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--values", required=True, help="images x dimensions, .npy or .csv, or a folder of them"
    )
    parser.add_argument("--stimuli", required=True, help="the packed images")
    parser.add_argument("--images", help="text file, one image name per row; default: sorted names")
    parser.add_argument("--encoder", required=True, help="name of the encoder that made them")
    add_settings(parser, "import-embeddings")
    add_output(parser, "embeddings, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "import-embeddings")
    files = _files(options.values)
    names = arrays.read_names(options.images) if options.images else stimuli.names(options.stimuli)
    layers = {}
    for layer, path in files.items():
        values = arrays.read_array(path) * settings["scale"]
        if values.ndim != 2 or len(values) != len(names):
            raise InputError(
                f"{path}: has shape {values.shape} for {len(names)} images of "
                f"{options.stimuli}; expected (images, dimensions)"
            )
        layers[layer] = values.astype(np.float32)
    listed = [options.images] if options.images else []
    record = provenance.describe(__name__, settings, [options.values, options.stimuli, *listed])
    made_by = provenance.dumps(
        {
            "values": [[layer, sha256(path)] for layer, path in files.items()],
            "scale": settings["scale"],
            "images": [sha256(path) for path in listed],
        }
    )
    identity = embeddings.identity(options.encoder, made_by)
    embeddings.write(options.output, Embeddings.joined(layers, names, identity), record)


def _files(path: str) -> dict[str, Path]:
    """{layer: file} in the order of names; a single file is the encoder's output.

    Raises:
        InputError: a folder without such files.
    """
    if not Path(path).is_dir():
        return {OUTPUT: Path(path)}
    found = {p.stem: p for p in sorted(Path(path).iterdir()) if p.suffix in (".npy", ".csv")}
    if not found:
        raise InputError(f"{path}: holds no .npy or .csv file; put one there for each layer")
    return found
