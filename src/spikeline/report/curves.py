"""Training curves behind a table: the score on validation rows by epoch, a panel for each model."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spikeline.plotting.style import COLOURS, GREY, STYLE
from spikeline.report.lineage import Artifact

# More panels are no longer read; the rest is counted.
MOST = 24
_COLUMNS = 4


def histories(artifacts: Iterable[Artifact]) -> dict[str, list[pd.DataFrame]]:
    """The histories that lie beside trained artifacts, those of one model's seeds together."""
    found: dict[str, list[pd.DataFrame]] = {}
    for artifact in sorted(artifacts, key=lambda one: one.path):
        path = Path(artifact.path).with_suffix(".tsv")
        if path.as_posix() == artifact.path or not path.is_file():
            continue
        try:
            history = pd.read_csv(path, sep="\t")
        except (ValueError, OSError):
            continue
        if {"epoch", "score"} <= set(history) and len(history) > 1:
            # results/decoders/mlp/monkeyF/seed0 -> mlp, monkeyF
            name = ", ".join(path.parent.parts[2:]) or path.stem
            found.setdefault(name, []).append(history)
    return found


def draw(found: dict[str, list[pd.DataFrame]]) -> Figure:
    """A panel for each model, up to `MOST`, a line for each seed and member.

    Args:
        found: as `histories` gives it; not empty.
    """
    names = list(found)[:MOST]
    columns = min(_COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.7 * columns, 1.9 * rows + 0.3), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, name in zip(panels, names, strict=False):
            seeds = [
                curve
                for history in found[name]
                for _, curve in (
                    history.groupby("member") if "member" in history else [(0, history)]
                )
            ]
            for number, curve in enumerate(seeds):
                colour = COLOURS[number % len(COLOURS)]
                axes.plot(curve["epoch"], curve["score"], color=colour, linewidth=0.9)
                best = curve.loc[curve["score"].idxmax()]
                axes.plot(best["epoch"], best["score"], "o", color=colour, markersize=3)
            axes.set_title(_short(name), loc="left", fontsize=7)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.tick_params(labelsize=7)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        figure.supxlabel("epoch", fontsize=8, color=GREY)
        figure.supylabel("validation score", fontsize=8, color=GREY)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def _short(name: str, width: int = 34) -> str:
    """A model's name on at most three lines."""
    parts = name.replace("@", "\n@", 1) if len(name) > width else name
    lines = [line if len(line) <= width else f"{line[: width - 1]}…" for line in parts.split("\n")]
    return "\n".join(lines[:3])
