r"""Train a reconstructor of kind adapter: from responses to an embedding, and on to text states.

The adapter learns from embeddings as they are decoded, those of training rows by regressions fitted
without them. Killed at any point, the same command continues from its last state.

Example:
    spikeline train-adapter --responses results/responses/monkeyM.h5 \
      --stimuli resources/stimuli/many_images.zip \
      --embeddings results/embeddings/demo_clip_wide/many_images.h5 \
      --latents results/latents/demo_vae/many_images.h5 \
      --prompts results/prompts/demo_text/many_images.h5 \
      --generator resources/generators/demo_text --autoencoder resources/autoencoders/demo_vae \
      --encoder-settings '{"kind": "demo_clip"}' --weights resources/encoders/demo_clip_wide \
      --settings '{"kind": "adapter", "regions": ["V1", "V4", "IT"]}' --seed 0 \
      --states results/.states --output reconstructor.safetensors --adapter adapter.safetensors \
      --candidates tried.tsv --history history.tsv
"""

from __future__ import annotations

import argparse

import numpy as np

from spikeline.artifacts.images import prompts
from spikeline.bridge.reconstruction.reconstructor import EMBEDDING
from spikeline.bridge.reconstruction.standardising import Moments, standardised
from spikeline.bridge.ridge import fit_ridge, left_out_predictions
from spikeline.bridge.splits import left_out_together
from spikeline.cli import _generator, _reconstruction_training, _training_run
from spikeline.cli._drawing_choice import chosen
from spikeline.cli._options import add_settings, settings_of, start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _reconstruction_training.add_arguments(parser)
    parser.add_argument("--prompts", required=True, metavar="FILE", help="of the images, HDF5")
    add_settings(parser, "train-adapter")
    _training_run.add_arguments(parser)
    _training_run.add_model_arguments(parser)
    parser.add_argument("--adapter", required=True, metavar="FILE", help="the adapter, safetensors")


def run(options: argparse.Namespace) -> None:
    from spikeline.bridge.reconstruction import diffusion_adapter
    from spikeline.training.runner import write_history

    start_log()
    settings = settings_of(options, "train-adapter")
    run = _training_run.run_of(options, settings, __name__)
    training = _reconstruction_training.Training.read(options, settings)
    told = prompts.read(options.prompts)
    whole = training.fitted(np.arange(len(training.rows)), training.decoder)
    shown = training.images.of(training.names)
    pipeline = _generator.load_generator(options, settings, training.images.encoded)
    with run:
        adapter, history = diffusion_adapter.train_adapter(
            pipeline,
            _as_decoded(training, whole, shown.embeddings),
            shown.latents,
            told,
            told.rows_of(training.names, options.prompts),
            settings,
            seed=options.seed,
            fabric=run.fabric,
            state_file=run.state_file(),
        )
        if not run.writes:
            return
        choices, tried = chosen(options, training, adapter=adapter)
        record = _reconstruction_training.save(options, __name__, training, whole, choices, tried)
        diffusion_adapter.save(options.adapter, adapter, settings, {}, record)
        write_history(options.history, history, record)


def _as_decoded(
    training: _reconstruction_training.Training, fitted, embeddings: np.ndarray
) -> np.ndarray:
    """Embeddings of training rows as they are decoded of responses that no regression has seen."""
    settings, features = training.settings, fitted.features(training.values)
    groups = left_out_together(training.names, training.categories, settings["drop_test_concepts"])
    penalty = fit_ridge(features, embeddings, settings["penalties"], groups=groups).penalties[0]
    rows = left_out_predictions(features, embeddings, groups, penalty)
    targets = fitted.predictions[EMBEDDING].targets
    return standardised(rows, targets, Moments.of(rows), "training")
