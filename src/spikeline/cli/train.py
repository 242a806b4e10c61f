"""Train a decoder (linear, mlp, capoyo) by gradient descent on a subject's training rows.

Killed at any point, the same command continues from its last state and ends with the same weights.
"""

from __future__ import annotations

import argparse

from spikeline.bridge.networks.training import fit_network
from spikeline.cli import _training_data, _training_run
from spikeline.cli._options import settings_of, start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _training_data.add_arguments(parser, "train")
    _training_run.add_model_arguments(parser)
    _training_run.add_arguments(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")


def run(options: argparse.Namespace) -> None:
    from spikeline.training.runner import write_history

    start_log()
    settings = settings_of(options, "train")
    training = _training_run.run_of(options, settings, __name__)
    data = _training_data.read(options, settings)
    with training:
        decoder, history = fit_network(
            data.responses,
            data.embeddings,
            data.images,
            data.categories,
            data.electrodes,
            settings,
            seed=options.seed,
            gallery=data.gallery,
            layer_dims=data.layer_dims,
            fabric=training.fabric,
            state_file=training.state_file(),
        )
        if not training.writes:
            return
        record = _training_data.save(decoder, options, __name__, settings, data)
        write_history(options.history, history, record)
