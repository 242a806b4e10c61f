r"""Train a decoder (linear, mlp, capoyo) by gradient descent on a subject's training rows.

Killed at any point, the same command continues from its last state and ends with the same weights.

Example:
    spikeline train --responses results/responses/monkeyF.h5 \
      --embeddings results/embeddings/demo_clip/twin_images.h5 \
      --settings '{"kind": "mlp", "encoder": "demo_clip", "regions": ["IT"]}' --seed 0 \
      --states results/.states --output mlp.safetensors --history mlp.tsv
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from spikeline.bridge.decoder import Decoder
from spikeline.bridge.networks.training import fit_network
from spikeline.bridge.pretraining.pretrained import Pretrained
from spikeline.bridge.pretraining.start import EncoderStart, Start, SubjectStart
from spikeline.cli import _training_data, _training_run
from spikeline.cli._options import settings_of, start_log
from spikeline.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _training_data.add_arguments(parser, "train")
    _training_run.add_model_arguments(parser)
    _training_run.add_arguments(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--pretrained", metavar="FILE", help="encoder that a capoyo starts from (none)"
    )
    start.add_argument(
        "--start-from", metavar="FILE", help="another subject's decoder of the same model (none)"
    )


def run(options: argparse.Namespace) -> None:
    from spikeline.training.runner import write_history

    start_log()
    settings = settings_of(options, "train")
    training = _training_run.run_of(options, settings, __name__)
    data = _training_data.read(options, settings)
    start = _start(options, settings, data)
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
            edges=data.edges,
            start=start,
            fabric=training.fabric,
            state_file=training.state_file(),
        )
        if not training.writes:
            return
        begun = [path for path in (options.pretrained, options.start_from) if path]
        record = _training_data.save(decoder, options, __name__, settings, data, begun)
        write_history(options.history, history, record)


def _start(
    options: argparse.Namespace, settings: Mapping[str, Any], data: _training_data.TrainingData
) -> Start | None:
    """The initial weights that the options name, if any.

    Raises:
        InputError: they are not those of a capoyo, or of another encoder of images; or `transfer`
            speaks of a start that is not given.
    """
    given = options.pretrained or options.start_from
    if given and settings["kind"] != "capoyo":
        raise InputError(f"{given}: only kind capoyo takes initial weights; leave it out")
    if options.pretrained:
        return EncoderStart(Pretrained.load(options.pretrained), options.pretrained)
    if options.start_from:
        decoder = Decoder.load(options.start_from)
        trained = decoder.metadata.get("encoder")
        if trained != data.encoder:
            raise InputError(
                f"{options.start_from}: was trained with the encoder {trained}, and these images "
                f"are embedded with {data.encoder}; start from a decoder of the same encoder"
            )
        return SubjectStart(decoder, options.start_from)
    if settings.get("transfer", "full") != "full":
        raise InputError(
            f"transfer: {settings['transfer']!r} needs a start; give --pretrained or --start-from"
        )
    return None
