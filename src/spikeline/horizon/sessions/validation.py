"""Is a session sound: every check by name, with what it found, for one verdict per file.

A check takes the session and returns what is wrong, or '' where nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch_brain.data import Data

SPLITS = ("train", "valid", "test")
# Domain edges are rounded to microseconds.
TOLERANCE_S = 2e-6
# A field that is missing or of another kind fails the check that asks for it.
UNREADABLE = (AttributeError, KeyError, ValueError, TypeError, IndexError)


def validate(data: Data, min_units: int) -> dict[str, Any]:
    """All checks of one session.

    Args:
        data: a session, lazy or not.
        min_units: how many units must have spikes.

    Returns:
        session, valid, checks [{name, passed, detail}] and counts.
    """
    checks = [
        {"name": name, "passed": not detail, "detail": detail}
        for name, detail in ((name, _detail(check, data, min_units)) for name, check in CHECKS)
    ]
    valid = all(check["passed"] for check in checks)
    try:
        found = counts(data)
    except UNREADABLE:
        # What cannot be counted has failed a check above, which says more.
        found = {}
    return {"session": str(data.session.id), "valid": valid, "checks": checks, "counts": found}


def refused(session: str, reason: str) -> dict[str, Any]:
    """The verdict on a file that cannot even be read."""
    check = {"name": "file is readable", "passed": False, "detail": reason}
    return {"session": session, "valid": False, "checks": [check], "counts": {}}


def summary(verdict: Mapping[str, Any]) -> str:
    """One line: the checks that failed, and why."""
    failed = [check for check in verdict["checks"] if not check["passed"]]
    return "; ".join(f"{check['name']}: {check['detail']}" for check in failed)


def counts(data: Data) -> dict[str, Any]:
    """How much the session holds: units, spikes, seconds of each split, trials, stimuli."""
    units = len(data.units.id)
    index = data.spikes.unit_index
    inside = index[(index >= 0) & (index < units)]
    spikes = np.bincount(inside, minlength=units)
    found: dict[str, Any] = {
        "spikes": len(index),
        "units": units,
        "units_without_spikes": int((spikes == 0).sum()),
        "seconds": _rounded(np.sum(data.domain.end - data.domain.start)),
    }
    for split in SPLITS:
        blocks = _blocks(data, split)
        found[f"{split}_seconds"] = _rounded(np.sum(blocks[:, 1] - blocks[:, 0]))
        found[f"{split}_blocks"] = len(blocks)
    if "behaviour" in data:
        found["behaviour"] = str(data.session.behaviour_kind)
        known = np.isfinite(data.behaviour.velocity)
        found["behaviour_known"] = _rounded(known.mean() if known.size else 0)
    for name in ("trials", "stimuli"):
        if name in data:
            found[name] = len(getattr(data, name).start)
    return found


def _detail(check: Callable, data: Data, min_units: int) -> str:
    try:
        return check(data, min_units) if check is _enough_units else check(data)
    except UNREADABLE as error:
        return f"cannot be checked ({' '.join(str(error).split())[:120]})"


def _rounded(seconds: float) -> float:
    return round(float(seconds), 3)


def _blocks(data: Data, split: str) -> np.ndarray:
    interval = getattr(data, f"{split}_domain")
    return np.stack([interval.start, interval.end], axis=1)


# --- spikes and units -----------------------------------------------------------------------------


def _has_length(data: Data) -> str:
    start, end = data.domain.start, data.domain.end
    if len(start) != 1 or not np.isfinite([*start, *end]).all() or start[0] != 0:
        return f"the session's domain is {list(start)} to {list(end)}, expected 0 to its length"
    if not end[0] > 0:
        return f"the session lasts {end[0]} s"
    return "" if len(data.spikes.timestamps) else "the session holds no spikes"


def _times_are_numbers(data: Data) -> str:
    bad = ~np.isfinite(data.spikes.timestamps)
    return f"{bad.sum()} spike times are not finite, the first {bad.argmax()}" if bad.any() else ""


def _times_are_sorted(data: Data) -> str:
    back = np.flatnonzero(np.diff(data.spikes.timestamps) < 0)
    return (
        f"{len(back)} spike times are before the one they follow: {back[0] + 1}"
        if len(back)
        else ""
    )


def _times_are_inside(data: Data) -> str:
    times, end = data.spikes.timestamps, data.domain.end[-1]
    outside = (times < 0) | (times >= end)
    if not outside.any():
        return ""
    first = int(outside.argmax())
    return f"{outside.sum()} spikes lie outside 0 to {end} s, the first at {times[first]} s"


def _index_is_in_range(data: Data) -> str:
    index, units = data.spikes.unit_index, len(data.units.id)
    if index.dtype.kind not in "iu":
        return f"unit index is {index.dtype}, expected whole numbers"
    if len(index) != len(data.spikes.timestamps):
        return f"{len(index)} unit indices for {len(data.spikes.timestamps)} spike times"
    outside = (index < 0) | (index >= units)
    first = index[outside.argmax()] if outside.any() else None
    return "" if first is None else f"unit index {first} is out of range: there are {units} units"


def _units_are_named(data: Data) -> str:
    ids = np.asarray(data.units.id).astype(str)
    if (ids == "").any():
        return f"unit {int((ids == '').argmax())} has no name"
    names, times = np.unique(ids, return_counts=True)
    return f"two units are named {names[times.argmax()]!r}" if (times > 1).any() else ""


def _enough_units(data: Data, min_units: int) -> str:
    index = data.spikes.unit_index
    firing = len(np.unique(index[index >= 0]))
    return f"{firing} units have spikes, expected at least {min_units}" * (firing < min_units)


# --- domains --------------------------------------------------------------------------------------


def _domains_are_inside(data: Data) -> str:
    end = data.domain.end[-1]
    for split in (*SPLITS, "reference"):
        blocks = _blocks(data, split)
        if not len(blocks):
            return f"{split} is empty"
        if not (np.isfinite(blocks).all() and (blocks[:, 1] >= blocks[:, 0]).all()):
            return f"{split} has a block that ends before it starts"
        if split != "reference" and (blocks[:, 1] == blocks[:, 0]).any():
            return f"{split} has a block of no length"
        if blocks.min() < 0 or blocks.max() > end + TOLERANCE_S:
            return f"{split} reaches from {blocks.min()} to {blocks.max()} s of {end} s"
    return ""


def _domains_are_disjoint(data: Data) -> str:
    rows = [(*block, split) for split in SPLITS for block in _blocks(data, split)]
    rows.sort()
    for (_, end, before), (start, _, after) in pairwise(rows):
        if start < end - TOLERANCE_S:
            return f"{before} until {end} s and {after} from {start} s overlap"
    return ""


def _reference_is_training(data: Data) -> str:
    start, end = _blocks(data, "reference")[0]
    train = _blocks(data, "train")
    inside = (train[:, 0] <= start + TOLERANCE_S) & (train[:, 1] >= end - TOLERANCE_S)
    return "" if inside.any() else f"the reference window, {start} to {end} s, is not in training"


# --- behaviour, trials and stimuli ----------------------------------------------------------------


def _behaviour_runs_on(data: Data) -> str:
    if "behaviour" not in data:
        return ""
    series = data.behaviour
    back = np.flatnonzero(np.diff(series.timestamps) <= 0)
    if len(back):
        return f"timestamps do not rise at sample {back[0] + 1}"
    if len(series.position) != len(series.velocity):
        return f"{len(series.position)} positions for {len(series.velocity)} velocities"
    if np.isinf(series.velocity).any() or np.isinf(series.position).any():
        return "holds infinite values"
    return "" if np.isfinite(series.velocity).any() else "its velocity is nowhere known"


def _trials_are_intervals(data: Data) -> str:
    if "trials" not in data:
        return ""
    start, end = data.trials.start, data.trials.end
    bad = ~(end >= start)
    if bad.any():
        return f"trial {bad.argmax()} lasts from {start[bad.argmax()]} to {end[bad.argmax()]} s"
    return "" if (np.diff(start) >= 0).all() else "trials are not in order of time"


def _stimuli_follow_each_other(data: Data) -> str:
    if "stimuli" not in data:
        return ""
    start, end = data.stimuli.start, data.stimuli.end
    if not (np.isfinite(start).all() and (end >= start).all()):
        return "a presentation ends before it starts"
    overlap = np.flatnonzero(start[1:] < end[:-1] - TOLERANCE_S)
    if len(overlap):
        first = overlap[0]
        return f"presentation {first} ends at {end[first]} s, after the next one has started"
    outside = len(start) and (start[0] < 0 or end.max() > data.domain.end[-1] + TOLERANCE_S)
    return "a presentation lies outside the session" if outside else ""


def _images_are_named(data: Data) -> str:
    if "stimuli" not in data:
        return ""
    image = np.asarray(data.stimuli.image)
    if image.dtype.kind not in "US":
        return f"images are {image.dtype}, expected names"
    shown = sorted(set(image.astype(str)) - {""})
    bad = [name for name in shown if name.startswith("/") or ".." in name or "\\" in name]
    if bad:
        return f"image {bad[0]!r} is no name inside an archive"
    return "" if shown else "no presentation shows a named image"


CHECKS: tuple[tuple[str, Callable], ...] = (
    ("session has length", _has_length),
    ("spike times are finite", _times_are_numbers),
    ("spike times are sorted", _times_are_sorted),
    ("spike times are inside the session", _times_are_inside),
    ("unit index is in range", _index_is_in_range),
    ("units are named", _units_are_named),
    ("units are enough", _enough_units),
    ("domains are inside the session", _domains_are_inside),
    ("domains are disjoint", _domains_are_disjoint),
    ("reference window is training", _reference_is_training),
    ("behaviour runs on", _behaviour_runs_on),
    ("trials are intervals", _trials_are_intervals),
    ("stimuli follow each other", _stimuli_follow_each_other),
    ("images are named", _images_are_named),
)
