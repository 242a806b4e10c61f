"""Where a model runs, and in which precision."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext

import torch

from spikeline.errors import InputError

logger = logging.getLogger(__name__)


def choose_device(name: str = "auto") -> torch.device:
    """The device for `auto`, `cpu` or `cuda`; a missing GPU means the CPU, and the log says so.

    Raises:
        InputError: any other name.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"device: {name!r} is not one of auto, cpu, cuda")
    if name == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        logger.info("running on the GPU %s", torch.cuda.get_device_name())
        return torch.device("cuda")
    logger.warning(
        "no CUDA device: running on the CPU (%d threads)%s",
        torch.get_num_threads(),
        ", though cuda was asked for" if name == "cuda" else "",
    )
    return torch.device("cpu")


def mixed_precision(device: torch.device) -> AbstractContextManager:
    """bfloat16 products on a GPU that has them; full precision elsewhere."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()
