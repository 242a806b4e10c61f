"""Lay sessions and pictures out as the Allen client keeps what it has downloaded.

    manifest.json, sessions.csv, probes.csv, channels.csv, units.csv
    session_<id>/session_<id>.nwb
    natural_scene_templates/natural_scene_<k>.tiff
    natural_movie_templates/natural_movie_1.h5      really a .npy, as the client expects

The same `EcephysProjectCache` thus reads the twin, without a network, and the real data. Runs in
the Allen client's environment.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from allensdk.brain_observatory.ecephys.ecephys_project_api import EcephysProjectFixedApi
from allensdk.brain_observatory.ecephys.ecephys_project_api.http_engine import write_from_stream
from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache
from PIL import Image

from spikeline.simulate.behaving.allen_tables import Tables, tables_of
from spikeline.simulate.behaving.nwb import AGE_DAYS, SESSION_TYPE, write_session
from spikeline.simulate.behaving.store import Stored


def write_cache(root: Path, sessions: list[Stored], scenes: np.ndarray, movie: np.ndarray) -> None:
    """Write a pre-filled cache into the folder `root`.

    Args:
        sessions: those that watch.
        scenes, movie: (n, height, width) uint8.
    """
    tables = [tables_of(session) for session in sessions]
    _session_table(sessions).to_csv(root / "sessions.csv")
    for name in ("probes", "channels", "units"):
        pd.concat([getattr(table, name) for table in tables]).to_csv(root / f"{name}.csv")
    for session, table in zip(sessions, tables, strict=True):
        _write_session(root, session, table)
    _write_templates(root, scenes, movie)
    # The client writes its own manifest where there is none.
    EcephysProjectCache(
        fetch_api=EcephysProjectFixedApi(),
        stream_writer=write_from_stream,
        manifest=str(root / "manifest.json"),
    )


def _session_table(sessions: list[Stored]) -> pd.DataFrame:
    dates = [f"{session.plan.date}T09:00:00Z" for session in sessions]
    return pd.DataFrame(
        {
            "date_of_acquisition": dates,
            "published_at": dates,
            "specimen_id": [int(session.plan.subject) for session in sessions],
            "isi_experiment_id": 0,
            "session_type": SESSION_TYPE,
            "age_in_days": float(AGE_DAYS),
            "sex": "F",
            "genotype": "wt",
            "has_nwb": True,
        },
        index=pd.Index([session.plan.allen_id for session in sessions], name="id"),
    )


def _write_session(root: Path, session: Stored, tables: Tables) -> None:
    name = f"session_{session.plan.allen_id}"
    (root / name).mkdir()
    write_session(root / name / f"{name}.nwb", session, tables)


def _write_templates(root: Path, scenes: np.ndarray, movie: np.ndarray) -> None:
    folder = root / "natural_scene_templates"
    folder.mkdir()
    for number, scene in enumerate(scenes):
        Image.fromarray(scene).save(folder / f"natural_scene_{number}.tiff")
    folder = root / "natural_movie_templates"
    folder.mkdir()
    with open(folder / "natural_movie_1.h5", "wb") as handle:
        np.save(handle, movie)
