"""The range of scores worth reading, and arrows to what lies outside it.

Scores of forecasts have a ceiling and no floor: one that extrapolates can be at -1e13, and an axis
that held it would show nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spikeline.plotting.style import COLOURS, Measure, numbers

# How far below the median the range goes, in what the best are above it, or above zero if more.
FOLDS = 3
# Of that measure at the least, in the unit of the scores.
SMALLEST = 0.02
# Of the range, on both sides.
MARGIN = 0.06
# Rows asked for set the range alone if theirs is smaller by so much than that of all.
CLOSER = 3
# Points between the numbers of two arrows of one place.
_LINE = 8


def floor(values: np.ndarray) -> float:
    """The lowest score worth reading.

    Args:
        values: one or more finite scores of any shape.
    """
    middle, best = float(np.median(values)), float(np.max(values))
    return middle - FOLDS * max(best - middle, abs(middle), SMALLEST)


def keep_range(
    axes: Axes, table: pd.DataFrame, columns: Sequence[str | None], along: str
) -> tuple[float, float] | None:
    """Set the limits of an axis of scores to the range worth reading, if some lie outside.

    Args:
        table: all rows that the axis is shared by.
        columns: of the scores; or of differences, where an empty cell is the reference's: 0.
        along: "x" or "y".

    Returns:
        The axis' lower and upper end if its limits were set, else None; nothing lies above.
    """
    given = [name for name in columns if name in table]
    if not given:
        return None
    values = np.nan_to_num(_numbers(table, given))
    ends = _numbers(table, [f"{name}{end}" for name in given for end in ("_low", "_high")])
    lowest, best = floor(values), float(values.max())
    # Of an interval as wide as the whole range the rest says nothing more.
    highest = 2 * best - lowest
    every = np.concatenate([values, ends[np.isfinite(ends)]])
    if every.min() >= lowest and every.max() <= highest:
        return None
    kept = np.clip(every, lowest, highest)
    kept = kept[every >= lowest]
    low, high = min(float(kept.min()), 0.0), max(float(kept.max()), 0.0)
    margin = MARGIN * (high - low or SMALLEST)
    # Below the lowest score that is kept there is room for two arrows' numbers.
    low, high = low - (4 if values.min() < lowest else 1) * margin, high + margin
    _limit(axes, along, low, high)
    return low, high


def keep_rows(
    axes: Axes, rows: pd.DataFrame, columns: Sequence[str | None], along: str
) -> tuple[float, float] | None:
    """Set the limits of an axis of differences to those of some rows, if others lie far away.

    Args:
        rows: to read the differences of, of all subjects; an empty cell is the reference's: 0.
        columns, along: as in `keep_range`.

    Returns:
        The axis' ends if its limits were set, else None.
    """
    given = [name for name in columns if name in rows]
    if not given or rows.empty:
        return None
    ends = _numbers(rows, [f"{name}{end}" for name in given for end in ("", "_low", "_high")])
    kept = np.append(ends[np.isfinite(ends)], 0.0)
    low, high = float(kept.min()), float(kept.max())
    # Room for the numbers of arrows on both sides.
    margin = 5 * MARGIN * max(high - low, SMALLEST)
    low, high = low - margin, high + margin
    before = np.subtract(*reversed(axes.get_xlim() if along == "x" else axes.get_ylim()))
    if abs(before) < CLOSER * (high - low):
        return None
    _limit(axes, along, low, high)
    return low, high


def mark_outside(
    axes: Axes,
    table: pd.DataFrame,
    measures: Sequence[Measure],
    columns: Sequence[str | None],
    places: Sequence[np.ndarray],
    ends: tuple[float, float],
    along: str,
) -> None:
    """Arrows at the axis' `ends` to the scores beyond them, each with its number.

    Args:
        table: the rows of this panel.
        columns: of the scores of each measure.
        places: of each measure, where its rows stand on the other axis.
    """
    written: dict[tuple[float, bool], int] = {}
    for number, (measure, column) in enumerate(zip(measures, columns, strict=True)):
        values = numbers(table, column)
        if values is None:
            continue
        for value, place in zip(values, places[number], strict=True):
            if not np.isfinite(value) or ends[0] <= value <= ends[1]:
                continue
            above = bool(value > ends[1])
            line = written.get((float(place), above), 0)
            written[float(place), above] = line + 1
            where = (ends[above], place) if along == "x" else (place, ends[above])
            axes.plot(
                *where,
                marker=_ARROWS[along][above],
                color=COLOURS[number],
                markersize=5,
                clip_on=False,
                zorder=6,
                gid=f"outside {measure.label}",
            )
            _write(axes, value, where, above, line, along, COLOURS[number])


# --- the parts ------------------------------------------------------------------------------------

_ARROWS = {"x": "<>", "y": "v^"}


def _write(
    axes: Axes,
    value: float,
    where: tuple[float, float],
    above: bool,
    line: int,
    along: str,
    colour: str,
) -> None:
    """The number of an arrow, inside the axis; several of one place are below each other."""
    inwards = -1 if above else 1
    beside = along == "x"
    axes.annotate(
        f"{value:.2g}",
        where,
        xytext=(5 * inwards, 0) if beside else (0, inwards * (4 + _LINE * line)),
        textcoords="offset points",
        ha=("right" if above else "left") if beside else "center",
        va="center" if beside else ("top" if above else "bottom"),
        fontsize=6.5,
        color=colour,
        zorder=6,
    )


def _limit(axes: Axes, along: str, low: float, high: float) -> None:
    (axes.set_xlim if along == "x" else axes.set_ylim)(low, high)


def _numbers(table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Of all these columns, one after the other; NaN where a cell is empty."""
    return np.concatenate([pd.to_numeric(table[name]).to_numpy(float) for name in names])
