r"""Encode every image of a stimulus set to an autoencoder's latents.

Example:
    spikeline encode-latents --stimuli resources/stimuli/many_images.zip \
      --autoencoder resources/autoencoders/demo_vae --name demo_vae --image-size 48 \
      --output many_images.h5
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance
from spikeline.artifacts.embeddings import identity
from spikeline.artifacts.files import sha256
from spikeline.artifacts.images import latents
from spikeline.artifacts.images.latents import Latents
from spikeline.cli._options import add_output, start_log
from spikeline.sources import stimuli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stimuli", required=True, help="the packed images")
    parser.add_argument("--autoencoder", required=True, metavar="DIR", help="a folder of diffusers")
    parser.add_argument("--name", required=True, help="of the autoencoder in the config")
    parser.add_argument("--image-size", required=True, type=int, help="side of its images, pixels")
    parser.add_argument("--batch-size", type=int, default=64, help="images at once (64)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    add_output(parser, "latents, HDF5")


def run(options: argparse.Namespace) -> None:
    from spikeline.bridge.generators.autoencoder import encode
    from spikeline.bridge.generators.pipelines import load_autoencoder
    from spikeline.bridge.generators.pixels import squares
    from spikeline.training.device import choose_device

    start_log()
    device = choose_device(options.device)
    autoencoder = load_autoencoder(options.autoencoder)
    names = stimuli.names(options.stimuli)
    pixels = squares(stimuli.load(options.stimuli, names), options.image_size)
    values = encode(autoencoder, pixels, device, options.batch_size)
    weights = sha256(options.autoencoder)
    record = provenance.describe(
        __name__, {"image_size": options.image_size}, [options.stimuli, options.autoencoder]
    )
    scaling = float(autoencoder.config.scaling_factor)
    made_by = identity(options.name, f"{weights} {options.image_size}")
    latents.write(
        options.output, Latents(values, names, made_by, scaling, options.image_size), record
    )
