r"""Pretrain an encoder of electrodes: predict hidden responses from the others, images unseen.

Killed at any point, the same command continues from its last state and ends with the same weights.

Example:
    spikeline pretrain --responses results/responses/monkeyF.h5 \
      --settings '{"regions": ["V4", "IT"], "mask_share": 0.25}' --seed 0 \
      --states results/.states --history history.tsv --output pretrained.safetensors
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance, responses
from spikeline.bridge.pretraining.training import masking_rows, pretrain
from spikeline.cli import _training_run
from spikeline.cli._options import add_output, add_settings, settings_of, start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--responses", required=True, help="responses, HDF5")
    parser.add_argument("--seed", required=True, type=int, help="chooses the split too")
    add_settings(parser, "pretrain")
    add_output(parser, "pretrained encoder, safetensors")
    _training_run.add_model_arguments(parser)
    _training_run.add_arguments(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")


def run(options: argparse.Namespace) -> None:
    from spikeline.training.runner import write_history

    start_log()
    settings = settings_of(options, "pretrain")
    training = _training_run.run_of(options, settings, __name__)
    recorded = responses.read(options.responses)
    rows = masking_rows(recorded, settings, options.seed, options.responses)
    with training:
        pretrained, history = pretrain(
            rows,
            recorded.electrodes,
            settings,
            seed=options.seed,
            fabric=training.fabric,
            state_file=training.state_file(),
            edges=recorded.edges,
        )
        if not training.writes:
            return
        record = provenance.describe(__name__, settings, [options.responses], seed=options.seed)
        pretrained.save(options.output, record)
        write_history(options.history, history, record)
