"""One session as the Allen Institute's Visual Coding files hold it (NWB 2).

Runs in the Allen client's environment.
"""

from __future__ import annotations

import datetime
import itertools
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pynwb
from allensdk.brain_observatory.ecephys import nwb_util
from allensdk.brain_observatory.ecephys.nwb import EcephysSpecimen
from hdmf import container
from hdmf.common import VectorData
from pynwb.base import ProcessingModule, TimeSeries
from pynwb.epoch import TimeIntervals

from spikeline.simulate.behaving.allen_tables import SAMPLING_HZ, Tables
from spikeline.simulate.behaving.store import Columns, Stored

AGE_DAYS = 120
SESSION_TYPE = "brain_observatory_1.1"
# Radius of the running disc where the animal stands, cm.
_DISC_CM = 5.5
_WAVEFORM_SAMPLES = 82


def write_session(path: Path, session: Stored, tables: Tables) -> None:
    """Write a file that `EcephysSession.from_nwb_path` opens."""
    with _ids_in_order(session.plan.allen_id):
        _write(path, session, tables)


def _write(path: Path, session: Stored, tables: Tables) -> None:
    plan = session.plan
    start = datetime.datetime.combine(plan.date, datetime.time(9), datetime.UTC)
    content = pynwb.NWBFile(
        session_description="Simulated recording; no animal took part",
        identifier=str(plan.allen_id),
        session_id=str(plan.allen_id),
        session_start_time=start,
        file_create_date=start,
        stimulus_notes=SESSION_TYPE,
        institution="Spikeline, behaving twin",
    )
    content.subject = EcephysSpecimen(
        specimen_name=plan.subject,
        subject_id=plan.subject,
        age_in_days=float(AGE_DAYS),
        age=f"P{AGE_DAYS}D",
        genotype="wt",
        strain="simulated",
        sex="F",
        species="Mus musculus",
    )
    for probe, row in tables.probes.iterrows():
        _, _, group = nwb_util.add_probe_to_nwbfile(
            content,
            probe_id=int(probe),
            sampling_rate=SAMPLING_HZ,
            lfp_sampling_rate=float(row["lfp_sampling_rate"]),
            has_lfp_data=False,
            name=row["name"],
        )
        channels = tables.channels[tables.channels["ecephys_probe_id"] == probe]
        nwb_util.add_ecephys_electrodes(content, _electrodes(channels), group)
    content.units = _units(session, tables.units)
    _add_running(content, session.tables["running"])
    screen = session.tables["screen"]
    for index, name in enumerate(sorted(set(screen["name"]))):
        content.add_time_intervals(_presentations(screen, name, index))
    with warnings.catch_warnings():
        # The client's own specification of a specimen requires a field without a name.
        warnings.simplefilter("ignore", UserWarning)
        with pynwb.NWBHDF5IO(str(path), "w") as handle:
            handle.write(content)


def _electrodes(channels: pd.DataFrame) -> list[dict]:
    table = channels.reset_index().rename(
        columns={
            "ecephys_probe_id": "probe_id",
            "local_index": "probe_channel_number",
            "ecephys_structure_acronym": "structure_acronym",
        }
    )
    table = table.assign(valid_data=True, filtering="AP band", impedance=np.nan)
    # The client reads exactly this word as outside the brain.
    table["structure_acronym"] = table["structure_acronym"].fillna("None")
    return table.to_dict(orient="records")


def _units(session: Stored, units: pd.DataFrame) -> pynwb.misc.Units:
    """Quality metrics, and ragged spikes; a waveform is that of the peak channel alone."""
    columns = units.drop(columns=["ecephys_channel_id"]).assign(
        peak_channel_id=units["ecephys_channel_id"]
    )
    table = pynwb.misc.Units.from_dataframe(columns, name="units")
    order = np.argsort(session.unit, kind="stable")
    ends = np.cumsum(np.bincount(session.unit, minlength=len(units)))
    times = np.split(session.times[order], ends[:-1])
    sample = np.arange(_WAVEFORM_SAMPLES)
    shape = np.exp(-(((sample - 20) / 4.0) ** 2)) - 0.4 * np.exp(-(((sample - 34) / 9.0) ** 2))
    waveforms = [-shape[None] * height for height in units["amplitude"]]
    amplitudes = [
        np.full(len(train), height * 1e-6)
        for train, height in zip(times, units["amplitude"], strict=True)
    ]
    for name, values, text in (
        ("spike_times", times, "times (s) of detected spiking events"),
        ("spike_amplitudes", amplitudes, "amplitude (V) of detected spiking events"),
        ("waveform_mean", waveforms, "mean waveform on the peak channel (over samples)"),
    ):
        by_unit = dict(zip(units.index, values, strict=True))
        with warnings.catch_warnings():
            # pynwb warns about the way in which the client adds these columns.
            warnings.simplefilter("ignore", UserWarning)
            nwb_util.add_ragged_data_to_dynamic_table(table, by_unit, name, text)
    return table


def _add_running(content: pynwb.NWBFile, running: Columns) -> None:
    module = ProcessingModule("running", "Running speed processing module")
    content.add_processing_module(module)
    turned = running["speed"] * (running["stop"] - running["start"]) / _DISC_CM
    module.add(TimeSeries("running_speed", running["speed"], "cm/s", timestamps=running["start"]))
    # The client takes the ends of the samples from the time stamps of this series.
    module.add(
        TimeSeries("running_speed_end_times", running["speed"], "cm/s", timestamps=running["stop"])
    )
    module.add(TimeSeries("running_wheel_rotation", turned, "radians", timestamps=running["start"]))


def _presentations(screen: Columns, name: str, index: int) -> TimeIntervals:
    rows = screen["name"] == name
    count = int(rows.sum())
    columns = {
        "start_time": ("Start time of epoch, in seconds", screen["start"][rows]),
        "stop_time": ("Stop time of epoch, in seconds", screen["stop"][rows]),
        "stimulus_name": ("Name of stimulus", [name] * count),
        # The client reads a column of zeros and ones as boolean; real blocks begin later too.
        "stimulus_block": ("Index of contiguous presentations", screen["block"][rows] + 2),
        "stimulus_index": ("Index of stimulus type", np.full(count, float(index))),
        "frame": ("Scene or frame of the movie; -1 is a blank sweep", screen["frame"][rows]),
    }
    return TimeIntervals(
        name=f"{name}_presentations",
        description=f"Presentation times and parameters of {name}",
        columns=[
            VectorData(name=column, description=text, data=values)
            for column, (text, values) in columns.items()
        ],
        id=np.arange(count),
    )


@contextmanager
def _ids_in_order(session_id: int) -> Iterator[None]:
    """Objects get ids derived from their order: the same seed gives the same file."""
    numbers = itertools.count()
    drawn = container.uuid4
    container.uuid4 = lambda: uuid.uuid5(
        uuid.NAMESPACE_URL, f"spikeline:{session_id}/{next(numbers)}"
    )
    try:
        yield
    finally:
        container.uuid4 = drawn
