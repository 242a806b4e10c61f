"""IBL sessions as `fetch-ibl` exports them: one recording of all their probes.

| file | holds |
|---|---|
| session.json | eid, subject, date, lab, probes, revision |
| {probe}/spikes.times.npy, spikes.clusters.npy | as ONE loads them |
| {probe}/clusters.tsv | cluster, uuid, region, depth, label |
| wheel.timestamps.npy, wheel.position.npy | seconds, radians |
| trials.tsv | start, end and the trials table's other numbers |
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spikeline.errors import InputError
from spikeline.sources.arrays import read_array
from spikeline.sources.behaviour import Track
from spikeline.sources.columns import read_columns
from spikeline.sources.folder_names import check_folder_name
from spikeline.sources.npy import Npy
from spikeline.sources.recordings import Recording
from spikeline.sources.spikes import Spikes, survey


def read_recording(folder: str | os.PathLike[str], name: str) -> Recording:
    """The recording in a folder; several probes are merged, their units named probe/uuid.

    Raises:
        InputError: a missing or damaged file, or a probe with invalid spikes.
    """
    folder = Path(folder)
    try:
        session = json.loads((folder / "session.json").read_text(encoding="utf-8"))
        probes = [str(probe) for probe in session["probes"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{folder}: session.json is missing or damaged; fetch it again") from None
    if not probes:
        raise InputError(f"{folder}: session.json names no probe; fetch it again")
    for probe in probes:
        check_folder_name(probe, f"{folder}: session.json: probe")
    tables = [_clusters(folder / probe, probe) for probe in probes]
    counts = [len(table["cluster"]) for table in tables]
    clusters = {key: np.concatenate([table[key] for table in tables]) for key in tables[0]}
    clusters["cluster"] = np.arange(sum(counts))
    track = trials = None
    wheel = [folder / f"wheel.{part}.npy" for part in ("timestamps", "position")]
    missing = [path for path in wheel if not path.exists()]
    if len(missing) == 1:
        raise InputError(f"{missing[0]}: no such file, but its counterpart exists; fetch it again")
    if not missing:
        track = Track("wheel", *map(read_array, wheel), str(wheel[0]))
    if (folder / "trials.tsv").exists():
        trials = read_columns(folder / "trials.tsv")
    return Recording(
        name=name,
        source="ibl",
        subject=session.get("subject", ""),
        spikes=_merged([_spikes(folder / probe) for probe in probes], counts, str(folder)),
        clusters=clusters,
        cluster_count=sum(counts),
        track=track,
        trials=trials,
    )


def _clusters(folder: Path, probe: str) -> dict[str, np.ndarray]:
    table = read_columns(folder / "clusters.tsv")
    missing = [k for k in ("cluster", "uuid", "region", "depth", "label") if k not in table]
    if missing:
        raise InputError(
            f"{folder / 'clusters.tsv'}: column {missing[0]} is missing; fetch it again"
        )
    try:
        return _columns(table, probe)
    except ValueError:
        raise InputError(
            f"{folder / 'clusters.tsv'}: a column holds text in place of numbers; fetch it again"
        ) from None


def _columns(table: Mapping[str, np.ndarray], probe: str) -> dict[str, np.ndarray]:
    return {
        "cluster": table["cluster"].astype(np.int64),
        "id": np.asarray([f"{probe}/{uuid}" for uuid in table["uuid"]]),
        "region": table["region"].astype(str),
        "depth": table["depth"].astype(np.float32),
        "probe": np.full(len(table["uuid"]), probe),
        # Passed all three quality metrics (Banga et al. 2022, figshare 19705522).
        "good": table["label"].astype(np.float64) == 1,
    }


def _spikes(folder: Path) -> Spikes:
    times, clusters = folder / "spikes.times.npy", folder / "spikes.clusters.npy"
    return Spikes(Npy(times), Npy(clusters), str(times), str(clusters))


def _merged(probes: list[Spikes], counts: list[int], where: str) -> Spikes:
    """All probes' spikes in order of time, cluster indices numbered on across probes."""
    if len(probes) == 1:
        return probes[0]
    # Each probe is checked by itself, so that errors name its file.
    for spikes, count in zip(probes, counts, strict=True):
        survey(spikes, count)
    times = np.concatenate([spikes.times[:] for spikes in probes])
    first = np.cumsum([0, *counts[:-1]])
    clusters = np.concatenate(
        [spikes.clusters[:].astype(np.int64) + i for spikes, i in zip(probes, first, strict=True)]
    )
    order = np.argsort(times, kind="stable")
    return Spikes(times[order], clusters[order], where, where)
