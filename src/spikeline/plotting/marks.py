"""The marks of one measure in one panel: scores, controls and paired differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from spikeline.plotting.style import (
    COLOURS,
    CONTROL_MARKER,
    GREY,
    MARKERS,
    Measure,
    interval,
    numbers,
)


def score_points(
    axes: Axes, rows: pd.DataFrame, measure: Measure, y: np.ndarray, number: int, written: bool
) -> None:
    """Scores and controls with their intervals at heights `y`, chance as a line across.

    Args:
        number: of the measure; chooses colour and shape, and on which side values stand.
        written: write the scores next to their points.
    """
    colour = COLOURS[number]
    chance, ceiling = numbers(rows, measure.chance), numbers(rows, measure.ceiling)
    if chance is not None:
        axes.axvline(np.nanmean(chance), color=colour, linewidth=1, linestyle=":", zorder=1)
    if ceiling is not None:
        axes.plot(ceiling, y, "|", color=colour, markersize=11, markeredgewidth=2, zorder=2)
    for name, marker, size, width in (
        (measure.control, CONTROL_MARKER, 5, 1),
        (measure.column, MARKERS[number], 5.5, 1.6),
    ):
        values = numbers(rows, name)
        if values is None:
            continue
        ends = interval(rows, name)
        if ends is not None:
            axes.hlines(y, *ends, color=colour, linewidth=width, zorder=3)
        axes.plot(values, y, marker, color=colour, linestyle="", markersize=size, zorder=4)
    values = numbers(rows, measure.column) if written else None
    # Above the upper half of the row and below the lower one, away from the other measures.
    shift = -1 if number < 1 else 1
    for value, place in zip(values if values is not None else (), y, strict=False):
        if np.isfinite(value):
            axes.annotate(
                f"{value:.2f}",
                (value, place),
                xytext=(0, -6 * shift),
                textcoords="offset points",
                ha="center",
                va="bottom" if shift < 0 else "top",
                fontsize=7,
                color=colour,
                path_effects=[withStroke(linewidth=2, foreground="white")],
                zorder=5,
            )


def score_curve(axes: Axes, rows: pd.DataFrame, measure: Measure, number: int) -> None:
    """Scores as a line with their intervals as a band over the column `x`."""
    colour = COLOURS[number]
    x = rows["x"].to_numpy()
    chance, ceiling = numbers(rows, measure.chance), numbers(rows, measure.ceiling)
    if chance is not None:
        axes.plot(x, chance, color=colour, linewidth=1, linestyle=":", zorder=1)
    if ceiling is not None:
        axes.plot(x, ceiling, color=colour, linewidth=1.2, linestyle="--", zorder=2)
    control = numbers(rows, measure.control)
    if control is not None:
        ends = interval(rows, measure.control)
        if ends is not None:
            axes.vlines(x, *ends, color=colour, linewidth=1, zorder=3)
        style = {"marker": CONTROL_MARKER, "linestyle": "", "markersize": 5}
        axes.plot(x, control, color=colour, zorder=3, **style)
    values = numbers(rows, measure.column)
    if values is None:
        return
    axes.plot(
        x, values, marker=MARKERS[number], color=colour, linewidth=1.8, markersize=5, zorder=4
    )
    _band(axes, rows, measure.column, x, colour)


def difference_points(
    axes: Axes, rows: pd.DataFrame, measure: Measure, y: np.ndarray, number: int
) -> None:
    """Paired differences at heights `y`: filled where an interval excludes zero, else hollow."""
    values = numbers(rows, measure.difference)
    if values is None:
        return
    colour, marker = COLOURS[number], MARKERS[number]
    ends = interval(rows, measure.difference)
    if ends is not None:
        axes.hlines(y, *ends, color=colour, linewidth=1.6, zorder=3)
    for chosen, face in _by_certainty(rows, measure.difference, colour):
        style = {"marker": marker, "linestyle": "", "markersize": 5.5, "markerfacecolor": face}
        axes.plot(values[chosen], y[chosen], color=colour, zorder=4, **style)


def difference_curve(axes: Axes, rows: pd.DataFrame, measure: Measure, number: int) -> None:
    """Paired differences over the column `x`, marked as in `difference_points`."""
    values = numbers(rows, measure.difference)
    if values is None:
        return
    colour, x = COLOURS[number], rows["x"].to_numpy()
    axes.plot(x, values, color=colour, linewidth=1.8, zorder=3)
    _band(axes, rows, measure.difference, x, colour)
    for chosen, face in _by_certainty(rows, measure.difference, colour):
        style = {"marker": MARKERS[number], "linestyle": "", "markersize": 5}
        axes.plot(x[chosen], values[chosen], color=colour, markerfacecolor=face, zorder=4, **style)


def legend(figure: Figure, table: pd.DataFrame, measures: Sequence[Measure], ceiling: str) -> int:
    """What is drawn, below the panels; `ceiling` is its marker "|" or its line "--".

    Returns:
        The number of lines.
    """
    entries = [
        Line2D([], [], color=COLOURS[i], marker=MARKERS[i], markersize=5, label=measure.label)
        for i, measure in enumerate(measures)
    ]
    ceiling_style = (
        {"linestyle": "", "marker": "|", "markersize": 9, "markeredgewidth": 2}
        if ceiling == "|"
        else {"linestyle": ceiling, "linewidth": 1.2}
    )
    hollow = {"linestyle": "", "marker": MARKERS[0], "markerfacecolor": "white", "markersize": 5}
    control_style = {"linestyle": "", "marker": CONTROL_MARKER, "markersize": 5}
    for kind, label, style in (
        ("control", measures[0].control_label, control_style),
        ("chance", "chance", {"linestyle": ":", "linewidth": 1.2}),
        ("ceiling", "infinite repetitions", ceiling_style),
        ("difference", _hollow_label(table, measures), hollow),
    ):
        if any(numbers(table, getattr(measure, kind)) is not None for measure in measures):
            entries.append(Line2D([], [], color=GREY, label=label, **style))
    columns = _columns([len(entry.get_label()) for entry in entries], figure.get_figwidth())
    figure.legend(
        handles=entries,
        loc="outside lower center",
        ncols=columns,
        fontsize=8,
        columnspacing=1.4,
    )
    return -(-len(entries) // columns)


def _columns(letters: Sequence[int], room: float) -> int:
    """As many columns of a legend as `room` inches hold, each as wide as its longest entry."""
    # Inches of an entry's mark and of a letter.
    widths = 0.45 + 0.075 * np.array(letters)
    for columns in range(len(letters), 1, -1):
        if sum(part.max() for part in np.array_split(widths, columns)) < room:
            return columns
    return 1


def _hollow_label(table: pd.DataFrame, measures: Sequence[Measure]) -> str:
    for name in (measure.difference for measure in measures):
        values = numbers(table, name)
        ends = None if values is None else interval(table, name)
        known = np.zeros(len(table), bool) if ends is None else np.isfinite(ends[0])
        if values is not None and (np.isfinite(values) & ~known).any():
            return "interval includes zero, or there is none"
    return "interval includes zero"


def _band(axes: Axes, rows: pd.DataFrame, name: str, x: np.ndarray, colour: str) -> None:
    ends = interval(rows, name)
    if ends is not None:
        axes.fill_between(x, *ends, color=colour, alpha=0.2, linewidth=0, zorder=2)


def _by_certainty(
    rows: pd.DataFrame, name: str, colour: str
) -> tuple[tuple[np.ndarray, str], tuple[np.ndarray, str]]:
    """Rows whose interval excludes zero and those whose does not, or have none; their fillings."""
    ends = interval(rows, name)
    if ends is None:
        return (np.zeros(len(rows), bool), colour), (np.ones(len(rows), bool), "white")
    low, high = ends
    excludes = (low > 0) | (high < 0)
    return (excludes, colour), (~excludes, "white")
