"""Training rows of a reconstructor, how it is fitted to some, and what it leaves on disk."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikeline.artifacts import provenance, responses
from spikeline.artifacts.files import write_text
from spikeline.artifacts.responses import Responses
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.reconstruction.decoding import targets_of
from spikeline.bridge.reconstruction.fitting import fit_reconstructor
from spikeline.bridge.reconstruction.reconstructor import EMBEDDING, Reconstructor
from spikeline.bridge.splits import training_rows_of
from spikeline.cli import _reconstruction
from spikeline.cli._options import add_output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the steps that fit a reconstructor."""
    _reconstruction.add_arguments(parser)
    parser.add_argument(
        "--candidates", required=True, metavar="FILE", help="scores of what was tried, TSV"
    )
    add_output(parser, "reconstructor, safetensors")


@dataclass(frozen=True)
class Training:
    """Training rows, and how a reconstructor is fitted to some of them."""

    recorded: Responses
    rows: np.ndarray
    values: np.ndarray
    images: _reconstruction.Images
    decoder: Decoder | None
    settings: dict
    test: np.ndarray

    @classmethod
    def read(cls, options: argparse.Namespace, settings: dict) -> Training:
        """The rows that this seed and these settings may learn from, and no test row.

        With `shuffle_responses` each row gets the response of a random one.
        """
        recorded = responses.read(options.responses)
        images = _reconstruction.Images.read(options, settings.get("factors", ()))
        images.check_bank(recorded.images)
        decoder = _reconstruction.read_decoder(options.decoder, options, images)
        test = recorded.split(options.seed)
        rows = training_rows_of(settings, test, recorded.images, recorded.categories, options.seed)
        values = recorded.values[rows]
        if settings["shuffle_responses"]:
            values = values[np.random.default_rng(options.seed).permutation(len(values))]
        return cls(recorded, rows, values, images, decoder, settings, test)

    @property
    def gallery(self) -> int:
        """How many test images there are."""
        return int(self.test.sum())

    @property
    def names(self) -> np.ndarray:
        return self.recorded.images[self.rows]

    @property
    def categories(self) -> np.ndarray:
        return self.recorded.categories[self.rows]

    def hidden(self, left: np.ndarray) -> np.ndarray:
        """Names of the test images, and of those of validation rows."""
        return np.concatenate([self.recorded.images[self.test], self.names[left]])

    def seen_by(self, decoder: Decoder, seed: int) -> np.ndarray:
        """(training rows,) bool: those that a decoder was trained on."""
        test, settings = self.recorded.split(seed), decoder.metadata["settings"]
        images, categories = self.recorded.images, self.recorded.categories
        return np.isin(self.rows, training_rows_of(settings, test, images, categories, seed))

    def fitted(self, kept: np.ndarray, decoder: Decoder | None) -> Reconstructor:
        """To rows, counted among the training rows, with a decoder of the house or none."""
        shown, kind = self.images.of(self.names[kept]), self.settings["kind"]
        given = {} if decoder is None else {EMBEDDING: decoder}
        return fit_reconstructor(
            self.values[kept],
            {name: shown.flat(name) for name in targets_of(kind)},
            self.names[kept],
            self.categories[kept],
            self.recorded.electrodes,
            self.settings,
            self.images.encoded.values.shape[1:],
            given=given,
            levels=shown.levels,
        )


def save(
    options: argparse.Namespace,
    module: str,
    training: Training,
    fitted: Reconstructor,
    choices: dict,
    tried: list,
) -> dict[str, Any]:
    """Write the reconstructor and what was tried; returns their provenance."""
    from spikeline.bridge.reconstruction.selection import as_tsv

    used = (
        options.responses,
        options.embeddings,
        options.latents,
        options.decoder,
        options.factors,
        getattr(options, "choosing_decoder", None),
    )
    inputs = [path for path in used if path]
    record = provenance.describe(
        module, training.settings, inputs, seed=options.seed, bank=options.bank
    )
    images = training.images
    metadata = {"encoder": images.embedded.encoder, "autoencoder": images.encoded.autoencoder}
    replace(fitted, choices=choices, metadata=metadata).save(options.output, record)
    write_text(options.candidates, as_tsv(tried))
    provenance.write_beside(options.candidates, record)
    return record
