"""The table of sessions: how much each recording holds.

| column | meaning |
|---|---|
| session, subject, source | its name in the config, the animal, and where it comes from |
| spikes, units | after the selection of units |
| duration_s | from the first to the last second kept |
| median_rate_hz | of its units, over the whole session |
| regions | units by region, the largest first, at most eight; "unknown" where none is told |
| behaviour | what was measured: wheel, running, position, or none |
| trials, stimuli | how many |
| train_s, valid_s, test_s | seconds of each split |
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from spikeline.artifacts import sessions

MOST_REGIONS = 8


def sessions_table(paths: Sequence[str | os.PathLike[str]]) -> pd.DataFrame:
    """One row per session, in their order; columns as in the module's table.

    Raises:
        InputError: a file is missing, damaged or no session.
    """
    return pd.DataFrame([_row(path) for path in paths], dtype=object)


def _row(path: str | os.PathLike[str]) -> dict[str, Any]:
    with sessions.opened(path) as data:
        index = np.asarray(data.spikes.unit_index)
        units = len(data.units.id)
        duration = float(data.domain.end[-1] - data.domain.start[0])
        counts = np.bincount(index, minlength=units)
        row = {
            "session": str(data.session.id),
            "subject": str(data.session.subject),
            "source": str(data.session.source),
            "spikes": len(index),
            "units": units,
            "duration_s": duration,
            "median_rate_hz": float(np.median(counts) / duration) if units else np.nan,
            "regions": _regions(data.units.region),
            "behaviour": str(data.session.behaviour_kind) or "none",
        }
        for name in ("trials", "stimuli"):
            row[name] = len(getattr(data, name)) if hasattr(data, name) else 0
        for split in sessions.SPLITS:
            domain = getattr(data, f"{split}_domain")
            row[f"{split}_s"] = float(np.sum(np.asarray(domain.end) - np.asarray(domain.start)))
    return row


def _regions(values: Any) -> str:
    """Units by region: "VISp 120, CA1 35"; what is left of more than eight is one "other"."""
    names = [str(value) or "unknown" for value in np.asarray(values)]
    ordered = sorted(Counter(names).items(), key=lambda one: (-one[1], one[0]))
    shown = [f"{name} {count}" for name, count in ordered[:MOST_REGIONS]]
    rest = sum(count for _, count in ordered[MOST_REGIONS:])
    return ", ".join([*shown, *([f"other {rest}"] if rest else [])])
