"""Fit a reconstructor (unclip, img2img, ip_adapter, low_level, retrieval) to training rows.

Where the settings list several guidances, strengths or start weights, all combinations draw the
validation images, and the one whose images are most like the shown ones is taken.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np

from spikeline.artifacts import provenance, responses
from spikeline.artifacts.files import write_text
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.reconstruction.decoding import DRAWING_KINDS, RESPONSES, decode, targets_of
from spikeline.bridge.reconstruction.fitting import fit_reconstructor, validation_rows
from spikeline.bridge.reconstruction.reconstructor import EMBEDDING, Reconstructor
from spikeline.bridge.splits import training_rows_of
from spikeline.cli import _generator, _reconstruction
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.sources import stimuli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _reconstruction.add_arguments(parser)
    add_settings(parser, "fit-reconstructor")
    parser.add_argument(
        "--candidates", required=True, metavar="FILE", help="scores of what was tried, TSV"
    )
    add_output(parser, "reconstructor, safetensors")


@dataclass(frozen=True)
class Training:
    """Training rows, and how a reconstructor is fitted to some of them."""

    recorded: responses.Responses
    rows: np.ndarray
    values: np.ndarray
    images: _reconstruction.Images
    decoder: Decoder | None
    settings: dict

    @property
    def names(self) -> np.ndarray:
        return self.recorded.images[self.rows]

    @property
    def categories(self) -> np.ndarray:
        return self.recorded.categories[self.rows]

    def fitted(self, kept: np.ndarray) -> Reconstructor:
        """To rows, counted among the training rows."""
        shown, kind = self.images.of(self.names[kept]), self.settings["kind"]
        given = {} if self.decoder is None else {EMBEDDING: self.decoder}
        return fit_reconstructor(
            self.values[kept],
            {name: shown.flat(name) for name in targets_of(kind)},
            self.names[kept],
            self.categories[kept],
            self.recorded.electrodes,
            self.settings,
            self.images.encoded.values.shape[1:],
            given=given,
        )


def run(options: argparse.Namespace) -> None:
    from spikeline.bridge.reconstruction.selection import as_tsv

    start_log()
    settings = settings_of(options, "fit-reconstructor")
    recorded = responses.read(options.responses)
    images = _reconstruction.Images.read(options)
    decoder = _reconstruction.read_decoder(options, images)
    test = recorded.split(options.seed)
    rows = training_rows_of(settings, test, recorded.images, recorded.categories, options.seed)
    values = recorded.values[rows]
    if settings["shuffle_responses"]:
        values = values[np.random.default_rng(options.seed).permutation(len(values))]
    training = Training(recorded, rows, values, images, decoder, settings)
    choices, tried = {}, []
    if settings["kind"] in DRAWING_KINDS:
        choices, tried = _chosen(options, training, int(test.sum()))
    whole = training.fitted(np.arange(len(rows)))
    used = (options.responses, options.embeddings, options.latents, options.decoder)
    inputs = [path for path in used if path]
    record = provenance.describe(__name__, settings, inputs, seed=options.seed)
    metadata = {"encoder": images.embedded.encoder, "autoencoder": images.encoded.autoencoder}
    replace(whole, choices=choices, metadata=metadata).save(options.output, record)
    write_text(options.candidates, as_tsv(tried))
    provenance.write_beside(options.candidates, record)


def _chosen(options: argparse.Namespace, training: Training, gallery: int) -> tuple[dict, list]:
    """How to draw, and the scores of all candidates on validation images."""
    from spikeline.bridge.generators.pixels import squares
    from spikeline.bridge.reconstruction.drawing import candidates
    from spikeline.bridge.reconstruction.selection import choose

    settings, images = training.settings, training.images
    tried = candidates(settings)
    if len(tried) == 1:
        return tried[0], tried
    pipeline = _generator.load_generator(options, settings, images.encoded)
    kept, left = validation_rows(
        settings, training.names, training.categories, gallery, options.seed
    )
    reconstructor = training.fitted(kept)
    seen, shown = (images.of(training.names[rows]) for rows in (kept, left))
    found = decode(
        reconstructor, RESPONSES, training.values[left], shown, seen, training.decoder, options.seed
    )
    conditions = _generator.conditions_of(pipeline, settings, found.values[EMBEDDING], options)
    loaded = stimuli.load(options.stimuli, training.names[left])
    pixels = squares(loaded, images.encoded.image_size)
    judge = _generator.load_judge(options)
    return choose(
        pipeline, conditions, reconstructor, found, shown, seen, pixels,
        judge=judge, seed=options.seed,
    )  # fmt: skip
