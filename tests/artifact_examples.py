"""A valid artifact of every HDF5 contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikeline.artifacts import counts, embeddings, features, responses, trials, true_rates
from spikeline.artifacts.counts import Counts
from spikeline.artifacts.embeddings import Embeddings
from spikeline.artifacts.features import NAMES, Features, Normalisation
from spikeline.artifacts.formats.contract import Contract
from spikeline.artifacts.images import latents, prompts, reconstructions
from spikeline.artifacts.images.latents import Latents
from spikeline.artifacts.images.prompts import Prompts
from spikeline.artifacts.images.reconstructions import Reconstructions
from spikeline.artifacts.responses import Responses
from spikeline.simulate.behaving import store


def some_counts(bins: int = 100, units: int = 4) -> Counts:
    rng = np.random.default_rng(0)
    return Counts(
        counts=rng.poisson(0.4, size=(bins, units)).astype(np.uint8),
        unit_ids=np.array([f"unit{k}" for k in range(units)], object),
        regions=np.array(["VISp"] * units, object),
        behaviour=np.where(np.arange(bins) < 5, np.nan, 1.5).astype(np.float32),
        behaviour_kind="position",
        position=np.stack([np.arange(bins)] * 2, axis=1).astype(np.float32),
        images=np.where(np.arange(bins) % 7 == 0, 1, -1).astype(np.int32),
        image_names=np.array(["a.png", "b.png"], object),
        domains=np.repeat(np.arange(4, dtype=np.uint8), bins // 4),
        reference=(25, 50),
        session="one",
        source="arrays",
    )


def some_features(units: int = 5) -> Features:
    rng = np.random.default_rng(0)
    return Features(
        values=rng.normal(size=(units, len(NAMES))).astype(np.float32),
        unit_ids=np.array([f"unit{k}" for k in range(units)], object),
        valid=np.arange(units) > 0,
        reference_counts=np.arange(units) * 10,
        session="one",
        reference=(0.0, 60.0),
    )


def some_normalisation() -> Normalisation:
    two = replace(some_features(3), session="two")
    return Normalisation(np.arange(33.0), np.ones(33), (some_features(), two))


def some_embeddings(**changed) -> Embeddings:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    images = np.array(["a/1.jpg", "a/2.jpg", "b/µ.jpg"], object)
    layers = {"embedding": 3, "layer2": 1}
    given = {"values": values, "images": images, "encoder": "clip:0123", "layers": layers}
    return Embeddings(**{**given, **changed})


def electrodes_of_one_area(region: str, count: int) -> dict:
    """An electrode table in which every electrode passes every threshold."""
    return {
        "region": np.array([region] * count, dtype=object),
        **{name: np.ones(count, np.float32) for name in ("snr", "reliability", "oracle")},
        "channel": np.arange(count, dtype=np.int32),
    }


def some_responses() -> Responses:
    rng = np.random.default_rng(0)
    repeated = rng.normal(size=(4, 2, 3)).astype(np.float32)
    values = rng.normal(size=(6, 3)).astype(np.float32)
    values[-2:] = repeated.mean(axis=0)
    return Responses(
        values=values,
        images=np.array([f"concept/µ_{i}.jpg" for i in range(6)], object),
        categories=np.array(["a", "a", "b", "", "c", "d"], object),
        test=np.arange(6)[None] >= 4,
        repetitions=repeated,
        source_rows=np.array([0, 2, 3, 4, 0, 1], np.int32),
        electrodes={
            "region": np.array(["V1", "V4", "IT"], object),
            "snr": np.array([1.5, np.nan, 3], np.float32),
            "reliability": np.array([0.1, 0.2, np.nan], np.float32),
            "oracle": np.array([0.3, 0.4, 0.5], np.float32),
            "channel": np.array([0, 5, 7], np.int32),
        },
    )


def some_time_responses(bins: int = 4) -> Responses:
    """`some_responses`, each electrode's response times 1, 2 ... in successive bins of 25 ms."""
    plain = some_responses()
    count = plain.values.shape[1]
    factors = np.repeat(np.arange(1, bins + 1), count).astype(np.float16)
    table = {name: np.tile(column, bins) for name, column in plain.electrodes.items()}
    return replace(
        plain,
        values=np.tile(plain.values, bins).astype(np.float16) * factors,
        repetitions=np.tile(plain.repetitions, bins).astype(np.float16) * factors,
        electrodes={**table, responses.BIN: np.repeat(np.arange(bins, dtype=np.int32), count)},
        edges=np.arange(0, 25 * bins + 1, 25, dtype=np.float32),
    )


def some_trials() -> dict:
    """Values of `trials/2`: two training images, two test images twice, two days, three bins."""
    rng = np.random.default_rng(0)
    count = 4
    scale = {"offset": np.zeros((2, count)), "scale": np.ones((2, count))}
    return {
        "values": rng.normal(size=(6, 3, count)).astype(np.float16),
        "means": rng.normal(size=(6, count)),
        "edges": np.array([0, 5, 10, 15], np.float32),
        "train_row": np.array([0, 1, -1, -1, -1, -1], np.int32),
        "test_row": np.array([-1, -1, 0, 1, 0, 1], np.int32),
        "repetition": np.array([0, 0, 0, 0, 1, 1], np.int32),
        "day": np.array([0, 1, 0, 0, 1, 1], np.int32),
        "told": np.ones(6, bool),
        "electrodes": {
            "region": np.array(["V1", "V1", "V4", "IT"], object),
            "usable": np.ones(count, bool),
            "offset": np.zeros(count),
            "scale": np.ones(count),
        },
        "published": scale,
        "training": scale,
    }


def some_latents() -> Latents:
    values = np.arange(48, dtype=np.float32).reshape(3, 4, 2, 2)
    images = np.array(["a/1.jpg", "a/2.jpg", "b/µ.jpg"], object)
    return Latents(values, images, "tiny:0123", 0.8, 4)


def some_prompts() -> Prompts:
    """Of three images, two of which have one caption."""
    return Prompts(
        states=np.arange(24, dtype=np.float16).reshape(2, 3, 4),
        prompts=np.array(["a ring", "an öre"], object),
        images=np.array(["a/1.jpg", "a/2.jpg", "b/µ.jpg"], object),
        prompt=np.array([0, 0, 1], np.int32),
        empty=np.zeros((3, 4), np.float16),
        encoder="text-encoder:0123",
    )


def some_reconstructions(**changed) -> Reconstructions:
    rng = np.random.default_rng(0)
    pixels, low_level = rng.integers(0, 256, (2, 4, 16, 16, 3), dtype=np.uint8)
    given = {
        "images": np.array(["a/1.jpg", "a/2.jpg", "b/µ.jpg", "b/3.jpg"], object),
        "pixels": pixels,
        "generator": "tiny:0123",
        "settings": {"steps": 10, "seed": 0},
        "low_level": low_level,
        "retrieved": np.array(["c/1.jpg", "c/2.jpg", "c/2.jpg", ""], object),
    }
    return Reconstructions(**{**given, **changed})


def some_session(source: str) -> dict:
    """Arrays of the shapes and dtypes that the contract asks for."""
    given = {"name": f"{source}_01", "source": source, "date": "2030-01-01", "probes": ("a", "b")}
    lengths = {"spikes": 9, "units": 5, "trials": 3, "presentations": 4}
    values: dict = {field.name: np.zeros((), field.dtype).item()
                    for field in store.SESSION.attributes if field.dtype != "str"}  # fmt: skip
    values |= {field.name: "" for field in store.SESSION.attributes if field.dtype == "str"} | given
    rng = np.random.default_rng(0)
    absent = {name for other, tables in store.TABLES.items() if other != source for name in tables}
    for field in store.SESSION.fields:
        table, column = field.name.split("/")
        if table not in absent:
            shape = [lengths.get(dim, 7) if isinstance(dim, str) else dim for dim in field.dims]
            numbers = rng.integers(0, 2, shape).astype(field.dtype if field.dtype != "str" else int)
            text = np.array([f"{column}{k}" for k in range(shape[0])], object)
            values.setdefault(table, {})[column] = text if field.dtype == "str" else numbers
    return values


def _stored(one: Embeddings) -> dict:
    """As a file holds them."""
    dims = np.array(list(one.layers.values()), np.int32)
    return {**vars(one), "layers": np.array(list(one.layers), object), "layer_dims": dims}


def examples() -> dict[str, tuple[Contract, dict]]:
    """Contract and newly made values of each example."""
    pictures = np.arange(48, dtype=np.uint8).reshape(2, 4, 6)
    return {
        "latents": (latents.CONTRACT, vars(some_latents())),
        "prompts": (prompts.CONTRACT, vars(some_prompts())),
        "reconstructions": (
            reconstructions.CONTRACT, reconstructions.stored(some_reconstructions()),
        ),
        "counts": (counts.CONTRACT, vars(some_counts())),
        "embeddings": (embeddings.CONTRACT, _stored(some_embeddings())),
        "reduced_embeddings": (
            embeddings.REDUCED,
            _stored(some_embeddings()) | {"values": np.ones((2, 3, 4), np.float32)},
        ),
        "features": (features.CONTRACT, vars(some_features())),
        "normalisation": (features.NORMALISATION, some_normalisation().stored()),
        "responses": responses.stored(some_responses()),
        "time_responses": responses.stored(some_time_responses()),
        "trials": (trials.CONTRACT, some_trials()),
        "true_rates": (
            true_rates.CONTRACT, {"rates": np.ones((10, 3), np.float32), "bin_s": 0.02},
        ),
        "ibl_session": (store.SESSION, some_session("ibl")),
        "allen_session": (store.SESSION, some_session("allen")),
        "pictures": (store.PICTURES, {"scenes": pictures, "movie": pictures[:1]}),
    }  # fmt: skip
