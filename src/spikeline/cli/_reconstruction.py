"""What steps that give images back read: embeddings and latents, a generator, a judge."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from spikeline.artifacts import embeddings, latents
from spikeline.artifacts.embeddings import OUTPUT, Embeddings
from spikeline.artifacts.latents import Latents
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.reconstruction.decoding import Shown, best
from spikeline.cli import _decoder_facts
from spikeline.cli._options import json_of
from spikeline.errors import InputError

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

    from spikeline.bridge.reconstruction.drawing import Embed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fit-reconstructor` and `reconstruct`."""
    parser.add_argument("--responses", required=True, help="responses, HDF5")
    parser.add_argument("--stimuli", required=True, help="the packed images")
    parser.add_argument("--embeddings", required=True, help="embeddings of the images, HDF5")
    parser.add_argument("--latents", required=True, help="latents of the images, HDF5")
    parser.add_argument("--generator", metavar="DIR", help="a pipeline's folder; kinds that draw")
    parser.add_argument("--autoencoder", metavar="DIR", help="of the latents; kind low_level")
    parser.add_argument("--decoder", metavar="FILE", help="that predicts the embedding (ridge)")
    parser.add_argument(
        "--encoder-settings",
        metavar="JSON",
        help="of the encoder of the embeddings, which then judges drawn images too (none)",
    )
    parser.add_argument("--weights", metavar="DIR", help="of that encoder, in local-dir: format")
    parser.add_argument("--cache", metavar="DIR", help="of that encoder, made by fetch-weights")
    parser.add_argument("--seed", required=True, type=int, help="chooses the split too")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")


@dataclass(frozen=True)
class Images:
    """Embeddings and latents of a stimulus set, of which some images are asked for."""

    embedded: Embeddings
    encoded: Latents
    options: argparse.Namespace

    @classmethod
    def read(cls, options: argparse.Namespace) -> Images:
        embedded = embeddings.read(options.embeddings)
        return cls(embedded, latents.read(options.latents), options)

    def of(self, names: np.ndarray) -> Shown:
        """Of named images."""
        return Shown(
            self.embedded.rows_of(names, self.options.embeddings, []),
            self.encoded.rows_of(names, self.options.latents),
        )


def read_decoder(options: argparse.Namespace, images: Images) -> Decoder | None:
    """The decoder of the house that predicts the embedding, if the options name one.

    Raises:
        InputError: it was trained on another encoder's embeddings, or for another split.
    """
    if not options.decoder:
        return None
    decoder = Decoder.load(options.decoder)
    _decoder_facts.check_encoder(decoder, images.embedded, options.decoder, options.embeddings)
    _decoder_facts.check_seed(options.seed, options.decoder)
    return decoder


def most_similar(
    decoder: Decoder, values: np.ndarray, embedded: np.ndarray, excluded: np.ndarray | None = None
) -> np.ndarray:
    """(n,) the training image (row of `embedded`) that a decoder finds most similar."""
    similarity = decoder.embed_responses(values) @ decoder.embed_images(embedded).T
    return best(similarity, excluded)


def load_generator(
    options: argparse.Namespace, settings: Mapping[str, Any], encoded: Latents
) -> DiffusionPipeline:
    """The pipeline that draws.

    Raises:
        InputError: none is given, or it draws other latents than those of the file.
    """
    from spikeline.bridge.generators.pipelines import load_pipeline, precision
    from spikeline.training.device import choose_device

    if not options.generator:
        raise InputError("--generator: this kind draws with one; give the folder of a pipeline")
    device = choose_device(options.device)
    pipeline = load_pipeline(
        options.generator,
        settings["conditioning"],
        scheduler=settings["scheduler"],
        device=device,
        dtype=precision(device),
        variant=settings["variant"],
    )
    side = pipeline.unet.config.sample_size
    drawn = (pipeline.unet.config.in_channels, side, side)
    if drawn != encoded.values.shape[1:]:
        raise InputError(
            f"{options.generator}: draws latents of shape {drawn}, and {options.latents} holds "
            f"{encoded.values.shape[1:]}; encode the images with this generator's autoencoder, at "
            "the size it draws"
        )
    scaling = pipeline.vae.config.scaling_factor
    if not np.isclose(scaling, encoded.scaling_factor, rtol=1e-6):
        raise InputError(
            f"{options.generator}: scales latents by {scaling:g}, and {options.latents} by "
            f"{encoded.scaling_factor:g}; encode the images with this generator's autoencoder"
        )
    return pipeline


def load_judge(options: argparse.Namespace) -> Embed | None:
    """The encoder of the embeddings, ready for drawn images; None where it is not given."""
    if not options.encoder_settings:
        return None
    from spikeline.bridge.images import encoders
    from spikeline.training.device import choose_device

    settings = {**json_of(options.encoder_settings, "--encoder-settings"), "layers": []}
    device: torch.device = choose_device(options.device)
    encode, preprocess = encoders.load(settings, options.weights, device, options.cache)

    def embed(pixels: np.ndarray) -> np.ndarray:
        shown = (Image.fromarray(one) for one in pixels)
        layers = encoders.embed(
            shown, encode, preprocess, device, len(pixels), settings["batch_size"]
        )
        return layers[OUTPUT]

    return embed


def conditions_of(
    pipeline: DiffusionPipeline,
    settings: Mapping[str, Any],
    embedded: np.ndarray,
    options: argparse.Namespace,
) -> Any:
    """What the pipeline is told of decoded embeddings, by the kind of reconstructor.

    Raises:
        InputError: the generator is conditioned on something else than the kind decodes.
    """
    from spikeline.bridge.generators.sampling import embedding_conditions

    if settings["conditioning"] != "image":
        raise InputError(
            f"{options.generator}: is conditioned on text, and kind {settings['kind']} tells it an "
            "image embedding; use a generator with conditioning image, or kind ip_adapter"
        )
    return embedding_conditions(pipeline, embedded, settings["noise_level"], options.seed)
