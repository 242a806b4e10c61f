"""Simulated sessions as files: one HDF5 each, the true rates of its good units beside it.

{session}.h5        attributes: name, source, reference, subject, date, allen_id, duration_s,
                    probes; spikes/{times, unit}; units/{good, type, probe, cluster, region,
                    rate, ...}; wheel/{timestamps, position} and trials/{...}, or
                    running/{start, stop, speed} and screen/{start, stop, name, frame, block}
{session}.rates.h5  rates (bins of 20 ms, good units): expected spikes per bin
pictures.h5         scenes, movie (frames, height, width) uint8
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spikeline.artifacts import hdf5
from spikeline.errors import InputError
from spikeline.simulate.behaving.settings import BIN_S, Plan

SESSION_CONTRACT = "spikeline simulated session 1"
RATES_CONTRACT = "spikeline true rates 1"
PICTURES_CONTRACT = "spikeline simulated pictures 1"
PICTURES = "pictures.h5"

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Stored:
    """A session as its file holds it; every table is column -> values.

    Attributes:
        plan: which session it is.
        duration_s: from 0.
        units: good, type (name, "" for a bad unit), probe, cluster, region, rate.
        times, unit: (spikes,) sorted seconds, and the row of `units`.
        tables: those of wheel, trials, running and screen that the session has.
    """

    plan: Plan
    duration_s: float
    units: Columns
    times: np.ndarray
    unit: np.ndarray
    tables: dict[str, Columns]


def write_session(folder: Path, session, record: Mapping[str, Any]) -> None:
    """Write a `sessions.Session` and its true rates."""
    # Unit types are no business of the clients that only read these files.
    from spikeline.simulate.behaving.unit_types import TYPES

    plan = session.plan
    with hdf5.written(folder / f"{plan.name}.h5", SESSION_CONTRACT, record) as handle:
        handle.attrs.update(
            name=plan.name,
            source=plan.source,
            number=plan.number,
            reference=plan.reference,
            subject=plan.subject,
            date=plan.date.isoformat(),
            allen_id=plan.allen_id,
            probes=list(plan.probes),
            poor=plan.poor,
            duration_s=session.duration_s,
        )
        _write(handle, "spikes", {"times": session.times, "unit": session.index.astype(np.int32)})
        columns = {f.name: getattr(session.units, f.name) for f in fields(session.units)}
        kinds = [TYPES[k].name if k >= 0 else "" for k in session.units.type]
        columns["type"] = np.array(kinds, dtype=object)
        _write(handle, "units", columns | {"good": session.units.good})
        for name, columns in _tables(session).items():
            _write(handle, name, columns)
    with hdf5.written(folder / f"{plan.name}.rates.h5", RATES_CONTRACT, record) as handle:
        handle.attrs["bin_s"] = BIN_S
        handle["rates"] = session.rates


def _tables(session) -> dict[str, Columns]:
    tables: dict[str, Columns] = {}
    if session.wheel is not None:
        wheel = session.wheel
        tables["wheel"] = {"timestamps": wheel.timestamps, "position": wheel.position}
        tables["trials"] = wheel.trials
    if session.running is not None:
        running = session.running
        tables["running"] = {
            "start": running.starts, "stop": running.ends, "speed": running.speed
        }  # fmt: skip
    if session.screen is not None:
        tables["screen"] = {f.name: getattr(session.screen, f.name) for f in fields(session.screen)}
    return tables


def _write(handle: h5py.File, name: str, columns: Columns) -> None:
    group = handle.create_group(name)
    for column, values in columns.items():
        text = values.dtype.kind in "OU"
        group.create_dataset(column, data=values, dtype=h5py.string_dtype() if text else None)


def write_pictures(
    folder: Path, scenes: np.ndarray, movie: np.ndarray, record: Mapping[str, Any]
) -> None:
    """Write the templates that the watching sessions refer to."""
    with hdf5.written(folder / PICTURES, PICTURES_CONTRACT, record) as handle:
        handle["scenes"], handle["movie"] = scenes, movie


def read_pictures(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Scenes and movie, (n, height, width) uint8 each."""
    with hdf5.opened(folder / PICTURES, PICTURES_CONTRACT) as handle:
        return hdf5.numbers(handle["scenes"]), hdf5.numbers(handle["movie"])


def session_files(folder: Path, source: str) -> list[Path]:
    """The session files of one source, in order.

    Raises:
        InputError: the folder holds none, or is no simulation.
    """
    found = sorted(
        path for path in folder.glob(f"{source}_*.h5") if not path.name.endswith(".rates.h5")
    )
    if not found:
        raise InputError(f"{folder}: holds no {source} session; make it with simulate-behaving")
    return found


def read_session(path: Path) -> Stored:
    """Read one session file.

    Raises:
        InputError: missing, damaged or of another kind.
    """
    with hdf5.opened(path, SESSION_CONTRACT) as handle:
        facts = handle.attrs
        plan = Plan(
            name=str(facts["name"]),
            source=str(facts["source"]),
            number=int(facts["number"]),
            subject=str(facts["subject"]),
            date=datetime.date.fromisoformat(str(facts["date"])),
            allen_id=int(facts["allen_id"]),
            probes=tuple(str(probe) for probe in facts["probes"]),
            poor=bool(facts["poor"]),
        )
        tables = {name: _columns(handle[name]) for name in handle}
        spikes = tables.pop("spikes")
        return Stored(
            plan=plan,
            duration_s=float(facts["duration_s"]),
            units=tables.pop("units"),
            times=spikes["times"],
            unit=spikes["unit"],
            tables=tables,
        )


def _columns(group: h5py.Group) -> Columns:
    return {
        name: hdf5.strings(data)
        if h5py.check_string_dtype(data.dtype) is not None
        else hdf5.numbers(data)
        for name, data in group.items()
    }
