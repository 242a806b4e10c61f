"""Where a model runs, in which precision and in how many processes, through Lightning Fabric.

Fabric is imported when it is first needed: planning, help texts and evaluation on a CPU do not pay
for it.
"""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING

import torch

from spikeline.errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)


def choose_device(name: str = "auto") -> torch.device:
    """The device for `auto`, `cpu` or `cuda`; a missing GPU means the CPU, and the log says so.

    Raises:
        InputError: any other name.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device: {name!r} is not one of auto, cpu, cuda")
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


def make_fabric(device: str = "auto", processes: int = 1) -> Fabric:
    """The Fabric of a training on one machine, not launched yet.

    Args:
        device: auto, cpu or cuda, see `choose_device`.
        processes: one per GPU, or any number on a CPU.

    Raises:
        InputError: an unknown device, no process, or more processes than GPUs.
    """
    if processes < 1:
        raise InputError(f"--processes: {processes}; expected a whole number from 1")
    kind = choose_device(device).type
    if kind == "cuda" and processes > torch.cuda.device_count():
        raise InputError(
            f"--processes: {processes}, but there are {torch.cuda.device_count()} GPUs; give at "
            "most one process per GPU"
        )
    return _fabric(kind, processes)


def mixed_precision(device: torch.device) -> AbstractContextManager:
    """bfloat16 products on a GPU that has them; full precision elsewhere."""
    if device.type == "cpu":
        return nullcontext()  # what Fabric's own is in full precision, without its import
    return _single(device.type).autocast()


@cache
def _single(kind: str) -> Fabric:
    return _fabric(kind, processes=1)


def _fabric(kind: str, processes: int) -> Fabric:
    fabric_class, environment = _lightning()
    bf16 = kind == "cuda" and torch.cuda.is_bf16_supported()
    return fabric_class(
        accelerator=kind,
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        precision="bf16-mixed" if bf16 else "32-true",
        # A job has one machine: what a cluster's scheduler says of several is not for Fabric.
        plugins=[environment()],
    )


@cache
def _lightning() -> tuple[type, type]:
    """Fabric and its one-machine environment, from whichever package brings them."""
    # Fabric imports torchmetrics, and with it torchvision, only to compare its version: 3 s.
    hidden = "torchmetrics" not in sys.modules
    if hidden:
        sys.modules["torchmetrics"] = None
    try:
        try:
            from lightning_fabric import Fabric
            from lightning_fabric.plugins.environments import LightningEnvironment
        except ImportError:
            from lightning.fabric import Fabric
            from lightning.fabric.plugins.environments import LightningEnvironment
    finally:
        if hidden:
            del sys.modules["torchmetrics"]
    return Fabric, LightningEnvironment
