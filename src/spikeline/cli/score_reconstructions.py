r"""Score reconstructed images against those shown, and against those from other responses.

Example:
    spikeline score-reconstructions \
      --reconstructions results/reconstructions/unclip/monkeyM/seed0.h5 \
      --stimuli resources/stimuli/many_images.zip --output scores.json
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from spikeline.artifacts import provenance
from spikeline.artifacts.images import reconstruction_scores, reconstructions
from spikeline.artifacts.images.reconstruction_scores import ReconstructionScores
from spikeline.bridge.generators.pixels import squares
from spikeline.bridge.reconstruction.scores.extractors import Weights
from spikeline.bridge.reconstruction.scores.scoring import Scorer
from spikeline.cli._extractors import entries_of, named_paths
from spikeline.cli._options import (
    add_output,
    add_settings,
    seeds_of,
    settings_of,
    start_log,
)
from spikeline.errors import InputError
from spikeline.sources import stimuli
from spikeline.sources.factors import read_factors
from spikeline.training.device import choose_device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reconstructions", required=True, nargs="+", metavar="FILE", help="HDF5, one per seed"
    )
    parser.add_argument("--stimuli", required=True, help="the packed images that were shown")
    parser.add_argument(
        "--extractors",
        default="{}",
        metavar="JSON",
        help='entries of `extractors` by name, {"clip": {"kind": "encoder", "encoder": '
        '"demo_clip"}}, or a file that holds them (none: pixels and structure alone)',
    )
    parser.add_argument(
        "--encoders",
        default="{}",
        metavar="JSON",
        help="the entries of `encoders` that extractors name, or a file that holds them",
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        default=[],
        metavar="NAME=PATH",
        help="of an extractor: a .safetensors file, a trained folder, an encoder's local-dir:",
    )
    parser.add_argument(
        "--caches",
        nargs="+",
        default=[],
        metavar="NAME=DIR",
        help="of an extractor: a folder that fetch-extractor or fetch-weights made",
    )
    parser.add_argument("--factors", metavar="FILE", help="true factors of the images, a table")
    parser.add_argument("--seeds", nargs="+", type=int, help="of the files (0, 1, 2 ...)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    add_settings(parser, "score-reconstructions")
    add_output(parser, "scores, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "score-reconstructions")
    entries = entries_of(options.extractors, "extractors")
    local = named_paths(options.weights, entries, "--weights")
    caches = named_paths(options.caches, entries, "--caches")
    scorer = Scorer.load(
        entries,
        {name: Weights(local.get(name), caches.get(name)) for name in entries},
        choose_device(options.device),
        entries_of(options.encoders, "encoders"),
        settings["mispairings"],
        settings["pixel_size"],
        read_factors(options.factors).by_image() if options.factors else None,
    )
    numbers = seeds_of(options.seeds, options.reconstructions, "file")
    seeds, facts = [], {}
    pairs = zip(numbers, options.reconstructions, strict=True)
    for seed, path in tqdm(list(pairs), desc="score", unit="seed"):
        found = reconstructions.read(path)
        own = {"generator": found.generator, **found.settings}
        facts = facts or own
        if facts["generator"] != found.generator:
            raise InputError(
                f"{path}: made by {found.generator}, expected {facts['generator']} as in "
                f"{options.reconstructions[0]}; score those of one model together"
            )
        shown = shown_images(options.stimuli, found.images, found.pixels, path)
        seeds.append(scorer.score(seed, found.images, shown, np.asarray(found.pixels)))
    # Where one seed has too few images for a measure, all do without it.
    for index, one in enumerate(seeds):
        kept = {name: value for name, value in one.sets.items() if name not in scorer.missing}
        seeds[index] = replace(one, sets=kept)
    inputs = [*options.reconstructions, options.stimuli, *local.values(), *caches.values()]
    inputs += [options.factors] if options.factors else []
    record = provenance.describe(
        __name__, {**settings, "extractors": entries}, inputs, seeds=numbers
    )
    reconstruction_scores.write(
        options.output,
        ReconstructionScores(settings, scorer.measures(), seeds, scorer.missing, facts),
        record,
    )


def shown_images(path: str, names: np.ndarray, pixels: np.ndarray, where: str) -> np.ndarray:
    """The images that were shown, at the size of those made: (n, side, side, 3) uint8."""
    height, width = pixels.shape[1:3]
    if height != width:
        raise InputError(f"{where}: images of {width} x {height} pixels, expected square ones")
    return squares(_progress(stimuli.load(path, names), len(names)), height)


def _progress(images: Any, total: int) -> Any:
    return tqdm(images, total=total, desc="shown", unit="image", leave=False)
