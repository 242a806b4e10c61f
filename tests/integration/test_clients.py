"""The real clients, each in its own environment, on a small twin: what they load is what we keep.

The rules build both environments and write the twin.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from client_processes import Clients

from spikeline.artifacts import provenance, sessions
from spikeline.artifacts.files import sha256
from spikeline.cli.main import main
from spikeline.sources import stimuli

ALF = "twinlab/Subjects/{subject}/{date}/001/alf"
# Asks ONE itself, without this package.
ONE_SAYS = """
import sys, numpy as np
from one.api import ONE
from brainbox.io.one import SessionLoader
root, reference, out = sys.argv[1:]
one = ONE(mode="local", cache_dir=root)
eid = str(one.to_eid(reference))
found = {}
for name in one.list_collections(eid, collection="alf/probe*"):
    probe = str(name).split("/")[1]
    spikes = one.load_object(eid, "spikes", collection=name, attribute=["times", "clusters"])
    clusters = one.load_object(eid, "clusters", collection=name)
    found[probe + "_times"], found[probe + "_clusters"] = spikes["times"], spikes["clusters"]
    found[probe + "_uuids"] = np.asarray(clusters["uuids"]).astype(str).ravel()
    found[probe + "_label"] = clusters["metrics"]["label"].to_numpy()
wheel = one.load_object(eid, "wheel")
found["timestamps"], found["position"] = wheel["timestamps"], wheel["position"]
loader = SessionLoader(one=one, eid=eid)
loader.load_wheel(fs=100, corner_frequency=10)
loader.load_trials()
found["wheel_times"] = loader.wheel["times"].to_numpy()
found["wheel_velocity"] = loader.wheel["velocity"].to_numpy()
for column in ("intervals_0", "intervals_1", "choice", "stimOn_times"):
    found[column] = loader.trials[column].to_numpy()
np.savez(out, **found)
"""
# Asks AllenSDK itself, without this package.
ALLENSDK_SAYS = """
import sys, numpy as np
from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession
session = EcephysSession.from_nwb_path(sys.argv[1])
table = session.stimulus_presentations
table = table[table["stimulus_name"].isin(["natural_scenes", "natural_movie_one"])]
table = table.sort_values("start_time")
speed = session.running_speed
units = session.units
found = {"ids": units.index.to_numpy(), "start": table["start_time"].to_numpy(float),
         "region": units["structure_acronym"].to_numpy(str),
         "stop": table["stop_time"].to_numpy(float), "frame": table["frame"].to_numpy(float),
         "name": table["stimulus_name"].to_numpy(str), "velocity": speed["velocity"].to_numpy(),
         "speed_start": speed["start_time"].to_numpy(), "speed_end": speed["end_time"].to_numpy()}
for unit in units.index:
    found["spikes_%d" % unit] = session.spike_times[unit]
np.savez(sys.argv[2], **found)
"""


@pytest.fixture(scope="module")
def clients(behaving, environment, tmp_path_factory) -> Clients:
    # A password that happens to be set would be tried on an address that is none.
    environment = {**environment, "ONE_PASSWORD": ""}
    clients = Clients(behaving / "resources", tmp_path_factory.mktemp("clients"), environment)
    return clients


def converted(command: str, recording: Path, output: Path):
    assert main([command, "--recording", str(recording), "--output", str(output)]) == 0
    return sessions.read(output)


# --- IBL ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ibl(clients):
    """The session of two probes: converted, and as ONE itself loads it."""
    before = sha256(clients.alf)
    recordings = clients.folder / "recordings"
    fetch = ["fetch-ibl", "--cache", str(clients.alf), "--session"]
    done = clients.many(
        "ibl",
        [
            [*fetch, "2030-01-02_1_TWIN02", "--output", str(recordings / "ibl_02"),
             "--probes", "probe00", "probe01"],
            [*fetch, "2030-01-03_1_TWIN03", "--output", str(recordings / "ibl_03")],
        ],
    )  # fmt: skip
    assert done.stderr.count("status 0\n") == 2, done.stderr[-3000:]
    session = converted("convert-ibl", recordings / "ibl_02", clients.folder / "ibl_02.h5")
    expected = clients.asked("ibl", ONE_SAYS, clients.alf, "TWIN02/2030-01-02/001")
    # A client that leaves something behind would make its input look changed.
    assert sha256(clients.alf) == before
    return session, expected


@pytest.mark.slow
def test_spikes_are_those_that_one_loads(ibl):
    session, expected = ibl
    ids = []
    for probe in ("probe00", "probe01"):
        good = np.flatnonzero(expected[f"{probe}_label"] == 1)
        for cluster in good:
            ids.append(f"{probe}/{expected[f'{probe}_uuids'][cluster]}")
            times = expected[f"{probe}_times"][expected[f"{probe}_clusters"] == cluster]
            mine = session.spikes.unit_index == len(ids) - 1
            np.testing.assert_array_equal(session.spikes.timestamps[mine], times)
    assert list(session.units.id) == ids
    assert session.session.subject == "TWIN02" and session.session.origin_s == 0


@pytest.mark.slow
def test_the_wheel_is_that_of_one_and_its_velocity_that_of_ibls_own_filter(ibl):
    session, expected = ibl
    grid = np.arange(len(session.behaviour.velocity)) / 100
    known = (grid >= expected["timestamps"][0]) & (grid <= expected["timestamps"][-1])
    position = np.interp(grid, expected["timestamps"], expected["position"])
    np.testing.assert_allclose(session.behaviour.position[known], position[known], atol=1e-4)
    # at the very start the filter would look its whole window ahead
    known[np.flatnonzero(known)[:2]] = False
    np.testing.assert_array_equal(np.isfinite(session.behaviour.velocity), known)
    theirs = np.interp(grid, expected["wheel_times"], expected["wheel_velocity"])
    assert np.corrcoef(theirs[known], session.behaviour.velocity[known])[0, 1] > 0.97


@pytest.mark.slow
def test_trials_are_those_of_the_session_loader(ibl):
    session, expected = ibl
    inside = expected["intervals_1"] <= session.domain.end[-1]
    for name, column in (("start", "intervals_0"), ("end", "intervals_1"), ("choice", "choice"),
                         ("stimOn_times", "stimOn_times")):  # fmt: skip
        np.testing.assert_array_equal(getattr(session.trials, name), expected[column][inside])


@pytest.mark.slow
def test_a_session_says_which_twin_it_came_from(clients, ibl):
    origins = provenance.read(clients.folder / "ibl_02.h5")["origins"]
    assert any("behaving twin" in name for name in origins)


# A file that a tree lacks -> how the line names it.
MISSING = {
    "probe00/pykilosort/spikes.times.npy": "ALF object spikes",
    "probe00/pykilosort/spikes.clusters.npy": "ALF object spikes.clusters",
    "probe00/pykilosort/clusters.channels.npy": "ALF object clusters.channels",
    "probe00/pykilosort/channels.brainLocationIds_ccf_2017.npy": "ALF object channels.brainLoc",
    "probe00/pykilosort/channels.mlapdv.npy": "ALF object channels.mlapdv",
    "_ibl_wheel.timestamps.npy": "ALF object wheel",
    "_ibl_trials.table.pqt": "ALF object trials",
}
HERE = ["--session", "2030-01-01_1_TWIN01"]
# What is asked for -> how the line names what is not there.
ASTRAY = {
    "NOBODY": ["--cache", "{alf}", "--session", "2031-01-01_1_NOBODY"],
    "probe07": ["--cache", "{alf}", *HERE, "--probes", "probe07"],
    "sessions.pqt": ["--cache", "{folder}", *HERE],
    "make one with spikeline fetch-ibl-login": [
        "--url",
        "https://alyx.example",
        "--cache",
        "{folder}",
        *HERE,
    ],
}


@pytest.mark.slow
def test_what_is_missing_is_named_by_the_real_client(clients):
    output = clients.folder / "refused"
    commands, words = [], []
    for number, (missing, said) in enumerate(MISSING.items()):
        tree = clients.folder / f"tree_{number}"
        shutil.copytree(clients.alf, tree)
        (tree / ALF.format(subject="TWIN01", date="2030-01-01") / missing).unlink()
        commands.append(["fetch-ibl", "--cache", str(tree), *HERE, "--output", str(output)])
        words.append(said)
    for said, arguments in ASTRAY.items():
        filled = [text.format(alf=clients.alf, folder=clients.folder) for text in arguments]
        commands.append(["fetch-ibl", *filled, "--output", str(output)])
        words.append(said)
    for line, said in zip(clients.refusals("ibl", commands), words, strict=True):
        assert said in line
    assert not output.exists()


@pytest.mark.slow
def test_a_session_with_too_few_good_units_is_refused_by_name(clients, ibl, capsys):
    recording = clients.folder / "recordings" / "ibl_03"
    capsys.readouterr()
    output = clients.folder / "ibl_03.h5"
    command = ["convert-ibl", "--recording", str(recording), "--name", "poor"]
    assert main([*command, "--output", str(output)]) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and "session poor: 3 good units" in text
    assert not output.exists()


# --- Allen ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def allen(clients):
    """The session: converted, and as AllenSDK's own session object has it."""
    before = sha256(clients.nwb)
    recording = clients.folder / "recordings" / "allen_01"
    clients.made(
        "allen", "fetch-allen", "--cache", clients.nwb, "--session", "900000001",
        "--output", recording,
    )  # fmt: skip
    session = converted("convert-allen", recording, clients.folder / "allen_01.h5")
    expected = clients.asked("allen", ALLENSDK_SAYS, recording / "session.nwb")
    assert sha256(clients.nwb) == before
    return session, expected


@pytest.mark.slow
def test_units_and_spikes_are_those_that_allensdk_keeps(allen):
    session, expected = allen
    assert list(session.units.id) == [str(unit) for unit in expected["ids"]]
    assert list(session.units.region) == list(expected["region"])
    for index, unit in enumerate(expected["ids"]):
        mine = session.spikes.timestamps[session.spikes.unit_index == index]
        np.testing.assert_array_equal(mine, np.sort(expected[f"spikes_{unit}"]))


@pytest.mark.slow
def test_running_is_the_speed_that_allensdk_gives(allen):
    session, expected = allen
    middle = (expected["speed_start"] + expected["speed_end"]) / 2
    grid = np.arange(len(session.behaviour.velocity)) / 100
    known = np.isfinite(session.behaviour.velocity)
    np.testing.assert_array_equal(known, (grid >= middle[0]) & (grid <= middle[-1]))
    np.testing.assert_allclose(
        session.behaviour.velocity[known],
        np.interp(grid, middle, expected["velocity"])[known],
        atol=1e-4,
    )
    assert session.session.behaviour_kind == "running"


@pytest.mark.slow
def test_presentations_are_allensdks_and_blank_sweeps_have_no_image(allen):
    session, expected = allen
    inside = expected["start"] < session.domain.end[-1]
    np.testing.assert_allclose(session.stimuli.start, expected["start"][inside])
    stop = np.minimum(expected["stop"][inside], session.domain.end[-1])
    np.testing.assert_allclose(session.stimuli.end, stop, atol=0.02)
    named = [
        "" if frame < 0
        else f"natural_scenes/{int(frame):03d}.png" if name == "natural_scenes"
        else f"natural_movie_one/{int(frame):04d}.png"
        for name, frame in zip(expected["name"][inside], expected["frame"][inside], strict=True)
    ]  # fmt: skip
    assert list(session.stimuli.image) == named
    assert "" in named


@pytest.mark.slow
def test_the_archive_of_templates_holds_every_image_shown(behaving, clients, allen, tmp_path):
    output = tmp_path / "templates.zip"
    clients.made(
        "allen", "fetch-allen-templates", "--cache", clients.nwb, "--scenes", "all",
        "--movies", "natural_movie_one", "--output", output,
    )  # fmt: skip
    held = stimuli.names(output)
    twin = behaving.config["twins"]["behaving"]
    assert len(held) == twin["scenes"] + twin["movie_frames"]
    session, _ = allen
    assert set(session.stimuli.image) - {""} <= set(held)
    assert provenance.read(output)["step"] == "fetch-allen-templates"


@pytest.mark.slow
def test_a_session_that_is_not_there_or_has_no_stimulus_table_is_refused(clients, capsys):
    cache = clients.folder / "no_stimuli"
    shutil.copytree(clients.nwb, cache)
    nwb = cache / "session_900000001" / "session_900000001.nwb"
    with h5py.File(nwb, "r+") as handle:
        for name in list(handle["intervals"]):
            del handle["intervals"][name]
    output = clients.folder / "refused"
    lines = clients.refusals(
        "allen",
        [
            ["fetch-allen", "--cache", str(cache), "--session", "900000001", "--output",
             str(output)],
            ["fetch-allen", "--cache", str(cache), "--session", "900000077", "--output",
             str(output)],
        ],
    )  # fmt: skip
    assert "stimulus table" in lines[0] and "900000001" in lines[0]
    assert "900000077" in lines[1]
    capsys.readouterr()
    converted_file = clients.folder / "no_stimuli.h5"
    command = ["convert-allen", "--recording", str(nwb), "--settings", "{}"]
    assert main([*command, "--output", str(converted_file)]) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and "stimulus table" in text
    assert not output.exists() and not converted_file.exists()


@pytest.mark.slow
def test_a_damaged_nwb_is_refused(clients, capsys, tmp_path):
    nwb = tmp_path / "session.nwb"
    content = (clients.nwb / "session_900000001" / "session_900000001.nwb").read_bytes()
    nwb.write_bytes(content[: len(content) // 2])
    command = ["convert-allen", "--recording", str(tmp_path), "--settings", "{}"]
    assert main([*command, "--output", str(tmp_path / "a.h5")]) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and "session.nwb: is damaged or not an NWB file" in text
