"""Train a small latent-diffusion model, as a folder of diffusers, on a subject's training images.

Killed at any point, the same command continues from its last state and ends with the same weights.
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import embeddings, latents, provenance
from spikeline.artifacts.files import atomic_folder
from spikeline.cli import _training_run
from spikeline.cli._images import training_images
from spikeline.cli._options import add_settings, settings_of, start_log
from spikeline.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--responses", required=True, help="responses, HDF5: which images train")
    parser.add_argument("--latents", required=True, help="latents of the images, HDF5")
    parser.add_argument("--autoencoder", required=True, metavar="DIR", help="what made them")
    parser.add_argument("--embeddings", help="embeddings of the images, HDF5; conditioning image")
    add_settings(parser, "train-generator")
    _training_run.add_arguments(parser)
    _training_run.add_model_arguments(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the pipeline")


def run(options: argparse.Namespace) -> None:
    from spikeline.bridge.generators.image_conditioned import train_image_generator
    from spikeline.bridge.generators.pipelines import load_autoencoder
    from spikeline.training.runner import write_history

    start_log()
    settings = settings_of(options, "train-generator")
    options.seed = settings["seed"]
    if not options.embeddings:
        raise InputError("--embeddings: a generator conditioned on images needs them")
    training = _training_run.run_of(options, settings, __name__)
    encoded = latents.read(options.latents)
    embedded = embeddings.read(options.embeddings)
    autoencoder = load_autoencoder(options.autoencoder)
    images = training_images(options.responses)
    with training:
        pipeline, history = train_image_generator(
            encoded.rows_of(images, options.latents),
            embedded.rows_of(images, options.embeddings, []),
            autoencoder,
            settings,
            seed=settings["seed"],
            fabric=training.fabric,
            state_file=training.state_file(),
        )
        if not training.writes:
            return
        inputs = [options.responses, options.latents, options.embeddings, options.autoencoder]
        record = provenance.describe(
            __name__,
            settings,
            inputs,
            training_images=[str(name) for name in images],
            encoder=embedded.encoder,
        )
        with atomic_folder(options.output) as folder:
            pipeline.save_pretrained(folder)
            provenance.write_beside(folder, record)
        write_history(options.history, history, record)
