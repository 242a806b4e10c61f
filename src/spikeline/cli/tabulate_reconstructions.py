"""Collect scores of reconstructions in a table (TSV), a figure, a caption and galleries (PNG)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spikeline import plotting
from spikeline.artifacts import provenance, reconstruction_scores, reconstructions, tables
from spikeline.artifacts.files import atomic_folder, write_text
from spikeline.artifacts.reconstruction_scores import ReconstructionScores
from spikeline.artifacts.reconstructions import Reconstructions
from spikeline.bridge.reconstruction import captions
from spikeline.bridge.reconstruction.captions import PIXCORR, caption, identification, row_labels
from spikeline.bridge.reconstruction.table import by_image, missing_of, reconstruction_table
from spikeline.cli._options import start_log
from spikeline.cli._tables import add_conditions, add_table, conditions_of, resamples_of
from spikeline.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS, COMPARED = 10, 8
SHOWN, LOW_LEVEL, MADE, RETRIEVED = "shown", "low level", "reconstructed", "retrieved"
VALUE_LABEL = "identification (share), correlation and similarity\n(95 % interval)"


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


def draw(table: pd.DataFrame, title: str, text: str = "") -> Figure:
    """The figure of a table of reconstruction: one row per condition, up to six measures.

    Args:
        table: as `reconstruction_table` or `artifacts.tables.read` return it.
        title: of the figure.
        text: below the panels.
    """
    two_way = tables.two_way_measures(table)
    # CLIP first; the others from deep to shallow features, as long as there are colours.
    main = identification(table)
    others = [name for name in reversed(two_way) if name != main and table[name].notna().any()]
    names = [*([main] if main else []), PIXCORR, "ssim", *others][:6]
    controls = (table["row"] == tables.CONTROL).to_numpy()
    drawn = table.copy()
    for name in names:
        for end in ("", "_low", "_high"):
            column = table[f"{name}{end}"]
            # Of a model, what other responses give; of a control, its own score.
            other = table[f"others_{name}"] if not end else column.where(controls)
            drawn[f"control_{name}{end}"] = column.where(controls, other)
            drawn[f"{name}{end}"] = column.mask(controls)
    labels = {"pixcorr": "PixCorr", "ssim": "SSIM"} | {
        name: f"two-way {name.replace('_', ' ')}" for name in two_way
    }
    measures = [
        plotting.Measure(
            name,
            labels[name],
            control=f"control_{name}",
            chance=f"chance_{name}",
            difference=f"difference_{name}",
            control_label="control, or other images' responses",
        )
        for name in names
    ]
    values = dict.fromkeys(table["subject"].unique(), VALUE_LABEL)
    return plotting.conditions_figure(
        drawn, row_labels(table), measures, title, values, shares=False, caption=text
    )


class Pages:
    """Galleries of the conditions of one table.

    Args:
        table: of the conditions.
        scores, made: one of each condition; `made` is that of one seed.
        stimuli: the packed images.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        scores: Sequence[ReconstructionScores],
        made: Sequence[Reconstructions],
        stimuli: str,
    ):
        self.labels = row_labels(table)
        self.models, self.subjects = list(table["model"]), list(table["subject"])
        self.roles = list(table["row"])
        self.scores, self.made, self.stimuli = scores, made, stimuli
        self.measure = identification(table)
        self.names = [
            f"{subject}.{model}.png"
            for subject, model in zip(self.subjects, self.models, strict=True)
        ]

    def page(self, index: int) -> Figure:
        """One condition: shown, low level, reconstructed and retrieved, best to worst."""
        made = self.made[index]
        first, ties = self._of(index, made.images)
        rows = plotting.spread(first, ties, ROWS)
        columns = {SHOWN: self._shown(made.images[rows], made)}
        if made.low_level is not None:
            columns[LOW_LEVEL] = np.stack([made.low_level[row] for row in rows])
        columns[MADE] = np.stack([made.pixels[row] for row in rows])
        if made.retrieved is not None and all(made.retrieved[rows]):
            columns[RETRIEVED] = self._shown(made.retrieved[rows], made)
        ranked = {row: rank for rank, row in enumerate(np.lexsort((-ties, -first)), 1)}
        beside = [
            f"{ranked[row]} of {len(made.images)}\n{self._told(first[row], ties[row])}"
            for row in rows
        ]
        text = (
            f"{len(rows)} of {len(made.images)} test images, evenly spread from the best to the "
            f"worst by {self._measure_name()}."
        )
        title = f"{self.models[index]}, {self.subjects[index]}"
        return plotting.gallery_figure(columns, beside, title, text)

    def comparison(self, title: str) -> Figure:
        """The same images by every condition of the first subject that has them all."""
        chosen = [k for k, name in enumerate(self.subjects) if name == self.subjects[0]]
        known = [name for name in self.made[chosen[0]].images]
        known = [name for name in known if all(name in set(self.made[k].images) for k in chosen)]
        if not known:
            raise InputError("--gallery: the conditions share no test image; leave it out")
        first, ties = self._of(chosen[0], np.asarray(known, dtype=object))
        rows = plotting.spread(first, ties, COMPARED)
        images = np.asarray(known, dtype=object)[rows]
        columns = {SHOWN: self._shown(images, self.made[chosen[0]])}
        for index in chosen:
            made = self.made[index]
            place = {name: row for row, name in enumerate(made.images)}
            heading = self.labels[index]
            if self.roles[index] in (tables.CONTROL, tables.CEILING):
                heading += f"\n({self.roles[index]})"
            columns[heading] = np.stack([made.pixels[place[name]] for name in images])
        beside = [self._told(first[row], ties[row]) for row in rows]
        text = (
            f"{self.subjects[0]}: {len(rows)} of {len(known)} test images, evenly spread from the "
            f"best to the worst of {self.labels[chosen[0]]} by {self._measure_name()}, whose "
            "scores are beside them."
        )
        return plotting.gallery_figure(columns, beside, title or "Reconstructions", text)

    def _of(self, index: int, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The score that orders a condition's images, and that which decides between ties."""
        first = replace(self.scores[index], seeds=self.scores[index].seeds[:1])
        pixels = by_image(first, PIXCORR)
        has = self.measure and self.measure not in first.missing
        scores = by_image(first, self.measure) if has else pixels
        lacking = [name for name in images if name not in pixels]
        if lacking:
            raise InputError(
                f"--reconstructions: {lacking[0]!r} of {self.names[index][:-4]} has no score; "
                "give the files that were scored"
            )
        return tuple(np.array([one[name] for name in images]) for one in (scores, pixels))

    def _told(self, score: float, pixels: float) -> str:
        lines = [f"two-way {self._short()} {score:.2f}"] if self.measure else []
        return "\n".join([*lines, f"PixCorr {pixels:.2f}"])

    def _short(self) -> str:
        return "CLIP" if self.measure == "clip" else (self.measure or "").split("_")[-1]

    def _measure_name(self) -> str:
        return captions.measure_name(self.measure or PIXCORR)

    def _shown(self, names: np.ndarray, made: Reconstructions) -> np.ndarray:
        from spikeline.bridge.generators.pixels import squares
        from spikeline.sources import stimuli

        return squares(stimuli.load(self.stimuli, names), made.pixels.shape[1])
