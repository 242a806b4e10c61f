"""Simulated sessions as files: what is read equals what was written, true rates included."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
from artifact_examples import some_session

from spikeline.artifacts import provenance
from spikeline.cli.main import main
from spikeline.errors import InputError
from spikeline.simulate.behaving import store
from spikeline.simulate.behaving.allen_tables import tables_of

SETTINGS = {
    "ibl_sessions": 2, "allen_sessions": 1, "duration_s": 30, "min_units": 6, "max_units": 8,
    "min_bad_units": 2, "max_bad_units": 3, "poor_units": 1, "scenes": 4, "movie_frames": 30,
    "image_height": 32, "image_width": 40,
}  # fmt: skip


@pytest.fixture(scope="module")
def simulation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twin") / "simulation"
    given = ["--settings", json.dumps(SETTINGS), "--output", str(folder)]
    assert main(["simulate-behaving", *given]) == 0
    return folder


def test_a_twin_is_a_session_file_and_a_file_of_rates_each(simulation):
    names = sorted(path.name for path in simulation.iterdir())
    sessions = ["allen_01", "ibl_01", "ibl_02", "ibl_03"]
    expected = [f"{name}{end}" for name in sessions for end in (".h5", ".rates.h5")]
    assert names == sorted([*expected, "pictures.h5", "provenance.json"])
    assert provenance.read(simulation)["settings"]["duration_s"] == 30


def test_the_same_settings_give_the_same_bytes(simulation, tmp_path):
    given = ["--settings", json.dumps(SETTINGS), "--output", str(tmp_path / "again")]
    assert main(["simulate-behaving", *given]) == 0
    for path in simulation.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_true_rates_have_a_row_per_bin_and_a_column_per_good_unit(simulation):
    for path in (*store.session_files(simulation, "ibl"), simulation / "allen_01.h5"):
        session = store.read_session(path)
        with h5py.File(path.with_suffix(".rates.h5")) as handle:
            rates = handle["rates"]
            assert rates.dtype == np.float32
            assert rates.shape == (1500, session.units["good"].sum())
            assert rates[...].min() > 0


def test_a_session_comes_back_with_its_plan_and_tables(simulation):
    session = store.read_session(simulation / "ibl_02.h5")
    assert session.plan.reference == "TWIN02/2030-01-02/001"
    assert session.plan.probes == ("probe00", "probe01")
    assert set(session.tables) == {"wheel", "trials"}
    assert (np.diff(session.times) >= 0).all() and session.unit.max() < len(session.units["good"])
    kinds = session.units["type"]
    assert all(
        (kind == "") != good for kind, good in zip(kinds, session.units["good"], strict=True)
    )
    watching = store.read_session(simulation / "allen_01.h5")
    assert set(watching.tables) == {"running", "screen"}
    scenes, movie = store.read_pictures(simulation)
    assert scenes.shape == (4, 32, 40) and movie.shape == (30, 32, 40)


def test_a_session_without_the_tables_of_its_source_is_refused():
    values = some_session("ibl")
    del values["trials"]
    with pytest.raises(InputError, match=r"has tables \['wheel'\], expected \['trials', 'wheel'\]"):
        store.SESSION.check(values, "a.h5")
    with pytest.raises(InputError, match="of a session of source 'other'"):
        store.SESSION.check({**some_session("ibl"), "source": "other"}, "a.h5")


def test_a_spike_of_a_unit_that_is_not_there_is_refused():
    values = some_session("allen")
    values["spikes"]["unit"][3] = 5
    with pytest.raises(InputError, match="field spikes/unit points outside the 5 units"):
        store.SESSION.check(values, "a.h5")


def test_files_of_one_source_are_listed_without_their_rates(simulation, tmp_path):
    names = [path.name for path in store.session_files(simulation, "ibl")]
    assert names == ["ibl_01.h5", "ibl_02.h5", "ibl_03.h5"]
    with pytest.raises(InputError, match="holds no allen session; make it with simulate-behaving"):
        store.session_files(tmp_path, "allen")


def test_good_units_pass_the_allen_clients_defaults_and_bad_ones_fail_one(simulation):
    session = store.read_session(simulation / "allen_01.h5")
    tables = tables_of(session)
    units = tables.units
    region = tables.channels["ecephys_structure_acronym"].loc[units["ecephys_channel_id"]]
    assert (region.to_numpy() == session.units["region"]).all()
    passes = (units["quality"] == "good") & (units["amplitude_cutoff"] <= 0.1)
    passes &= (units["isi_violations"] <= 0.5) & (units["presence_ratio"] >= 0.95)
    assert (passes.to_numpy() == session.units["good"]).all() and not passes.all()
    # The client sorts by probe and place: the same order.
    assert units.index.is_monotonic_increasing and units.index.is_unique
    assert tables.channels.index.is_monotonic_increasing and tables.channels.index.is_unique


def test_what_the_clients_run_needs_none_of_the_main_environment():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'torch_brain', 'snakemake')))\n"
        "import spikeline.cli.write_alf, spikeline.cli.write_nwb\n"
        "assert not {'pandas', 'one', 'allensdk', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
