"""One recording as its source left it: spikes, all its clusters, behaviour, trials and stimuli."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeline.errors import InputError
from spikeline.sources.behaviour import Track
from spikeline.sources.spikes import Spikes, Survey

log = logging.getLogger(__name__)

# Displays report the end of one image and the start of the next up to a frame apart.
FRAME_S = 0.02


@dataclass(frozen=True)
class Recording:
    """Times are seconds in the source's own clock.

    Args:
        name: of the session.
        source: ibl, allen or arrays.
        clusters: columns of (units,) values: `cluster`, its index in the spikes; `id`, `region`,
            `depth`, and `good` (bool), whether the source counts it as a well isolated unit; more
            columns are kept as they are. None: every cluster that fires is good.
        every_cluster: whether that table names every cluster; Phy's may hold only labelled ones.
        cluster_count: how many cluster indices there are, where the source says so.
        trials: columns with start and end; stimuli: start, end and image.
    """

    name: str
    source: str
    spikes: Spikes
    clusters: Mapping[str, np.ndarray] | None = None
    every_cluster: bool = True
    cluster_count: int | None = None
    subject: str = ""
    track: Track | None = None
    trials: Mapping[str, np.ndarray] | None = None
    stimuli: Mapping[str, np.ndarray] | None = None


def chosen_units(
    recording: Recording, found: Survey, duration: float, min_rate_hz: float, min_units: int
) -> dict[str, np.ndarray]:
    """Columns of the units that the session keeps: good, and at `min_rate_hz` or more on average.

    Raises:
        InputError: fewer than `min_units`; spikes of a cluster that the table does not know.
    """
    table = recording.clusters
    if table is None:
        cluster = np.flatnonzero(found.counts)
        table = {
            "cluster": cluster,
            "id": cluster.astype(str),
            "region": np.full(len(cluster), "", "U1"),
            "depth": np.full(len(cluster), np.nan, np.float32),
            "good": np.ones(len(cluster), bool),
        }
    cluster = np.asarray(table["cluster"], np.int64)
    unknown = np.setdiff1d(np.flatnonzero(found.counts), cluster)
    if len(unknown) and recording.every_cluster:
        raise InputError(
            f"{recording.spikes.clusters_name}: cluster {unknown[0]} has spikes but is out of "
            f"range: the cluster table has {len(cluster)}, not this one"
        )
    known = cluster < len(found.counts)
    spikes = np.where(known, found.counts[np.where(known, cluster, 0)], 0)
    good = np.asarray(table["good"], bool)
    # Compared as counts: a rate exactly at the limit would depend on rounding.
    fast = spikes >= np.ceil(min_rate_hz * duration - 1e-9)
    keep = good & fast & known
    if keep.sum() < max(min_units, 1):
        slow = (
            f", {int((good & ~fast).sum())} of them below {min_rate_hz} Hz" if min_rate_hz else ""
        )
        raise InputError(
            f"session {recording.name}: {int(keep.sum())} good units kept ({int(good.sum())} good "
            f"of {len(cluster)} clusters{slow}) expected at least {max(min_units, 1)}; leave "
            "the session out or lower min_units"
        )
    log.info(
        "session %s: %d units kept, %d good, %d clusters, %d spikes of %d",
        recording.name, keep.sum(), good.sum(), len(cluster), spikes[keep].sum(),
        found.counts.sum(),
    )  # fmt: skip
    return {name: np.asarray(v)[keep] for name, v in table.items() if name != "good"}


def shifted_trials(
    trials: Mapping[str, np.ndarray], origin: float, duration: float
) -> dict[str, np.ndarray]:
    """Trials that begin and end inside the session, in order, times from its start."""
    trials = {name: np.asarray(values) for name, values in trials.items()}
    start, end = trials["start"] - origin, trials["end"] - origin
    with np.errstate(invalid="ignore"):
        keep = np.flatnonzero((start >= 0) & (end > start) & (end <= duration))
    keep = keep[np.argsort(start[keep], kind="stable")]
    return {
        name: values[keep] - origin
        if name in ("start", "end") or name.endswith("_times")
        else values[keep]
        for name, values in trials.items()
    }


def shifted_stimuli(
    stimuli: Mapping[str, np.ndarray], origin: float, duration: float, where: str
) -> dict[str, np.ndarray]:
    """Presentations inside the session, in order and not overlapping, times from its start.

    Raises:
        InputError: presentations that end before they start, or overlap by more than a frame.
    """
    start = np.asarray(stimuli["start"], np.float64) - origin
    end = np.asarray(stimuli["end"], np.float64) - origin
    image = np.asarray(stimuli["image"])
    if not (np.isfinite(start) & np.isfinite(end) & (end >= start)).all():
        bad = int(np.argmin(np.isfinite(start) & np.isfinite(end) & (end >= start)))
        raise InputError(
            f"{where}: stimulus presentation {bad} lasts from {start[bad]} to {end[bad]} s"
        )
    order = np.argsort(start, kind="stable")
    order = order[(end[order] > 0) & (start[order] < duration)]
    start, end, image = np.maximum(start[order], 0), np.minimum(end[order], duration), image[order]
    overlap = end[:-1] - start[1:]
    if len(overlap) and overlap.max() > FRAME_S:
        bad = int(overlap.argmax())
        raise InputError(
            f"{where}: stimulus presentations overlap: {image[bad]!r} ends at {end[bad]:.3f} s and "
            f"{image[bad + 1]!r} starts at {start[bad + 1]:.3f} s"
        )
    end[:-1] = np.minimum(end[:-1], start[1:])
    return {"start": start, "end": end, "image": image}
