"""The figure of masking: errors of hidden responses, and retrieval, over the hidden share."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikeline.plotting.figures import empty_figure, explain
from spikeline.plotting.style import COLOURS, GREY, MARKERS, STYLE, interval

_SCORE = "neural_to_image_top1"
# What a network's error stands beside, each with its line.
_OTHERS = {"masked_mse_linear": ("ridge regression", "--"), "masked_mse_mean": ("mean", ":")}


def masking_figure(table: pd.DataFrame, title: str, value_label: str, caption: str = "") -> Figure:
    """Two panels over `mask_share`, a line for each `mask`.

    Args:
        table: of one subject; columns `mask`, `mask_share`, `masked_mse`, `masked_mse_linear`,
            `masked_mse_mean`, and top-1 from neural to image with its interval and `chance_top1`.
        title: of the figure; value_label: of the axis of top-1, with N.
        caption: text below the panels.
    """
    table = table.assign(x=pd.to_numeric(table["mask_share"])).sort_values("x", kind="stable")
    with matplotlib.rc_context(STYLE):
        figure = empty_figure(8.4, 4.2, title, caption)
        errors, scores = figure.subplots(1, 2)
        entries = []
        for number, (mask, rows) in enumerate(table.groupby("mask", sort=False)):
            style = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 5}
            errors.plot(rows["x"], rows["masked_mse"], linewidth=1.8, **style)
            for name, (_, line) in _OTHERS.items():
                errors.plot(rows["x"], rows[name], line, color=COLOURS[number], linewidth=1.2)
            scores.plot(rows["x"], rows[_SCORE], linewidth=1.8, **style)
            scores.fill_between(
                rows["x"], *interval(rows, _SCORE), color=COLOURS[number], alpha=0.2, linewidth=0
            )
            entries.append(Line2D([], [], label=mask.replace("_", " "), **style))
        scores.plot(table["x"], table["chance_top1"], ":", color=GREY, linewidth=1)
        _label(errors, "mean squared error of hidden responses\n(in their variance)")
        _label(scores, value_label)
        scores.set_ylim(bottom=0)
        for label, line in _OTHERS.values():
            entries.append(Line2D([], [], color=GREY, linestyle=line, label=label))
        figure.legend(handles=entries, loc="outside lower center", ncols=len(entries), fontsize=8)
        explain(figure, 1, caption)
    return figure


def _label(axes: Axes, text: str) -> None:
    axes.set_xlabel("share of responses hidden")
    axes.set_ylabel(text)
