"""Figures of tables, drawn without a display: the same table gives the same bytes."""

from spikeline.plotting.figures import conditions_figure, curves_figure, save
from spikeline.plotting.gallery import gallery_figure, spread
from spikeline.plotting.masking import masking_figure
from spikeline.plotting.style import COLOURS, CONTROL_MARKER, Measure

__all__ = [
    "COLOURS",
    "CONTROL_MARKER",
    "Measure",
    "conditions_figure",
    "curves_figure",
    "gallery_figure",
    "masking_figure",
    "save",
    "spread",
]
