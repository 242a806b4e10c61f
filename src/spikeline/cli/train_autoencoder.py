r"""Train a small autoencoder of images, as a folder of diffusers, on a subject's training images.

Killed at any point, the same command continues from its last state and ends with the same weights.

Example:
    spikeline train-autoencoder --responses results/responses/monkeyM.h5 \
      --stimuli resources/stimuli/many_images.zip --settings '{"epochs": 14}' \
      --states results/.states --output autoencoder --history autoencoder.tsv
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance
from spikeline.artifacts.files import atomic_folder
from spikeline.cli import _training_run
from spikeline.cli._images import add_image_arguments, training_images
from spikeline.cli._options import add_settings, settings_of, start_log
from spikeline.sources import stimuli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_image_arguments(parser)
    add_settings(parser, "train-autoencoder")
    _training_run.add_arguments(parser)
    _training_run.add_model_arguments(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the autoencoder")


def run(options: argparse.Namespace) -> None:
    from spikeline.bridge.generators.autoencoder import train_autoencoder
    from spikeline.bridge.generators.pixels import squares
    from spikeline.training.runner import write_history

    start_log()
    settings = settings_of(options, "train-autoencoder")
    options.seed = settings["seed"]
    training = _training_run.run_of(options, settings, __name__)
    images = training_images(options.responses)
    pixels = squares(stimuli.load(options.stimuli, images), settings["image_size"])
    with training:
        autoencoder, history = train_autoencoder(
            pixels,
            settings,
            seed=settings["seed"],
            fabric=training.fabric,
            state_file=training.state_file(),
        )
        if not training.writes:
            return
        inputs = [options.responses, options.stimuli]
        record = provenance.describe(
            __name__, settings, inputs, training_images=[str(name) for name in images]
        )
        with atomic_folder(options.output) as folder:
            autoencoder.save_pretrained(folder)
            provenance.write_beside(folder, record)
        write_history(options.history, history, record)
