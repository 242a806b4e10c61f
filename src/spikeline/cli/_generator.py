"""The pipeline that draws images, what it is told, and the encoder that judges what it drew."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from spikeline.artifacts.embeddings import OUTPUT
from spikeline.artifacts.images.latents import Latents
from spikeline.cli._options import json_of
from spikeline.errors import InputError

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

    from spikeline.bridge.generators.sampling import Conditions
    from spikeline.bridge.reconstruction.diffusion_adapter import DiffusionAdapter
    from spikeline.bridge.reconstruction.drawing import Embed

# Kinds that draw with a generator conditioned on text.
TEXT_KINDS = ("ip_adapter", "adapter")


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
    adapter: DiffusionAdapter | None = None,
) -> Conditions:
    """What the pipeline is told of decoded embeddings, by the kind of reconstructor.

    Args:
        adapter: of kind `adapter`.

    Raises:
        InputError: the generator is conditioned on something else than the kind decodes.
    """
    from spikeline.bridge.generators import ip_adapter, sampling
    from spikeline.bridge.reconstruction import diffusion_adapter

    kind = settings["kind"]
    expected = "text" if kind in TEXT_KINDS else "image"
    if settings["conditioning"] != expected:
        raise InputError(
            f"{options.generator}: is conditioned on {settings['conditioning']}, and kind {kind} "
            f"needs a generator with conditioning {expected}; name one in the model's generator"
        )
    if kind == "adapter":
        return sampling.prompt_conditions(pipeline, diffusion_adapter.apply(adapter, embedded))
    if kind == "ip_adapter":
        if not options.ip_adapter:
            raise InputError("--ip-adapter: kind ip_adapter needs the adapter of its generator")
        ip_adapter.load_ip_adapter(pipeline, options.ip_adapter, settings["scale"])
        return ip_adapter.ip_adapter_conditions(pipeline, embedded)
    return sampling.embedding_conditions(pipeline, embedded, settings["noise_level"], options.seed)
