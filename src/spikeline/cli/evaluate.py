r"""Retrieve test images from responses, and responses from images, with every seed of a model.

Example:
    spikeline evaluate --responses results/responses/monkeyF.h5 \
      --embeddings results/embeddings/demo_clip/twin_images.h5 \
      --decoders results/decoders/bayesian/monkeyF/seed0.safetensors \
      --settings '{"test_repetitions": 5}' --output monkeyF.json
"""

from __future__ import annotations

import argparse

from tqdm import tqdm

from spikeline.artifacts import embeddings, evaluations, provenance, responses
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.evaluation import evaluate
from spikeline.cli import _decoder_facts
from spikeline.cli._options import add_output, add_settings, seeds_of, settings_of, start_log
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
        _decoder_facts.check_encoder(decoder, embedded, path, options.embeddings)
        _decoder_facts.check_bins(decoder, recorded, path, options.responses)
        _decoder_facts.check_seed(seed, path)
        _decoder_facts.check_reserved(decoder, reserved, path)
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
            facts = _decoder_facts.facts(decoder)
    inputs = [options.responses, options.embeddings, *options.decoders]
    inputs += [options.categories] if options.categories else []
    evaluations.write(
        options.output,
        evaluations.Evaluation(settings, embedded.encoder, seeds, facts),
        provenance.describe(__name__, settings, inputs, seeds=numbers),
    )
