"""A small recording of few factors, and complete settings of pretraining and of a decoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from defaults import settings

from spikeline.bridge.pretraining.training import MaskingRows

ROWS, HELD_OUT, ELECTRODES = 240, 60, 24
TABLE = {
    "region": np.array(["V1"] * 8 + ["V4"] * 6 + ["IT"] * 10),
    "snr": np.full(ELECTRODES, 3.0),
    "reliability": np.linspace(0.1, 1, ELECTRODES),
}
SMALL = {
    "regions": ["V1", "V4", "IT"], "dim": 16, "latents": 4, "depth": 1, "heads": 1, "dropout": 0.0,
    "batch_size": 48, "warmup_epochs": 1,
}  # fmt: skip


def pretraining_settings(**changed: Any) -> dict[str, Any]:
    small = {"pretraining_epochs": 4, "pretraining_learning_rate": 0.003, **SMALL}
    return settings("pretrain", **{**small, **changed})


def decoder_settings(**changed: Any) -> dict[str, Any]:
    small = {"epochs": 4, "hidden": 16, "readout_queries": 2, "validation_images": 40, **SMALL}
    return settings("train", **{"kind": "capoyo", "encoder": "clip", **small, **changed})


def recording(seed: int = 0, factors: int = 3, noise: float = 0.5, electrodes: int = ELECTRODES):
    """Responses (rows + held-out rows, electrodes) of factors, embeddings of them, and images."""
    rng = np.random.default_rng(0)
    rows = ROWS + HELD_OUT
    shown = rng.standard_normal((rows, 6))
    embeddings = shown @ rng.standard_normal((6, 10)) + 0.1 * rng.standard_normal((rows, 10))
    own = np.random.default_rng([seed, 1])
    responses = shown[:, :factors] @ own.standard_normal((factors, electrodes))
    responses = responses + noise * own.standard_normal((rows, electrodes))
    images = np.array([f"c{row % 60}/{row}.jpg" for row in range(rows)])
    return responses.astype(np.float32), embeddings.astype(np.float32), images


def masking(responses: np.ndarray) -> MaskingRows:
    return MaskingRows(responses, np.arange(ROWS), np.arange(ROWS, ROWS + HELD_OUT))
