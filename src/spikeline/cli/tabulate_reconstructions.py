r"""Collect scores of reconstructions in a table (TSV), a figure, a caption and galleries (PNG).

Example:
    spikeline tabulate-reconstructions --scores scores.json --conditions conditions.json \
      --output table.tsv --figure table.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spikeline import plotting
from spikeline.artifacts import provenance, tables
from spikeline.artifacts.files import atomic_folder, write_text
from spikeline.artifacts.images import reconstruction_scores, reconstructions
from spikeline.bridge.reconstruction.scores.captions import (
    caption,
)
from spikeline.bridge.reconstruction.scores.figures import Pages, draw
from spikeline.bridge.reconstruction.scores.table import missing_of, reconstruction_table
from spikeline.cli._options import start_log
from spikeline.cli._tables import add_conditions, add_table, conditions_of, resamples_of
from spikeline.errors import InputError

if TYPE_CHECKING:
    pass


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scores", required=True, nargs="+", metavar="FILE", help="JSON")
    add_conditions(
        parser, '[{"model": "unclip", "subject": "monkeyF", "varied": {}, "control": false}, ...]'
    )
    add_table(parser)
    parser.add_argument(
        "--caption", metavar="FILE.txt", help="what the table shows, in sentences (OUTPUT's .txt)"
    )
    parser.add_argument(
        "--reconstructions",
        nargs="+",
        metavar="FILE",
        help="HDF5, the first seed of each of --scores, for the galleries (none)",
    )
    parser.add_argument("--stimuli", help="the packed images that were shown, for the galleries")
    parser.add_argument(
        "--gallery", metavar="FILE.png", help="the same images by all conditions, side by side"
    )
    parser.add_argument("--pages", metavar="DIR", help="folder of one gallery for each condition")


def run(options: argparse.Namespace) -> None:
    start_log()
    conditions = conditions_of(options)
    for name in ("scores", "reconstructions"):
        files = getattr(options, name)
        if files is not None and len(files) != len(conditions):
            raise InputError(
                f"--conditions: {len(conditions)} for {len(files)} {name}; give one for each, in "
                "their order"
            )
    drawn = bool(options.gallery or options.pages)
    if drawn and not (options.reconstructions and options.stimuli):
        raise InputError("--gallery and --pages: need --reconstructions and --stimuli")
    resamples = resamples_of(options)
    scores = [reconstruction_scores.read(path) for path in options.scores]
    table = reconstruction_table(scores, conditions, resamples)
    text = caption(table, missing_of(scores))
    settings = {"conditions": conditions, "title": options.title, "resamples": resamples}
    inputs = [*options.scores]
    if drawn:
        inputs += [*options.reconstructions, options.stimuli]
    record = provenance.describe(__name__, settings, inputs)
    tables.write(options.output, table, record)
    beside = options.caption or Path(options.output).with_suffix(".txt")
    write_text(beside, text + "\n")
    provenance.write_beside(beside, record)
    plotting.save(options.figure, draw(table, options.title, text), record)
    if drawn:
        made = [reconstructions.read(path) for path in options.reconstructions]
        pages = Pages(table, scores, made, options.stimuli)
        if options.pages:
            with atomic_folder(options.pages) as folder:
                for index, name in enumerate(pages.names):
                    plotting.save(folder / name, pages.page(index), record)
                provenance.write_beside(folder, record)
        if options.gallery:
            plotting.save(options.gallery, pages.comparison(options.title), record)
