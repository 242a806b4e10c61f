"""Image encoders behind one interface: from images to one embedding per row."""

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

from spikeline.errors import InputError

log = logging.getLogger(__name__)

Encode = Callable[[torch.Tensor], torch.Tensor]
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
            `weights`.
        weights: a folder in open_clip's local-dir: format; it overrides `model`.
        cache: a folder of downloaded weights; new ones are saved there.

    Raises:
        InputError: unknown model, or weights that cannot be loaded or downloaded.
    """
    if settings["kind"] == "timm":
        return _timm(settings, device, cache)
    return _open_clip(settings, weights, device, cache)


def embed(
    images: Iterable[Image.Image],
    encode: Encode,
    preprocess: Preprocess,
    device: torch.device,
    total: int,
    batch_size: int,
) -> np.ndarray:
    """Embeddings (total, dim) float32, in the order of `images`, not normalised.

    Computed in full precision, as every model reads the result.
    """
    rows = []
    with torch.inference_mode(), tqdm(total=total, desc="embed", mininterval=2) as bar:
        for batch in _batches(images, batch_size):
            pixels = torch.stack([preprocess(image) for image in batch]).to(device)
            rows.append(encode(pixels).float().cpu().numpy())
            bar.update(len(batch))
    return np.concatenate(rows)


def _open_clip(
    settings: Mapping[str, Any],
    weights: str | None,
    device: torch.device,
    cache: str | os.PathLike[str] | None,
) -> tuple[Encode, Preprocess]:
    import open_clip

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
    return model.eval().encode_image, preprocess


def _timm(
    settings: Mapping[str, Any], device: torch.device, cache: str | os.PathLike[str] | None
) -> tuple[Encode, Preprocess]:
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


def _batches(images: Iterable[Image.Image], size: int) -> Iterator[list[Image.Image]]:
    iterator = iter(images)
    while batch := list(islice(iterator, size)):
        yield batch
