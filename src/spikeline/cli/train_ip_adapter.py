r"""Train an IP-Adapter for a generator of text, on all training images of its subject.

Killed at any point, the same command continues from its last state and ends with the same weights.

Example:
    spikeline train-ip-adapter --responses results/responses/monkeyM.h5 \
      --latents results/latents/demo_vae/many_images.h5 \
      --embeddings results/embeddings/demo_clip_wide/many_images.h5 \
      --generator resources/generators/demo_text --settings '{"epochs": 12}' \
      --states results/.states --output ip_adapter.safetensors --history ip_adapter.tsv
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import embeddings, provenance
from spikeline.artifacts.images import latents
from spikeline.cli import _training_run
from spikeline.cli._images import training_images
from spikeline.cli._options import add_output, add_settings, settings_of, start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--responses", required=True, help="responses, HDF5: which images train")
    parser.add_argument("--latents", required=True, help="latents of the images, HDF5")
    parser.add_argument("--embeddings", required=True, help="embeddings of the images, HDF5")
    parser.add_argument("--generator", required=True, metavar="DIR", help="a pipeline of text")
    add_settings(parser, "train-ip-adapter")
    _training_run.add_arguments(parser)
    _training_run.add_model_arguments(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    add_output(parser, "adapter, safetensors as diffusers reads them")


def run(options: argparse.Namespace) -> None:
    from spikeline.bridge.generators import ip_adapter
    from spikeline.bridge.generators.pipelines import load_pipeline
    from spikeline.training.runner import write_history

    start_log()
    settings = settings_of(options, "train-ip-adapter")
    options.seed = settings["seed"]
    run = _training_run.run_of(options, settings, __name__)
    encoded, embedded = latents.read(options.latents), embeddings.read(options.embeddings)
    images = training_images(options.responses)
    with run:
        pipeline = load_pipeline(
            options.generator, "text", scheduler="ddim", device=run.fabric.device
        )
        arrays, history = ip_adapter.train_ip_adapter(
            pipeline,
            encoded.rows_of(images, options.latents),
            embedded.rows_of(images, options.embeddings, []),
            settings,
            seed=settings["seed"],
            fabric=run.fabric,
            state_file=run.state_file(),
        )
        if not run.writes:
            return
        inputs = [options.responses, options.latents, options.embeddings, options.generator]
        record = provenance.describe(__name__, settings, inputs, encoder=embedded.encoder)
        ip_adapter.save(options.output, arrays, {"encoder": embedded.encoder}, record)
        write_history(options.history, history, record)
