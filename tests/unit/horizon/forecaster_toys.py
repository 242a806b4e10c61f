"""A small population whose rates follow a shared wave, and a small forecaster for it."""

from __future__ import annotations

import numpy as np
import torch

from spikeline.artifacts.counts import Counts
from spikeline.artifacts.embeddings import Embeddings
from spikeline.artifacts.features import NAMES, Features
from spikeline.horizon.forecaster.batches import Geometry
from spikeline.horizon.forecaster.network import Forecaster
from spikeline.horizon.forecaster.recordings import build_recording, mean_rate, unit_keys

BIN_S = 0.02
SETTINGS = {
    "kind": "forecaster", "identity": "idencoder", "features": "normalised", "modalities": [],
    "modality_every": 1, "dim": 16, "heads": 2, "depth": 1, "decoder_depth": 1, "latents": 4,
    "pools": 4, "head_hidden": 8, "own_hidden": 8, "head_rank": 8, "history_ms": 400,
    "patch_ms": 100, "horizon_ms": 200, "traces_s": [0.04, 0.5, 5], "adaptation_s": [0.04, 0.5],
    "most_rows": 20000, "dropout": 0.1, "unit_dropout": 0.2, "feature_noise": 0.1,
    "shuffle_history": False, "lead_bins": 5, "batch_size": 8, "steps_per_epoch": 15, "epochs": 4,
    "learning_rate": 0.01, "weight_decay": 0.01, "warmup_epochs": 0.5, "patience": 0,
    "validation_windows": 60, "loss": "poisson",
}  # fmt: skip
BOTH = {**SETTINGS, "modalities": ["behaviour", "image"]}


def session(name: str, seed: int = 0, units: int = 12, bins: int = 1500, **more) -> Counts:
    """Half of the units follow a wave of 1.3 s, half go against it; 10 images in turn."""
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(bins) * BIN_S * 2 * np.pi / 1.3 + rng.uniform(0, 6))
    sign = np.where(np.arange(units) % 2, -1, 1)
    rates = rng.uniform(0.1, 0.4, units) * np.exp(1.2 * wave[:, None] * sign)
    domains = np.repeat([1, 1, 2, 3, 0], bins // 5).astype(np.uint8)
    fields = {
        "counts": rng.poisson(rates).astype(np.uint8),
        "unit_ids": np.array([f"u{i}" for i in range(units)], object),
        "regions": np.array([""] * units, object),
        "behaviour": wave.astype(np.float32),
        "images": (np.arange(bins) // 50 % 11 - 1).astype(np.int32),
        "image_names": np.array([f"image{i}.png" for i in range(10)], object),
        "domains": domains,
        "reference": (0, 300),
        "session": name,
        "source": "arrays",
        "behaviour_kind": "wheel",
    }
    return Counts(**{**fields, **more})


def features_of(counts: Counts) -> Features:
    """Random features whose second column says which way a unit goes."""
    units = counts.counts.shape[1]
    rng = np.random.default_rng(units)
    values = rng.standard_normal((units, len(NAMES))).astype(np.float32)
    values[:, 1] = np.where(np.arange(units) % 2, -1, 1)
    start, end = counts.reference
    return Features(
        values,
        counts.unit_ids,
        np.ones(units, bool),
        counts.counts[start:end].sum(0, dtype=np.int64),
        counts.session,
        (start * BIN_S, end * BIN_S),
    )


def embeddings() -> Embeddings:
    values = np.random.default_rng(1).standard_normal((10, 6)).astype(np.float32)
    return Embeddings(values, np.array([f"image{i}.png" for i in range(10)], object), "toy:0")


def recording_of(counts: Counts, settings=SETTINGS, training_keys=None, **more):
    features = features_of(counts)
    decay = Geometry.of(settings, BIN_S, torch.device("cpu")).decay
    return build_recording(
        counts,
        features,
        decay=decay,
        mean_rate=mean_rate([features], BIN_S),
        training_keys=training_keys or {},
        random_dim=settings["dim"],
        embeddings=[embeddings()] if "image" in settings["modalities"] else (),
        **more,
    )


def geometry_of(settings=SETTINGS) -> Geometry:
    return Geometry.of(settings, BIN_S, torch.device("cpu"))


def forecaster(settings=SETTINGS, n_units: int = 0, seed: int = 0, awake: bool = True):
    """In evaluation mode; `awake` gives the last layers weights, as training would."""
    torch.manual_seed(seed)
    image_dim = 6 if "image" in settings["modalities"] else 0
    model = Forecaster(settings, BIN_S, torch.zeros(33), torch.full((33,), 2.0), n_units, image_dim)
    if awake:
        with torch.no_grad():
            for parameter in model.head.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def keys_of(*sessions: Counts) -> dict[str, int]:
    return {key: row for row, key in enumerate(k for one in sessions for k in unit_keys(one))}
