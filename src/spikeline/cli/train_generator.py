r"""Train a small latent-diffusion model, as a folder of diffusers, on a subject's training images.

Killed at any point, the same command continues from its last state and ends with the same weights.

Example:
    spikeline train-generator --responses results/responses/monkeyM.h5 \
      --latents results/latents/demo_vae/many_images.h5 \
      --autoencoder resources/autoencoders/demo_vae \
      --embeddings results/embeddings/demo_clip_wide/many_images.h5 \
      --settings '{"conditioning": "image"}' --states results/.states --output generator \
      --history generator.tsv
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import embeddings, provenance
from spikeline.artifacts.files import atomic_folder
from spikeline.artifacts.images import latents, prompts
from spikeline.cli import _training_run
from spikeline.cli._images import learnt_from, some_of, training_images
from spikeline.cli._options import add_settings, settings_of, start_log
from spikeline.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--responses", required=True, help="responses, HDF5: which images train")
    parser.add_argument("--latents", required=True, help="latents of the images, HDF5")
    parser.add_argument("--autoencoder", required=True, metavar="DIR", help="what made them")
    parser.add_argument("--embeddings", help="embeddings of the images, HDF5; conditioning image")
    parser.add_argument("--prompts", help="prompts of the images, HDF5; conditioning text")
    parser.add_argument("--clip", metavar="DIR", help="whose text encoder made them, local-dir:")
    add_settings(parser, "train-generator")
    _training_run.add_arguments(parser)
    _training_run.add_model_arguments(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the pipeline")


def run(options: argparse.Namespace) -> None:
    from spikeline.bridge.generators import text_encoder
    from spikeline.bridge.generators.image_conditioned import train_image_generator
    from spikeline.bridge.generators.pipelines import load_autoencoder
    from spikeline.bridge.generators.text_conditioned import train_text_generator
    from spikeline.training.runner import write_history

    start_log()
    settings = settings_of(options, "train-generator")
    options.seed = settings["seed"]
    text = settings["conditioning"] == "text"
    for name in ("prompts", "clip") if text else ("embeddings",):
        if not getattr(options, name):
            raise InputError(
                f"--{name}: a generator conditioned on {settings['conditioning']} needs it"
            )
    training = _training_run.run_of(options, settings, __name__)
    images = some_of(training_images(options.responses), settings, options.responses)
    encoded = latents.read(options.latents)
    autoencoder = load_autoencoder(options.autoencoder)
    with training:
        arguments = {
            "seed": settings["seed"],
            "fabric": training.fabric,
            "state_file": training.state_file(),
        }
        shown = encoded.rows_of(images, options.latents)
        if text:
            told = prompts.read(options.prompts)
            parts = text_encoder.from_clip(options.clip)
            rows = told.rows_of(images, options.prompts)
            pipeline, history = train_text_generator(
                shown, told, rows, autoencoder, *parts, settings, **arguments
            )
        else:
            embedded = embeddings.read(options.embeddings)
            rows = embedded.rows_of(images, options.embeddings, [])
            pipeline, history = train_image_generator(
                shown, rows, autoencoder, settings, **arguments
            )
        if not training.writes:
            return
        used = (options.responses, options.latents, options.autoencoder, options.embeddings)
        inputs = [path for path in (*used, options.prompts, options.clip) if path]
        # The autoencoder, which the folder holds too, may have learnt from more.
        learnt = {*map(str, images), *learnt_from(options.autoencoder)}
        record = provenance.describe(
            __name__,
            settings,
            inputs,
            training_images=sorted(learnt),
        )
        with atomic_folder(options.output) as folder:
            pipeline.save_pretrained(folder)
            provenance.write_beside(folder, record)
        write_history(options.history, history, record)
