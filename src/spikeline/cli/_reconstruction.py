"""What steps that give images back read: responses, embeddings and latents, a decoder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikeline.artifacts import embeddings
from spikeline.artifacts.embeddings import Embeddings
from spikeline.artifacts.images import latents
from spikeline.artifacts.images.latents import Latents
from spikeline.artifacts.responses import Responses
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.reconstruction.decoder_embeddings import of_output
from spikeline.bridge.reconstruction.decoding import Shown
from spikeline.bridge.reconstruction.reconstructor import Reconstructor
from spikeline.cli import _decoder_facts
from spikeline.errors import InputError
from spikeline.sources import stimuli
from spikeline.sources.factors import Factors, read_factors


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fit-reconstructor` and `reconstruct`."""
    parser.add_argument("--responses", required=True, help="responses, HDF5")
    parser.add_argument("--stimuli", required=True, help="the packed images")
    parser.add_argument("--embeddings", required=True, help="embeddings of the images, HDF5")
    parser.add_argument("--latents", required=True, help="latents of the images, HDF5")
    parser.add_argument("--generator", metavar="DIR", help="a pipeline's folder; kinds that draw")
    parser.add_argument("--autoencoder", metavar="DIR", help="of the latents; kind low_level")
    parser.add_argument("--ip-adapter", metavar="FILE", help="of the generator; kind ip_adapter")
    parser.add_argument("--decoder", metavar="FILE", help="that predicts the embedding (ridge)")
    parser.add_argument(
        "--encoder-settings",
        metavar="JSON",
        help="of the encoder of the embeddings, which then judges drawn images too (none)",
    )
    parser.add_argument("--weights", metavar="DIR", help="of that encoder, in local-dir: format")
    parser.add_argument("--cache", metavar="DIR", help="of that encoder, made by fetch-weights")
    parser.add_argument(
        "--factors", metavar="FILE", help="of the images; where the settings name `factors`"
    )
    parser.add_argument(
        "--bank",
        action="store_true",
        help="look among all images of --embeddings but the test images (the training images)",
    )
    parser.add_argument("--seed", required=True, type=int, help="chooses the split too")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")


@dataclass(frozen=True)
class Images:
    """What is known of a stimulus set, of which some images are asked for.

    Attributes:
        factors: table of the factors that responses are read for, if they are for some.
    """

    embedded: Embeddings
    encoded: Latents
    options: argparse.Namespace
    factors: Factors | None = None

    @classmethod
    def read(cls, options: argparse.Namespace, factors: Sequence[str] = ()) -> Images:
        """Read what the options name.

        Args:
            factors: columns of the table of factors that are needed.

        Raises:
            InputError: a damaged file, or no such table or column.
        """
        embedded, encoded = embeddings.read(options.embeddings), latents.read(options.latents)
        return cls(embedded, encoded, options, _factors(options.factors, factors))

    def of(self, names: np.ndarray, *, with_factors: bool = True) -> Shown:
        """Of named images; of their factors only where they are wanted."""
        read = self.factors is not None and with_factors
        levels = self.factors.of(names, self.options.factors) if read else {}
        return Shown(
            self.embedded.rows_of(names, self.options.embeddings, []),
            self.encoded.rows_of(names, self.options.latents),
            levels,
        )

    def check_bank(self, shown: np.ndarray) -> None:
        """Raise InputError where a bank lacks images that were shown."""
        if not self.options.bank:
            return
        known = stimuli.names(self.options.stimuli)
        missing = np.setdiff1d(shown.astype(str), known.astype(str))
        if len(missing):
            raise InputError(
                f"{self.options.stimuli}: lacks {len(missing)} images that were shown, "
                f"{missing[0]!r} among them; a bank holds these and further ones"
            )

    def looked_among(self, training: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """Names of the images among which one is looked for: those that train or, with `--bank`,
        all that there are but the `hidden` ones, whatever else these are called."""
        if not self.options.bank:
            return training
        names = stimuli.names(self.options.stimuli).astype(str)
        first = stimuli.first_names(self.options.stimuli).astype(str)
        # A picture may lie there under a second name.
        return names[~np.isin(first, first[np.isin(names, hidden.astype(str))])].astype(object)


def _factors(path: str | None, wanted: Sequence[str]) -> Factors | None:
    """The wanted columns of a table of factors; None where none is wanted."""
    if not wanted:
        return None
    if not path:
        raise InputError("--factors: the settings name factors; give the table that has them")
    return read_factors(path).only(wanted, path)


def read_decoder(path: str | None, options: argparse.Namespace, images: Images) -> Decoder | None:
    """A decoder of the house that predicts the embedding, if there is a path.

    Raises:
        InputError: it was trained on another encoder's embeddings, or for another split.
    """
    if not path:
        return None
    decoder = Decoder.load(path)
    _decoder_facts.check_encoder(decoder, images.embedded, path, options.embeddings)
    _decoder_facts.check_seed(options.seed, path)
    dim = len(images.embedded.columns_of([], options.embeddings)[0])
    return of_output(decoder, dim, path)


def decoded_responses(recorded: Responses, seed: int, repetitions: int | None) -> np.ndarray:
    """Responses to the test images, means over all repetitions or over the first so many."""
    if repetitions is None:
        return recorded.test_values(seed)
    known = 0 if recorded.repetitions is None else len(recorded.repetitions)
    if repetitions > known:
        raise InputError(f"test_repetitions: {repetitions} of {known} single repetitions; lower it")
    return recorded.test_values(seed, np.arange(repetitions))


def check_fitted(fitted: Reconstructor, images: Images, options: argparse.Namespace) -> None:
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
