"""What the steps that fit decoders read and write: training rows of one split, and a decoder."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeline.artifacts import embeddings, provenance, responses
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.splits import training_rows_of
from spikeline.cli._options import add_output, add_settings


@dataclass(frozen=True)
class TrainingData:
    """Arrays of the training rows, and how large the gallery of the test will be."""

    responses: np.ndarray
    embeddings: np.ndarray
    images: np.ndarray
    categories: np.ndarray
    electrodes: Mapping[str, np.ndarray]
    gallery: int
    encoder: str
    layer_dims: tuple[int, ...]  # columns of each layer of the embeddings
    columns: np.ndarray  # of the file, that the embeddings are
    n_columns: int  # of the file
    edges: list[float] | None  # of the responses' time bins, ms; None: means over time


def add_arguments(parser: argparse.ArgumentParser, step: str) -> None:
    """Options of the step `fit`, `train` or `fit-auto`."""
    parser.add_argument("--responses", required=True, help="responses, HDF5")
    parser.add_argument("--embeddings", required=True, help="embeddings of its images, HDF5")
    parser.add_argument("--seed", required=True, type=int, help="chooses the split too")
    add_settings(parser, step)
    add_output(parser, "decoder, safetensors")


def read(options: argparse.Namespace, settings: Mapping[str, Any]) -> TrainingData:
    """The rows that this seed and these settings may learn from, and no test row.

    With `shuffle_responses` each row gets the response of a random one: a control decoder, which
    can have learnt nothing about images.
    """
    recorded = responses.read(options.responses)
    embedded = embeddings.read(options.embeddings, options.seed)
    layers = settings["target_layers"]
    columns = embedded.columns_of(layers, options.embeddings)
    test = recorded.split(options.seed)
    rows = training_rows_of(settings, test, recorded.images, recorded.categories, options.seed)
    values = recorded.values[rows]
    if settings["shuffle_responses"]:
        values = values[np.random.default_rng(options.seed).permutation(len(values))]
    return TrainingData(
        values,
        embedded.rows_of(recorded.images[rows], options.embeddings, layers),
        recorded.images[rows],
        recorded.categories[rows],
        recorded.electrodes,
        int(test.sum()),
        embedded.encoder,
        tuple(map(len, columns)),
        np.concatenate(columns),
        embedded.values.shape[1],
        None if recorded.edges is None else recorded.edges.tolist(),
    )


def save(
    decoder: Decoder,
    options: argparse.Namespace,
    module: str,
    settings: Mapping[str, Any],
    data: TrainingData,
    started_from: Sequence[str] = (),
) -> dict[str, Any]:
    """Write the decoder with its spread on these data, what it reads, and provenance.

    Args:
        started_from: files of its initial weights.

    Returns:
        the provenance, for what is written next to the decoder.
    """
    inputs = [options.responses, options.embeddings, *started_from]
    record = provenance.describe(module, settings, inputs, seed=options.seed)
    decoder = decoder.with_spread(data.responses, data.embeddings, data.images)
    decoder = decoder.reading(data.columns, data.n_columns)
    known = {"encoder": data.encoder, "edges": data.edges, "settings": dict(settings)}
    decoder.save(options.output, {**decoder.metadata, **known}, record)
    return record
