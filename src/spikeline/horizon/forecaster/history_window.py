"""What a forecaster sees of a batch of windows of one session: the past, nothing of the future."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spikeline.horizon.forecaster.unit_state import UnitState


@dataclass(frozen=True)
class Past:
    """Windows are the first axis; a patch is a run of bins that becomes one token.

    Attributes:
        counts: (windows, patches, patch bins, units) the last bins before each window, in order.
        state: what is known of each unit, see horizon/forecaster/unit_state.py.
        surprises: (windows, units, surprises) what the session taught to expect beyond that, see
            horizon/forecaster/adaptation.py.
        known: (windows, units) bool; what is False is hidden: read neither as token nor as trace.
        in_session: (windows, patches) bool: the patch does not reach before the session.
        behaviour: (windows, patches, patch bins) z-scored velocity, 0 where unknown; None without.
        behaviour_known: (windows, patches) bool.
        image: (windows, patches) int64, row of the session's embeddings on screen at the end of a
            patch, -1 for none; None without.
        image_known: (windows, patches) bool.
    """

    counts: Tensor
    state: UnitState
    surprises: Tensor
    known: Tensor
    in_session: Tensor
    behaviour: Tensor | None = None
    behaviour_known: Tensor | None = None
    image: Tensor | None = None
    image_known: Tensor | None = None
