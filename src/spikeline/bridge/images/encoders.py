"""Image encoders behind one interface: from images to their layers, one row per image."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from spikeline.artifacts.embeddings import OUTPUT
from spikeline.bridge.images.layers import pooled
from spikeline.errors import InputError

log = logging.getLogger(__name__)

# Pixels (n, 3, height, width) to {layer: (n, values)}.
Encode = Callable[[torch.Tensor], dict[str, torch.Tensor]]
Preprocess = Callable[[Image.Image], torch.Tensor]


def load(
    settings: Mapping[str, Any],
    weights: str | None,
    device: torch.device,
    cache: str | os.PathLike[str] | None = None,
) -> tuple[Encode, Preprocess]:
    """The encoder of a config entry, ready on `device`, and its own preprocessing.

    Args:
        settings: kind `open_clip` or `timm` with `model` and `pretrained`; kind `demo_clip` with
            `weights`. `layers` are indices as the library counts them, each returned as
            `layer{index}` after `embedding`, the network's output; `pool` and `grid` as in
            `layers.pooled`.
        weights: a folder in open_clip's local-dir: format; it overrides `model`.
        cache: a folder of downloaded weights; new ones are saved there.

    Raises:
        InputError: unknown model, weights that cannot be loaded or downloaded, or a layer that the
            network lacks.
    """
    if settings["kind"] == "timm":
        model, preprocess = _timm(settings, device, cache)
        run = _timm_layers
    else:
        model, preprocess = _open_clip(settings, weights, device, cache)
        run = _open_clip_layers
    indices, class_token = list(settings["layers"]), settings["pool"] == "class"

    def encode(pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        output, maps, prefixes = run(model, pixels, indices, class_token)
        rows = {OUTPUT: output}
        for index, layer, prefix in zip(indices, maps, prefixes, strict=True):
            rows[f"layer{index}"] = pooled(layer, prefix, settings["pool"], settings["grid"])
        return rows

    _try(encode, preprocess, device, settings)
    return encode, preprocess


def embed(
    images: Iterable[Image.Image],
    encode: Encode,
    preprocess: Preprocess,
    device: torch.device,
    total: int,
    batch_size: int,
) -> dict[str, np.ndarray]:
    """{layer: (total, values) float32}, in the order of `images`, not normalised.

    Computed in full precision, as every model reads the result.
    """
    parts: dict[str, list[np.ndarray]] = {}
    with torch.inference_mode(), tqdm(total=total, desc="embed", mininterval=2) as bar:
        for batch in _batches(images, batch_size):
            pixels = torch.stack([preprocess(image) for image in batch]).to(device)
            for name, values in encode(pixels).items():
                parts.setdefault(name, []).append(values.float().cpu().numpy())
            bar.update(len(batch))
    return {name: np.concatenate(rows) for name, rows in parts.items()}


def _open_clip(
    settings: Mapping[str, Any],
    weights: str | None,
    device: torch.device,
    cache: str | os.PathLike[str] | None,
) -> tuple[torch.nn.Module, Preprocess]:
    import open_clip

    # A CLIP that was trained here may stand on this network, which open_clip finds by its name.
    import spikeline.bridge.images.what_and_where  # noqa: F401

    model_name = f"local-dir:{weights}" if weights else settings["model"]
    remote = ":" in model_name
    if not remote and model_name not in open_clip.list_models():
        raise InputError(f"open_clip: unknown model {model_name!r}; see open_clip.list_models()")
    tags = [] if remote else open_clip.list_pretrained_tags_by_model(model_name)
    if not remote and settings["pretrained"] not in tags:
        # Without a tag open_clip returns random weights, and every score would be at chance.
        raise InputError(
            f"open_clip: {model_name} has no weights {settings['pretrained']!r}; known: {tags}"
        )
    # OpenAI's weights and some others were trained with another GELU than open_clip's entry for
    # their architecture has; open_clip would only warn and return other embeddings.
    trained = {} if remote else open_clip.get_pretrained_cfg(model_name, settings["pretrained"])
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(
            model_name,
            pretrained=None if remote else settings["pretrained"],
            device=device,
            force_quick_gelu=trained.get("quick_gelu", False),
            cache_dir=None if cache is None else str(cache),
        )
    except Exception as error:  # open_clip raises whatever the hub, the disk or torch raised
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"open_clip: cannot load {model_name} {settings.get('pretrained', '')}: {reason}; "
            "on a machine without network give a model local-dir:FOLDER"
        ) from None
    return model.eval(), preprocess


def _open_clip_layers(model, pixels: torch.Tensor, indices: list[int], class_token: bool):
    """The output, and the maps and prefix tokens of each layer."""
    if not indices:
        return model.encode_image(pixels), [], []
    from open_clip.modified_resnet import ModifiedResNet

    found = model.forward_intermediates(
        pixels,
        image_indices=indices,
        # open_clip 3.3 has the meaning of this option turned round in its residual networks:
        # without it they drop the blocks that the output needs.
        stop_early=isinstance(model.visual, ModifiedResNet),
        normalize=False,
        image_output_extra_tokens=class_token,
    )
    maps = found["image_intermediates"]
    return (
        found["image_features"],
        maps,
        found.get("image_intermediates_prefix", [None] * len(maps)),
    )


def _timm(
    settings: Mapping[str, Any], device: torch.device, cache: str | os.PathLike[str] | None
) -> tuple[torch.nn.Module, Preprocess]:
    import timm
    from timm.data import create_transform, resolve_model_data_config

    try:
        model = timm.create_model(
            settings["model"], pretrained=True, num_classes=0, cache_dir=cache
        )
    except Exception as error:  # as above
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"timm: cannot load {settings['model']}: {reason}") from None
    preprocess = create_transform(**resolve_model_data_config(model), is_training=False)
    return model.eval().to(device), preprocess


def _timm_layers(model, pixels: torch.Tensor, indices: list[int], class_token: bool):
    """As `_open_clip_layers`."""
    if not indices:
        return model(pixels), [], []
    asked = {"return_prefix_tokens": True} if class_token and model.num_prefix_tokens else {}
    features, maps = model.forward_intermediates(pixels, indices=indices, **asked)
    prefixes = [None] * len(maps)
    if asked:
        maps, prefixes = zip(*maps, strict=True)
    return model.forward_head(features), maps, prefixes


def _try(
    encode: Encode, preprocess: Preprocess, device: torch.device, settings: Mapping[str, Any]
) -> None:
    """Raise InputError now, not after hours, where a layer or its pooling does not exist."""
    if not settings["layers"]:
        return
    blank = preprocess(Image.new("RGB", (256, 256)))[None].to(device)
    try:
        with torch.inference_mode():
            encode(blank)
    except InputError:
        raise
    except Exception as error:  # the libraries raise AssertionError, AttributeError and others
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"layers: {settings['kind']} {settings.get('model', '')} cannot give "
            f"{settings['layers']}: {reason or type(error).__name__}"
        ) from None


def _batches(images: Iterable[Image.Image], size: int) -> Iterator[list[Image.Image]]:
    iterator = iter(images)
    while batch := list(islice(iterator, size)):
        yield batch
