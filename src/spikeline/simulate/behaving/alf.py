"""Lay sessions out as the International Brain Laboratory does: an ALF tree with ONE cache tables.

    <lab>/Subjects/<subject>/<date>/001/alf/_ibl_wheel.*, _ibl_trials.table.pqt
                                            probe00/pykilosort/{spikes, clusters, channels}.*
    sessions.pqt, datasets.pqt

Runs in the IBL client's environment.
"""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
from iblutil.io import parquet
from one.alf.cache import make_parquet_db

from spikeline.simulate.behaving.regions import REGION_IDS
from spikeline.simulate.behaving.settings import LAB
from spikeline.simulate.behaving.store import Stored

CHANNELS = 384
SPACING_UM = 20.0
# The loader takes the first collection of this name that a probe has.
SORTER = "pykilosort"


def write_tree(root: Path, sessions: list[Stored]) -> None:
    """Write all sessions below `root`, then the cache tables that ONE looks them up in."""
    for session in sessions:
        plan = session.plan
        folder = root / LAB / "Subjects" / plan.subject / plan.date.isoformat() / "001" / "alf"
        folder.mkdir(parents=True)
        wheel = session.tables["wheel"]
        np.save(folder / "_ibl_wheel.timestamps.npy", wheel["timestamps"])
        np.save(folder / "_ibl_wheel.position.npy", wheel["position"])
        trials = pd.DataFrame(session.tables["trials"])
        trials.to_parquet(folder / "_ibl_trials.table.pqt")
        for number, probe in enumerate(plan.probes):
            _write_probe(folder / probe / SORTER, session, number)
    # Hashed below: the client allocates a buffer of gigabytes for every small file.
    make_parquet_db(root, hash_files=False)
    _complete_tables(root)


def _write_probe(folder: Path, session: Stored, number: int) -> None:
    folder.mkdir(parents=True)
    units = session.units
    rows = np.flatnonzero(units["probe"] == number)
    count = len(rows)
    rng = np.random.default_rng([session.plan.number, number])
    # Clusters run up the probe, one per channel and evenly spread.
    channels = ((np.arange(count) + 0.5) * CHANNELS / count).astype(int)
    sites = np.arange(CHANNELS)
    depth = (sites // 2) * SPACING_UM
    mine = np.isin(session.unit, rows)
    cluster = (session.unit[mine] - rows[0]).astype(np.uint32)
    seconds = session.times[mine]
    height = rng.uniform(6e-5, 2e-4, count)
    good = units["good"][rows].astype(bool)
    # The label is the share of three tests that a cluster passes.
    label = np.where(good, 1.0, rng.choice([0.0, 1 / 3, 2 / 3], count))
    arrays = {
        "spikes.times": seconds,
        "spikes.clusters": cluster,
        "spikes.amps": height[cluster] * rng.lognormal(0, 0.1, len(cluster)),
        "spikes.depths": depth[channels[cluster]] + rng.normal(0, 5, len(cluster)),
        "clusters.channels": channels.astype(np.int64),
        "clusters.depths": depth[channels],
        "channels.localCoordinates": np.stack([np.where(sites % 2, 59.0, 27.0), depth], axis=1),
        "channels.rawInd": sites,
        "channels.mlapdv": np.stack(
            [np.full(CHANNELS, 2200.0), np.full(CHANNELS, -3000.0), -4000.0 + depth], axis=1
        ),
        "channels.brainLocationIds_ccf_2017": _regions(units["region"][rows], channels),
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    names = [_name(f"{session.plan.reference}/{number}/{k}") for k in range(count)]
    (folder / "clusters.uuids.csv").write_text("uuids\n" + "\n".join(names) + "\n")
    metrics = pd.DataFrame(
        {
            "cluster_id": np.arange(count),
            "label": label,
            "firing_rate": np.bincount(cluster, minlength=count) / session.duration_s,
            "amp_median": height,
        }
    )
    metrics.to_parquet(folder / "clusters.metrics.pqt")


def _regions(regions: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """(CHANNELS,) region ids: each channel lies in the region of the nearest cluster."""
    nearest = np.abs(np.arange(CHANNELS)[:, None] - channels).argmin(axis=1)
    return np.array([REGION_IDS[regions[k]] for k in nearest], dtype=np.int64)


def _name(place: str) -> str:
    # Version 3: the kind that ONE accepts as an id derived from a path.
    return str(uuid.uuid3(uuid.NAMESPACE_URL, f"spikeline:{LAB}/{place}"))


def _complete_tables(root: Path) -> None:
    """Fill in checksums, and replace the random ids by ids derived from the paths."""
    facts = {"date_created": "2030-01-01 00:00", "origin": LAB}
    sessions, _ = parquet.load(root / "sessions.pqt")
    places = sessions["subject"] + "/" + sessions["date"].astype(str) + "/"
    places += sessions["number"].map("{:03d}".format)
    ids = {old: _name(place) for old, place in places.items()}
    sessions.index = sessions.index.map(ids)
    datasets, _ = parquet.load(root / "datasets.pqt")
    old = datasets.index.get_level_values(0)
    paths = [
        f"{place}/{path}" for place, path in zip(old.map(places), datasets["rel_path"], strict=True)
    ]
    files = [root / LAB / "Subjects" / path for path in paths]
    datasets["hash"] = [hashlib.md5(file.read_bytes()).hexdigest() for file in files]
    datasets.index = pd.MultiIndex.from_arrays(
        [old.map(ids), [_name(path) for path in paths]], names=datasets.index.names
    )
    parquet.save(root / "sessions.pqt", sessions.sort_index(), facts)
    parquet.save(root / "datasets.pqt", datasets.sort_index(), facts)
