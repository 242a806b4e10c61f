"""Figures of tables: one panel a subject, points or curves with intervals, controls and ceilings.

Drawn without a display. The same table gives the same bytes.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from spikeline.artifacts import provenance
from spikeline.artifacts.files import atomic_path

# Okabe and Ito (2008): distinct under every common form of colour vision; shapes differ as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
GREY = "#666666"
# Ticks of the value axis: every score is a share.
SHARES = (0, 0.2, 0.4, 0.6, 0.8, 1)
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.edgecolor": GREY,
    "axes.grid": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
}


@dataclass(frozen=True)
class Measure:
    """A score of a table and what is drawn with it, as column names.

    `column` has its interval in `column`_low and `column`_high, like `control`; `chance` and
    `ceiling` are single numbers. None, or a column that is not there or empty, is not drawn.
    """

    column: str
    label: str
    control: str | None = None
    chance: str | None = None
    ceiling: str | None = None


def conditions_figure(
    table: pd.DataFrame,
    labels: Sequence[str],
    measures: Sequence[Measure],
    title: str,
    value_labels: Mapping[str, str],
    conditions_label: str = "",
    shares: bool = True,
) -> Figure:
    """One row per condition, one point with its interval per measure, one panel per subject.

    Args:
        table: a row for each condition and subject; column `subject`, and those of the measures.
        labels: the condition of each row; conditions are drawn in order of first appearance.
        measures: up to six.
        title: of the figure.
        value_labels: label of the value axis for each subject, with N.
        conditions_label: what the conditions are.
        shares: scores lie in 0..1; else the axis takes their range, with a line at 0.
    """
    table = table.assign(condition=list(labels))
    conditions = list(dict.fromkeys(labels))
    offsets = _offsets(len(measures))
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(
            table, title, width=4.0, extra=1.4, height=1.7 + 0.58 * len(conditions)
        )
        for axes, (subject, rows) in zip(panels, _by_subject(table), strict=True):
            where = np.array([conditions.index(name) for name in rows["condition"]])
            for number, measure in enumerate(measures):
                written = len(measures) <= 2  # more would lie on each other
                _points(axes, rows, measure, where + offsets[number], number, written)
            if shares:
                axes.set_xlim(-0.02, 1.02)
                axes.xaxis.set_major_locator(FixedLocator(SHARES))
            else:
                axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
            axes.set_xlabel(value_labels[subject])
            axes.set_title(subject, loc="left")
            axes.set_ylim(len(conditions) - 0.45, -0.55)
            axes.tick_params(axis="y", length=0)
            for line in np.arange(0.5, len(conditions) - 1):
                axes.axhline(line, color="#E4E4E4", linewidth=0.8, zorder=0)
        wrapped = [_wrapped(name) for name in conditions]
        panels[0].set_yticks(range(len(conditions)), wrapped)
        panels[0].set_ylabel(conditions_label)
        _legend(figure, table, measures, ceiling="|")
    return figure


def curves_figure(
    table: pd.DataFrame,
    x: Sequence[float],
    measures: Sequence[Measure],
    title: str,
    value_labels: Mapping[str, str],
    x_label: str,
    shares: bool = True,
) -> Figure:
    """Each measure as a line with its interval as a band over one number, one panel per subject.

    Args:
        table: a row for each value of x and subject; see `conditions_figure`.
        x: the varied number of each row. Positive numbers that span a factor of eight or more get
            a logarithmic axis.
        measures, title, value_labels: as in `conditions_figure`.
        x_label: what was varied.
        shares: as in `conditions_figure`.
    """
    table = table.assign(x=np.asarray(x, dtype=float))
    distinct = np.unique(table["x"])
    logarithmic = distinct[0] > 0 and distinct[-1] / distinct[0] >= 8
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(table, title, width=3.9, extra=0.6, height=4.2)
        for axes, (subject, rows) in zip(panels, _by_subject(table), strict=True):
            rows = rows.sort_values("x", kind="stable")
            for number, measure in enumerate(measures):
                _curve(axes, rows, measure, number)
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
            axes.set_xlabel(x_label)
            axes.set_ylabel(value_labels[subject])
            axes.set_title(subject, loc="left")
        _legend(figure, table, measures, ceiling="--")
    return figure


def save(path: str | os.PathLike[str], figure: Figure, record: Mapping[str, Any]) -> None:
    """Write a PNG with its provenance inside, atomically."""
    FigureCanvasAgg(figure)
    with matplotlib.rc_context(STYLE), atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={provenance.KEY: provenance.dumps(record)})


def _by_subject(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return list(table.groupby("subject", sort=False))


def _panels(
    table: pd.DataFrame, title: str, width: float, extra: float, height: float
) -> tuple[Figure, Sequence[Axes]]:
    count = table["subject"].nunique()
    size = (max(width * count + extra, 6.2), height)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, count, sharex=True, sharey=True, squeeze=False)[0]
    figure.suptitle(textwrap.fill(title, int(size[0] * 11)), fontsize=11, x=0.5)
    return figure, panels


def _wrapped(name: str) -> str:
    """A condition in short lines, broken at spaces and before a model's overrides."""
    return textwrap.fill(name.replace("@", " @"), 26, break_long_words=False)


def _offsets(count: int) -> np.ndarray:
    """Places of a condition's measures within its row of height 1."""
    return (np.arange(count) - (count - 1) / 2) * 0.36 / max(count - 1, 1)


def _column(rows: pd.DataFrame, name: str | None) -> np.ndarray | None:
    """A column's numbers, or None where there is none to draw."""
    if name is None or name not in rows:
        return None
    values = pd.to_numeric(rows[name]).to_numpy(dtype=float)
    return values if np.isfinite(values).any() else None


def _points(
    axes: Axes, rows: pd.DataFrame, measure: Measure, y: np.ndarray, number: int, written: bool
) -> None:
    colour, marker = COLOURS[number], MARKERS[number]
    chance, ceiling = _column(rows, measure.chance), _column(rows, measure.ceiling)
    if chance is not None:
        axes.axvline(np.nanmean(chance), color=colour, linewidth=1, linestyle=":", zorder=1)
    if ceiling is not None:
        axes.plot(ceiling, y, "|", color=colour, markersize=11, markeredgewidth=2, zorder=2)
    for name, filled in ((measure.control, False), (measure.column, True)):
        values = _column(rows, name)
        if values is None:
            continue
        low, high = _column(rows, f"{name}_low"), _column(rows, f"{name}_high")
        if low is not None and high is not None:
            axes.hlines(y, low, high, color=colour, linewidth=1.6 if filled else 1, zorder=3)
        face = colour if filled else "white"
        size = 5.5 if filled else 4.5
        axes.plot(values, y, marker, color=colour, markerfacecolor=face, markersize=size, zorder=4)
    values = _column(rows, measure.column) if written else None
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


def _curve(axes: Axes, rows: pd.DataFrame, measure: Measure, number: int) -> None:
    colour, marker = COLOURS[number], MARKERS[number]
    x = rows["x"].to_numpy()
    chance, ceiling = _column(rows, measure.chance), _column(rows, measure.ceiling)
    if chance is not None:
        axes.plot(x, chance, color=colour, linewidth=1, linestyle=":", zorder=1)
    if ceiling is not None:
        axes.plot(x, ceiling, color=colour, linewidth=1.2, linestyle="--", zorder=2)
    control = _column(rows, measure.control)
    if control is not None:
        axes.plot(x, control, marker, color=colour, markerfacecolor="white", markersize=4, zorder=3)
    values = _column(rows, measure.column)
    if values is None:
        return
    axes.plot(x, values, marker=marker, color=colour, linewidth=1.8, markersize=5, zorder=4)
    low, high = _column(rows, f"{measure.column}_low"), _column(rows, f"{measure.column}_high")
    if low is not None and high is not None:
        axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0, zorder=2)


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


def _legend(figure: Figure, table: pd.DataFrame, measures: Sequence[Measure], ceiling: str) -> None:
    """What is drawn, in one line below the panels; `ceiling` is its marker '|' or line '--'."""
    entries = [
        Line2D([], [], color=COLOURS[i], marker=MARKERS[i], markersize=5, label=measure.label)
        for i, measure in enumerate(measures)
    ]
    ceiling_style = (
        {"linestyle": "", "marker": "|", "markersize": 9, "markeredgewidth": 2}
        if ceiling == "|"
        else {"linestyle": ceiling, "linewidth": 1.2}
    )
    control_style = {"linestyle": "", "marker": "o", "markerfacecolor": "white", "markersize": 5}
    for kind, label, style in (
        ("control", "shuffled control", control_style),
        ("chance", "chance", {"linestyle": ":", "linewidth": 1.2}),
        ("ceiling", "infinite repetitions", ceiling_style),
    ):
        if any(_column(table, getattr(measure, kind)) is not None for measure in measures):
            entries.append(Line2D([], [], color=GREY, label=label, **style))
    figure.legend(
        handles=entries,
        loc="outside lower center",
        ncols=len(entries),
        fontsize=8,
        columnspacing=1.4,
    )
