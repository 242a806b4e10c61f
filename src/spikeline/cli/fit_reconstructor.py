"""Fit a reconstructor (unclip, img2img, ip_adapter, low_level, retrieval) to training rows.

Where the settings list several guidances, strengths or start weights, all combinations draw the
validation images, and the one whose images are most like the shown ones is taken.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spikeline.artifacts import provenance, responses
from spikeline.artifacts.files import write_text
from spikeline.bridge.reconstruction.decoder_embeddings import predicted_embeddings
from spikeline.bridge.reconstruction.decoding import (
    DRAWING_KINDS,
    RESPONSES,
    RETRIEVING_KINDS,
    decoded,
    nearest,
    starts_of,
    targets_of,
)
from spikeline.bridge.reconstruction.fitting import best_choice, fit_reconstructor, validation_rows
from spikeline.bridge.reconstruction.reconstructor import EMBEDDING, Reconstructor
from spikeline.bridge.splits import training_rows_of
from spikeline.cli import _images, _reconstruction
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.sources import stimuli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _reconstruction.add_arguments(parser)
    add_settings(parser, "fit-reconstructor")
    parser.add_argument(
        "--candidates", required=True, metavar="FILE", help="scores of what was tried, TSV"
    )
    add_output(parser, "reconstructor, safetensors")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "fit-reconstructor")
    recorded = responses.read(options.responses)
    images = _reconstruction.Images.read(options)
    decoder = _reconstruction.read_decoder(options, images)
    test = recorded.split(options.seed)
    rows = training_rows_of(settings, test, recorded.images, recorded.categories, options.seed)
    values, names = recorded.values[rows], recorded.images[rows]
    if settings["shuffle_responses"]:
        values = values[np.random.default_rng(options.seed).permutation(len(values))]
    shown = images.of(names)
    given = {}
    if decoder is not None:
        given[EMBEDDING] = lambda rows: predicted_embeddings(decoder, rows, options.decoder)

    def fitted(kept: np.ndarray) -> Reconstructor:
        targets = {name: shown.flat(name)[kept] for name in targets_of(settings["kind"])}
        return fit_reconstructor(
            values[kept],
            targets,
            names[kept],
            recorded.categories[rows][kept],
            recorded.electrodes,
            settings,
            images.encoded.values.shape[1:],
            given=given,
        )

    choices, tried = {}, []
    if settings["kind"] in DRAWING_KINDS:
        gallery = int(test.sum())
        kept, left = validation_rows(
            settings, names, recorded.categories[rows], gallery, options.seed
        )
        choices, tried = _choose(
            options, settings, images, decoder, fitted, values, names, kept, left
        )
    whole = fitted(np.arange(len(values)))
    used = (options.responses, options.embeddings, options.latents, options.decoder)
    inputs = [path for path in used if path]
    record = provenance.describe(__name__, settings, inputs, seed=options.seed)
    metadata = {"encoder": images.embedded.encoder, "autoencoder": images.encoded.autoencoder}
    replace(whole, choices=choices, metadata=metadata).save(options.output, record)
    write_text(options.candidates, _as_tsv(tried))
    provenance.write_beside(options.candidates, record)


def _choose(
    options: argparse.Namespace,
    settings: Mapping[str, Any],
    images: _reconstruction.Images,
    decoder: Any,
    fitted: Any,
    values: np.ndarray,
    names: np.ndarray,
    kept: np.ndarray,
    left: np.ndarray,
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """The best candidate on validation images, and the scores of all."""
    from spikeline.bridge.reconstruction.drawing import candidates

    tried = candidates(settings, starts=True)
    if len(tried) == 1:
        return best_choice(tried, lambda choice: 0.0)
    from spikeline.bridge.generators.pixels import squares
    from spikeline.bridge.reconstruction.drawing import Decoded, blended, correlations, draw
    from spikeline.cli._reconstruction import load_generator, load_judge

    _images.check_unseen(options.generator, names[:0], options.responses)
    pipeline, judge = load_generator(options, settings, images.encoded), load_judge(options)
    reconstructor = fitted(kept)
    seen, truth = images.of(names[kept]), images.of(names[left])
    predicted = None
    if decoder is not None:
        predicted = predicted_embeddings(decoder, values[left], options.decoder)
    found = decoded(reconstructor, RESPONSES, values[left], truth, predicted, options.seed)
    retrieved = None
    if settings["kind"] in RETRIEVING_KINDS:
        if decoder is not None:
            rows = _reconstruction.most_similar(decoder, values[left], seen.embeddings)
        else:
            moments = reconstructor.predictions[EMBEDDING].targets
            rows = nearest(found[EMBEDDING], seen.embeddings, moments)
        retrieved = seen.latents[rows]
    starts = starts_of(
        settings["kind"], RESPONSES, found, retrieved, images.encoded.values.shape[1:]
    )
    conditions = _reconstruction.conditions_of(pipeline, settings, found[EMBEDDING], options)
    pixels = squares(stimuli.load(options.stimuli, names[left]), images.encoded.image_size)

    def score(choice: Mapping[str, float]) -> float:
        begin = blended(starts, seen.latents.mean(0), choice["start_weight"])
        what = Decoded(conditions, starts=begin)
        drawn = draw(pipeline, what, choice, steps=settings["steps"], seed=options.seed)
        agreement = correlations(drawn, pixels).mean()
        if judge is not None:
            agreement += correlations(judge(drawn), truth.embeddings).mean()
        return float(agreement)

    return best_choice(tried, score)


def _as_tsv(rows: list[dict[str, float]]) -> str:
    if not rows:
        return "nothing to choose\n"
    lines = ["\t".join(rows[0])]
    lines += ["\t".join(f"{value:.6g}" for value in row.values()) for row in rows]
    return "\n".join(lines) + "\n"
