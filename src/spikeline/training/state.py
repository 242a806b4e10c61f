"""The state of an unfinished training, kept on disk so that a killed run continues."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeline.artifacts.files import atomic_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StateFile:
    """Where a training keeps its state, and how often it writes it.

    Attributes:
        path: of the state.
        interval_s: least time between two states in seconds; 0 writes one after each epoch.
    """

    path: Path
    interval_s: float = 20.0


def state_path(folder: str | os.PathLike[str], key: Sequence[Any]) -> Path:
    """Where a training keeps its state; an unfinished write that a kill left there is removed.

    Args:
        folder: made if it is not there.
        key: settings, seed, code and output; the data's digest is checked inside the state.
    """
    name = hashlib.sha256(json.dumps(list(key), sort_keys=True).encode()).hexdigest()[:24]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for unfinished in folder.glob(f".{name}.pt.*"):
        unfinished.unlink(missing_ok=True)
    return folder / f"{name}.pt"


def fingerprint(described: Sequence[Any], *arrays: np.ndarray | Tensor) -> str:
    """Identity of a training: the same settings and data, and nothing else, give it.

    Args:
        described: settings, seed, names: anything that JSON holds.
        arrays: the data, of any dtype and shape; text as str or object.
    """
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for array in arrays:
        array = array.cpu().numpy() if isinstance(array, Tensor) else array
        if array.dtype.kind == "O":
            array = array.astype(str)
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def write_state(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Write atomically. A state is a convenience: on a full disk the training goes on without."""
    try:
        with atomic_path(path) as temporary:
            torch.save(state, temporary)
    except (OSError, RuntimeError) as error:
        logger.warning("training state not written to %s: %s", path, error)


def read_state(path: str | os.PathLike[str], fingerprint: str) -> dict[str, Any] | None:
    """The state of the same training, or None; a corrupt or foreign one is ignored, with a warning.

    Args:
        fingerprint: identity of the training (settings, seed, data) that the state must carry.
    """
    if not Path(path).exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["fingerprint"]
    except Exception as error:  # a damaged file fails in as many ways as it has bytes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        logger.warning("ignoring the unreadable training state %s: %s", path, reason)
        return None
    if found != fingerprint:
        logger.warning("ignoring %s: it is the state of another training", path)
        return None
    return state
