r"""Fit candidates, weigh them on validation images and mix them: the decoder without a choice.

Killed at any point, the same command continues each network from its last state and ends with the
same decoder.

Example:
    spikeline fit-auto --responses results/responses/monkeyF.h5 \
      --embeddings results/embeddings/demo_clip/twin_images.h5 \
      --settings '{"encoder": "demo_clip", "regions": ["IT"]}' \
      --candidates '{"ridge": {"kind": "ridge"}}' --seed 0 --states results/.states \
      --output auto.safetensors --table auto.tsv
"""

from __future__ import annotations

import argparse
from typing import Any

from spikeline.artifacts import provenance
from spikeline.artifacts.files import write_text
from spikeline.bridge.automatic.fitting import Fitter, Rows, fit_auto
from spikeline.cli import _training_data, _training_run
from spikeline.cli._options import json_of, settings_of, start_log
from spikeline.settings.candidates import completed_candidates
from spikeline.training.history import to_tsv


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _training_data.add_arguments(parser, "fit-auto")
    parser.add_argument(
        "--candidates",
        required=True,
        metavar="JSON",
        help="an object, or a file that holds it: settings of fit or train by name, but for those "
        "that --settings has",
    )
    parser.add_argument(
        "--table", required=True, metavar="FILE", help="one row per candidate and the mix, TSV"
    )
    _training_run.add_arguments(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "fit-auto")
    candidates = completed_candidates(json_of(options.candidates, "--candidates"), settings)
    whole: dict[str, Any] = {**settings, "candidates": candidates}
    training = _training_run.run_of(options, whole, __name__)
    data = _training_data.read(options, settings)
    rows = Rows(data.responses, data.embeddings, data.images, data.categories)
    fit = Fitter(
        data.electrodes,
        options.seed,
        data.gallery,
        training.fabric,
        training.state_file,
        data.layer_dims,
    )
    with training:
        decoder = fit_auto(rows, settings, candidates, fit)
        record = _training_data.save(decoder, options, __name__, whole, data)
        write_text(options.table, to_tsv(decoder.metadata["candidates"]))
        provenance.write_beside(options.table, record)
