"""Train a decoder (linear, mlp, capoyo) by gradient descent on a subject's training rows.

Killed at any point, the same command continues from its last state and ends with the same weights.
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_text
from spikeline.bridge.networks.training import fit_network
from spikeline.cli import _training_data
from spikeline.cli._options import settings_of, start_log
from spikeline.errors import InputError
from spikeline.settings.code_digest import code_digest
from spikeline.training.device import choose_device
from spikeline.training.history import to_tsv
from spikeline.training.state import state_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _training_data.add_arguments(parser, "train")
    parser.add_argument("--history", required=True, metavar="FILE", help="a row an epoch, TSV")
    parser.add_argument("--states", required=True, metavar="DIR", help="where resume state is kept")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "train")
    device = choose_device(options.device)
    data = _training_data.read(options, settings)
    key = [settings, options.seed, code_digest(__name__), options.output]
    state = state_path(options.states, key)
    try:
        decoder, epochs = fit_network(
            data.responses,
            data.embeddings,
            data.images,
            data.categories,
            data.electrodes,
            settings,
            seed=options.seed,
            gallery=data.gallery,
            device=device,
            state_path=state,
        )
    except FloatingPointError:
        raise InputError("training diverged: lower learning_rate") from None
    write_text(options.history, to_tsv(epochs))
    record = _training_data.save(decoder, options, __name__, settings, data)
    provenance.write_beside(options.history, record)
    state.unlink(missing_ok=True)
