"""How figures look, and which columns of a table are drawn together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

# Okabe and Ito (2008): distinct under every common form of colour vision; shapes differ as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
# Of controls: no shape that is filled or hollow, which tells differences apart.
CONTROL_MARKER = "x"
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

    `column` has its interval in `column`_low and `column`_high, like `control` and `difference`;
    `chance` and `ceiling` are single numbers. None, or a column that is not there or empty, is not
    drawn. `difference`, from a reference, has a panel of its own beside the scores.
    """

    column: str
    label: str
    control: str | None = None
    chance: str | None = None
    ceiling: str | None = None
    difference: str | None = None
    control_label: str = "shuffled control"


def numbers(rows: pd.DataFrame, name: str | None) -> np.ndarray | None:
    """A column's numbers, or None where there is none to draw."""
    if name is None or name not in rows:
        return None
    values = pd.to_numeric(rows[name]).to_numpy(dtype=float)
    return values if np.isfinite(values).any() else None


def interval(rows: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Both ends of a column's interval, or None where they are not known."""
    low, high = numbers(rows, f"{name}_low"), numbers(rows, f"{name}_high")
    return None if low is None or high is None else (low, high)
