"""The table of sessions counts what the files hold."""

from __future__ import annotations

import numpy as np
import pytest
import session_examples
from torch_brain.data import ArrayDict

from spikeline.artifacts import provenance, sessions
from spikeline.errors import InputError
from spikeline.report.sessions import sessions_table


@pytest.fixture
def saved(tmp_path):
    def write(data, name="mouse"):
        path = tmp_path / f"{name}.h5"
        sessions.save(path, data, session_examples.RECORD)
        return path

    return write


def test_a_session_is_listed_with_what_it_holds(saved):
    data = session_examples.make()
    (row,) = sessions_table([saved(data)]).to_dict("records")
    assert (row["session"], row["subject"], row["source"]) == ("mouse", "m", "arrays")
    assert (row["spikes"], row["units"], row["duration_s"]) == (5000, 6, session_examples.DURATION)
    counts = np.bincount(np.asarray(data.spikes.unit_index), minlength=6)
    assert row["median_rate_hz"] == pytest.approx(np.median(counts) / session_examples.DURATION)
    assert (row["behaviour"], row["trials"], row["stimuli"]) == ("wheel", 200, 200)
    assert row["regions"] == "unknown 6"
    assert row["test_s"] == pytest.approx(
        float(np.sum(data.test_domain.end - data.test_domain.start))
    )


def test_without_behaviour_trials_or_stimuli_a_session_says_so(saved):
    path = saved(session_examples.make(behaviour=False, stimuli=False, trials=False))
    (row,) = sessions_table([path]).to_dict("records")
    assert (row["behaviour"], row["trials"], row["stimuli"]) == ("none", 0, 0)


def test_regions_come_with_their_units_the_largest_first_and_the_small_ones_together(saved):
    data = session_examples.make()
    data.units = ArrayDict(
        id=np.array([f"unit{k}" for k in range(12)]),
        region=np.array([*(f"R{k:02d}" for k in range(10)), "CA1", "CA1"]),
        depth=np.zeros(12, np.float32),
    )
    (row,) = sessions_table([saved(data)]).to_dict("records")
    assert row["regions"].startswith("CA1 2, R00 1, ") and row["regions"].endswith("other 3")


def test_a_damaged_session_is_refused_in_one_line(saved):
    path = saved(session_examples.make())
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"mouse\.h5"):
        sessions_table([path])


def test_the_list_is_written_with_the_origins_of_its_sessions(spikeline, saved, tmp_path):
    path = saved(session_examples.make())
    done = spikeline("list-sessions", "--sessions", path, "--output", tmp_path / "sessions.tsv")
    assert done.returncode == 0, done.stderr
    header, row = (tmp_path / "sessions.tsv").read_text().splitlines()
    assert header.split("\t")[:4] == ["session", "subject", "source", "spikes"]
    assert row.split("\t")[3:5] == ["5000", "6"]
    assert str(path) in provenance.read(tmp_path / "sessions.tsv")["inputs"]
