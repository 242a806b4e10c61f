"""Figures of tables: one panel a subject, points or curves with intervals, controls and ceilings.

Where a table has paired differences they get a panel beside the scores of each subject, or below.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from spikeline.artifacts import provenance
from spikeline.artifacts.files import atomic_path
from spikeline.plotting import marks, outliers
from spikeline.plotting.style import GREY, SHARES, STYLE, Measure, numbers

DIFFERENCE = "difference from reference\n(paired, 95 % interval)"
# Spaces of a caption at which no line ends: before a percent sign, inside an interval.
_KEPT = re.compile(r" (?=%)|(?<=,) (?=[^\[]*\])")
# Inches of a line of the caption, of one of the legend below it, and between them.
_CAPTION_LINE, _LEGEND_LINE, _GAP = 0.15, 0.17, 0.12


class Panels(NamedTuple):
    """The panels of one subject; `differences` where the table has some."""

    scores: Axes
    differences: Axes | None


def conditions_figure(
    table: pd.DataFrame,
    labels: Sequence[str],
    measures: Sequence[Measure],
    title: str,
    value_labels: Mapping[str, str],
    conditions_label: str = "",
    shares: bool = True,
    caption: str = "",
    focus: Collection[str] = (),
) -> Figure:
    """One row per condition, one point with its interval per measure, one panel per subject.

    Args:
        table: a row for each condition and subject; column `subject`, and those of the measures.
        labels: the condition of each row; conditions are drawn in order of first appearance.
        measures: up to six.
        title: of the figure.
        value_labels: label of the value axis for each subject, with N.
        conditions_label: what the conditions are.
        shares: scores lie in 0..1; else the axis takes the range worth reading, with a line at 0,
            and arrows mark what lies below it.
        caption: text below the panels.
        focus: conditions whose differences are what the figure is about: those of others are
            arrows where they lie far outside; none means all.
    """
    table = table.assign(condition=list(labels))
    conditions = list(dict.fromkeys(labels))
    offsets = _offsets(len(measures))
    compared = _compared(table, measures)
    with matplotlib.rc_context(STYLE):
        figure, panels = _beside(
            table, title, caption, compared, height=1.7 + 0.58 * len(conditions)
        )
        for (axes, beside), (subject, rows) in zip(panels, _by_subject(table), strict=True):
            where = np.array([conditions.index(name) for name in rows["condition"]])
            for number, measure in enumerate(measures):
                written = len(measures) <= 2  # more would lie on each other
                y = where + offsets[number]
                marks.score_points(axes, rows, measure, y, number, written)
                if beside is not None:
                    marks.difference_points(beside, rows, measure, y, number)
            if shares:
                axes.set_xlim(-0.02, 1.02)
                axes.xaxis.set_major_locator(FixedLocator(SHARES))
            else:
                axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
                places = [where + offset for offset in offsets]
                chosen = table["condition"].isin(focus).to_numpy() if focus else None
                _within((axes, beside), table, rows, measures, places, "x", chosen)
            axes.set_xlabel(value_labels[subject])
            axes.set_title(subject, loc="left")
            axes.set_ylim(len(conditions) - 0.45, -0.55)
            if beside is not None:
                beside.axvline(0, color=GREY, linewidth=0.8, zorder=0)
                beside.xaxis.set_major_locator(MaxNLocator(4))
                beside.set_xlabel(DIFFERENCE)
            for one in filter(None, (axes, beside)):
                one.tick_params(axis="y", length=0)
                for line in np.arange(0.5, len(conditions) - 1):
                    one.axhline(line, color="#E4E4E4", linewidth=0.8, zorder=0)
        wrapped = [_wrapped(name) for name in conditions]
        panels[0].scores.set_yticks(range(len(conditions)), wrapped)
        panels[0].scores.set_ylabel(conditions_label)
        explain(figure, marks.legend(figure, table, measures, ceiling="|"), caption)
    return figure


def curves_figure(
    table: pd.DataFrame,
    x: Sequence[float],
    measures: Sequence[Measure],
    title: str,
    value_labels: Mapping[str, str],
    x_label: str,
    shares: bool = True,
    caption: str = "",
) -> Figure:
    """Each measure as a line with its interval as a band over one number, one panel per subject.

    Args:
        table: a row for each value of x and subject; see `conditions_figure`.
        x: the varied number of each row. Positive numbers that span a factor of eight or more get
            a logarithmic axis.
        measures, title, value_labels: as in `conditions_figure`.
        x_label: what was varied.
        shares, caption: as in `conditions_figure`.
    """
    table = table.assign(x=np.asarray(x, dtype=float))
    distinct = np.unique(table["x"])
    logarithmic = distinct[0] > 0 and distinct[-1] / distinct[0] >= 8
    compared = _compared(table, measures)
    with matplotlib.rc_context(STYLE):
        figure, panels = _below(table, title, caption, compared)
        for (axes, below), (subject, rows) in zip(panels, _by_subject(table), strict=True):
            rows = rows.sort_values("x", kind="stable")
            for number, measure in enumerate(measures):
                marks.score_curve(axes, rows, measure, number)
                if below is not None:
                    marks.difference_curve(below, rows, measure, number)
            if logarithmic:
                axes.set_xscale("log")
                axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_locator(FixedLocator(_apart(distinct, logarithmic)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            if shares:
                axes.set_ylim(-0.02, 1.02)
                axes.yaxis.set_major_locator(FixedLocator(SHARES))
            else:
                axes.axhline(0, color=GREY, linewidth=0.8, zorder=0)
                places = [rows["x"].to_numpy()] * len(measures)
                _within((axes, below), table, rows, measures, places, "y")
            (axes if below is None else below).set_xlabel(x_label)
            axes.set_ylabel(value_labels[subject])
            axes.set_title(subject, loc="left")
            if below is not None:
                below.axhline(0, color=GREY, linewidth=0.8, zorder=0)
                below.set_ylabel(DIFFERENCE)
        explain(figure, marks.legend(figure, table, measures, ceiling="--"), caption)
    return figure


def save(path: str | os.PathLike[str], figure: Figure, record: Mapping[str, Any]) -> None:
    """Write a PNG with its provenance inside, atomically."""
    FigureCanvasAgg(figure)
    with matplotlib.rc_context(STYLE), atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={provenance.KEY: provenance.dumps(record)})


def _within(
    panels: Sequence[Axes | None],
    table: pd.DataFrame,
    rows: pd.DataFrame,
    measures: Sequence[Measure],
    places: Sequence[np.ndarray],
    along: str,
    focus: np.ndarray | None = None,
) -> None:
    """Keep scores and differences of one subject to the range worth reading.

    Args:
        table: of all subjects, which share the axes; rows: of this one.
        focus: (rows of `table`,) bool, those whose differences set their panel's range.
    """
    columns = [m.column for m in measures], [m.difference for m in measures]
    for axes, names in zip(panels, columns, strict=True):
        if axes is None:
            continue
        ends = outliers.keep_range(axes, table, names, along)
        if names is columns[1] and focus is not None:
            ends = outliers.keep_rows(axes, table[focus], names, along) or ends
        if ends is not None:
            outliers.mark_outside(axes, rows, measures, names, places, ends, along)


def _by_subject(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return list(table.groupby("subject", sort=False))


def _compared(table: pd.DataFrame, measures: Sequence[Measure]) -> bool:
    return any(numbers(table, measure.difference) is not None for measure in measures)


# --- where the panels stand -----------------------------------------------------------------------


def _beside(
    table: pd.DataFrame, title: str, caption: str, compared: bool, height: float
) -> tuple[Figure, list[Panels]]:
    """A column of panels per subject, and one for its differences to the right of it."""
    count = table["subject"].nunique()
    width = max((4.0 + 2.2 * compared) * count + 1.4, 6.2)
    figure = empty_figure(width, height, title, caption)
    ratios = [1, 0.55] if compared else [1]
    axes = figure.subplots(
        1, count * len(ratios), sharey=True, squeeze=False, width_ratios=ratios * count
    )[0]
    for number, one in enumerate(axes[len(ratios) :]):
        one.sharex(axes[number % len(ratios)])
    return figure, _by_pairs(axes, compared)


def _below(
    table: pd.DataFrame, title: str, caption: str, compared: bool
) -> tuple[Figure, list[Panels]]:
    """A column per subject: its scores, and its differences below them."""
    count = table["subject"].nunique()
    width = max(3.9 * count + 0.6, 6.2)
    figure = empty_figure(width, 4.2 + 1.9 * compared, title, caption)
    ratios = [1, 0.55] if compared else [1]
    axes = figure.subplots(
        len(ratios), count, sharex=True, sharey="row", squeeze=False, height_ratios=ratios
    )
    return figure, _by_pairs(axes.T.ravel(), compared)


def _by_pairs(axes: Sequence[Axes], compared: bool) -> list[Panels]:
    """The panels of each subject, given one after the other."""
    if not compared:
        return [Panels(one, None) for one in axes]
    return [Panels(*pair) for pair in zip(axes[::2], axes[1::2], strict=True)]


def empty_figure(width: float, height: float, title: str, caption: str) -> Figure:
    """An empty figure with its title above, and room for its caption below the panels."""
    room = _CAPTION_LINE * len(_lines(caption, width))
    height += room
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(textwrap.fill(title, int(width * 11)), fontsize=11, x=0.5)
    figure.get_layout_engine().set(rect=(0, room / height, 1, 1 - room / height))
    return figure


def explain(figure: Figure, legend_lines: int, caption: str) -> None:
    """Write the caption into its room, which the layout leaves above the legend."""
    width, height = figure.get_size_inches()
    if caption:
        place = _GAP / width, (_GAP + _LEGEND_LINE * legend_lines) / height
        text = "\n".join(_lines(caption, width))
        figure.text(*place, text, ha="left", va="bottom", fontsize=8)


def _lines(caption: str, width: float) -> list[str]:
    """A caption in lines of a figure so many inches wide: sixteen of its letters are one."""
    kept = [_KEPT.sub("\N{NO-BREAK SPACE}", line) for line in caption.splitlines()]
    return [part for line in kept for part in textwrap.wrap(line, int(width * 16))]


def _wrapped(name: str) -> str:
    """A condition in short lines, broken at spaces and before a model's overrides."""
    return textwrap.fill(name.replace("@", " @"), 26, break_long_words=False)


def _offsets(count: int) -> np.ndarray:
    """Places of a condition's measures within its row of height 1."""
    return (np.arange(count) - (count - 1) / 2) * 0.36 / max(count - 1, 1)


def _apart(values: np.ndarray, logarithmic: bool, least: float = 0.06) -> list[float]:
    """The values whose tick labels do not touch; the first and the last stay."""
    places = np.log(values) if logarithmic else values
    places = (places - places[0]) / (places[-1] - places[0] or 1)
    kept = [0]
    for index in range(1, len(values) - 1):
        if places[index] - places[kept[-1]] >= least and 1 - places[index] >= least:
            kept.append(index)
    if len(values) > 1:
        kept.append(len(values) - 1)
    return [float(values[index]) for index in kept]
