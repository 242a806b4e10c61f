r"""Fit a closed-form decoder (ridge, bayesian) to a subject's training rows.

Example:
    spikeline fit --responses results/responses/monkeyF.h5 \
      --embeddings results/embeddings/demo_clip/twin_images.h5 \
      --settings '{"kind": "ridge", "encoder": "demo_clip", "regions": ["V4", "IT"]}' --seed 0 \
      --output ridge.safetensors
"""

from __future__ import annotations

import argparse

from spikeline.bridge.closed_form import fit_bayesian_decoder, fit_ridge_decoder
from spikeline.cli import _training_data
from spikeline.cli._options import settings_of, start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _training_data.add_arguments(parser, "fit")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "fit")
    data = _training_data.read(options, settings)
    arrays = data.responses, data.embeddings, data.images, data.categories, data.electrodes
    if settings["kind"] == "bayesian":
        decoder = fit_bayesian_decoder(*arrays, settings, data.gallery, data.layer_dims)
    else:
        decoder = fit_ridge_decoder(*arrays, settings, data.layer_dims)
    _training_data.save(decoder, options, __name__, settings, data)
