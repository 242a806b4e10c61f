"""The real AllenSDK at a warehouse on loopback: cut downloads, and units as it has them."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from client_processes import Clients
from warehouse_stand_in import serving

from spikeline.artifacts import sessions
from spikeline.cli.main import main
from spikeline.sources import stimuli
from spikeline.sources.allen import read_recording

SESSION = 900000001
# Asks AllenSDK's own cache, without this package, for the units that it keeps.
ALLENSDK_SAYS = """
import sys, numpy as np
from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache
cache = EcephysProjectCache.from_warehouse(manifest=sys.argv[1] + "/manifest.json")
session = cache.get_session_data(int(sys.argv[2]))
units = session.units
found = {"ids": units.index.to_numpy(), "region": units["ecephys_structure_acronym"].to_numpy(str)}
for unit in units.index:
    found["spikes_%d" % unit] = session.spike_times[unit]
np.savez(sys.argv[3], **found)
"""


@pytest.fixture(scope="module")
def origin(behaving, tmp_path_factory):
    """A twin's cache whose tables were revised after its file was written.

    By the table some units lie elsewhere, and two channels, with good units on them, are gone; by
    the file one of the good units is outside the brain.
    """
    cache = tmp_path_factory.mktemp("warehouse") / "nwb"
    shutil.copytree(behaving / "resources/twins/behaving/nwb", cache)
    nwb = cache / f"session_{SESSION}/session_{SESSION}.nwb"
    good = read_recording(nwb, "before").clusters["good"]
    with h5py.File(nwb, "r+") as handle:
        peak = handle["units/peak_channel_id"][()][good]
        ids = handle["general/extracellular_ephys/electrodes/id"][()]
        location = handle["general/extracellular_ephys/electrodes/location"]
        location[int(np.flatnonzero(ids == peak[-1])[0])] = "None"
    channels = pd.read_csv(cache / "channels.csv", index_col="id")
    channels.loc[peak[0], "ecephys_structure_acronym"] = "VISrl"
    channels.loc[peak[1], ["ecephys_structure_acronym", "ecephys_structure_id"]] = np.nan
    channels.drop(index=[peak[2], peak[3]]).to_csv(cache / "channels.csv")
    return cache


@pytest.fixture(scope="module")
def door(behaving, environment, tmp_path_factory):
    kept = {key: value for key, value in environment.items() if "proxy" not in key.lower()}
    return Clients(behaving / "resources", tmp_path_factory.mktemp("allen"), kept)


@pytest.fixture(scope="module")
def fetched(door, origin):
    """What was logged, and asked of the server, by fetches whose connection breaks off."""
    with serving(origin) as warehouse:
        warehouse.wrong = {".nwb": ["cut", "cut", 503], "natural_movie_1": ["cut"], "Unit": [503]}
        shared = ["--cache", str(door.folder / "cache"), "--server", warehouse.address]
        fetch = ["fetch-allen", *shared, "--pause", "0", "--session"]
        done = door.many(
            "allen",
            [
                [*fetch, str(SESSION), "--output", str(door.folder / "recording")],
                ["fetch-allen-templates", *shared, "--scenes", "none", "--movies",
                 "natural_movie_one", "--pause", "0", "--output",
                 str(door.folder / "movie.zip")],
                [*fetch, "900000077", "--output", str(door.folder / "nobody")],
                ["fetch-allen", "--cache", str(door.folder / "late"), "--server",
                 warehouse.address, "--timeout-minutes", "1e-9", "--session", str(SESSION),
                 "--attempts", "1", "--output", str(door.folder / "late_recording")],
            ],
        )  # fmt: skip
        assert not any(warehouse.wrong.values())
        return done.stderr, warehouse


@pytest.mark.slow
def test_a_file_is_continued_until_it_is_whole(door, origin, fetched):
    said, warehouse = fetched
    assert said.count("status 0\n") == 2, said[-3000:]
    name = f"session_{SESSION}/session_{SESSION}.nwb"
    whole = (origin / name).read_bytes()
    assert (door.folder / "cache" / name).read_bytes() == whole
    assert (door.folder / "recording/session.nwb").read_bytes() == whole
    asked = [span for span in warehouse.ranges if span]
    assert len(asked) == 3 and all(int(span[6:-1]) > len(whole) // 3 for span in asked[:2])
    assert not list((door.folder / "cache").rglob(".*part*"))
    assert len(stimuli.names(door.folder / "movie.zip")) == 30


@pytest.mark.slow
def test_a_session_that_is_none_and_a_time_that_is_too_short_are_said(door, fetched):
    lines = [line for line in fetched[0].splitlines() if line.startswith("spikeline ")]
    assert len(lines) == 2 and "900000077" in lines[0]
    assert "run again to continue, with more time" in lines[1]
    assert not (door.folder / "nobody").exists() and not (door.folder / "late_recording").exists()


def before_revision(door) -> np.ndarray:
    """Which units are good by the tables that the twin was written with."""
    name = f"session_{SESSION}"
    return read_recording(door.nwb / name / f"{name}.nwb", "before").clusters["good"]


@pytest.mark.slow
def test_units_and_regions_are_those_of_allensdks_own_cache(door, origin, fetched):
    expected = door.asked("allen", ALLENSDK_SAYS, door.folder / "cache", SESSION)
    output = door.folder / "allen.h5"
    recording = str(door.folder / "recording")
    assert main(["convert-allen", "--recording", recording, "--output", str(output)]) == 0
    session = sessions.read(output)
    order = np.argsort(expected["ids"])
    assert sorted(session.units.id) == [str(unit) for unit in expected["ids"][order]]
    theirs = dict(zip(map(str, expected["ids"]), expected["region"], strict=True))
    # The table names no region for one unit, which AllenSDK keeps.
    mine = dict(zip(session.units.id, session.units.region, strict=True))
    assert mine == {unit: "" if name == "nan" else name for unit, name in theirs.items()}
    assert list(mine.values()).count("") == 1 and "VISrl" in mine.values()
    assert len(mine) == int(before_revision(door).sum()) - 3
    for index, unit in enumerate(session.units.id):
        times = session.spikes.timestamps[session.spikes.unit_index == index]
        np.testing.assert_array_equal(times, np.sort(expected[f"spikes_{unit}"]))
