"""How a reconstructor draws, chosen on the validation images of its training rows."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from spikeline.bridge.reconstruction.decoding import RESPONSES, decode
from spikeline.bridge.reconstruction.fitting import unseen_rows, validation_rows
from spikeline.bridge.reconstruction.reconstructor import EMBEDDING
from spikeline.cli import _generator
from spikeline.cli._reconstruction_training import Training
from spikeline.sources import stimuli

if TYPE_CHECKING:
    from spikeline.bridge.decoder import Decoder
    from spikeline.bridge.reconstruction.diffusion_adapter import DiffusionAdapter


def chosen(
    options: argparse.Namespace,
    training: Training,
    choosing: Decoder | None = None,
    adapter: DiffusionAdapter | None = None,
) -> tuple[dict, list]:
    """How to draw, and the scores of all candidates on validation images.

    Args:
        choosing: a decoder of the house that was not trained on all images; the validation images
            are then of the others.
    """
    from spikeline.bridge.generators.pixels import squares
    from spikeline.bridge.reconstruction.drawing import candidates
    from spikeline.bridge.reconstruction.selection import choose

    settings, images = training.settings, training.images
    tried = candidates(settings)
    if len(tried) == 1:
        return tried[0], tried
    pipeline = _generator.load_generator(options, settings, images.encoded)
    if choosing is None:
        decoder = training.decoder
        kept, left = validation_rows(
            settings, training.names, training.categories, training.gallery, options.seed
        )
    else:
        decoder = choosing
        kept, left = unseen_rows(
            training.seen_by(choosing, options.seed),
            training.names,
            settings["validation_images"],
            options.seed,
        )
    reconstructor = training.fitted(kept, decoder)
    among = images.looked_among(training.names[kept], training.hidden(left))
    seen, shown = images.of(among), images.of(training.names[left])
    found = decode(
        reconstructor, RESPONSES, training.values[left], shown, seen, decoder, options.seed
    )
    conditions = _generator.conditions_of(
        pipeline, settings, found.values[EMBEDDING], options, adapter
    )
    loaded = stimuli.load(options.stimuli, training.names[left])
    pixels = squares(loaded, images.encoded.image_size)
    judge = _generator.load_judge(options)
    return choose(
        pipeline, conditions, reconstructor, found, shown, seen, pixels,
        judge=judge, seed=options.seed,
    )  # fmt: skip
