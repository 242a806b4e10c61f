"""Give back the test images of one seed: decode their responses, and draw what was decoded."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from spikeline.artifacts import provenance, reconstructions, responses
from spikeline.bridge.reconstruction.decoder_embeddings import predicted_embeddings
from spikeline.bridge.reconstruction.decoding import (
    DRAWING_KINDS,
    RESPONSES,
    RETRIEVING_KINDS,
    Shown,
    decoded,
    nearest,
    starts_of,
)
from spikeline.bridge.reconstruction.reconstructor import EMBEDDING, LATENTS, Reconstructor
from spikeline.cli import _images, _reconstruction
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.sources import stimuli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _reconstruction.add_arguments(parser)
    parser.add_argument("--reconstructor", required=True, metavar="FILE", help="safetensors")
    add_settings(parser, "reconstruct")
    add_output(parser, "reconstructions, HDF5")


def run(options: argparse.Namespace) -> None:
    from spikeline.bridge.generators.autoencoder import decode
    from spikeline.bridge.generators.pipelines import load_autoencoder
    from spikeline.bridge.generators.pixels import squares
    from spikeline.training.device import choose_device

    start_log()
    settings = settings_of(options, "reconstruct")
    fitted = Reconstructor.load(options.reconstructor)
    own = {**fitted.settings, **settings}
    recorded = responses.read(options.responses)
    images = _reconstruction.Images.read(options)
    _check(fitted, images, options)
    decoder = _reconstruction.read_decoder(options, images)
    test = recorded.split(options.seed)
    names = recorded.images[test]
    for folder in filter(None, (options.generator, options.autoencoder)):
        _images.check_unseen(folder, names, options.responses)
    values = _test_values(recorded, options.seed, settings["test_repetitions"])
    shown, seen = images.of(names), images.of(fitted.images)
    given = None
    if decoder is not None:
        given = predicted_embeddings(decoder, values, options.decoder)
    found = decoded(fitted, settings["source"], values, shown, given, options.seed)
    result: dict[str, Any] = {"images": names}
    retrieved = None
    if own["kind"] in RETRIEVING_KINDS:
        if decoder is not None and settings["source"] == RESPONSES:
            rows = _reconstruction.most_similar(decoder, values, seen.embeddings)
        else:
            rows = nearest(found[EMBEDDING], seen.embeddings, fitted.predictions[EMBEDDING].targets)
        retrieved = fitted.images[rows]
        result["retrieved"] = retrieved
    shape = fitted.latent_shape
    if LATENTS in found and options.autoencoder:
        autoencoder = load_autoencoder(options.autoencoder)
        low = decode(autoencoder, found[LATENTS].reshape(-1, *shape), choose_device(options.device))
        if own["kind"] == "low_level":
            result["pixels"] = low
        elif settings["source"] == RESPONSES:
            result["low_level"] = low
    if own["kind"] == "retrieval":
        result["pixels"] = squares(
            stimuli.load(options.stimuli, retrieved), images.encoded.image_size
        )
    elif own["kind"] in DRAWING_KINDS:
        result["pixels"] = _drawn(options, fitted, own, images, found, seen, retrieved)
    used = (
        options.reconstructor, options.responses, options.embeddings, options.latents,
        options.decoder, options.generator, options.autoencoder,
    )  # fmt: skip
    record = provenance.describe(
        __name__, settings, [path for path in used if path], seed=options.seed
    )
    described = provenance.dumps({**own, **fitted.choices, "seed": options.seed})
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
    found: dict[str, np.ndarray],
    seen: Shown,
    retrieved: np.ndarray | None,
) -> np.ndarray:
    """The images that the generator draws of what was decoded."""
    from spikeline.bridge.reconstruction.drawing import Decoded, blended, draw

    pipeline = _reconstruction.load_generator(options, own, images.encoded)
    judge = _reconstruction.load_judge(options) if own["samples"] > 1 else None
    begin = None if retrieved is None else images.of(retrieved).latents
    starts = starts_of(own["kind"], own["source"], found, begin, fitted.latent_shape)
    if starts is not None:
        starts = blended(starts, seen.latents.mean(0), fitted.choices["start_weight"])
    conditions = _reconstruction.conditions_of(pipeline, own, found[EMBEDDING], options)
    what = Decoded(
        conditions,
        found[EMBEDDING],
        found[LATENTS].reshape(-1, *fitted.latent_shape),
        starts,
    )
    return draw(
        pipeline,
        what,
        fitted.choices,
        steps=own["steps"],
        samples=own["samples"],
        batch_size=own["batch_size"],
        seed=options.seed,
        embed=judge,
    )


def _test_values(recorded: responses.Responses, seed: int, repetitions: int | None) -> np.ndarray:
    """Responses to the test images, means over all repetitions or over the first so many."""
    if repetitions is None:
        return recorded.test_values(seed)
    known = 0 if recorded.repetitions is None else len(recorded.repetitions)
    if repetitions > known:
        raise InputError(f"test_repetitions: {repetitions} of {known} single repetitions; lower it")
    return recorded.test_values(seed, np.arange(repetitions))


def _check(
    fitted: Reconstructor, images: _reconstruction.Images, options: argparse.Namespace
) -> None:
    """Raise InputError where the reconstructor was fitted to other embeddings or latents."""
    for what, own, path in (
        ("encoder", images.embedded.encoder, options.embeddings),
        ("autoencoder", images.encoded.autoencoder, options.latents),
    ):
        if fitted.metadata.get(what) != own:
            raise InputError(
                f"{options.reconstructor}: was fitted with the {what} {fitted.metadata.get(what)}, "
                f"and {path} is of {own}; fit it again"
            )
