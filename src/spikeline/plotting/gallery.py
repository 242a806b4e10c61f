"""Galleries: the image shown beside what was made of it, best to worst, with the worst in view."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from spikeline.plotting.figures import empty_figure, explain
from spikeline.plotting.style import STYLE

# Inches of an image's side, of the space between two, and of the scores beside a row.
_SIDE, _SPACE, _SCORES = 0.95, 0.05, 1.25
_TOP = 0.6
# Letters of a heading in one line.
_LETTERS = 17


def spread(scores: Sequence[float], ties: Sequence[float], count: int) -> np.ndarray:
    """Rows of a gallery: evenly spread from the best image to the worst, both in view.

    Args:
        scores: (images,), larger is better.
        ties: (images,), which decide between equal scores.
        count: of rows, fewer where there are fewer images.

    Returns:
        (count,) int, indices of images, best first.
    """
    order = np.lexsort((-np.asarray(ties), -np.asarray(scores)))
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return order[places]


def gallery_figure(
    columns: Mapping[str, np.ndarray],
    rows: Sequence[str],
    title: str,
    caption: str = "",
) -> Figure:
    """Images in a grid: one row for each image shown, one column for each way of making it.

    Args:
        columns: {heading: (rows, height, width, 3) uint8}.
        rows: what is written beside each row, such as its score.
        title: of the page.
        caption: text below the images.
    """
    with matplotlib.rc_context(STYLE):
        width = max(_SCORES + len(columns) * (_SIDE + _SPACE) + 0.1, 4.6)
        height = _TOP + 0.35 + len(rows) * (_SIDE + _SPACE)
        figure = empty_figure(width, height, title, caption)
        figure.set_layout_engine("none")
        explain(figure, 0, caption)
        whole = figure.get_figheight()
        # One for all images, in inches: axes of their own would take most of the time.
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, whole), autoscale_on=False)
        axes.set_axis_off()
        # From the top, so that a caption of any length has its room below.
        for number, (heading, images) in enumerate(columns.items()):
            left = _SCORES + number * (_SIDE + _SPACE)
            centre = (left + _SIDE / 2) / width
            figure.text(
                centre, 1 - (_TOP - 0.02) / whole, _broken(heading), ha="center", va="center",
                fontsize=7,
            )  # fmt: skip
            for row, image in enumerate(images):
                bottom = whole - _TOP - 0.2 - (row + 1) * (_SIDE + _SPACE)
                place = (left, left + _SIDE, bottom, bottom + _SIDE)
                axes.imshow(image, interpolation="nearest", extent=place, aspect="auto")
        for row, text in enumerate(rows):
            middle = whole - _TOP - 0.2 - (row + 0.5) * (_SIDE + _SPACE)
            place = ((_SCORES - 0.08) / width, middle / whole)
            figure.text(*place, text, ha="right", va="center", fontsize=7)
        return figure


def _broken(heading: str) -> str:
    """A model's name in short lines, broken before its overrides and after underscores."""
    lines = []
    for part in re.split(r"\n|(?=@)", heading):
        lines.append("")
        for word in re.split(r"(?<=_)", part):
            if lines[-1] and len(lines[-1]) + len(word) > _LETTERS:
                lines.append("")
            lines[-1] += word
    return "\n".join(lines)
