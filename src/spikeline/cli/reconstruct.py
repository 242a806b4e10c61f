r"""Give back the test images of one seed: decode their responses, and draw what was decoded.

Example:
    spikeline reconstruct \
      --reconstructor results/reconstructors/low_level/monkeyM/seed0.safetensors \
      --responses results/responses/monkeyM.h5 --stimuli resources/stimuli/many_images.zip \
      --embeddings results/embeddings/demo_clip_wide/many_images.h5 \
      --latents results/latents/demo_vae/many_images.h5 \
      --autoencoder resources/autoencoders/demo_vae --encoder-settings '{"kind": "demo_clip"}' \
      --weights resources/encoders/demo_clip_wide --seed 0 --output images.h5
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from spikeline.artifacts import provenance, responses
from spikeline.artifacts.images import reconstructions
from spikeline.bridge.reconstruction.decoding import (
    DRAWING_KINDS,
    FOUND_KIND,
    IMAGE,
    RESPONSES,
    Found,
    Shown,
    decode,
    starts_of,
)
from spikeline.bridge.reconstruction.reconstructor import EMBEDDING, LATENTS, Reconstructor
from spikeline.cli import _generator, _images, _reconstruction
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.sources import stimuli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _reconstruction.add_arguments(parser)
    parser.add_argument("--reconstructor", required=True, metavar="FILE", help="safetensors")
    parser.add_argument("--adapter", metavar="FILE", help="trained with it; kind adapter")
    add_settings(parser, "reconstruct")
    add_output(parser, "reconstructions, HDF5")


def run(options: argparse.Namespace) -> None:
    from spikeline.bridge.generators import autoencoder as autoencoders
    from spikeline.bridge.generators.pipelines import load_autoencoder
    from spikeline.bridge.generators.pixels import squares
    from spikeline.training.device import choose_device

    start_log()
    settings = settings_of(options, "reconstruct")
    fitted = Reconstructor.load(options.reconstructor)
    own = {**fitted.settings, **settings}
    recorded = responses.read(options.responses)
    images = _reconstruction.Images.read(options, own.get("factors", ()))
    _reconstruction.check_fitted(fitted, images, options)
    images.check_bank(recorded.images)
    decoder = _reconstruction.read_decoder(options.decoder, options, images)
    test = recorded.split(options.seed)
    names = recorded.images[test]
    for folder in filter(None, (options.generator, options.autoencoder)):
        _images.check_unseen(folder, names, options.responses)
    values = _reconstruction.decoded_responses(recorded, options.seed, settings["test_repetitions"])
    among = images.looked_among(fitted.images, names)
    # The test images' own factors are known to a ceiling alone.
    shown = images.of(names, with_factors=settings["source"] == IMAGE)
    seen = images.of(among)
    found = decode(fitted, settings["source"], values, shown, seen, decoder, options.seed)
    result: dict[str, Any] = {"images": names}
    if found.retrieved is not None:
        result["retrieved"] = among[found.retrieved]
    shape = fitted.latent_shape
    if LATENTS in found.values and options.autoencoder:
        autoencoder = load_autoencoder(options.autoencoder)
        low = autoencoders.decode(
            autoencoder, found.values[LATENTS].reshape(-1, *shape), choose_device(options.device)
        )
        if own["kind"] == "low_level":
            result["pixels"] = low
        elif settings["source"] == RESPONSES:
            result["low_level"] = low
    if own["kind"] == FOUND_KIND:
        result["pixels"] = squares(
            stimuli.load(options.stimuli, result["retrieved"]), images.encoded.image_size
        )
    elif own["kind"] in DRAWING_KINDS:
        result["pixels"] = _drawn(options, fitted, own, images, found, seen)
    used = (
        options.reconstructor, options.responses, options.embeddings, options.latents,
        options.decoder, options.factors, options.generator, options.autoencoder,
        options.ip_adapter, options.adapter,
    )  # fmt: skip
    record = provenance.describe(
        __name__, settings, [path for path in used if path], seed=options.seed, bank=options.bank
    )
    described = {**own, **fitted.choices, "seed": options.seed, "bank": options.bank}
    generator = options.generator or options.autoencoder or ""
    reconstructions.write(
        options.output,
        reconstructions.Reconstructions(**result, settings=described, generator=str(generator)),
        record,
    )


def _drawn(
    options: argparse.Namespace,
    fitted: Reconstructor,
    own: dict[str, Any],
    images: _reconstruction.Images,
    found: Found,
    seen: Shown,
) -> np.ndarray:
    """The images that the generator draws of what was decoded."""
    from spikeline.bridge.reconstruction.drawing import Decoded, draw

    pipeline = _generator.load_generator(options, own, images.encoded)
    judge = _generator.load_judge(options) if own["samples"] > 1 else None
    starts = starts_of(fitted, own["source"], found, seen)
    adapter = None
    if own["kind"] == "adapter":
        from spikeline.bridge.reconstruction import diffusion_adapter

        if not options.adapter:
            raise InputError("--adapter: kind adapter needs what `train-adapter` made")
        adapter, _ = diffusion_adapter.load(options.adapter)
    conditions = _generator.conditions_of(pipeline, own, found.values[EMBEDDING], options, adapter)
    what = Decoded(
        conditions,
        found.values[EMBEDDING],
        found.values[LATENTS].reshape(-1, *fitted.latent_shape),
        starts,
    )
    return draw(
        pipeline,
        what,
        fitted.choices,
        steps=own["steps"],
        samples=own["samples"],
        batch_size=own["drawn_at_once"],
        seed=options.seed,
        embed=judge,
    )
