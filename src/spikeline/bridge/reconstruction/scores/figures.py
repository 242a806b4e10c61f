"""The figure of a table of reconstruction, and galleries of what its conditions gave back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spikeline import plotting
from spikeline.artifacts import tables
from spikeline.artifacts.images.reconstruction_scores import ReconstructionScores
from spikeline.artifacts.images.reconstructions import Reconstructions
from spikeline.bridge.reconstruction.scores import captions
from spikeline.bridge.reconstruction.scores.captions import PIXCORR, identification, row_labels
from spikeline.bridge.reconstruction.scores.table import by_image
from spikeline.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS, COMPARED = 10, 8
SHOWN, LOW_LEVEL, MADE, RETRIEVED = "shown", "low level", "reconstructed", "retrieved"
VALUE_LABEL = "identification (share), correlation and similarity\n(95 % interval)"


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
        self._pictures: dict[tuple[str, int], np.ndarray] = {}
        self.names = [
            f"{subject}.{model}.png"
            for subject, model in zip(self.subjects, self.models, strict=True)
        ]

    def page(self, index: int) -> Figure:
        """One condition: shown, low level, reconstructed and retrieved, best to worst."""
        made = self.made[index]
        self._read_for_pages()
        first, ties = self._of(index, made.images)
        rows = self._rows(index)
        columns = {SHOWN: self._shown(made.images[rows], made)}
        if made.low_level is not None:
            columns[LOW_LEVEL] = np.stack([made.low_level[row] for row in rows])
        columns[MADE] = np.stack([made.pixels[row] for row in rows])
        if len(retrieved := self._retrieved(index)):
            columns[RETRIEVED] = self._shown(retrieved, made)
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
        known = self._known(chosen)
        if not len(known):
            raise InputError("--gallery: the conditions share no test image; leave it out")
        first, ties = self._of(chosen[0], known)
        rows = plotting.spread(first, ties, COMPARED)
        images = known[rows]
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

    def _rows(self, index: int) -> np.ndarray:
        """Rows of a condition's images that its page shows."""
        return plotting.spread(*self._of(index, self.made[index].images), ROWS)

    def _retrieved(self, index: int) -> np.ndarray:
        """Names of the retrieved images of a page, none where some row has none."""
        retrieved = self.made[index].retrieved
        found = np.array([], object) if retrieved is None else retrieved[self._rows(index)]
        return found if all(found) else found[:0]

    def _known(self, chosen: Sequence[int]) -> np.ndarray:
        """The images that all of some conditions have, in the order of the first."""
        first, *others = (self.made[index].images for index in chosen)
        shared = set(first).intersection(*others)
        return np.array([name for name in first if name in shared], dtype=object)

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

    def _shown(self, names: Iterable[str], made: Reconstructions) -> np.ndarray:
        size = made.pixels.shape[1]
        self._read({(name, size) for name in names})
        return np.stack([self._pictures[name, size] for name in names])

    def _read_for_pages(self) -> None:
        """All that pages show, at once: to open a large archive takes longer than to draw one."""
        self._read(
            {
                (name, made.pixels.shape[1])
                for index, made in enumerate(self.made)
                for name in (*made.images[self._rows(index)], *self._retrieved(index))
            }
        )

    def _read(self, wanted: set[tuple[str, int]]) -> None:
        """Packed images, as squares of a size, that were not read yet."""
        from spikeline.bridge.generators.pixels import squares
        from spikeline.sources import stimuli

        absent = sorted(wanted - self._pictures.keys())
        for size in sorted({size for _, size in absent}):
            names = [name for name, side in absent if side == size]
            pictures = squares(stimuli.load(self.stimuli, np.array(names, object)), size)
            self._pictures |= {(n, size): one for n, one in zip(names, pictures, strict=True)}
