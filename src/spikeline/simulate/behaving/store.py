"""Simulated sessions as files: one HDF5 per session, with a file of the true rates of its units.

{session}.h5        SESSION
{session}.rates.h5  see artifacts/true_rates.py; units are the good units of the session
pictures.h5         PICTURES
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from spikeline.artifacts import true_rates
from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.errors import InputError
from spikeline.simulate.behaving.settings import BIN_S, Plan

PICTURES_FILE = "pictures.h5"
# Tables that the sessions of a source have in addition to spikes and units.
TABLES = {"ibl": ("wheel", "trials"), "allen": ("running", "screen")}

Columns = dict[str, np.ndarray]


def _columns(table: str, dim: str, dtype: str, units: Mapping[str, str]) -> tuple[Field, ...]:
    """Fields of one dtype along one dim."""
    return tuple(Field(f"{table}/{name}", dtype, (dim,), unit) for name, unit in units.items())


def _check_tables(values: Mapping[str, Any], where: str) -> None:
    found = {name for tables in TABLES.values() for name in tables if name in values}
    expected = TABLES.get(values["source"], ())
    if found != set(expected):
        raise InputError(
            f"{where}: has tables {sorted(found)}, expected {sorted(expected)} of a session of "
            f"source {values['source']!r}"
        )


def _check_spikes(values: Mapping[str, Any], where: str) -> None:
    unit, units = values["spikes"]["unit"], len(values["units"]["good"])
    if len(unit) and not 0 <= unit.min() <= unit.max() < units:
        raise InputError(f"{where}: field spikes/unit points outside the {units} units")


SESSION = Contract(
    "simulated_sessions/1",
    fields=(
        Field("spikes/times", "float64", ("spikes",), "s, sorted", finite=True),
        Field("spikes/unit", "int32", ("spikes",), "row of the units"),
        Field("units/good", "bool", ("units",), "fit for use"),
        Field("units/type", "str", ("units",), "name of the unit type, '' for a bad unit"),
        Field("units/region", "str", ("units",), "acronym in the Allen atlas"),
        Field("units/probe", "int64", ("units",), "row of probes"),
        Field("units/cluster", "int64", ("units",), "0-based, from the tip of the probe up"),
        Field("units/rate", "float64", ("units",), "spikes/s, mean"),
        Field("units/regularity", "float64", ("units",), "shape of the gamma of intervals"),
        Field("units/burst", "float64", ("units", 2), "probability of a second and a third spike"),
        Field("units/phase", "float64", ("units",), "rad, of the fast latent"),
        Field("units/drift", "float64", ("units",), "factor of the private log-rate drift"),
        *_columns(
            "units", "units", "float64",
            {
                "speed": "log rate per unit of speed",
                "direction": "log rate per unit of signed velocity",
                "arousal": "log rate per unit of the slow shared latent",
                "rotation": "log rate per unit of the fast shared latent",
                "stimulus": "log rate per unit of the drive from the screen",
            },
        ),
        *_columns(
            "wheel", "wheel samples", "float64",
            {"timestamps": "s, sorted", "position": "rad, from the start"},
        ),
        *_columns(
            "trials", "trials", "float64",
            {
                "choice": "-1 or 1",
                "contrastLeft": "0 to 1, NaN where the stimulus is on the right",
                "contrastRight": "0 to 1, NaN where the stimulus is on the left",
                "feedbackType": "1 reward, -1 none", "feedback_times": "s",
                "firstMovement_times": "s", "goCue_times": "s", "intervals_0": "s, start",
                "intervals_1": "s, end", "probabilityLeft": "of a stimulus on the left",
                "response_times": "s", "rewardVolume": "microlitre", "stimOff_times": "s",
                "stimOn_times": "s",
            },
        ),
        *_columns(
            "running", "running samples", "float64",
            {"start": "s", "stop": "s", "speed": "cm/s, mean from start to stop"},
        ),
        *_columns(
            "screen", "presentations", "float64",
            {
                "start": "s", "stop": "s",
                "frame": "scene or frame of the movie, -1 for a blank sweep, NaN at rest",
                "block": "0-based, NaN at rest",
            },
        ),
        Field("screen/name", "str", ("presentations",), "what is presented"),
    ),
    attributes=(
        Field("name", "str", (), "of the session"),
        Field("source", "str", (), "ibl or allen"),
        Field("number", "int64", (), "1-based, among the sessions of its source"),
        Field("reference", "str", (), "what the source's client calls the session"),
        Field("subject", "str", (), "name"),
        Field("date", "str", (), "ISO 8601"),
        Field("allen_id", "int64", (), "session id of the Allen client"),
        Field("probes", "str", ("probes",), "names", distinct=True),
        Field("poor", "bool", (), "whether nearly all units are bad"),
        Field("duration_s", "float64", (), "s", finite=True),
    ),
    optional=tuple(name for tables in TABLES.values() for name in tables),
    may_be_empty=("spikes",),
    rules=(_check_tables, _check_spikes),
)  # fmt: skip
PICTURES = Contract(
    "simulated_pictures/1",
    fields=(
        Field("scenes", "uint8", ("scenes", "height", "width"), "0 black to 255 white"),
        Field("movie", "uint8", ("frames", "height", "width"), "0 black to 255 white"),
    ),
)


@dataclass(frozen=True)
class Stored:
    """A session as its file holds it; every table is column -> values, see SESSION.

    Attributes:
        plan: which session it is.
        duration_s: the session starts at 0.
        units: one value per unit, good and bad.
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
    # The clients that only read these files do not need the unit types.
    from spikeline.simulate.behaving.unit_types import TYPES

    plan, units = session.plan, session.units
    columns = {field.name: getattr(units, field.name) for field in fields(units)}
    kinds = [TYPES[k].name if k >= 0 else "" for k in units.type]
    values = {
        **{field.name: getattr(plan, field.name) for field in fields(plan)},
        "reference": plan.reference,
        "date": plan.date.isoformat(),
        "duration_s": float(session.duration_s),
        "spikes": {"times": session.times, "unit": session.index.astype(np.int32)},
        "units": {**columns, "type": kinds, "good": units.good},
        **_tables(session),
    }
    SESSION.write(folder / f"{plan.name}.h5", values, record)
    true_rates.write(folder / f"{plan.name}.rates.h5", session.rates, BIN_S, record)


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


def write_pictures(
    folder: Path, scenes: np.ndarray, movie: np.ndarray, record: Mapping[str, Any]
) -> None:
    """Write the templates that the watching sessions refer to."""
    PICTURES.write(folder / PICTURES_FILE, {"scenes": scenes, "movie": movie}, record)


def read_pictures(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Scenes and movie, (n, height, width) uint8 each."""
    pictures = PICTURES.read(folder / PICTURES_FILE)
    return pictures["scenes"], pictures["movie"]


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
    """Read and check one session file.

    Raises:
        InputError: missing, damaged, of another contract, or in breach of this one.
    """
    values = SESSION.read(path)
    facts = {field.name: values[field.name] for field in fields(Plan)}
    return Stored(
        plan=Plan(**{**facts, "date": datetime.date.fromisoformat(values["date"])}),
        duration_s=values["duration_s"],
        units=values["units"],
        times=values["spikes"]["times"],
        unit=values["spikes"]["unit"],
        tables={name: values[name] for name in TABLES[values["source"]]},
    )
