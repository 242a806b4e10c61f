"""The usual weights of feature extractors, downloaded and kept as safetensors.

What cannot be downloaded leaves a folder that says so: scoring then goes on without it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from spikeline.errors import InputError
from spikeline.settings.schema import unknown

WEIGHTS, REASON = "weights.safetensors", "missing.txt"
PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".tar")
# The ResNet-50 of Caron et al. (2020, arXiv 2006.09882), 800 epochs, as torch.hub has it.
SWAV_ADDRESS = "https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar"


def fetch(name: str, entry: Mapping[str, Any], folder: str | os.PathLike[str]) -> str | None:
    """Download the usual weights of an entry of `extractors` into a folder.

    Args:
        name: of the entry, for errors.
        entry: of kind `torchvision` or `swav`.
        folder: exists. A download is read as plain tensors, never as a pickle that may run code,
            and kept as WEIGHTS.

    Returns:
        None, or why there are none; REASON in the folder then says the same.

    Raises:
        InputError: an unknown model.
    """
    folder = Path(folder)
    swav = entry["kind"] == "swav"
    address = SWAV_ADDRESS if swav else _address(name, entry["model"])
    try:
        state = torch.hub.load_state_dict_from_url(
            address,
            model_dir=str(folder),
            map_location="cpu",
            progress=False,
            # torchvision's file names hold the beginning of their checksum; SwAV's does not.
            check_hash=not swav,
            weights_only=True,
        )
    except Exception as error:  # urllib, the disk, torch and pickle each raise their own
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        told = f"{address} cannot be downloaded ({reason})"
        (folder / REASON).write_text(told + "\n", encoding="utf-8")
        return told
    finally:
        for path in folder.iterdir():
            if path.suffix in PICKLED:
                path.unlink()
    save_file({key: value.contiguous() for key, value in state.items()}, folder / WEIGHTS)
    return None


def check_model(name: str, model: str) -> None:
    """Raise InputError unless torchvision has a classifier of images of that name."""
    import torchvision

    known = torchvision.models.list_models(torchvision.models)
    if model not in known:
        raise unknown("model", model, known, f"extractors.{name}.model")


def _address(name: str, model: str) -> str:
    from torchvision.models import get_model_weights

    check_model(name, model)
    weights = get_model_weights(model)
    if not len(weights):
        raise InputError(f"extractors.{name}.model: torchvision has no weights of {model}")
    return weights.DEFAULT.url
