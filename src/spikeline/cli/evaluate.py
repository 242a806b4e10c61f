"""Retrieve test images from responses, and responses from images, with every seed of a model."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from tqdm import tqdm

from spikeline.artifacts import embeddings, evaluations, provenance, responses
from spikeline.bridge import decoder as decoders
from spikeline.bridge.evaluation import evaluate
from spikeline.bridge.noise_ceiling import noise_ceiling
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError

DEFAULTS = {"test_repetitions": None, "repetition_draws": 10, "shuffles": 10, "ceiling_draws": 20}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--responses", required=True, help="responses, HDF5")
    parser.add_argument("--embeddings", required=True, help="embeddings of its images, HDF5")
    parser.add_argument("--decoders", required=True, nargs="+", metavar="FILE", help="one a seed")
    parser.add_argument("--seeds", required=True, nargs="+", type=int, help="of the decoders")
    add_settings(
        parser,
        '{"test_repetitions": null or how many to average, "repetition_draws": 10, '
        '"shuffles": 10, "ceiling_draws": 20}',
    )
    add_output(parser, "evaluation, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = _settings(settings_of(options))
    if len(options.seeds) != len(options.decoders) or len(set(options.seeds)) < len(options.seeds):
        raise InputError(
            f"--seeds: {options.seeds} for {len(options.decoders)} decoders; "
            "give each decoder its own seed"
        )
    recorded = responses.read(options.responses)
    embedded = embeddings.read(options.embeddings)
    seeds, facts, ceiling = [], {}, None
    pairs = zip(options.seeds, options.decoders, strict=True)
    for seed, path in tqdm(list(pairs), desc="evaluate", unit="decoder"):
        decoder = decoders.load(path)
        _check_encoder(decoder, embedded, path, options.embeddings)
        images = recorded.images[recorded.split(seed)]
        seeds.append(
            evaluate(
                decoder,
                recorded,
                embedded.rows_of(images, options.embeddings),
                seed,
                settings["test_repetitions"],
                settings["repetition_draws"],
                settings["shuffles"],
                where=options.responses,
            )
        )
        if len(seeds) == 1:
            facts = _facts(decoder)
            ceiling = _ceiling(decoder, recorded, settings)
    inputs = [options.responses, options.embeddings, *options.decoders]
    evaluations.write(
        options.output,
        evaluations.Evaluation(settings, embedded.encoder, seeds, ceiling, facts),
        provenance.describe(__name__, settings, inputs, seeds=options.seeds),
    )


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """Settings with defaults filled; counts are whole and positive."""
    unknown = sorted(set(given) - set(DEFAULTS))
    if unknown:
        raise InputError(f"--settings: unknown key {unknown[0]!r}: known are {sorted(DEFAULTS)}")
    settings = {**DEFAULTS, **given}
    for key, value in settings.items():
        absent = value is None and key == "test_repetitions"
        if not absent and (type(value) is not int or value < 1):
            raise InputError(f"--settings: {key} is {value!r}; a whole number from 1 is due")
    return settings


# --- what this step knows of a decoder file beyond its two towers --------------------------------


def _check_encoder(decoder: Any, embedded: embeddings.Embeddings, path: str, where: str) -> None:
    trained = decoder.metadata["encoder"]
    if trained != embedded.encoder:
        raise InputError(
            f"{where}: embeddings of another encoder ({embedded.encoder}) than {path} was trained "
            f"with ({trained}); embed the images with that one"
        )


def _ceiling(decoder: Any, recorded: responses.Responses, settings: dict[str, Any]) -> Any:
    repetitions = recorded.repetitions
    chosen = getattr(decoder, "electrodes", None)
    if repetitions is not None and chosen is not None:
        repetitions = repetitions[:, :, np.asarray(chosen)]
    return noise_ceiling(repetitions, settings["test_repetitions"], settings["ceiling_draws"])


def _facts(decoder: Any) -> dict[str, int | float]:
    facts = decoder.metadata.get("facts", {})
    return {name: value for name, value in facts.items() if isinstance(value, (int, float))}
