r"""Fit a reconstructor (unclip, img2img, ip_adapter, low_level, retrieval) to training rows.

Where the settings list several guidances, strengths or start weights, all combinations draw the
validation images, and the one whose images are most like the shown ones is taken.

Example:
    spikeline fit-reconstructor --responses results/responses/monkeyM.h5 \
      --stimuli resources/stimuli/many_images.zip \
      --embeddings results/embeddings/demo_clip_wide/many_images.h5 \
      --latents results/latents/demo_vae/many_images.h5 \
      --autoencoder resources/autoencoders/demo_vae --encoder-settings '{"kind": "demo_clip"}' \
      --weights resources/encoders/demo_clip_wide \
      --settings '{"kind": "low_level", "regions": ["V1", "V4"]}' --seed 0 \
      --output low_level.safetensors --candidates tried.tsv
"""

from __future__ import annotations

import argparse

import numpy as np

from spikeline.bridge.reconstruction.decoding import DRAWING_KINDS
from spikeline.cli import _reconstruction, _reconstruction_training
from spikeline.cli._drawing_choice import chosen
from spikeline.cli._options import add_settings, settings_of, start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _reconstruction_training.add_arguments(parser)
    parser.add_argument(
        "--choosing-decoder",
        metavar="FILE",
        help="as --decoder, trained on a part of the images; the others are the validation images",
    )
    add_settings(parser, "fit-reconstructor")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "fit-reconstructor")
    training = _reconstruction_training.Training.read(options, settings)
    choices, tried = {}, []
    if settings["kind"] in DRAWING_KINDS:
        choosing = _reconstruction.read_decoder(options.choosing_decoder, options, training.images)
        choices, tried = chosen(options, training, choosing)
    whole = training.fitted(np.arange(len(training.rows)), training.decoder)
    _reconstruction_training.save(options, __name__, training, whole, choices, tried)
