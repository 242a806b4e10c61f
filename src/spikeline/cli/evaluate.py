"""Retrieve test images from responses, and responses from images, with every seed of a model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from spikeline.artifacts import embeddings, evaluations, provenance, responses
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.evaluation import evaluate
from spikeline.cli._options import add_output, add_settings, seeds_of, settings_of, start_log
from spikeline.errors import InputError
from spikeline.sources.categories import read_categories


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--responses", required=True, help="responses, HDF5")
    parser.add_argument("--embeddings", required=True, help="embeddings of its images, HDF5")
    parser.add_argument("--decoders", required=True, nargs="+", metavar="FILE", help="one per seed")
    parser.add_argument("--categories", metavar="FILE", help="of the images, a table (none)")
    parser.add_argument("--seeds", nargs="+", type=int, help="of the decoders (0, 1, 2 ...)")
    add_settings(parser, "evaluate")
    add_output(parser, "evaluation, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "evaluate")
    numbers = seeds_of(options.seeds, options.decoders, "decoder")
    reserved = settings["reserved_repetitions"]
    recorded = responses.read(options.responses).without_first(reserved, options.responses)
    table = read_categories(options.categories) if options.categories else None
    seeds, facts = [], {}
    pairs = zip(numbers, options.decoders, strict=True)
    for seed, path in tqdm(list(pairs), desc="evaluate", unit="decoder"):
        decoder = Decoder.load(path)
        embedded = embeddings.read(options.embeddings, seed)
        _check_encoder(decoder, embedded, path, options.embeddings)
        _check_bins(decoder, recorded, path, options.responses)
        _check_seed(seed, path)
        _check_reserved(decoder, reserved, path)
        test = recorded.split(seed)
        images = recorded.images[test]
        others = None
        if settings["distractors"] == "training":
            rest = sorted(set(recorded.images) - set(images))
            others = embedded.rows_of(rest, options.embeddings)
        seeds.append(
            evaluate(
                decoder,
                recorded,
                embedded.rows_of(images, options.embeddings),
                seed,
                settings["test_repetitions"],
                settings["repetition_draws"],
                where=options.responses,
                categories=table and table.of_images(images, recorded.categories[test]),
                distractors=others,
            )
        )
        if len(seeds) == 1:
            facts = _facts(decoder)
    inputs = [options.responses, options.embeddings, *options.decoders]
    inputs += [options.categories] if options.categories else []
    evaluations.write(
        options.output,
        evaluations.Evaluation(settings, embedded.encoder, seeds, facts),
        provenance.describe(__name__, settings, inputs, seeds=numbers),
    )


# --- what this step knows of a decoder beyond its two towers --------------------------------------


def _check_encoder(
    decoder: Decoder, embedded: embeddings.Embeddings, path: str, where: str
) -> None:
    trained = decoder.metadata.get("encoder")
    if trained != embedded.encoder:
        raise InputError(
            f"{where}: embeddings of another encoder ({embedded.encoder}) than {path} was trained "
            f"with ({trained}); embed the images with that one"
        )


def _check_bins(decoder: Decoder, recorded: responses.Responses, path: str, where: str) -> None:
    trained, given = (
        responses.resolution(edges) for edges in (decoder.metadata.get("edges"), recorded.edges)
    )
    if trained != given:
        raise InputError(
            f"{where}: responses are {given}; {path} was trained on {trained}; evaluate it on those"
        )


def _check_seed(seed: int, path: str) -> None:
    """Another seed may mean another split, whose test images the decoder was trained on."""
    try:
        trained = provenance.read(path).get("seed")
    except InputError:
        return
    if trained is not None and trained != seed:
        raise InputError(f"{path}: was trained with seed {trained}, not {seed}; see --seeds")


def _check_reserved(decoder: Decoder, reserved: int, path: str) -> None:
    """Presentations that pretraining read must not be tested on."""
    read = decoder.metadata.get("pretraining", {}).get("test_repetitions", 0)
    if read > reserved:
        raise InputError(
            f"{path}: its encoder was pretrained on the first {read} repetitions of the test "
            f"images; set reserved_repetitions to {read}, not {reserved}"
        )


def _electrodes(decoder: Decoder) -> np.ndarray:
    """Sorted indices of the electrodes that any member reads, in whatever time bins."""
    columns = np.concatenate([member.electrodes for member in decoder.members])
    bins = len(decoder.metadata.get("edges") or [0, 0]) - 1
    return np.unique(columns % (decoder.n_electrodes // bins))


def _facts(decoder: Decoder) -> dict[str, int | float | str]:
    return {
        "members": len(decoder.members),
        "electrodes": len(_electrodes(decoder)),
        "parameters": sum(member.parameters for member in decoder.members),
        "similarity_unit": decoder.similarity_unit,
        "target": "+".join(_targets(decoder.metadata["settings"])) or embeddings.OUTPUT,
        **decoder.metadata.get("pretraining", {}).get("errors", {}),
    }


def _targets(settings: Mapping[str, Any]) -> list[str]:
    """The layers that a decoder predicts; of an ensemble, those of its members."""
    members = settings.get("of", [])
    found = [layer for member in members for layer in _targets(member)]
    return list(dict.fromkeys([*settings.get("target_layers", []), *found]))
