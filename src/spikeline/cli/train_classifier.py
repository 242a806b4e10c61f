r"""Train the demo's small classifier of an image's factors: shape, colour, texture, place.

Example:
    spikeline train-classifier --stimuli resources/stimuli/many_images.zip \
      --factors resources/factors/many_images.tsv --settings '{"epochs": 60}' \
      --output classifier
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path

import numpy as np
from tqdm import tqdm

from spikeline.artifacts.files import atomic_folder
from spikeline.artifacts.provenance import describe, write_beside
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.sources import stimuli
from spikeline.sources.factors import read_factors

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stimuli", type=Path, required=True, help="the packed images")
    parser.add_argument(
        "--factors",
        type=Path,
        required=True,
        help="table with the columns things_path, split (train or test) and each factor",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    add_settings(parser, "train-classifier")
    add_output(parser, "folder of the model")


def run(options: argparse.Namespace) -> None:
    """Train on the images whose split is train; report how well it reads the others."""
    from spikeline.bridge.generators.pixels import squares
    from spikeline.bridge.reconstruction.scores.factor_classifier import save_folder
    from spikeline.simulate import classifier
    from spikeline.training.device import choose_device

    start_log()
    given = settings_of(options, "train-classifier")
    names = given.pop("factors")
    settings = classifier.ClassifierSettings(**given)
    device = choose_device(options.device)
    table = read_factors(options.factors, with_split=True).only(names, options.factors)
    factors = table.levels
    images = squares(stimuli.load(options.stimuli, table.images), settings.image_size)
    train, test = (_of(factors, rows) for rows in (~table.test, table.test))
    for name in names:
        unseen = set(test[name]) - set(train[name])
        if unseen:
            raise InputError(
                f"{options.factors}: {name} {sorted(unseen)[0]!r} is in no training image; give "
                "some, or leave it out"
            )
    with tqdm(total=settings.epochs, desc=f"train-classifier ({device.type})", unit="epoch") as bar:

        def progress(epoch: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}")
            bar.update()

        model = classifier.train_classifier(images[~table.test], train, settings, device, progress)
    levels = classifier.levels_of(train)
    right = classifier.accuracy(model, images[table.test], test, levels)
    told = ", ".join(f"{name} {share:.2f}" for name, share in right.items())
    log.info("held-out images read right, of %d: %s", table.test.sum(), told)
    record = describe(
        "spikeline.cli.train_classifier",
        {**dataclasses.asdict(settings), "factors": names},
        inputs=(options.stimuli, options.factors),
        held_out_accuracy=right,
    )
    with atomic_folder(options.output) as folder:
        save_folder(folder, model, settings.shape, levels)
        write_beside(folder, record)


def _of(factors: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[rows] for name, values in factors.items()}
